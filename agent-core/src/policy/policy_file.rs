//! Reading the policy, if nobody but root and the agent's own user can have written it.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::Policy;

/// Longest policy that is read: some thousand listed scripts.
pub const MAX_POLICY_BYTES: u64 = 256 * 1024;
/// As many links as the system itself follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Why there is no policy. The agent does not start then: with another policy than was meant it would do what
/// was forbidden, or stop doing what was not.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not there, or the system does not hand it out.
    #[error("cannot read the policy {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could have written it, or could put another in its place.
    #[error(
        "the policy {policy} cannot be trusted: {path} {problem}; make it root's, and writable by nobody else (chown root, \
         chmod go-w)"
    )]
    Untrusted {
        /// The file.
        policy: PathBuf,
        /// The file, or a folder above it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is too long, no text or not one of ours.
    #[error("the policy {path} is wrong:\n{problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
}

/// Reads the policy in a file that root or this process' user owns, and that nobody else can write or
/// replace.
///
/// # Errors
/// See [`PolicyError`].
pub fn read(policy: &Path) -> Result<Policy, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable { path: policy.to_owned(), source };
    let untrusted = |path: &Path, problem: String| PolicyError::Untrusted {
        policy: policy.to_owned(),
        path: path.to_owned(),
        problem,
    };
    let invalid = |problem: String| PolicyError::Invalid { path: policy.to_owned(), problem };

    let real = reached(policy, |folder, found| {
        // In a sticky folder nobody replaces what is not their own.
        let sticky = found.mode() & 0o1000 != 0;
        written_by_others(found, sticky).map_or(Ok(()), |problem| Err(untrusted(folder, problem)))
    })
    .map_err(|error| match error {
        Unreachable::Folder(error) => error,
        Unreachable::System(source) => unreadable(source),
    })?;
    let found = fs::symlink_metadata(&real).map_err(unreadable)?;
    if !found.is_file() {
        return Err(untrusted(&real, "is no regular file".to_owned()));
    }
    if let Some(problem) = written_by_others(&found, false) {
        return Err(untrusted(&real, problem));
    }
    let file = File::open(&real).map_err(unreadable)?;

    let mut text = String::new();
    let length = file.take(MAX_POLICY_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_POLICY_BYTES {
        return Err(invalid(format!("it is longer than {MAX_POLICY_BYTES} bytes")));
    }
    toml::from_str(&text).map_err(|error| invalid(error.to_string()))
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
