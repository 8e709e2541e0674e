//! Small JSON files that are replaced as a whole.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::VERSION;

/// Longest record that is read, in bytes: far more than any has.
const MAX_RECORD: u64 = 64 * 1024;
/// As much space is kept for a record that must not be lost, in bytes: more than one takes, and no more than the smallest
/// that file systems give.
const RESERVED: usize = 1024;

/// Why a record is of no use.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system does not hand it out.
    #[error("cannot read {path}")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It was written by a newer shim, or is no record at all.
    #[error("{path} is no record of version {VERSION}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It is of a version that this program does not know.
    #[error("{path} is of version {version}, and this program reads version {VERSION}")]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize)]
struct VersionedRecord<'a, T> {
    version: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// Replaces the file, so that a reader finds the old or the new one.
///
/// Nothing is synced: a record is about processes of this boot, and the system keeps what was written
/// for as long as they can live.
pub(crate) fn write<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(&VersionedRecord { version: VERSION, record })?;
    let temporary = temporary(path);
    let written = fill(&temporary, &bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Takes the space that the next record in this file will need, so that a disk that is full by then does not lose it.
pub(crate) fn reserve(path: &Path) -> io::Result<()> {
    let temporary = temporary(path);
    let reserved = fill(&temporary, &[0; RESERVED]);
    if reserved.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    reserved
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Writes over what is there, because the space that this has would go to others if it were given up first.
fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// The record in the file; `None` when there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Inaccessible { path: path.to_owned(), source }),
    };
    let unreadable = |source| RecordError::Unreadable { path: path.to_owned(), source };
    // The version first: a later one may be shaped otherwise.
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if version != VERSION {
        return Err(RecordError::OtherVersion { path: path.to_owned(), version });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;

    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_RECORD).read_to_end(&mut bytes)?;
    Ok(bytes)
}
