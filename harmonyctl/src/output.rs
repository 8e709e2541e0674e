//! The only way out: data to stdout, messages to stderr.
//! Whatever passes is made [`visible`], once for all, but for bytes that another program reads.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    mem,
    sync::{Mutex, PoisonError},
};

use crate::{failure::Failure, visible};

/// What comes up while something is read, where nobody can print.
static ASIDES: Mutex<Asides> = Mutex::new(Asides { said: BTreeSet::new(), waiting: Vec::new() });

struct Asides {
    said: BTreeSet<String>,
    waiting: Vec<String>,
}

/// Has a message printed once, before whatever is printed next.
pub(crate) fn aside(text: String) {
    let mut asides = ASIDES.lock().unwrap_or_else(PoisonError::into_inner);
    if asides.said.insert(text.clone()) {
        asides.waiting.push(text);
    }
}

/// Holds stdout and stderr.
pub(crate) struct Output {
    stdout: io::Stdout,
    stderr: io::Stderr,
    /// The live table that stands on the terminal now. Whatever is printed takes its place.
    live: Vec<String>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout(), stderr: io::stderr(), live: Vec::new() }
    }

    /// Prints data; a line feed follows.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] when nobody reads any more, which ends the command quietly.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.print_asides();
        self.clear_live();
        let text = text.to_string();
        let mut stdout = self.stdout.lock();
        writeln!(stdout, "{}", visible::text(text.trim_end_matches('\n')))
            .and_then(|()| stdout.flush())
            .map_err(unwritten)
    }

    /// Prints data byte for byte, for another program. A person at a terminal gets it as a [`line`](Self::line).
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.stdout.is_terminal() {
            return self.line(String::from_utf8_lossy(bytes));
        }
        self.clear_live();
        let mut stdout = self.stdout.lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(unwritten)
    }

    /// Prints a message. That it cannot be printed is nothing to stop for.
    pub(crate) fn message(&mut self, text: impl Display) {
        self.print_asides();
        self.print_message(&text.to_string());
    }

    /// Prints what came up and was not said yet.
    pub(crate) fn print_asides(&mut self) {
        let waiting = mem::take(&mut ASIDES.lock().unwrap_or_else(PoisonError::into_inner).waiting);
        for text in waiting {
            self.print_message(&text);
        }
    }

    fn print_message(&mut self, text: &str) {
        self.clear_live();
        let _ = writeln!(self.stderr, "{}", visible::text(text));
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

    /// Draws lines over those drawn last, in one write, so that nothing flickers. They are cut to
    /// `columns`: one that wraps would spoil the count of lines to go back.
    pub(crate) fn redraw(&mut self, lines: &[String], columns: usize) {
        self.print_asides();
        let cut = |line: &String| visible::cell(line).chars().take(columns).collect();
        let lines: Vec<String> = lines.iter().map(cut).collect();
        if lines == self.live {
            return;
        }
        let mut frame = self.back_to_top();
        for line in &lines {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.live = lines;
        let _ = self.stderr.write_all(frame.as_bytes());
    }

    fn clear_live(&mut self) {
        if !self.live.is_empty() {
            let frame = format!("{}\x1b[J", self.back_to_top());
            self.live.clear();
            let _ = self.stderr.write_all(frame.as_bytes());
        }
    }

    fn back_to_top(&self) -> String {
        match self.live.len() {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r"),
        }
    }
}

fn unwritten(source: io::Error) -> Failure {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Output { source },
    }
}
