//! One line of the log. The shape is part of the wire contract, version 1.

use agent_model::{Digest, Generation, Timestamp, status::ResourceRef};
use serde::{Deserialize, Serialize};

use super::Head;
use crate::{executor::StepEffect, signing::KeyId};

/// The version of the lines that this agent writes.
pub const VERSION: u32 = 1;

/// Characters of a text in a line. A document may name paths and problems of any length, and a line should fit
/// into an event (8 KiB).
const MAX_TEXT: usize = 1024;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The version of its form.
    pub v: u32,
    /// Counts the lines of this device; never used twice.
    pub seq: u64,
    /// When it was written, by the device's clock.
    pub time: Timestamp,
    /// SHA-256 of the line before, without its line feed; `None` in a device's very first.
    pub prev: Option<Digest>,
    /// The generation that it is about.
    pub generation: Option<Generation>,
    /// The document that it is about.
    pub document: Option<Digest>,
    /// Who signed that document; `None` where nobody did.
    pub signer: Option<KeyId>,
    /// The resource that it is about.
    pub resource: Option<ResourceRef>,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened. No variant has room for what a document declares as content or environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all_fields = "camelCase")]
pub enum Happening {
    /// A step is going to be done. Whatever ends it names this line's number.
    Begun {
        /// What it is.
        step: String,
    },
    /// The step was done.
    Done {
        /// What it is.
        step: String,
        /// The number of the line that announced it.
        begun: u64,
        /// How long it took.
        duration_ms: u64,
        /// What it came to.
        effect: StepEffect,
    },
    /// The step failed.
    Failed {
        /// What it is.
        step: String,
        /// The number of the line that announced it.
        begun: u64,
        /// How long it took.
        duration_ms: u64,
        /// One PascalCase word.
        reason: String,
        /// As in the status.
        message: String,
    },
    /// The step was not begun after all.
    NotRun {
        /// What it is.
        step: String,
        /// The number of the line that announced it.
        begun: u64,
        /// One PascalCase word.
        reason: String,
    },
    /// The agent ended before the step had: it may have been done or not.
    Interrupted {
        /// What it is.
        step: String,
        /// The number of the line that announced it.
        begun: u64,
    },
    /// Nothing can be done about the resource as things are.
    Blocked {
        /// One PascalCase word.
        reason: String,
        /// As in the status.
        message: String,
    },
    /// The document was put in force.
    Accepted,
    /// The document was refused.
    Rejected {
        /// The revision of its entry.
        revision: u64,
        /// As in the condition `Accepted`.
        reason: String,
        /// As in the condition `Accepted`.
        message: String,
    },
    /// Another device reports under this one's name.
    DuplicateIdentity {
        /// For people.
        message: String,
    },
    /// The device went back from the document, because it was not ready in time.
    RolledBack {
        /// One PascalCase word.
        reason: String,
        /// As in the status.
        message: String,
    },
    /// Nothing is applied any more, because the agent crashed with the document again and again.
    SafeMode {
        /// For people.
        message: String,
    },
    /// The log was damaged, and began anew with this line.
    LogRecovered {
        /// What was found and where it is kept.
        message: String,
    },
}

/// What a line is to say, before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// When it happened.
    pub time: Timestamp,
    /// The generation that it is about.
    pub generation: Option<Generation>,
    /// The document that it is about.
    pub document: Option<Digest>,
    /// Who signed that document, if somebody did who was trusted then.
    pub signer: Option<KeyId>,
    /// The resource that it is about.
    pub resource: Option<ResourceRef>,
    /// What happened.
    pub happening: Happening,
}

impl Draft {
    /// One that is about no document and no resource.
    pub fn new(time: Timestamp, happening: Happening) -> Self {
        Self { time, generation: None, document: None, signer: None, resource: None, happening }
    }

    /// The line after `head`, with its line feed, and the head that it makes.
    pub(super) fn line_after(&self, head: Head) -> serde_json::Result<(Vec<u8>, Head)> {
        let Self { time, generation, document, signer, resource, happening } = self.clone();
        let seq = head.seq.saturating_add(1);
        let record = AuditRecord {
            v: VERSION,
            seq,
            time,
            prev: head.hash,
            generation,
            document,
            signer,
            resource,
            happening,
        };
        let mut line = serde_json::to_vec(&record)?;
        let hash = Some(Digest::of_bytes(&line));
        line.push(b'\n');
        Ok((line, Head { seq, hash }))
    }
}

impl From<AuditRecord> for Draft {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { v: _, seq: _, time, prev: _, generation, document, signer, resource, happening } =
            record;
        Self { time, generation, document, signer, resource, happening }
    }
}

/// As much of a text as a line holds.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Happening {
    /// A step ended for which the line `begun` stands: that number.
    pub fn begun(&self) -> Option<u64> {
        match self {
            Self::Done { begun, .. }
            | Self::Failed { begun, .. }
            | Self::NotRun { begun, .. }
            | Self::Interrupted { begun, .. } => Some(*begun),
            Self::Begun { .. }
            | Self::Blocked { .. }
            | Self::Accepted
            | Self::Rejected { .. }
            | Self::RolledBack { .. }
            | Self::DuplicateIdentity { .. }
            | Self::SafeMode { .. }
            | Self::LogRecovered { .. } => None,
        }
    }

    /// Refused for a reason, in as much of the words as fit.
    pub fn rejected(revision: u64, reason: &str, message: &str) -> Self {
        Self::Rejected { revision, reason: reason.to_owned(), message: short(message) }
    }

    /// Gone back for a reason, in as much of the words as fit.
    pub fn rolled_back(reason: &str, message: &str) -> Self {
        Self::RolledBack { reason: reason.to_owned(), message: short(message) }
    }

    /// Blocked for a reason, in as much of the words as fit.
    pub fn blocked(reason: &str, message: &str) -> Self {
        Self::Blocked { reason: reason.to_owned(), message: short(message) }
    }
}
