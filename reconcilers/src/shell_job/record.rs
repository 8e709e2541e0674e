//! What the ledger remembers of a job.

use agent_model::Digest;
use serde::{Deserialize, Serialize};

/// By which a history that was lost is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShellJobRecord {
    /// The digest of the declaration that was run last, or was about to be.
    pub ran: Option<Digest>,
}
