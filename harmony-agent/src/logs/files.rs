//! The files of a log, which move on while they are read.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
};

use process_shim::ProcessFolder;

/// Which file it is, whatever its name is by now. Not given to another one while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// The files of a log, open, the newest first.
#[derive(Debug)]
pub(super) struct LogFiles(pub(super) Vec<File>);

impl LogFiles {
    /// All that there are.
    pub(super) fn open(folder: &ProcessFolder) -> io::Result<Self> {
        Self::newer_than(folder, None)
    }

    /// Those that were begun after this one: all, where it is none of them any more.
    ///
    /// Rotation moves a file to the next higher number. Opened by growing numbers, one that is moved
    /// meanwhile may be met twice, but is never missed.
    pub(super) fn newer_than(folder: &ProcessFolder, known: Option<FileId>) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut met = HashSet::new();
        // One more than there are, in case that all are moved.
        for number in 0..=highest_number(folder)?.saturating_add(1) {
            let file = match File::open(folder.log(number)) {
                // It may have no rotated files, or be in the middle of rotation.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let id = FileId::of(&file)?;
            if Some(id) == known {
                break;
            }
            if met.insert(id) {
                files.push(file);
            }
        }
        Ok(Self(files))
    }
}

/// The highest number that a rotated file has; 0 where there is none.
fn highest_number(folder: &ProcessFolder) -> io::Result<u32> {
    let entries = match fs::read_dir(folder.path()) {
        // It was removed, and so were they.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let numbers = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_prefix("log.")?.parse().ok()
    });
    Ok(numbers.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn contents(files: LogFiles) -> Vec<String> {
        let read = |mut file: File| {
            let mut text = String::new();
            file.read_to_string(&mut text).map(|_| text).unwrap()
        };
        files.0.into_iter().map(read).collect()
    }

    #[test]
    fn the_newest_comes_first_and_gaps_do_not_matter() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(temporary.path());
        assert!(contents(LogFiles::open(&folder).unwrap()).is_empty());
        for (name, text) in [("log", "d"), ("log.1", "c"), ("log.10", "a"), ("log.3", "b"), ("log.x", "no")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(contents(LogFiles::open(&folder).unwrap()), ["d", "c", "b", "a"]);
        let known = File::open(folder.log(1)).unwrap();
        let newer = || LogFiles::newer_than(&folder, Some(FileId::of(&known).unwrap())).unwrap();
        assert_eq!(contents(newer()), ["d"]);
        fs::rename(folder.log(0), folder.log(1)).unwrap();
        fs::write(folder.log(0), "e").unwrap();
        // By now it is none of them.
        assert_eq!(contents(newer()), ["e", "d", "b", "a"]);
    }
}
