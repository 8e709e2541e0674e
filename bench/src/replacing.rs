//! The least that a durable change of a file takes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Replaces a file so that a power cut leaves the old or the new one, whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path.parent().unwrap())
}

/// Makes what was created, renamed or removed in the folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
