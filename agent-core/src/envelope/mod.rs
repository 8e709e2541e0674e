//! The envelope around every desired-state document, version 1 (wire contract: The envelope).
//!
//! ```text
//! raw bytes ─▶ Received::judge ─▶ Envelope::open ─▶ judge ─▶ (dispatcher: kind, schema, spec)
//!              size UTF-8 JSON    apiVersion keys   name generation expiry
//!              signature
//! ```
//!
//! The checks come in a fixed order and the first that fails names the refusal. Everything here
//! is pure: the reader's name, what it has accepted and the time are handed in.

mod judgement;
mod opening;
pub mod strict_json;

#[cfg(test)]
mod json_test_suite;
#[cfg(test)]
mod tests;

use agent_model::RefusalReason;

pub use judgement::{HighWaterMark, Newness, Reader, judge};
pub use opening::{Envelope, Glance, Metadata, Received};

/// Largest document, in bytes, plain or decoded from its sealed form.
pub const MAX_DOCUMENT_BYTES: usize = 512 * 1024;
/// Largest entry, in bytes: that of the bucket itself (wire contract: Names in NATS). A sealed document is longer than
/// what is sealed.
pub const MAX_ENTRY_BYTES: usize = 640 * 1024;

/// Why a document is not accepted, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Refusal {
    /// One of the reasons of the wire contract.
    pub reason: RefusalReason,
    /// What is wrong with the document and what would be right.
    pub message: String,
    /// Whether it is the device's clock that says so: set back, it would say otherwise.
    pub is_by_the_clock: bool,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), is_by_the_clock: false }
    }

    /// A refusal for this reason, which depends on what the device's clock says.
    pub(crate) fn by_the_clock(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { is_by_the_clock: true, ..Self::new(reason, message) }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::new(RefusalReason::Malformed, message)
    }
}
