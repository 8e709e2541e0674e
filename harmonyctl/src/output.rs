//! The only way out: data to stdout, messages to stderr.
//!
//! What devices say is shown to people, and a device may be anybody's. So control characters,
//! with which one could rewrite what a terminal shows, are made visible here, once for all.

use std::{
    borrow::Cow,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use crate::failure::Failure;

/// Holds stdout and stderr.
pub(crate) struct Output {
    stdout: io::Stdout,
    stderr: io::Stderr,
    /// Lines of a live table below which the next message has to go; they are drawn again.
    live_lines: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout(), stderr: io::stderr(), live_lines: 0 }
    }

    /// Prints data; a line feed follows.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] when nobody reads any more, which ends the command quietly.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.clear_live();
        let text = text.to_string();
        let mut stdout = self.stdout.lock();
        writeln!(stdout, "{}", visible(text.trim_end_matches('\n'))).and_then(|()| stdout.flush()).map_err(
            |source| match source.kind() {
                io::ErrorKind::BrokenPipe => Failure::ReaderGone,
                _ => Failure::Output { source },
            },
        )
    }

    /// Prints a message. That it cannot be printed is nothing to stop for.
    pub(crate) fn message(&mut self, text: impl Display) {
        self.clear_live();
        let _ = writeln!(self.stderr, "{}", visible(&text.to_string()));
    }

    /// Prints a message about something that went wrong.
    pub(crate) fn error(&mut self, text: impl Display) {
        self.message(format_args!("error: {text}"));
    }

    /// The size of the terminal that messages go to, in columns and rows; `None` when they go
    /// elsewhere.
    pub(crate) fn terminal(&self) -> Option<(usize, usize)> {
        if !self.stderr.is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(&self.stderr).ok()?;
        Some((size.ws_col.into(), size.ws_row.into())).filter(|(columns, rows)| *columns > 0 && *rows > 0)
    }

    /// Draws lines over those drawn last, in one write, so that nothing flickers. Each must fit
    /// the terminal's width.
    pub(crate) fn redraw(&mut self, lines: &[String]) {
        let mut frame = self.back_to_top();
        for line in lines {
            frame.push_str(&visible(line));
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.live_lines = lines.len();
        let _ = self.stderr.write_all(frame.as_bytes());
    }

    fn clear_live(&mut self) {
        if self.live_lines > 0 {
            let frame = format!("{}\x1b[J", self.back_to_top());
            self.live_lines = 0;
            let _ = self.stderr.write_all(frame.as_bytes());
        }
    }

    fn back_to_top(&self) -> String {
        if self.live_lines > 0 { format!("\x1b[{}A\r", self.live_lines) } else { String::new() }
    }
}

/// The text with every control character but line feeds written out.
fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() && c != '\n';
    if !text.contains(hidden) {
        return text.into();
    }
    let written = |c: char| if hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(written).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_cannot_move_the_cursor() {
        assert_eq!(visible("a\x1b[2Jb\r\u{9b}1A\nü"), "a\\u{1b}[2Jb\\r\\u{9b}1A\nü");
    }
}
