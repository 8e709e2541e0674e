//! A device's status, as a hostile device may write it and the platform's programs read it.

use agent_core::status::size::{MAX_STATUS_LEN, fit};
use agent_model::status::AgentStatus;

/// What was read is read again from what is written, and is made to fit.
pub(super) fn run(bytes: &[u8]) -> bool {
    let Ok(status) = serde_json::from_slice::<AgentStatus>(bytes) else { return false };
    let written = serde_json::to_vec(&status).expect("a status can be written");
    assert_eq!(serde_json::from_slice::<AgentStatus>(&written).expect("and read"), status);
    assert!(fit(status, MAX_STATUS_LEN).expect("a status can be written").len() <= MAX_STATUS_LEN);
    true
}
