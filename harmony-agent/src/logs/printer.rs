//! Prints the lines of a log as the process printed them.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use process_shim::log_line::{LogLine, Stream};

/// How much is held back to be printed at once.
const ENOUGH: usize = 64 * 1024;

/// Prints what the process printed to its standard output there, and to its standard error there.
pub(super) struct Printer<O, E> {
    stdout: O,
    stderr: E,
    timestamps: bool,
    since: Option<SystemTime>,
    /// What is to be printed next, all of it to one stream: so the order of both is kept where they end
    /// up in one place.
    held_back: Vec<u8>,
    held_back_for: Stream,
    /// Whether the line that has begun on a stream is shown; `None` between lines.
    begun: [Option<bool>; 2],
    /// Whether the line before was shown: what has no time is as old as that.
    shown: bool,
}

impl<O: Write, E: Write> Printer<O, E> {
    /// Shows what was printed since then, or everything.
    pub(super) fn new(stdout: O, stderr: E, timestamps: bool, since: Option<SystemTime>) -> Self {
        Self {
            stdout,
            stderr,
            timestamps,
            since,
            held_back: Vec::new(),
            held_back_for: Stream::Stdout,
            begun: [None; 2],
            shown: since.is_none(),
        }
    }

    /// Prints a line of the log, which comes without its newline.
    pub(super) fn line(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(LogLine { time, stream, partial, content }) = LogLine::parse(text) else {
            return self.foreign(text, true);
        };
        let begun = self.begun[index(stream)];
        self.shown = begun.unwrap_or_else(|| self.is_shown(time));
        self.begun[index(stream)] = partial.then_some(self.shown);
        if !self.shown {
            return Ok(());
        }
        self.hold_back_for(stream)?;
        if self.timestamps && begun.is_none() {
            self.held_back.extend_from_slice(time.as_bytes());
            self.held_back.push(b' ');
        }
        self.held_back.extend_from_slice(content);
        self.held_back.extend((!partial).then_some(b'\n'));
        Ok(())
    }

    /// Prints as it is what is no line of a log, or a piece of that: a crash or a person has left it.
    pub(super) fn foreign(&mut self, text: &[u8], ended: bool) -> io::Result<()> {
        if !self.shown {
            return Ok(());
        }
        self.hold_back_for(Stream::Stdout)?;
        if self.begun[index(Stream::Stdout)].take() == Some(true) {
            self.held_back.push(b'\n');
        }
        self.held_back.extend_from_slice(text);
        self.held_back.extend(ended.then_some(b'\n'));
        Ok(())
    }

    /// Prints what was held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let stream: &mut dyn Write = match self.held_back_for {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        stream.write_all(&self.held_back)?;
        self.held_back.clear();
        stream.flush()
    }

    fn hold_back_for(&mut self, stream: Stream) -> io::Result<()> {
        if self.held_back_for != stream || self.held_back.len() >= ENOUGH {
            self.flush()?;
            self.held_back_for = stream;
        }
        Ok(())
    }

    fn is_shown(&self, time: &str) -> bool {
        self.since.is_none_or(|since| humantime::parse_rfc3339(time).is_ok_and(|time| time >= since))
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOG: &[&str] = &[
        "1970-01-01T00:00:01.000000Z stdout F one",
        "1970-01-01T00:00:02.000000Z stderr F  two ",
        "1970-01-01T00:00:03.000000Z stdout P thr",
        "1970-01-01T00:00:04.000000Z stderr F between",
        "1970-01-01T00:00:05.000000Z stdout F ee",
        "torn",
        "1970-01-01T00:00:06.000000Z stdout F ",
    ];

    /// What is printed of the lines, to both streams.
    fn printed(lines: &[&str], timestamps: bool, since: Option<u64>) -> (String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let since = since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let mut printer = Printer::new(&mut stdout, &mut stderr, timestamps, since);
        lines.iter().for_each(|line| printer.line(line.as_bytes()).unwrap());
        printer.flush().unwrap();
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    fn both(stdout: &str, stderr: &str) -> (String, String) {
        (stdout.to_owned(), stderr.to_owned())
    }

    #[test]
    fn each_stream_gets_what_was_printed_to_it_with_its_lines_whole() {
        assert_eq!(printed(LOG, false, None), both("one\nthree\ntorn\n\n", " two \nbetween\n"));
    }

    #[test]
    fn a_time_stands_in_front_of_each_line_and_not_of_its_parts() {
        let (stdout, stderr) = printed(LOG, true, None);
        let time = |second: u8| format!("1970-01-01T00:00:0{second}.000000Z ");
        assert_eq!(stdout, format!("{}one\n{}three\ntorn\n{}\n", time(1), time(3), time(6)));
        assert_eq!(stderr, format!("{} two \n{}between\n", time(2), time(4)));
    }

    #[test]
    fn what_is_older_is_left_out_and_what_has_no_time_is_as_old_as_the_line_before() {
        assert_eq!(printed(LOG, false, Some(2)), both("three\ntorn\n\n", " two \nbetween\n"));
        // A line is as old as its beginning.
        assert_eq!(printed(LOG, false, Some(4)), both("\n", "between\n"));
        assert_eq!(printed(&LOG[5..], false, Some(6)), both("\n", ""));
        assert_eq!(printed(LOG, false, Some(7)), both("", ""));
    }

    #[test]
    fn what_is_no_line_does_not_run_into_one_that_has_begun() {
        assert_eq!(printed(&[LOG[2], "torn", LOG[0]], false, None), both("thr\ntorn\none\n", ""));
    }

    #[test]
    fn bytes_are_printed_as_they_are() {
        let mut stdout = Vec::new();
        let mut printer = Printer::new(&mut stdout, io::sink(), false, None);
        printer.line(b"1970-01-01T00:00:01.000000Z stdout F \xff\0\x1b[1m").unwrap();
        printer.flush().unwrap();
        assert_eq!(stdout, b"\xff\0\x1b[1m\n");
    }
}
