//! The lines of a file that may be damaged, or be written at this moment.

use std::io::{self, BufRead, BufReader, Read};

/// No line of a log is as long. What is longer is no line, and is not read into memory.
const MAX_LINE: u64 = 64 * 1024;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// One that ends with a line feed, which is left out.
    Whole(Vec<u8>),
    /// What comes after the last line feed, or is too long to be a line.
    Torn,
}

/// Reads line by line.
#[derive(Debug)]
pub struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    /// The lines of this.
    pub fn of(file: R) -> Self {
        Self(BufReader::new(file))
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        self.0.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        Ok(match line.pop() {
            None => None,
            Some(b'\n') => Some(Line::Whole(line)),
            Some(_) => Some(Line::Torn),
        })
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
