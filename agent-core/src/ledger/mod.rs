//! What the agent must not forget: the accepted document, the highest generation, and what it
//! made on this device (ADR-025).
//!
//! The ledger is one file, replaced atomically and synced. It is written twice in a pass that
//! does anything: the intent before the first step, the outcome after the last. In a pass that
//! finds everything in order it is not written at all.

mod dependencies;
mod document;
mod loading;
mod trial;
mod unknown_claims;

#[cfg(test)]
mod tests;

use std::io;

use agent_model::AgentId;

use crate::{
    audit::Head,
    durable_file::{Durability, Previous, replace_after},
    state_dir::StateLayout,
};

pub use dependencies::Dependencies;
pub use document::{AcceptedDocument, AppliedDocument, InventoryEntry, LedgerBody, Unknown, UntypedRecord};
pub use loading::{LedgerError, Loaded, Provenance};
pub use trial::Trial;
pub(crate) use unknown_claims::KIND_UNKNOWN;

/// Why the ledger could not be written. Nothing is accepted or changed while it cannot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// No space, or the quota is used up.
    #[error("the disk of the state folder is full ({0}); free some space")]
    DiskFull(String),
    /// The file system or the permissions forbid writing, or the device fails.
    #[error("the state folder cannot be written ({0}); remount it writable or mend its permissions")]
    ReadOnly(String),
}

impl StoreFailure {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(error.to_string()),
            _ => Self::ReadOnly(error.to_string()),
        }
    }

    /// The reason of the condition `StateStore`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => "DiskFull",
            Self::ReadOnly(_) => "ReadOnly",
        }
    }
}

/// The ledger of a locked state folder.
#[derive(Debug)]
pub struct Ledger {
    layout: StateLayout,
    body: LedgerBody,
    /// Whether the last write failed, so that the disk may not hold `body`.
    unsaved: bool,
}

impl Ledger {
    /// Reads the ledger of `agent`. A damaged one is set aside, and the previous copy or an empty
    /// ledger takes its place: see [`Provenance`].
    ///
    /// # Errors
    /// When the folder belongs to another agent, or cannot be read at all.
    pub fn load(layout: &StateLayout, agent: &AgentId) -> Result<Loaded, LedgerError> {
        loading::load(layout, agent)
    }

    /// The agent that the ledger of this folder belongs to; `None` where none can be read.
    ///
    /// # Errors
    /// When the file is there and the system does not hand it out, or a newer agent wrote it.
    pub fn owner(layout: &StateLayout) -> Result<Option<AgentId>, LedgerError> {
        loading::owner(layout)
    }

    /// What the ledger of this folder knows of the audit log; `None` where no ledger can be read.
    ///
    /// # Errors
    /// When the file is there and the system does not hand it out.
    pub fn audit_head(layout: &StateLayout) -> Result<Option<Head>, LedgerError> {
        Ok(loading::peek(layout)?.map(|body| body.audit_head()))
    }

    fn new(layout: StateLayout, body: LedgerBody) -> Self {
        Self { layout, body, unsaved: false }
    }

    /// What the ledger says.
    pub fn body(&self) -> &LedgerBody {
        &self.body
    }

    /// Makes `body` durable, and only then the ledger's. Always writes, so that nothing is done
    /// whose outcome could not be recorded. After an error the ledger is what it was, in memory
    /// and, once the disk serves again, on disk.
    ///
    /// # Errors
    /// See [`StoreFailure`].
    pub fn commit(&mut self, body: LedgerBody) -> Result<(), StoreFailure> {
        self.commit_with(body, || Ok(()))
    }

    /// The same with something that must be durable before the ledger says so: `besides` makes it, and its error
    /// is this one's.
    ///
    /// # Errors
    /// See [`StoreFailure`].
    pub fn commit_with(
        &mut self,
        body: LedgerBody,
        besides: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), StoreFailure> {
        // After a failure the next write is wanted whatever it is about: it shows whether the disk
        // serves again.
        self.unsaved = true;
        self.write(&body, besides)?;
        self.body = body;
        self.unsaved = false;
        Ok(())
    }

    /// Takes over `body`, which tells what has already happened, and makes it durable; writes
    /// nothing where the disk has it already. After an
    /// error the ledger still tells the truth in memory, and the next commit writes it.
    ///
    /// # Errors
    /// See [`StoreFailure`].
    pub fn record(&mut self, body: LedgerBody) -> Result<(), StoreFailure> {
        self.record_with(body, || Ok(()))
    }

    /// The same with something that must be durable before the ledger says so, whether the ledger is written
    /// or not.
    ///
    /// # Errors
    /// See [`StoreFailure`].
    pub fn record_with(
        &mut self,
        body: LedgerBody,
        besides: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), StoreFailure> {
        if body == self.body && !self.unsaved {
            return besides().map_err(|error| StoreFailure::of(&error));
        }
        self.body = body;
        self.unsaved = true;
        self.write(&self.body, besides)?;
        self.unsaved = false;
        Ok(())
    }

    fn write(&self, body: &LedgerBody, besides: impl FnOnce() -> io::Result<()>) -> Result<(), StoreFailure> {
        let written = document::encode(body).map_err(io::Error::other).and_then(|bytes| {
            let previous = self.layout.previous_ledger();
            let previous = Previous::KeptAs(&previous);
            replace_after(&self.layout.ledger(), &bytes, previous, Durability::Synced, besides)
        });
        written.map_err(|error| StoreFailure::of(&error))
    }
}
