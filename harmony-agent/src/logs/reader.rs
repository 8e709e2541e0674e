//! Reads a log through all its files, each line once, however the files move on meanwhile.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    time::SystemTime,
};

use process_shim::ProcessFolder;

use super::{
    Failed,
    files::{FileId, LogFiles},
    printer::Printer,
    tail::{Place, last_lines},
};

/// Longest line that is taken as a whole, in bytes: far longer than any of a log.
const LONGEST: u64 = 64 * 1024;

/// Where somebody is in a log.
pub(super) struct Reader<'a> {
    folder: &'a ProcessFolder,
    /// What is read now.
    reading: Option<Reading>,
    /// What is read after that, the oldest last.
    next: Vec<File>,
}

impl<'a> Reader<'a> {
    /// Begins at the last `tail` lines of the files, or at all of them. Those that hold nothing since then
    /// are left out.
    pub(super) fn starting(
        folder: &'a ProcessFolder,
        LogFiles(mut files): LogFiles,
        tail: Option<u64>,
        since: Option<SystemTime>,
    ) -> io::Result<Self> {
        let Place { mut file, mut offset } = match tail {
            Some(lines) => last_lines(&files, lines)?,
            None => Place { file: files.len().saturating_sub(1), offset: 0 },
        };
        while file > 0 && since.is_some_and(|since| is_older(&files[file], since)) {
            (file, offset) = (file - 1, 0);
        }
        files.truncate(file + 1);
        let reading = files.pop().map(|file| Reading::from(file, offset)).transpose()?;
        Ok(Self { folder, reading, next: files })
    }

    /// Prints what is in the files that were there at the beginning.
    pub(super) fn read_all(&mut self, printer: &mut Printer<impl Write, impl Write>) -> Result<(), Failed> {
        loop {
            if let Some(reading) = &mut self.reading {
                reading.print_lines(printer)?;
            }
            let Some(next) = self.next.pop() else { return Ok(()) };
            // With a newer one it is not written to any more.
            self.finish(printer)?;
            self.reading = Some(Reading::from(next, 0).map_err(Failed::Reading)?);
        }
    }

    /// Prints what has been added since, also in files that were begun since.
    pub(super) fn read_on(&mut self, printer: &mut Printer<impl Write, impl Write>) -> Result<(), Failed> {
        loop {
            self.read_all(printer)?;
            let known = self.reading.as_ref().map(|reading| reading.id);
            let newer = LogFiles::newer_than(self.folder, known).map_err(Failed::Reading)?;
            if newer.0.is_empty() {
                return Ok(());
            }
            self.next = newer.0;
        }
    }

    /// Prints what is left of the present file: nothing is added to it any more.
    pub(super) fn finish(&mut self, printer: &mut Printer<impl Write, impl Write>) -> Result<(), Failed> {
        match &mut self.reading {
            Some(reading) => reading.print_rest(printer),
            None => Ok(()),
        }
    }
}

/// Whether nothing has been written to it since then.
fn is_older(file: &File, since: SystemTime) -> bool {
    file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified < since)
}

/// A file, and how far it is read.
struct Reading {
    file: File,
    id: FileId,
    offset: u64,
    /// Whether the offset is within something too long for a line.
    within_foreign: bool,
}

impl Reading {
    fn from(file: File, offset: u64) -> io::Result<Self> {
        Ok(Self { id: FileId::of(&file)?, file, offset, within_foreign: false })
    }

    /// Prints the lines that are complete. One that is not may be in the middle of being written.
    fn print_lines(&mut self, printer: &mut Printer<impl Write, impl Write>) -> Result<(), Failed> {
        let mut text = Vec::new();
        let mut input = self.rest().map_err(Failed::Reading)?;
        loop {
            text.clear();
            let length =
                input.by_ref().take(LONGEST).read_until(b'\n', &mut text).map_err(Failed::Reading)?;
            let printed = match text.strip_suffix(b"\n") {
                Some(line) if !self.within_foreign => printer.line(line),
                Some(end) => printer.foreign(end, true),
                None if length as u64 == LONGEST => printer.foreign(&text, false),
                None => return Ok(()),
            };
            printed.map_err(Failed::Printing)?;
            self.within_foreign = !text.ends_with(b"\n");
            self.offset += length as u64;
        }
    }

    /// Prints all that is left, complete or not.
    fn print_rest(&mut self, printer: &mut Printer<impl Write, impl Write>) -> Result<(), Failed> {
        self.print_lines(printer)?;
        let mut text = Vec::new();
        let read = self.rest().and_then(|input| input.take(LONGEST).read_to_end(&mut text));
        self.offset += read.map_err(Failed::Reading)? as u64;
        match (text.is_empty(), self.within_foreign) {
            (true, _) => Ok(()),
            (false, true) => printer.foreign(&text, true),
            (false, false) => printer.line(&text),
        }
        .map_err(Failed::Printing)
    }

    /// What is behind the offset. The shim takes back what a full disk had cut off.
    fn rest(&mut self) -> io::Result<BufReader<File>> {
        self.offset = self.offset.min(self.file.metadata()?.len());
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(BufReader::new(file))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::OpenOptions, time::Duration};

    use super::*;

    const TIME: &str = "2026-11-25T18:45:44.123456Z";

