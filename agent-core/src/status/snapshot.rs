//! The newest status on the device's own disk, for people who stand in front of it.
//!
//! A view and nothing more: nothing is decided by it, it is not synced, and whatever is wrong with
//! it the agent goes on without.

use agent_model::{Timestamp, status::AgentStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    durable_file::{Durability, Previous, replace},
    pause::Pause,
    state_dir::StateLayout,
};

/// What stands in `status.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The newest report.
    pub status: AgentStatus,
    /// Set when another device reports under this one's name; this one reports no longer.
    pub duplicate_identity: Option<DuplicateIdentity>,
    /// The pause that the agent heeds: nothing is under way any more.
    pub pause: Option<Pause>,
}

/// Another device has this one's name: a copied disk, most likely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateIdentity {
    /// When this device noticed.
    pub since: Timestamp,
}

impl DuplicateIdentity {
    /// What helps. Both hold the same key, so that a server cannot put out one of them.
    pub const REMEDY: &str = "where devices enrol, `harmonyctl agents revoke` this id, which ends both, then remove the \
                              credentials on the rightful device, enrol it again, and `harmonyctl agents replace`; \
                              else give one of them another id and login";
}

impl Snapshot {
    /// Reads the snapshot; `None` when there is none that can be read.
    pub fn read(layout: &StateLayout) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(layout.status()).ok()?).ok()
    }

    /// The status as it stands there, also what a newer agent said that this one does not know.
    pub fn status_as_written(layout: &StateLayout) -> Option<Value> {
        let mut snapshot: Value = serde_json::from_slice(&std::fs::read(layout.status()).ok()?).ok()?;
        Some(snapshot.get_mut("status")?.take())
    }

    /// Replaces the snapshot; where that fails there is none, as an old one would not be true any more.
    /// A disk that does not serve shows in the condition `StateStore` already, so that failing here is
    /// only worth a line for whoever debugs.
    pub fn write(&self, layout: &StateLayout) {
        let written = serde_json::to_vec(self)
            .map_err(std::io::Error::other)
            .and_then(|bytes| replace(&layout.status(), &bytes, Previous::Discarded, Durability::Eventual));
        if let Err(error) = written {
            tracing::debug!(%error, "the status snapshot cannot be written");
            // A full disk still lets go of files.
            let _ = std::fs::remove_file(layout.status());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_newer_agent_said_is_shown_as_it_said_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = StateLayout::of(folder.path());
        assert_eq!(Snapshot::status_as_written(&layout), None);
        let status = json!({"phase": "Levitating", "later": {"z": 1, "a": [null]}});
        std::fs::write(layout.status(), json!({"status": status, "later": 1}).to_string()).unwrap();
        assert_eq!(Snapshot::status_as_written(&layout), Some(status));
    }
}
