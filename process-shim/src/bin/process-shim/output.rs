//! Cuts what a process prints into lines.

use std::{
    io::{self, BufRead, Read},
    os::fd::{AsFd, OwnedFd},
    time::SystemTime,
};

use process_shim::log_line::{self, MAX_PIECE, Stream};
use rustix::fs::OFlags;

/// One of the two pipes of a process.
pub(crate) struct Output {
    pipe: std::fs::File,
    stream: Stream,
    /// What was printed since the last newline.
    begun: Vec<u8>,
    ended: bool,
}

/// How much is read at a time.
pub(crate) const CHUNK: usize = 8 * 1024;

impl Output {
    /// Reads `pipe`, never waiting for it.
    pub(crate) fn new(pipe: impl Into<OwnedFd>, stream: Stream) -> io::Result<Self> {
        let pipe = pipe.into();
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        Ok(Self { pipe: pipe.into(), stream, begun: Vec::new(), ended: false })
    }

    /// What to wait on; `None` once everybody who could print has closed it.
    pub(crate) fn pipe(&self) -> Option<impl AsFd> {
        (!self.ended).then_some(&self.pipe)
    }

    /// Reads once and appends the lines that are complete with it to `lines`. Says whether there was
    /// anything.
    pub(crate) fn read(&mut self, lines: &mut Vec<u8>) -> bool {
        let mut chunk = [0; CHUNK];
        match self.pipe.read(&mut chunk) {
            Ok(0) => {
                self.ended = true;
                false
            }
            Ok(length) => {
                self.take(&chunk[..length], lines);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.ended = true;
                false
            }
        }
    }

    /// Appends what was printed without a newline behind it: nothing more will come.
    pub(crate) fn finish(&mut self, lines: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            log_line::append(lines, SystemTime::now(), self.stream, false, &self.begun);
            self.begun.clear();
        }
    }

    fn take(&mut self, mut printed: &[u8], lines: &mut Vec<u8>) {
        let now = SystemTime::now();
        while !printed.is_empty() {
            // One more than fits, by which it shows whether the line goes on.
            let room = MAX_PIECE + 1 - self.begun.len();
            let mut fitting = io::Read::take(&mut printed, room as u64);
            // Reading what is in memory never fails.
            let _ = fitting.read_until(b'\n', &mut self.begun);
            if let Some(line) = self.begun.strip_suffix(b"\n") {
                log_line::append(lines, now, self.stream, false, line);
                self.begun.clear();
            } else if let Some((piece, [next])) = self.begun.split_at_checked(MAX_PIECE) {
                let next = *next;
                log_line::append(lines, now, self.stream, true, piece);
                self.begun.clear();
                self.begun.push(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contents of the lines that come of these pieces, with `+` behind a partial one.
    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut output = Output {
            pipe: std::fs::File::open("/dev/null").unwrap(),
            stream: Stream::Stdout,
            begun: Vec::new(),
            ended: false,
        };
        let mut lines = Vec::new();
        pieces.iter().for_each(|piece| output.take(piece, &mut lines));
        output.finish(&mut lines);
        let lines = String::from_utf8(lines).unwrap();
        lines
            .lines()
            .map(|line| {
                let line = log_line::LogLine::parse(line.as_bytes()).unwrap();
                let content = String::from_utf8(line.content.to_vec()).unwrap();
                if line.partial { content + "+" } else { content }
            })
            .collect()
    }

    #[test]
    fn lines_are_whole_however_they_come_in() {
        assert_eq!(lines(&[b"a\nb\n"]), ["a", "b"]);
        assert_eq!(lines(&[b"a", b"b\n\n", b"c"]), ["ab", "", "c"]);
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn a_line_without_end_is_kept_in_bounded_parts() {
        let long = vec![b'x'; MAX_PIECE];
        assert_eq!(lines(&[&long, b"\n"]), [String::from_utf8(long.clone()).unwrap()]);
        let parts = lines(&[&long, b"y\n"]);
        assert_eq!(parts, [String::from_utf8(long).unwrap() + "+", "y".to_owned()]);
    }
}
