//! What the ledger remembers of a process.

use serde::{Deserialize, Serialize};

/// What must not be forgotten of a process, and what its shim cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessRecord {
    /// The run that was started last; `None` for a process that was never started.
    pub run: Option<String>,
    /// How often in a row it had ended by itself before that run.
    pub crashes: u64,
    /// Whether that run has shown that it has started: it is not asked again, whatever becomes of the agent.
    pub started: bool,
    /// Whether that run was ready when it was looked at last: so it counts after a restart of the agent,
    /// until its probes say otherwise.
    pub ready: bool,
    /// Whether that run is to be stopped: if it is not, and was stopped, somebody else did it.
    pub stopping: bool,
    /// Why that run is being ended though it is what is declared: a probe gave it up.
    pub given_up: Option<String>,
    /// The declared limits that it was not held to when it was started, each with why.
    pub unenforced: Vec<String>,
}

impl ProcessRecord {
    /// What is remembered of a run that has just been started, or of which nothing is known but this.
    pub(super) fn of_run(run: &str, crashes: u64) -> Self {
        Self { run: Some(run.to_owned()), crashes, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_keeps_its_form_in_the_ledger() {
        let record = ProcessRecord {
            run: Some("r".to_owned()),
            crashes: 2,
            started: true,
            ready: true,
            stopping: true,
            given_up: Some("liveness".to_owned()),
            unenforced: vec!["cpus (no controller)".to_owned()],
        };
        let form = json!({
            "run": "r", "crashes": 2, "started": true, "ready": true, "stopping": true, "givenUp": "liveness",
            "unenforced": ["cpus (no controller)"],
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), form);
        assert_eq!(serde_json::from_value::<ProcessRecord>(form).unwrap(), record);
    }
}
