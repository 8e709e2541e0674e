//! What a ledger holds, in a file whose checksum fits: written by a later agent, or by somebody else as root.

use agent_core::ledger::LedgerBody;

/// What was read is read again from what is written.
pub(super) fn run(bytes: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<LedgerBody>(bytes) else { return false };
    let written = serde_json::to_vec(&body).expect("a ledger can be written");
    assert_eq!(serde_json::from_slice::<LedgerBody>(&written).expect("and read"), body);
    true
}
