//! Why the operator's folder cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use agent_model::UserKey;

use crate::token::{InvalidToken, Unsigned};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Nobody made it.
    #[error("{} is not the folder of an operator: make one with `harmonyctl init --operator {}`", .0.display(), .0.display())]
    NotAFolder(PathBuf),
    /// It is something else.
    #[error("{} has other things in it: name a folder that is new, or empty", .0.display())]
    NotEmpty(PathBuf),
    /// It was only begun.
    #[error(
        "{} is missing, the folder was not finished: run `harmonyctl init --operator {}` again, which makes what is \
         missing", file.display(), folder.display()
    )]
    Unfinished {
        /// The folder.
        folder: PathBuf,
        /// What is not there.
        file: PathBuf,
    },
    /// What was made of it would be worth nothing with a new one.
    #[error(
        "{} is missing, and what was made of it is there: get it back from your copy of the folder. A new one would not \
         be the one that servers and devices know", .0.display()
    )]
    LostKey(PathBuf),
    /// A new one would revoke nobody.
    #[error(
        "{} is missing, and servers have it: get it back from your copy of the folder, or out of server/accounts.conf. A \
         new one would let everybody in again who was revoked", .0.display()
    )]
    LostToken(PathBuf),
    /// Their key is not known any more, and cannot be ended.
    #[error(
        "{} is missing, so that nobody knows which key to end: get it back from your copy of the folder. `harmonyctl init \
         --operator` makes new credentials, and those before stay good", .0.display()
    )]
    LostCredentials(PathBuf),
    /// Others may read what is secret.
    #[error("{} can be read by others: run `chmod go= {}`, and ask yourself who has read it", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// A file that is not what it should be.
    #[error("{} is no nkey of its kind: get it back from your copy of the folder", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not what it should be.
    #[error("{} cannot be trusted: get it back from your copy of the folder", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidToken,
    },
    /// A token that is about something else.
    #[error("{} is about {found}, not about {wanted}: get it back from your copy of the folder", path.display())]
    Subject {
        /// The file.
        path: PathBuf,
        /// The key that it should be about.
        wanted: String,
        /// The key that it is about.
        found: String,
    },
    /// Signing failed.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// The disk said no.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Nothing that is signed for it would be good.
    #[error(
        "the key {0} was revoked, and no key is let in again: remove the credentials file on the device, and run \
         `harmony-agent enroll` there, which makes a new key"
    )]
    RevokedKey(UserKey),
    /// The clock is of no use.
    #[error("the clock stands before 1970: set it, or what is signed now is worth nothing")]
    Clock,
}

/// What the disk said about this file or folder.
pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> FolderError {
    move |source| FolderError::Io { path: path.to_owned(), source }
}
