//! What the ledger remembers of a container.

use serde::{Deserialize, Serialize};

/// What must not be forgotten of a container, and what its labels cannot say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerRecord {
    /// The run that was seen last, by container and start; `None` when none was seen since the last start.
    pub run: Option<String>,
    /// The boot that run was in.
    pub boot: Option<String>,
    /// Whether it was started at all, ever.
    pub existed: bool,
    /// How often in a row it had ended by itself before that run.
    pub crashes: u64,
    /// Whether that run has shown that it has started.
    pub started: bool,
    /// Whether that run was ready when it was looked at last.
    pub ready: bool,
    /// Whether that run is to be stopped.
    pub stopping: bool,
    /// Why that run is being ended though it is what is declared: a probe gave it up.
    pub given_up: Option<String>,
    /// The declared limits that it was not held to when it was created, each with why.
    pub unenforced: Vec<String>,
    /// How its run before ended.
    pub last_end: Option<String>,
    /// Whether the runtime was asked to create it, and nobody knows what came of that.
    pub creating: bool,
    /// What took the place of a working container, did not start, and is not tried again.
    pub refused: Option<Refused>,
}

/// A replacement that did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The effective digest that it was for.
    pub digest: String,
    /// The id of the image that it was made from; empty where that was not known.
    pub image: String,
    /// What it failed with, as the status has it.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

impl ContainerRecord {
    /// What is remembered of a run of which nothing is known yet.
    pub(super) fn of_run(run: Option<String>, boot: &str, crashes: u64) -> Self {
        Self { run, boot: Some(boot.to_owned()), existed: true, crashes, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_keeps_its_form_in_the_ledger() {
        let text = |text: &str| Some(text.to_owned());
        let record = ContainerRecord {
            run: text("c@1"),
            boot: text("b"),
            existed: true,
            crashes: 2,
            started: true,
            ready: true,
            stopping: true,
            given_up: text("liveness"),
            unenforced: vec!["cpus (no controller)".to_owned()],
            last_end: text("ended with code 1"),
            creating: true,
            refused: Some(Refused {
                digest: "d".to_owned(),
                image: "i".to_owned(),
                reason: "NotStarted".to_owned(),
                message: "no such command".to_owned(),
            }),
        };
        let form = json!({
            "run": "c@1", "boot": "b", "existed": true, "crashes": 2, "started": true, "ready": true, "stopping": true,
            "givenUp": "liveness", "unenforced": ["cpus (no controller)"], "lastEnd": "ended with code 1",
            "creating": true,
            "refused": {"digest": "d", "image": "i", "reason": "NotStarted", "message": "no such command"},
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), form);
        assert_eq!(serde_json::from_value::<ContainerRecord>(form).unwrap(), record);
    }
}
