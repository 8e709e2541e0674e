//! Reading the policy, if nobody but root and the agent's own user can have written it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Policy;
use crate::guarded_file::{self, GuardedFileError};

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
    let invalid = |problem: String| PolicyError::Invalid { path: policy.to_owned(), problem };
    let text = guarded_file::read_text(policy, MAX_POLICY_BYTES).map_err(|error| match error {
        GuardedFileError::Unreadable { path, source } => PolicyError::Unreadable { path, source },
        GuardedFileError::Untrusted { wanted, path, problem } => {
            PolicyError::Untrusted { policy: wanted, path, problem }
        }
        GuardedFileError::TooLong { most, .. } => invalid(format!("it is longer than {most} bytes")),
    })?;
    toml::from_str(&text).map_err(|error| invalid(error.to_string()))
}
