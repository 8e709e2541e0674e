//! Reading the policy, if nobody but root and the agent's own user can have written it.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::Policy;

/// Longest policy that is read: some thousand listed scripts.
pub const MAX_POLICY_BYTES: u64 = 256 * 1024;

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

    // With its links resolved, so that there is one chain of folders to look at.
    let real = policy.canonicalize().map_err(unreadable)?;
    for folder in real.ancestors().skip(1) {
        let found = fs::metadata(folder).map_err(unreadable)?;
        // In a sticky folder nobody replaces what is not their own.
        let sticky = found.mode() & 0o1000 != 0;
        writable_by_others(&found, sticky).map_err(|problem| untrusted(folder, problem))?;
    }
    let file = File::open(&real).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(untrusted(&real, "is no regular file".to_owned()));
    }
    writable_by_others(&found, false).map_err(|problem| untrusted(&real, problem))?;

    let mut text = String::new();
    let length = file.take(MAX_POLICY_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_POLICY_BYTES {
        return Err(invalid(format!("it is longer than {MAX_POLICY_BYTES} bytes")));
    }
    toml::from_str(&text).map_err(|error| invalid(error.to_string()))
}

/// Whether somebody else than root and this process' user has a say in what is there. `shared` is a place
/// where many may write, each their own.
fn writable_by_others(found: &Metadata, shared: bool) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != 0 && found.uid() != own {
        return Err(format!("belongs to user {}", found.uid()));
    }
    // The bits of the group also tell whether an access control list lets somebody else write (acl(5)).
    if found.mode() & 0o022 != 0 && !shared {
        return Err(format!("has mode {:04o}, so that others may write it", found.mode() & 0o7777));
    }
    Ok(())
}