    /// The folder of a process, written to as a shim does.
    struct Log {
        folder: ProcessFolder,
        _temporary: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            let temporary = tempfile::tempdir().unwrap();
            Self { folder: ProcessFolder::of(temporary.path()), _temporary: temporary }
        }

        fn append(&self, text: &str) {
            let mut file = OpenOptions::new().append(true).create(true).open(self.folder.log(0)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn line(&self, content: &str) {
            self.append(&format!("{TIME} stdout F {content}\n"));
        }

        fn rotate(&self) {
            for number in (0..9).rev() {
                let _ = fs::rename(self.folder.log(number), self.folder.log(number + 1));
            }
        }

        fn reader(&self, tail: Option<u64>, since: Option<SystemTime>) -> Reader<'_> {
            Reader::starting(&self.folder, LogFiles::open(&self.folder).unwrap(), tail, since).unwrap()
        }
    }

    /// What `read` prints.
    fn printed(read: impl FnOnce(&mut Printer<&mut Vec<u8>, &mut Vec<u8>>) -> Result<(), Failed>) -> String {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut printer = Printer::new(&mut stdout, &mut stderr, false, None);
        read(&mut printer).unwrap();
        printer.flush().unwrap();
        assert_eq!(stderr, b"");
        String::from_utf8(stdout).unwrap()
    }

    #[test]
    fn each_line_is_read_once_however_the_files_move_on() {
        const STEPS: u32 = 7;
        // All ways in which lines, rotations and looks at the log can follow one another.
        for ways in 0..3u32.pow(STEPS) {
            let log = Log::new();
            let mut reader = log.reader(None, None);
            let (mut expected, mut read) = (String::new(), String::new());
            for step in 0..STEPS {
                match ways / 3u32.pow(step) % 3 {
                    0 => {
                        log.line(&step.to_string());
                        expected += &format!("{step}\n");
                    }
                    1 => log.rotate(),
                    _ => read += &printed(|printer| reader.read_on(printer)),
                }
            }
            read += &printed(|printer| reader.read_on(printer));
            assert_eq!(read, expected, "way {ways}");
        }
    }

    #[test]
    fn a_line_is_printed_when_it_is_complete_or_nothing_more_comes() {
        let log = Log::new();
        log.append(&format!("{TIME} stdout F on"));
        let mut reader = log.reader(None, None);
        assert_eq!(printed(|printer| reader.read_on(printer)), "");
        log.append("e\n");
        assert_eq!(printed(|printer| reader.read_on(printer)), "one\n");
        log.append("tor");
        assert_eq!(printed(|printer| reader.read_on(printer)), "");
        log.rotate();
        log.line("two");
        assert_eq!(printed(|printer| reader.read_on(printer)), "tor\ntwo\n");
        log.append("end");
        assert_eq!(printed(|printer| reader.read_on(printer)), "");
        assert_eq!(printed(|printer| reader.finish(printer)), "end\n");
    }

    #[test]
    fn what_is_taken_back_is_read_anew() {
        let log = Log::new();
        log.line("one");
        let length = log.folder.log(0).metadata().unwrap().len();
        log.line("lost");
        log.append("half");
        let mut reader = log.reader(None, None);
        assert_eq!(printed(|printer| reader.read_on(printer)), "one\nlost\n");
        OpenOptions::new().write(true).open(log.folder.log(0)).unwrap().set_len(length).unwrap();
        assert_eq!(printed(|printer| reader.read_on(printer)), "");
        log.line("two");
        assert_eq!(printed(|printer| reader.read_on(printer)), "two\n");
    }

    #[test]
    fn it_begins_where_it_is_told_to() {
        let log = Log::new();
        for content in ["a", "b", "c"] {
            log.line(content);
            log.rotate();
        }
        log.line("d");
        let read = |tail, since| printed(|printer| log.reader(tail, since).read_all(printer));
        assert_eq!(read(None, None), "a\nb\nc\nd\n");
        assert_eq!(read(Some(2), None), "c\nd\n");
        assert_eq!(read(Some(0), None), "");
        // The oldest two were written long ago.
        let since = SystemTime::now() - Duration::from_secs(60);
        for number in [2, 3] {
            let file = File::options().write(true).open(log.folder.log(number)).unwrap();
            file.set_modified(since - Duration::from_secs(1)).unwrap();
        }
        assert_eq!(read(None, Some(since)), "c\nd\n");
        assert_eq!(read(Some(3), Some(since)), "c\nd\n");
        assert_eq!(read(Some(1), Some(since)), "d\n");
    }

    #[test]
    fn what_is_too_long_for_a_line_is_printed_in_pieces() {
        let log = Log::new();
        // As if the second piece were a line of its own.
        let long = "x".repeat(usize::try_from(LONGEST).unwrap()) + TIME + " stdout F y";
        log.append(&format!("{long}\n"));
        log.line("one");
        log.append(&long);
        let mut reader = log.reader(None, None);
        let (first, rest) = long.split_at(usize::try_from(LONGEST).unwrap());
        assert_eq!(printed(|printer| reader.read_on(printer)), format!("{long}\none\n{first}"));
        assert_eq!(printed(|printer| reader.finish(printer)), format!("{rest}\n"));
    }
}
