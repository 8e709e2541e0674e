//! Whether a line follows from the one before.

use std::fmt;

use agent_model::Digest;
use serde::Deserialize;

use super::{AuditRecord, Happening, Head};

/// What a line of any version has.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: Option<Digest>,
}

/// The number of a line, if it is one.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice(line).ok().map(|Link { seq, .. }| seq)
}

/// Walks through lines in their order.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The newest line so far; `None` before the first.
    pub(super) last: Option<Head>,
}

/// A line that follows.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) head: Head,
    /// `None` for what a later version of the agent wrote and this one does not know.
    pub(super) record: Option<AuditRecord>,
}

/// Why a line does not follow from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    /// It is no line of a log.
    NotARecord,
    /// Others lie between, or should come after it.
    OutOfOrder { expected: u64, found: u64 },
    /// The line before it is another one than when it was written.
    OtherBefore { seq: u64 },
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecord => f.write_str("this is no record"),
            Self::OutOfOrder { expected, found } if found > expected => {
                write!(f, "record {expected} should be here and is {found}: lines were removed or moved")
            }
            Self::OutOfOrder { expected, found } => {
                write!(f, "record {expected} should be here and is {found}: lines were inserted or moved")
            }
            Self::OtherBefore { seq } => {
                write!(f, "record {seq} does not fit to the line before: one of the two was changed")
            }
        }
    }
}

impl Chain {
    /// Looks at the next line, and goes on from it whatever is found. `begins_file` tells that it is the first
    /// of its file, where a log may begin anew.
    pub(super) fn follow(&mut self, line: &[u8], begins_file: bool) -> Result<Linked, Break> {
        let Ok(Link { seq, prev }) = serde_json::from_slice(line) else { return Err(Break::NotARecord) };
        // No log gets that far, and nothing could come after it.
        if seq == u64::MAX {
            return Err(Break::NotARecord);
        }
        let record: Option<AuditRecord> = serde_json::from_slice(line).ok();
        let head = Head { seq, hash: Some(Digest::of_bytes(line)) };
        let before = self.last.replace(head);
        let begins_anew = begins_file
            && record
                .as_ref()
                .is_some_and(|record| matches!(record.happening, Happening::LogRecovered { .. }));
        match before {
            Some(before) if begins_anew && seq > before.seq => {}
            Some(before) if before.seq.checked_add(1) != Some(seq) => {
                return Err(Break::OutOfOrder { expected: before.seq.saturating_add(1), found: seq });
            }
            Some(before) if before.hash != prev => return Err(Break::OtherBefore { seq }),
            _ => {}
        }
        Ok(Linked { head, record })
    }
}
