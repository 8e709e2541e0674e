//! What lies in a folder, to see what was left alone.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Everything about one file that touching it would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Which file it is; another one under the same name has another number.
    pub inode: u64,
    /// Kind and permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// When it was written, in nanoseconds; of folders 0, as that moves with their entries.
    pub modified: i128,
    /// The content of a file, the target of a link, nothing of a folder.
    pub content: Vec<u8>,
}

/// All that lies below `folder`, by path relative to it.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, FileState> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            let state = FileState {
                inode: metadata.ino(),
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                modified: if metadata.is_dir() { 0 } else { modified },
                content,
            };
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), state);
        }
    }
    found
}

/// All files below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What an atomic replacement leaves behind when it is interrupted and nobody cleans up.
pub fn temporary_files(folder: &Path) -> Vec<PathBuf> {
    let is_temporary = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(".harmony-") || name.ends_with(".tmp") || name == "unfinished"
    };
    snapshot(folder).into_keys().filter(|path| is_temporary(path)).collect()
}
