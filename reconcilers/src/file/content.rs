//! Reads regular files, and nothing but regular files.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
};

use agent_model::Digest;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
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
    let Some((entry, stamp)) = find_regular(folder, name)? else { return Ok(None) };
    Ok(Some((open(&entry)?, stamp)))
}

/// The same, also where the mode shuts out the agent's user, whose file it is: it is readable for
/// as long as opening it takes. That shows in the time of its last change.
pub(super) fn open_own(folder: &Folder, name: &str) -> io::Result<Option<(File, Stamp)>> {
    let Some((entry, stamp)) = find_regular(folder, name)? else { return Ok(None) };
    let file = match open(&entry) {
        Err(Errno::ACCESS) if stamp.uid == rustix::process::geteuid().as_raw() => {
            // `fchmod` wants more than an `O_PATH` descriptor.
            let set = |mode| rustix::fs::chmodat(CWD, proc_path(&entry), mode, AtFlags::empty());
            let mode = Mode::from_raw_mode(stamp.raw_mode);
            set(mode | Mode::RUSR)?;
            let opened = open(&entry);
            set(mode)?;
            opened?
        }
        opened => opened?,
    };
    let stamp = Stamp::new(&rustix::fs::fstat(&file)?);
    Ok(Some((file, stamp)))
}

fn find_regular(folder: &Folder, name: &str) -> io::Result<Option<(OwnedFd, Stamp)>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entry = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(entry) => entry,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stamp = Stamp::new(&rustix::fs::fstat(&entry)?);
    Ok(stamp.is_regular().then_some((entry, stamp)))
}

fn open(entry: &OwnedFd) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, proc_path(entry), flags, Mode::empty()).map(File::from)
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
    Ok(Fingerprint::plain(Digest::from_sha256(hash.finalize().into()), size))
}
