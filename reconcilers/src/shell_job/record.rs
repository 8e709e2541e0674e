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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_keeps_its_form_in_the_ledger() {
        let ran = Some(Digest::of_bytes(b"job"));
        let form = json!({"ran": ran});
        assert_eq!(serde_json::to_value(ShellJobRecord { ran }).unwrap(), form);
        assert_eq!(serde_json::from_value::<ShellJobRecord>(form).unwrap(), ShellJobRecord { ran });
    }
}
