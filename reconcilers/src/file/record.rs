//! What the ledger remembers of a file, so that it can be undone.

use std::sync::Arc;

use agent_model::{Content, Digest, KeyedDigest, MaybeSealed, Mode, TargetPath};
use serde::{Deserialize, Serialize};

use super::observation::{FileObservation, Found};

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
    /// Those of them that can be there. An original is kept before it is written over: where that was not done yet, what
    /// was intended was not written, unless what is found is one of the two.
    pub(super) fn possible(self, observed: &FileObservation) -> Self {
        let was_begun = self.written.is_some()
            || self.original.is_none()
            || observed.original_kept
            || observed.found.holds(self.original)
            || observed.found.holds(self.intended);
        Self { intended: self.intended.filter(|_| was_begun), ..self }
    }

    /// The original that giving back would need: the recorded one, unless what is found may have
    /// to become it because nothing was written yet.
    pub(super) fn original_behind(&self, found: &Found) -> Option<Fingerprint> {
        if self.original_stands(found) { self.original } else { found.fingerprint() }
    }

    /// Whether the record's original is what to give back. Until something was altered, that is
    /// rather whatever lies there now.
    pub(super) fn original_stands(&self, found: &Found) -> bool {
        self.written.is_some() || found.is_ours(self.intended)
    }

    /// Whether we left, or were about to leave, what is found.
    pub(super) fn are_found(&self, found: &Found) -> bool {
        found.is_ours(self.written) || found.is_ours(self.intended)
    }

    /// Whether nobody can tell that of what is found.
    pub(super) fn may_be_found(&self, found: &Found) -> bool {
        let may_be = found.may_hold(self.written) || found.may_hold(self.intended);
        may_be && !self.are_found(found) && !found.holds(self.original)
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
    /// Whether that is the fingerprint of something sealed: who reads it cannot guess what it is of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) keyed: bool,
    /// The mark of the key with which it was made. None is in what an agent noted that knew of no marks: then it may
    /// be any key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Digest>,
}

impl Fingerprint {
    /// That of a content which is nobody's secret.
    pub(super) fn plain(digest: Digest, size: u64) -> Self {
        Self { digest, size, keyed: false, key: None }
    }

    /// That of a declared content; `None` of a box that was not opened yet.
    pub(super) fn of(content: &MaybeSealed<Content>) -> Option<Self> {
        match content {
            MaybeSealed::Plain(content) => Some(Self::plain(content.digest(), content.len())),
            MaybeSealed::Sealed(sealed) => {
                let KeyedDigest { digest, key } = sealed.fingerprint()?;
                Some(Self { digest, size: sealed.plain_len() as u64, keyed: true, key: Some(key) })
            }
        }
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
        let content = Fingerprint::plain(Digest::of_bytes(b"old"), 3);
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
    fn what_was_sealed_is_noted_with_the_mark_of_its_key_and_read_without_one() {
        let (digest, key) = (Digest::of_bytes(b"under the key"), Digest::of_bytes(b"the key"));
        let mut sealed = Fingerprint { digest, size: 3, keyed: true, key: Some(key) };
        let mut form = json!({"digest": digest, "size": 3, "keyed": true, "key": key});
        assert_eq!(serde_json::to_value(sealed).unwrap(), form);
        assert_eq!(serde_json::from_value::<Fingerprint>(form.clone()).unwrap(), sealed);

        form.as_object_mut().unwrap().remove("key");
        sealed.key = None;
        assert_eq!(serde_json::from_value::<Fingerprint>(form).unwrap(), sealed);
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
