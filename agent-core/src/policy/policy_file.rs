//! Reading the policy, if nobody but root and the agent's own user can have written it.

use std::path::{Path, PathBuf};

use super::Policy;
use crate::guarded_file::{self, GuardedFileError};

/// Longest policy that is read: some thousand listed scripts.
pub const MAX_POLICY_BYTES: u64 = 256 * 1024;

/// Why there is no policy. The agent does not start then: with another policy than was meant it would do what
/// was forbidden, or stop doing what was not.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read, or somebody else can write it.
    #[error("the policy cannot be used")]
    File(#[from] GuardedFileError),
    /// It is not one of ours.
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
    let text = guarded_file::read_text(policy, MAX_POLICY_BYTES)?;
    toml::from_str(&text)
        .map_err(|error| PolicyError::Invalid { path: policy.to_owned(), problem: error.to_string() })
}
