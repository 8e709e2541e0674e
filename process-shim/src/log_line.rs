//! One line of a log: the form of the Kubernetes container runtime interface.
//!
//! `2026-11-25T18:45:44.123456Z stdout F the line`: when (UTC), from which stream, whether the line is
//! full (`F`) or goes on in the next one (`P`), and what was printed.

use std::{fmt, time::SystemTime};

/// Longest piece of a line, in bytes: a longer one is kept in parts.
pub const MAX_PIECE: usize = 16 * 1024;

/// Where something was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// A line as it stands in the file, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When it was printed (RFC 3339).
    pub time: &'a str,
    /// Where.
    pub stream: Stream,
    /// Whether it goes on in the next one of its stream.
    pub partial: bool,
    /// What was printed.
    pub content: &'a [u8],
}

impl<'a> LogLine<'a> {
    /// Reads a line; `None` for anything else, as where a crash cut one off.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        humantime::parse_rfc3339(time).ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = match fields.next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(Self { time, stream, partial, content: fields.next()? })
    }
}

/// Appends the line to `out`, with its newline.
pub fn append(out: &mut Vec<u8>, time: SystemTime, stream: Stream, partial: bool, content: &[u8]) {
    use std::io::Write as _;

    let tag = if partial { 'P' } else { 'F' };
    let _ = write!(out, "{} {stream} {tag} ", humantime::format_rfc3339_micros(time));
    out.extend_from_slice(content);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (partial, content) in [(false, &b"a line  with blanks "[..]), (true, b"\xff\0"), (false, b"")] {
            let mut out = Vec::new();
            append(&mut out, SystemTime::UNIX_EPOCH, Stream::Stderr, partial, content);
            let line = LogLine::parse(out.strip_suffix(b"\n").unwrap()).unwrap();
            let time = "1970-01-01T00:00:00.000000Z";
            assert_eq!(line, LogLine { time, stream: Stream::Stderr, partial, content });
        }
    }

    #[test]
    fn what_is_no_line_is_none() {
        let time = "2026-11-25T18:45:44.123456Z";
        let rests = ["", "x", "stdout", "stdout F", "stdin F x", "stdout X x"];
        let cut = rests.map(|rest| format!("{time} {rest}"));
        for text in cut.iter().map(String::as_str).chain([time, "", "x stdout F x"]) {
            assert_eq!(LogLine::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
