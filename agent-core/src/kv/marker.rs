//! The markers that stand in a bucket for what was deleted.

use async_nats::{HeaderMap, header::NATS_MARKER_REASON};

/// Header by which clients mark a deletion in a KV bucket: `DEL` or `PURGE` (NATS ADR-8).
pub const KV_OPERATION: &str = "KV-Operation";

/// Whether a message of a bucket is the marker of a deletion, by a client or by the server itself.
/// Only what is known to delete deletes: a value under an operation that is not known here is still
/// a value, and its reader's checks apply to it.
pub fn is_deletion(headers: &HeaderMap) -> bool {
    match headers.get(KV_OPERATION) {
        Some(operation) => matches!(operation.as_str(), "DEL" | "PURGE"),
        None => headers.get(NATS_MARKER_REASON).is_some(),
    }
}
