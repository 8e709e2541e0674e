//! What the ledger remembers of a process.

use serde::{Deserialize, Serialize};

/// What must not be forgotten of a process, and what its shim cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRecord {
    /// The run that was started last; `None` for a process that was never started.
    pub run: Option<String>,
    /// How often in a row it had ended by itself before that run.
    pub crashes: u64,
    /// Whether that run was ready when it was looked at last: so it counts after a restart of the agent,
    /// until its probes say otherwise.
    pub ready: bool,
    /// Why that run is being ended though it is what is declared: a probe gave it up.
    pub given_up: Option<String>,
}
