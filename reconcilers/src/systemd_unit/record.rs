//! What the ledger remembers of a unit.

use std::collections::BTreeMap;

use agent_model::Digest;
use serde::{Deserialize, Serialize};

/// What was done about a unit, and what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SystemdUnitRecord {
    /// The files that were written, by their paths below systemd's folder.
    pub files: BTreeMap<String, WrittenFile>,
    /// How the unit was when it was first looked at.
    pub found: AsFound,
    /// Whether the folder of its drop-ins was made for them.
    pub made_folder: bool,
    /// Whether it was enabled or disabled by us.
    pub set_enabled: bool,
    /// Whether files, or what is started at boot, changed since systemd read them last.
    pub unread: bool,
    /// What runs; `None` where nothing was seen to.
    pub run: Option<Run>,
    /// A start that was asked for and of which nobody knows yet whether it came to be.
    pub starting: Option<Starting>,
    /// How often in a row it was started after it had ended by itself.
    pub tries: u64,
}

/// A file of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WrittenFile {
    /// What was written last.
    pub written: Option<Digest>,
    /// What is on its way there.
    pub intended: Option<Digest>,
    /// What was there before, and comes back; `None` where nothing was.
    pub original: Option<OriginalFile>,
}

/// A file that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginalFile {
    /// What was in it.
    pub content: Digest,
    /// Its permission bits.
    pub mode: u32,
    /// The number of its user.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// How a unit was before anything was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AsFound {
    /// Whether there was one of that name.
    pub exists: bool,
    /// Whether it ran.
    pub active: bool,
    /// Whether it was started at boot; `None` for one that cannot be.
    pub enabled: Option<bool>,
}

/// What runs, or ran last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Run {
    /// The effective digest that it was started for; `None` for what ran before it was declared.
    pub digest: Option<Digest>,
    /// In which boot.
    pub boot: String,
    /// By which systemd knows this start from others; `None` until it was seen.
    pub invocation: Option<String>,
}

/// A start that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Starting {
    /// For which effective digest.
    pub digest: Digest,
    /// What ran before, or had run.
    pub before: Option<String>,
}

impl WrittenFile {
    /// Whether this content is ours.
    pub(super) fn holds(&self, content: Digest) -> bool {
        [self.written, self.intended].contains(&Some(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_keeps_its_form_in_the_ledger() {
        let digest = Digest::of_bytes(b"unit");
        let original = OriginalFile { content: digest, mode: 0o644, uid: 1, gid: 2 };
        let file = WrittenFile { written: Some(digest), intended: Some(digest), original: Some(original) };
        let record = SystemdUnitRecord {
            files: [("a.service".to_owned(), file)].into(),
            found: AsFound { exists: true, active: true, enabled: Some(true) },
            made_folder: true,
            set_enabled: true,
            unread: true,
            run: Some(Run { digest: Some(digest), boot: "b".to_owned(), invocation: Some("i".to_owned()) }),
            starting: Some(Starting { digest, before: Some("j".to_owned()) }),
            tries: 3,
        };
        let original = json!({"content": digest, "mode": 0o644, "uid": 1, "gid": 2});
        let form = json!({
            "files": {"a.service": {"written": digest, "intended": digest, "original": original}},
            "found": {"exists": true, "active": true, "enabled": true},
            "madeFolder": true, "setEnabled": true, "unread": true,
            "run": {"digest": digest, "boot": "b", "invocation": "i"},
            "starting": {"digest": digest, "before": "j"},
            "tries": 3,
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), form);
        assert_eq!(serde_json::from_value::<SystemdUnitRecord>(form).unwrap(), record);
    }
}
