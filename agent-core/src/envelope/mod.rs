//! The envelope around every desired-state document, version 1 (wire contract, section 2).
//!
//! ```text
//! raw bytes ─▶ Received::read ─▶ Envelope::open ─▶ judge ─▶ (dispatcher: kind, schema, spec)
//!              size UTF-8 JSON    apiVersion keys   name generation expiry
//! ```
//!
//! The checks come in a fixed order and the first that fails names the refusal. Everything here
//! is pure: the reader's name, what it has accepted and the time are handed in.

mod judgement;
mod opening;
pub mod strict_json;

#[cfg(test)]
mod tests;

use agent_model::RefusalReason;

pub use judgement::{HighWaterMark, Newness, Reader, judge};
pub use opening::{Envelope, Glance, Metadata, Received};

/// Largest document, in bytes, plain or decoded from its sealed form.
pub const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// Why a document is not accepted, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Refusal {
    /// One of the reasons of the wire contract.
    pub reason: RefusalReason,
    /// What is wrong with the document and what would be right.
    pub message: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::new(RefusalReason::Malformed, message)
    }
}
