//! A value of a device's entry, as anybody who can write the bucket may make it.

use agent_core::{
    envelope::{Envelope, Received},
    expiry::Present,
    policy::Tolerance,
    signing::Trust,
};
use agent_model::{Digest, Timestamp};

/// What a device that asks for no signature makes of it.
pub(super) fn run(bytes: &[u8]) -> bool {
    let received = Received::read(bytes);
    let present = Present::new(Timestamp::UNIX_EPOCH, None, Tolerance::Tolerated);
    let judged = Received::judge(bytes, &Trust::in_anybody(), present);
    assert_eq!(received.digest, judged.digest, "reading and judging tell of one document");
    let glance = received.glance.clone();
    assert_eq!(glance, judged.glance);
    for word in [&glance.kind, &glance.schema_version].into_iter().flatten() {
        assert!(word.chars().count() <= 81, "what the status repeats is bounded");
    }
    let is_plain = received.digest == Digest::of_bytes(bytes);
    let Ok(envelope) = Envelope::open(judged) else { return false };
    assert_eq!(Some(envelope.metadata.generation), glance.generation);
    assert_eq!(envelope.digest, received.digest);
    // Whatever is plain is JSON for everybody else as well.
    assert!(!is_plain || serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
    true
}
