//! A sealed document, before anybody has verified it.

use std::sync::LazyLock;

use agent_core::{
    envelope::{Envelope, Glance, Received},
    expiry::Present,
    policy::Tolerance,
    signing::{PublicKey, Sealed, Trust, TrustedKey},
};
use agent_model::Timestamp;

/// A public key whose private half was never kept.
const NOBODYS: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA5N/G93i0o7Jcl4v8s4m5Wb6HNJqYuvm511C6t1yIbLk=
-----END PUBLIC KEY-----
";

static KEY: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::from_pem(NOBODYS).expect("a good key"));

/// Nothing is ever accepted by a device that trusts one key which nobody has.
pub(super) fn run(bytes: &[u8]) -> bool {
    let trust = Trust::in_keys([TrustedKey { key: KEY.clone(), not_after: None }], false);
    let present = Present::new(Timestamp::UNIX_EPOCH, None, Tolerance::Tolerated);
    let received = Received::judge(bytes, &trust, present);
    assert_eq!(received.signer, None);
    let glance = received.glance.clone();
    assert!(Envelope::open(received).is_err(), "a document was accepted that nobody signed");
    let Some(sealed) = Sealed::in_entry(bytes) else { return false };
    assert_eq!(glance, Glance::default(), "what is sealed was looked at");
    assert!(!sealed.is_signed_by(&KEY));
    assert!(sealed.claimed_keys().count() <= 8);
    true
}
