//! The files of a log: the one that is written, and those that were full, each named after its first record.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};

use crate::{damaged_file::numbered, state_dir::StateLayout};

const FULL_PREFIX: &str = "audit.";
const SUFFIX: &str = ".jsonl";

/// For the agent's user alone.
const MODE: u32 = 0o600;

/// One file of a log.
#[derive(Debug)]
pub struct LogFile {
    /// Where it lay when it was opened.
    pub path: PathBuf,
    /// The number of its first record, as its name tells; `None` for the one that is written.
    pub first: Option<u64>,
    /// Open for reading. The agent may give it another name meanwhile.
    pub file: File,
}

impl LogFile {
    /// Its name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// All files of the log in their order, also while an agent writes it.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open_all(layout: &StateLayout) -> io::Result<Vec<Self>> {
        // When nothing was renamed in between, what was opened belongs together.
        loop {
            let before = full(layout);
            let mut files = Vec::with_capacity(before.len() + 1);
            for (first, path) in &before {
                files.extend(open(path)?.map(|file| Self { path: path.clone(), first: Some(*first), file }));
            }
            let path = layout.audit();
            files.extend(open(&path)?.map(|file| Self { path, first: None, file }));
            if full(layout) == before {
                return Ok(files);
            }
        }
    }
}

/// Opens a file for reading; `None` where there is none. Whoever may write the folder must not have whoever reads
/// or writes the log follow a link, or wait at a pipe.
///
/// # Errors
/// Also when it is no regular file.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    open_as(path, OpenOptions::new().read(true))
}

/// The same for writing. What has a second name may be somebody else's.
pub(super) fn open_for_writing(path: &Path) -> io::Result<Option<File>> {
    let Some(file) = open_as(path, OpenOptions::new().write(true))? else { return Ok(None) };
    let found = file.metadata()?;
    if found.nlink() > 1 {
        return Err(io::Error::other(format!("{} has a second name; remove that", path.display())));
    }
    if found.mode() & 0o7777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(Some(file))
}

/// A new file.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

fn open_as(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let not_regular = || io::Error::other(format!("{} is no regular file; move it away", path.display()));
    match options.custom_flags(flags).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(not_regular()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A link, or a pipe that nobody reads (open(2)).
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NXIO)) => {
            Err(not_regular())
        }
        Err(error) => Err(error),
    }
}

/// The full files, the oldest first.
pub(super) fn full(layout: &StateLayout) -> Vec<(u64, PathBuf)> {
    numbered(layout.path(), FULL_PREFIX, SUFFIX)
}

/// The name of a full file whose first record is this one.
pub(super) fn full_path(layout: &StateLayout, first: u64) -> PathBuf {
    layout.path().join(format!("{FULL_PREFIX}{first}{SUFFIX}"))
}
