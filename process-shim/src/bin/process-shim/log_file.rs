//! The log of a process: a file of bounded size, and a bounded number of older ones.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    time::SystemTime,
};

use process_shim::{
    LogSettings, ProcessFolder,
    log_line::{self, Stream},
};

/// Appends to the newest file and rotates the files when it is full.
pub(crate) struct LogFile {
    folder: ProcessFolder,
    settings: LogSettings,
    file: Option<File>,
    size: u64,
    /// Bytes that still belong to what is printed first.
    head: u64,
    /// Bytes that could not be written since the last time that it worked.
    lost: u64,
}

impl LogFile {
    /// Goes on with the log that is there.
    pub(crate) fn open(folder: &ProcessFolder, settings: LogSettings) -> io::Result<Self> {
        let (file, size) = open(folder)?;
        let mut log =
            Self { folder: folder.clone(), settings, file: Some(file), size, head: settings.head, lost: 0 };
        log.remove_beyond_bound();
        Ok(log)
    }

    /// Appends whole lines. What cannot be written, as on a full disk, is lost, and the next line that can
    /// be written says how much that was: the process must not hang because its log does.
    pub(crate) fn append(&mut self, lines: &[u8]) {
        self.keep_first(lines);
        let mut rest = lines;
        while !rest.is_empty() {
            let room = self.settings.max_size.saturating_sub(self.size);
            let fitting = whole_lines_within(rest, room, self.size == 0);
            if fitting == 0 {
                if self.rotate().is_err() {
                    self.lost += rest.len() as u64;
                    return;
                }
                continue;
            }
            self.write(&rest[..fitting]);
            rest = &rest[fitting..];
        }
    }

    /// Keeps whole lines as long as there is room for them.
    fn keep_first(&mut self, lines: &[u8]) {
        let fitting = whole_lines_within(lines, self.head, false);
        // The first line that does not fit ends it: what comes behind is not what was printed first.
        self.head = if fitting == lines.len() { self.head - fitting as u64 } else { 0 };
        if fitting > 0 {
            let head = OpenOptions::new().append(true).create(true).mode(0o600).open(self.folder.head());
            // Without it there is less to show, and nothing is lost of the log.
            let _ = head.and_then(|mut head| head.write_all(&lines[..fitting]));
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let mut text = Vec::new();
        if self.lost > 0 {
            let message = format!("{} bytes of the log could not be written and are lost", self.lost);
            log_line::append(&mut text, SystemTime::now(), Stream::Stderr, false, message.as_bytes());
        }
        text.extend_from_slice(lines);
        match self.file().and_then(|mut file| file.write_all(&text)) {
            Ok(()) => {
                self.size += text.len() as u64;
                self.lost = 0;
            }
            Err(_) => {
                // It may be there in part, which would spoil the next line.
                if let Some(file) = &self.file {
                    let _ = file.set_len(self.size);
                }
                self.lost += lines.len() as u64;
            }
        }
    }

    fn file(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let (file, size) = open(&self.folder)?;
                self.size = size;
                file
            }
        };
        Ok(self.file.insert(file))
    }

    /// Moves each file one further, the newest as well, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        // Somebody may have removed any of them.
        let if_there = |done: io::Result<()>| match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        for number in (0..self.settings.keep).rev() {
            if_there(fs::rename(self.folder.log(number), self.folder.log(number + 1)))?;
        }
        if self.settings.keep == 0 {
            if_there(fs::remove_file(self.folder.log(0)))?;
        }
        (self.file, self.size) = (None, 0);
        self.file().map(drop)
    }

    /// An earlier run may have kept more.
    fn remove_beyond_bound(&mut self) {
        let entries = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let numbers =
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("log.")?.parse().ok());
        for number in numbers.filter(|number| *number > self.settings.keep) {
            let _ = fs::remove_file(self.folder.log(number));
        }
    }
}

fn open(folder: &ProcessFolder) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(folder.log(0))?;
    let mut size = file.metadata()?.len();
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    if last != *b"\n" {
        // A shim that was killed has left half a line, which is to spoil no other.
        size += 1;
        file.write_all(b"\n")?;
    }
    Ok((file, size))
}

/// How many bytes of `lines` fit into `room` without cutting a line; into an empty file at least one
/// line does.
fn whole_lines_within(lines: &[u8], room: u64, empty: bool) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let last_newline = lines[..room].iter().rposition(|byte| *byte == b'\n');
    match last_newline {
        Some(at) => at + 1,
        None if empty => lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &ProcessFolder) -> Vec<Option<String>> {
        (0..4).map(|number| fs::read_to_string(folder.log(number)).ok()).collect()
    }

    #[test]
    fn files_rotate_when_they_are_full_and_the_oldest_goes() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(temporary.path());
        let mut log = LogFile::open(&folder, LogSettings { max_size: 8, keep: 2, head: 0 }).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five5\n"] {
            log.append(line.as_bytes());
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(contents(&folder), [some("five5\n"), some("four\n"), some("three\n"), None]);
    }

    #[test]
    fn a_log_goes_on_where_it_was_and_within_its_new_bounds() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(temporary.path());
        let mut log = LogFile::open(&folder, LogSettings { max_size: 4, keep: 3, head: 0 }).unwrap();
        log.append(b"one\ntwo\nsix\nten\n");
        let mut log = LogFile::open(&folder, LogSettings { max_size: 8, keep: 0, head: 0 }).unwrap();
        log.append(b"new\n");
        assert_eq!(contents(&folder), [Some("ten\nnew\n".to_owned()), None, None, None]);
        log.append(b"next\n");
        assert_eq!(contents(&folder), [Some("next\n".to_owned()), None, None, None]);
    }

    #[test]
    fn half_a_line_that_was_left_spoils_no_other() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(temporary.path());
        fs::write(folder.log(0), "one\nha").unwrap();
        let mut log = LogFile::open(&folder, LogSettings { max_size: 12, keep: 1, head: 0 }).unwrap();
        log.append(b"two\nthree\n");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(contents(&folder), [some("three\n"), some("one\nha\ntwo\n"), None, None]);
    }

    #[test]
    fn a_log_that_somebody_removed_is_begun_anew() {
        for keep in [0, 1] {
            let temporary = tempfile::tempdir().unwrap();
            let folder = ProcessFolder::of(temporary.path());
            let mut log = LogFile::open(&folder, LogSettings { max_size: 4, keep, head: 0 }).unwrap();
            log.append(b"one\n");
            fs::remove_file(folder.log(0)).unwrap();
            log.append(b"two\n");
            assert_eq!(contents(&folder), [Some("two\n".to_owned()), None, None, None]);
        }
    }

    #[test]
    fn a_line_longer_than_a_file_has_one_of_its_own() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(temporary.path());
        let mut log = LogFile::open(&folder, LogSettings { max_size: 4, keep: 1, head: 0 }).unwrap();
        log.append(b"a\nlonger\nb\n");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(contents(&folder), [some("b\n"), some("longer\n"), None, None]);
    }
}
