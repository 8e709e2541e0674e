//! Files that only their owner reads, and that a power cut leaves whole or not there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Writes a file, or takes the place of the one that is there. Two at once would be in each other's way: only with the
/// folder's lock.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    // One that a power cut left behind.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    folder.sync_all()
}

/// Makes a folder, unless it is there.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if !path.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        _ => Ok(()),
    }
}
