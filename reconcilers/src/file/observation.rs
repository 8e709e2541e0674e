//! What a look at the device found.

use agent_model::{Digest, KeyedDigest, TargetPath};
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
    /// The fingerprint of that content, where something that is sealed is looked for.
    pub(super) keyed: Option<KeyedDigest>,
}

impl FoundFile {
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.digest.map(|digest| Fingerprint::plain(digest, self.stamp.size))
    }

    /// Whether it has this content.
    pub(super) fn holds(&self, content: Fingerprint) -> bool {
        let digest = if content.keyed { self.keyed.map(|keyed| keyed.digest) } else { self.digest };
        digest == Some(content.digest) && self.stamp.size == content.size
    }

    /// Whether it is what we left, as far as can be told. What we left of something sealed nobody but its owner could
    /// read, so where another key came and only that and its size can be told, it counts as ours: a secret that stays
    /// behind is certain harm. Where there is no key now, it may be told once there is.
    pub(super) fn is_ours(&self, left: Fingerprint) -> bool {
        let has_another_key = self.keyed.is_some() && self.may_hold(left);
        self.holds(left) || (has_another_key && self.is_closed_to_others())
    }

    /// Whether it has the size of this content and nobody can tell whether it has the content: the key is not there
    /// that the fingerprint was made with.
    pub(super) fn may_hold(&self, content: Fingerprint) -> bool {
        let is_comparable = self.keyed.is_some_and(|own| content.key == Some(own.key));
        content.keyed && !is_comparable && self.stamp.size == content.size
    }

    fn is_closed_to_others(&self) -> bool {
        self.stamp.raw_mode & 0o077 == 0
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
        match (self, content) {
            (Self::File(file), Some(content)) => file.holds(content),
            _ => false,
        }
    }

    /// Whether it is a regular file that we left, as far as can be told.
    pub(super) fn is_ours(&self, left: Option<Fingerprint>) -> bool {
        matches!((self, left), (Self::File(file), Some(left)) if file.is_ours(left))
    }

    /// Whether it is a regular file that may have this content, which nobody can tell.
    pub(super) fn may_hold(&self, content: Option<Fingerprint>) -> bool {
        matches!((self, content), (Self::File(file), Some(content)) if file.may_hold(content))
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
