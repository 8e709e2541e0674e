//! Copies of whole folders: backups, and disks of clones.

use std::{fs, path::Path, process::Command};

/// Copies all that is in a folder to a place where there is nothing, or an empty folder.
///
/// # Panics
/// When it cannot be copied.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp runs");
    assert!(status.success(), "{} cannot be copied to {}", from.display(), to.display());
}
