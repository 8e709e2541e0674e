//! Copies of folders, as of an SD card or a server's store.

use std::{fs, path::Path};

/// Copies all that lies in `from` into `to`, which is made where need be.
///
/// # Panics
/// When there is something else than folders and files.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, copy) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &copy);
        } else {
            assert!(kind.is_file(), "{} is neither a file nor a folder", entry.path().display());
            fs::copy(entry.path(), copy).unwrap();
        }
    }
}
