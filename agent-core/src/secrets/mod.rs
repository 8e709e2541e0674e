//! Sealed values: making boxes for a device, and the key with which the device opens them.
//!
//! ```text
//! harmonyctl secret seal ──▶ seal(plain, X…) ──▶ {"sealed": {"to", "box"}} in a document
//!                                                        │ on the device
//! acceptance ◀── fingerprint of what is in it ── DeviceSecrets ──▶ the plain text, when a step needs it
//! ```
//!
//! A box is not signed, and anybody may seal to a key that is public. What a document says is believed for
//! the document's own signature.

mod boxes;
mod device_secrets;

pub use boxes::{UnusableSealingKey, seal};
pub use device_secrets::{DeviceSecrets, FoundKey};
