//! Signed documents: keys, the sealed form, and whom a device believes.
//!
//! ```text
//! envelope ─▶ Sealed::seal (SecretKey) ─▶ bucket ─▶ Sealed::read ─▶ Trust::judge (PublicKeys) ─▶ envelope
//! ```
//!
//! What is verified are the very bytes that are parsed afterwards, and nothing in them is looked at before (ADR-034).

mod dsse;
mod keys;
mod trust;
mod trust_folder;

pub use dsse::{PAYLOAD_TYPE, Sealed};
pub use keys::{InvalidKey, InvalidKeyId, KeyId, PublicKey, SecretKey};
pub use trust::{Trust, TrustedKey};
pub use trust_folder::{TrustError, parse_trusted_key, read as read_trust_folder};
