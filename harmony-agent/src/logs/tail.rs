//! Where the last lines of a log begin.

use std::{fs::File, io, os::unix::fs::FileExt};

use process_shim::log_line::LogLine;

/// How much is read at a time.
const BLOCK: u64 = 64 * 1024;
/// As much of a line as tells whether it is a part: time, stream and tag.
const HEAD: usize = 48;

/// A place in one of several files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which file.
    pub(super) file: usize,
    /// So many bytes into it.
    pub(super) offset: u64,
}

/// Where the last `lines` lines of these files begin, the newest of which is the first. Read backwards, so
/// that it takes as long as there are lines and not as there are files; the parts of a line count as one.
///
/// A line of which the parts are mixed with lines of the other stream may lose those before the place.
pub(super) fn last_lines(files: &[File], lines: u64) -> io::Result<Place> {
    let mut counted = 0;
    let mut begins = Place { file: 0, offset: files.first().map_or(Ok(0), length)? };
    for (number, file) in files.iter().enumerate() {
        let mut starts = Starts::before(file, length(file)?);
        while let Some(start) = starts.next()? {
            // What is a part belongs to the line behind it, unless there is none yet.
            if counted == 0 || !is_part(file, start)? {
                if counted == lines {
                    return Ok(begins);
                }
                counted += 1;
            }
            begins = Place { file: number, offset: start };
        }
    }
    Ok(begins)
}

fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// Whether the line that starts there goes on in the next one.
fn is_part(file: &File, start: u64) -> io::Result<bool> {
    let mut head = [0; HEAD];
    let length = file.read_at(&mut head, start)?;
    let head = head[..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(LogLine::parse(head).is_some_and(|line| line.partial))
}

/// Where the lines of a file start, the last one first.
struct Starts<'a> {
    file: &'a File,
    /// What was read last, up to where the last start was found.
    block: Vec<u8>,
    /// Where it begins.
    offset: u64,
    /// Whether the file's first line was found.
    done: bool,
}

impl<'a> Starts<'a> {
    /// Of what is before `end`.
    fn before(file: &'a File, end: u64) -> Self {
        Self { file, block: Vec::new(), offset: end, done: end == 0 }
    }

    fn next(&mut self) -> io::Result<Option<u64>> {
        if self.done {
            return Ok(None);
        }
        // The newline before the start that was found last, or at the very end, ends the line looked for.
        if self.block.is_empty() {
            self.read_block()?;
        }
        self.block.pop();
        loop {
            if let Some(newline) = self.block.iter().rposition(|byte| *byte == b'\n') {
                self.block.truncate(newline + 1);
                return Ok(Some(self.offset + newline as u64 + 1));
            }
            if self.offset == 0 {
                self.done = true;
                return Ok(Some(0));
            }
            self.read_block()?;
        }
    }

    /// Reads what is before the present block, in its place.
    fn read_block(&mut self) -> io::Result<()> {
        let length = self.offset.min(BLOCK);
        self.offset -= length;
        self.block.resize(usize::try_from(length).unwrap_or(0), 0);
        self.file.read_exact_at(&mut self.block, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    /// A log with these lines; one with `+` goes on in the next one.
    fn log(lines: &[&str]) -> File {
        let line = |text: &&str| match text.strip_suffix('+') {
            Some(text) => format!("2026-11-25T18:45:44.123456Z stdout P {text}\n"),
            None => format!("2026-11-25T18:45:44.123456Z stdout F {text}\n"),
        };
        file(lines.iter().map(line).collect::<String>().as_bytes())
    }

    /// Contents of the lines from the place where the last ones begin, over all files.
    fn last(files: &[File], lines: u64) -> Vec<String> {
        let place = last_lines(files, lines).unwrap();
        let mut text = Vec::new();
        for (number, file) in files.iter().enumerate().take(place.file + 1).rev() {
            let from = if number == place.file { place.offset } else { 0 };
            let mut rest = vec![0; usize::try_from(length(file).unwrap() - from).unwrap()];
            file.read_exact_at(&mut rest, from).unwrap();
            text.extend(rest);
        }
        let text = String::from_utf8(text).unwrap();
        text.lines()
            .map(|line| line.rsplit_once(' ').map_or(line, |(_, content)| content).to_owned())
            .collect()
    }

    #[test]
    fn lines_are_counted_over_all_files_from_the_newest() {
        let files = [log(&["e", "f"]), log(&[]), log(&["c", "d"]), log(&["a", "b"])];
        let all = ["a", "b", "c", "d", "e", "f"];
        for lines in 0..=6 {
            assert_eq!(last(&files, lines as u64), all[6 - lines..]);
        }
        assert_eq!(last(&files, u64::MAX), all);
        assert_eq!(last(&[], 1), [""; 0]);
    }

    #[test]
    fn the_parts_of_a_line_are_one() {
        let files = [log(&["c+", "d", "e"]), log(&["a", "b+"])];
        assert_eq!(last(&files, 1), ["e"]);
        assert_eq!(last(&files, 2), ["b", "c", "d", "e"]);
        assert_eq!(last(&files, 3), ["a", "b", "c", "d", "e"]);
        // One that is not finished counts as well.
        let files = [log(&["a", "b", "c+", "d+"])];
        assert_eq!(last(&files, 1), ["c", "d"]);
        assert_eq!(last(&files, 2), ["b", "c", "d"]);
    }

    #[test]
    fn what_is_no_line_counts_as_one_and_so_does_one_without_end() {
        let files = [file(b"torn\n\n2026-11-25T18:45:44.123456Z stdout F a\nhalf")];
        assert_eq!(last(&files, 1), ["half"]);
        assert_eq!(last(&files, 2), ["a", "half"]);
        assert_eq!(last(&files, 3), ["", "a", "half"]);
        assert_eq!(last(&files, 4), ["torn", "", "a", "half"]);
    }

    #[test]
    fn lines_longer_than_a_block_are_found() {
        let block = usize::try_from(BLOCK).unwrap();
        for length in [block - 1, block, block + 1, 3 * block] {
            let long = "x".repeat(length);
            let files = [file(format!("a\n{long}\n{long}\nb\n").as_bytes())];
            assert_eq!(last(&files, 2), [&long, "b"]);
            assert_eq!(last(&files, 4), ["a", &long, &long, "b"]);
        }
    }
}
