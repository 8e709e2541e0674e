//! The records of a process' shim, in a folder that a later or an earlier version may have written.

use std::{fs, path::Path};

use process_shim::{ExitRecord, ShimRecord};
use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = TempDir::with_prefix("harmony-fuzz-").expect("a folder of our own");
}

/// What was read is read again from what is written.
pub(super) fn run(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let file = folder.path().join("record");
        fs::write(&file, bytes).expect("there is space");
        let started = again(&file, ShimRecord::read, |record, file| record.write(file));
        fs::write(&file, bytes).expect("there is space");
        let ended = again(&file, ExitRecord::read, |record, file| record.write(file));
        started || ended
    })
}

fn again<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    file: &Path,
    read: impl Fn(&Path) -> Result<Option<T>, E>,
    write: impl Fn(&T, &Path) -> std::io::Result<()>,
) -> bool {
    let Ok(record) = read(file) else { return false };
    let record = record.expect("there is a file");
    write(&record, file).expect("there is space");
    assert_eq!(read(file).expect("what was written is a record"), Some(record));
    true
}
