//! The names of the files in the folder, and reading them.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use super::{FolderError, OwnUser, io_error};
use crate::keys::Key;

/// What there is below the folder, all made by us.
pub(super) const FOLDERS: [&str; 4] = ["keys", "tokens", "credentials", "server"];

/// The file that is locked; nothing is in it.
pub(super) const LOCK: &str = "lock";

pub(super) fn key(key: Key) -> String {
    format!("keys/{}", key.file())
}

pub(super) fn token(name: &str) -> String {
    format!("tokens/{}.jwt", name.to_lowercase())
}

pub(super) fn credentials(user: OwnUser) -> String {
    format!("credentials/{user}.creds")
}

/// The text of a file, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<String>, FolderError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

pub(super) fn refuse_exposed(path: &Path) -> Result<(), FolderError> {
    let mode = fs::metadata(path).map_err(io_error(path))?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(FolderError::Exposed(path.to_owned())) }
}
