//! What the ledger remembers of a file, so that it can be undone.

use std::sync::Arc;

use agent_model::{Content, Digest, Mode, TargetPath};
use serde::{Deserialize, Serialize};

use super::observation::Found;

/// What was there before us, and what of the present state is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// What was there when the claim was taken, and comes back when it is given up.
    pub(super) original: Original,
    /// Folders above the file that exist because of us, the topmost first. Several files may list
    /// the same one; the last to go takes it away. Shared, because each pass hands them on as they are.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) created_parents: Arc<[TargetPath]>,
    /// The content that we left there last; `None` until it was done once.
    #[serde(default)]
    pub(super) written: Option<Fingerprint>,
    /// The content that unfinished steps are about to leave there.
    #[serde(default)]
    pub(super) intended: Option<Fingerprint>,
}

impl FileRecord {
    pub(super) fn contents(&self) -> KnownContents {
        let original = match self.original {
            Original::File { content, .. } => Some(content),
            Original::Absent | Original::Symlink { .. } => None,
        };
        KnownContents { original, written: self.written, intended: self.intended }
    }
}

/// The contents that a record knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownContents {
    /// Of the original, where that is a regular file.
    pub(super) original: Option<Fingerprint>,
    /// See [`FileRecord::written`].
    pub(super) written: Option<Fingerprint>,
    /// See [`FileRecord::intended`].
    pub(super) intended: Option<Fingerprint>,
}

impl KnownContents {
    /// The original that giving back would need: the recorded one, unless what is found may have
    /// to become it because nothing was written yet.
    pub(super) fn original_behind(&self, found: &Found) -> Option<Fingerprint> {
        if self.original_stands(found) { self.original } else { found.fingerprint() }
    }

    /// Whether the record's original is what to give back. Until something was altered, that is
    /// rather whatever lies there now.
    pub(super) fn original_stands(&self, found: &Found) -> bool {
        self.written.is_some() || found.holds(self.intended)
    }

    /// Whether we left, or were about to leave, what is found.
    pub(super) fn are_found(&self, found: &Found) -> bool {
        found.holds(self.written) || found.holds(self.intended)
    }
}

/// What a claim took the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Original {
    /// Nothing.
    Absent,
    /// A regular file, whose content is kept in the folder of originals.
    File {
        #[serde(flatten)]
        content: Fingerprint,
        #[serde(flatten)]
        attributes: Attributes,
    },
    /// A symbolic link.
    Symlink { target: String, uid: u32, gid: u32 },
}

/// A content by its size and digest; the size is there to save hashing what cannot match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: u64,
}

impl Fingerprint {
    pub(super) fn of(content: &Content) -> Self {
        Self { digest: content.digest(), size: content.len() }
    }
}

/// What a regular file has besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) mode: Mode,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> FileRecord {
        let content = Fingerprint { digest: Digest::of_bytes(b"old"), size: 3 };
        FileRecord {
            original: Original::File {
                content,
                attributes: Attributes { mode: Mode::from_bits(0o600), uid: 1, gid: 2 },
            },
            created_parents: ["/a".parse().unwrap()].into(),
            written: Some(content),
            intended: None,
        }
    }

    #[test]
    fn a_record_keeps_its_form_in_the_ledger() {
        let digest = Digest::of_bytes(b"old").to_string();
        let form = json!({
            "original": {"type": "File", "digest": digest, "size": 3, "mode": "0600", "uid": 1, "gid": 2},
            "createdParents": ["/a"],
            "written": {"digest": digest, "size": 3},
            "intended": null,
        });
        assert_eq!(serde_json::to_value(record()).unwrap(), form);
        assert_eq!(serde_json::from_value::<FileRecord>(form).unwrap(), record());
    }

    #[test]
    fn a_record_of_a_newer_agent_is_still_read() {
        let read: FileRecord = serde_json::from_value(json!({
            "original": {"type": "Symlink", "target": "x", "uid": 0, "gid": 0, "later": 1},
            "later": true,
        }))
        .unwrap();
        assert_eq!(read.original, Original::Symlink { target: "x".into(), uid: 0, gid: 0 });
        assert_eq!((read.written, read.intended), (None, None));
    }
}
