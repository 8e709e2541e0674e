//! Reads regular files, and nothing but regular files.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use agent_model::Digest;
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};
use sha2::Digest as _;

use super::{
    record::Fingerprint,
    stamp::Stamp,
    walk::{Folder, proc_path},
};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Opens `name` in `folder` for reading when it is a regular file. What it is becomes known
/// before it is opened for real: opening a pipe or a device may block or do something.
pub(super) fn open_regular(folder: &Folder, name: &str) -> io::Result<Option<(File, Stamp)>> {
    let entry = match rustix::fs::openat(
        folder,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(entry) => entry,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stamp = Stamp::new(&rustix::fs::fstat(&entry)?);
    if !stamp.is_regular() {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, proc_path(&entry), flags, Mode::empty())?;
    Ok(Some((file.into(), stamp)))
}

/// Copies `from` into `to`, at most one byte more than `limit`, and says what was copied. A
/// longer file is thereby told from one that has just the size expected.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write, limit: u64) -> io::Result<Fingerprint> {
    let mut hash = sha2::Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(limit).unwrap_or(CHUNK) + 1)];
    let mut from = from.take(limit.saturating_add(1));
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        size += read as u64;
    }
    Ok(Fingerprint { digest: Digest::from_sha256(hash.finalize().into()), size })
}
