//! What a look at the device found.

use agent_model::{Digest, TargetPath};
use rustix::fs::FileType;

use super::{
    record::{Attributes, Fingerprint},
    stamp::Stamp,
};

/// What was found for one claim: all that a plan needs to know of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileObservation {
    /// What lies at the path.
    pub(super) found: Found,
    /// The folders above it that do not exist, the topmost first.
    pub(super) missing_parents: Vec<TargetPath>,
    /// The folders above it that another of our files created, but for those that its record names.
    pub(super) shared_parents: Vec<TargetPath>,
    /// User and group that the file should have.
    pub(super) owner: Owner,
    /// Whether a copy is kept of the original: of the recorded one where it stands, else of what
    /// was found. Only looked up where a plan may depend on it.
    pub(super) original_kept: bool,
    /// What has the name that the file would have before it is moved into place: left by a crash,
    /// or somebody else's. Only looked up where a plan may depend on it.
    pub(super) temporary: Option<FileType>,
}

/// User and group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// A regular file.
    File(FoundFile),
    /// A symbolic link; where it points to is not looked at.
    Symlink { target: String, stamp: Stamp },
    /// Something that is never touched, in words that follow "is".
    Other(&'static str),
}

/// A regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) stamp: Stamp,
    /// Of its content; `None` where its size alone settles the matter, or it cannot be read.
    pub(super) digest: Option<Digest>,
}

impl FoundFile {
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.digest.map(|digest| Fingerprint { digest, size: self.stamp.size })
    }

    pub(super) fn attributes(&self) -> Attributes {
        self.stamp.attributes()
    }

    /// Whether this path is the file's only name. With others, altering it in place would alter
    /// what someone else linked here.
    pub(super) fn has_one_name(&self) -> bool {
        self.stamp.links == 1
    }
}

impl Found {
    /// Whether it is a regular file as declared.
    pub(super) fn is(&self, content: Fingerprint, attributes: Attributes) -> bool {
        self.holds(Some(content)) && self.stamp().is_some_and(|stamp| stamp.attributes() == attributes)
    }

    /// Whether it is a regular file of this content.
    pub(super) fn holds(&self, content: Option<Fingerprint>) -> bool {
        content.is_some() && self.fingerprint() == content
    }

    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::File(file) => file.fingerprint(),
            Self::Absent | Self::Symlink { .. } | Self::Other(_) => None,
        }
    }

    /// The entry's stamp, for what may be replaced.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::File(file) => Some(file.stamp),
            Self::Symlink { stamp, .. } => Some(*stamp),
            Self::Absent | Self::Other(_) => None,
        }
    }
}
