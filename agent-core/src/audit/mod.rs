//! What was done on this device, written down before and after, in a chain that shows what was altered
//! (ADR-029).
//!
//! ```text
//!            announce ─▶ Begun lines ─┬─▶ synced with the ledger's intents ─▶ the steps ─▶ end lines
//!                                     │
//! audit.jsonl ◀───────────────────────┘    log ◀── trail (a pass's witness)
//!      │
//!      ├─▶ tail: where to go on at a start      ├─▶ verify: is anything missing or altered?
//!      └─▶ unsent: what the platform is to know of it, from a cursor on
//! ```
//!
//! Each line holds the hash of the one before. The ledger holds number and hash of the newest, so that lines
//! missing at the end are noticed too, and no number is used twice when the file is lost.

mod chain;
mod cursor;
mod events;
mod files;
mod lines;
mod log;
mod record;
mod tail;
#[cfg(test)]
mod tests;
mod told;
mod trail;
mod unsent;
mod verify;

use agent_model::Digest;

pub(crate) use self::record::short;
pub use self::{
    cursor::EventCursor,
    files::LogFile,
    lines::{Line, Lines},
    log::AuditLog,
    record::{AuditRecord, Draft, Happening, VERSION},
    trail::Trail,
    unsent::{Unsent, unsent},
    verify::{Finding, Verification, verify},
};

/// The newest line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Its number; 0 where there is none.
    pub seq: u64,
    /// Its hash; `None` where there is none, or only an earlier agent counted.
    pub hash: Option<Digest>,
}
