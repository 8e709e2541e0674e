//! Files that nobody but root and the agent's own user can have written: what they say decides what a device does.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// As many links as the system itself follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Why a file is not believed.
#[derive(Debug, thiserror::Error)]
pub enum GuardedFileError {
    /// It is not there, or the system does not hand it out.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could have written it, or could put another in its place.
    #[error(
        "{wanted} cannot be trusted: {path} {problem}; make it root's, and writable by nobody else (chown root, chmod go-w)"
    )]
    Untrusted {
        /// The file or folder that was asked for.
        wanted: PathBuf,
        /// It, or a folder above it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is no text of a length that anybody would write.
    #[error("{path} is longer than {most} bytes: see whether it is what was meant, and shorten it")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
}

/// The text of a file that root or this process' user owns, and that nobody else can write or replace.
///
/// # Errors
/// See [`GuardedFileError`].
pub(crate) fn read_text(wanted: &Path, most: u64) -> Result<String, GuardedFileError> {
    let unreadable = |source| GuardedFileError::Unreadable { path: wanted.to_owned(), source };
    let (real, found) = guarded(wanted)?;
    if !found.is_file() {
        return Err(untrusted(wanted, &real, "is no regular file".to_owned()));
    }
    let file = File::open(&real).map_err(unreadable)?;
    let mut text = String::new();
    let length = file.take(most + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > most {
        return Err(GuardedFileError::TooLong { path: wanted.to_owned(), most });
    }
    Ok(text)
}

/// Where a folder really is that root or this process' user owns, and in which nobody else can put anything.
///
/// # Errors
/// See [`GuardedFileError`].
pub(crate) fn folder(wanted: &Path) -> Result<PathBuf, GuardedFileError> {
    let (real, found) = guarded(wanted)?;
    if found.is_dir() { Ok(real) } else { Err(untrusted(wanted, &real, "is no folder".to_owned())) }
}

/// Follows the path, and finds that nobody else has a say in what is at its end.
fn guarded(wanted: &Path) -> Result<(PathBuf, Metadata), GuardedFileError> {
    let unreadable = |source| GuardedFileError::Unreadable { path: wanted.to_owned(), source };
    let real = reached(wanted, |folder, found| {
        // In a sticky folder nobody replaces what is not their own.
        let sticky = found.mode() & 0o1000 != 0;
        written_by_others(found, sticky).map_or(Ok(()), |problem| Err(untrusted(wanted, folder, problem)))
    })
    .map_err(|error| match error {
        Unreachable::Folder(error) => error,
        Unreachable::System(source) => unreadable(source),
    })?;
    let found = fs::symlink_metadata(&real).map_err(unreadable)?;
    match written_by_others(&found, false) {
        Some(problem) if found.is_file() || found.is_dir() => Err(untrusted(wanted, &real, problem)),
        _ => Ok((real, found)),
    }
}

fn untrusted(wanted: &Path, path: &Path, problem: String) -> GuardedFileError {
    GuardedFileError::Untrusted { wanted: wanted.to_owned(), path: path.to_owned(), problem }
}

/// Why the end of a path was not reached.
enum Unreachable<E> {
    /// A folder on the way was objected to.
    Folder(E),
    /// The system says so.
    System(io::Error),
}

/// Where a path leads, link by link: `judge` sees every folder on the way, also those that hold a link.
fn reached<E>(
    path: &Path,
    judge: impl Fn(&Path, &Metadata) -> Result<(), E>,
) -> Result<PathBuf, Unreachable<E>> {
    let enter = |folder: &Path| {
        let found = fs::symlink_metadata(folder).map_err(Unreachable::System)?;
        judge(folder, &found).map_err(Unreachable::Folder)
    };
    let mut ahead: PathBuf = std::path::absolute(path).map_err(Unreachable::System)?;
    let mut at = PathBuf::from("/");
    enter(&at)?;
    let mut links = 0;
    while let Some(next) = ahead.components().next() {
        let step = at.join(next);
        let rest = ahead.components().skip(1).collect::<PathBuf>();
        match next {
            Component::Normal(_) => {
                let found = fs::symlink_metadata(&step).map_err(Unreachable::System)?;
                if found.is_symlink() {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Unreachable::System(rustix::io::Errno::LOOP.into()));
                    }
                    ahead = fs::read_link(&step).map_err(Unreachable::System)?.join(rest);
                    continue;
                }
                at = step;
                if found.is_dir() {
                    enter(&at)?;
                }
            }
            Component::ParentDir => drop(at.pop()),
            Component::RootDir => at = PathBuf::from("/"),
            Component::CurDir | Component::Prefix(_) => {}
        }
        ahead = rest;
    }
    Ok(at)
}

/// Why somebody else than root and this process' user has a say in what is there; `None` where nobody has.
/// `shared` is a place where many may write, each their own.
fn written_by_others(found: &Metadata, shared: bool) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != 0 && found.uid() != own {
        return Some(format!("belongs to user {}", found.uid()));
    }
    // The bits of the group also tell whether an access control list lets somebody else write (acl(5)).
    if found.mode() & 0o022 != 0 && !shared {
        return Some(format!("has mode {:04o}, so that others may write it", found.mode() & 0o7777));
    }
    None
}
