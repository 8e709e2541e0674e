//! Whether a document is accepted: every check in its order, and nothing else.

use agent_model::{AgentId, DeviceFacts, Lowered, RefusalReason, ResourceKind, Timestamp};

use crate::{
    dispatcher::Formats,
    envelope::{Envelope, HighWaterMark, Newness, Reader, Received, Refusal, judge},
    ledger::AcceptedDocument,
    protected_paths::ProtectedPaths,
};

/// Judges documents for one device.
pub struct Acceptance {
    /// The device's name.
    pub agent: AgentId,
    /// What can be read.
    pub formats: Formats,
    /// What can be made.
    pub kinds: Vec<ResourceKind>,
    /// What is nobody's business.
    pub protected: ProtectedPaths,
    /// What formats may render with.
    pub facts: DeviceFacts,
}

/// A document that may be put in force.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// As it will stand in the ledger.
    pub document: AcceptedDocument,
    /// What it asks for.
    pub lowered: Lowered,
}

/// What became of a document.
#[derive(Debug)]
pub enum Verdict {
    /// It is the one in force already.
    InForce,
    /// It may be put in force.
    Acceptable(Box<Candidate>),
}

impl Acceptance {
    /// Judges a document as received. `in_force` is the document in force; it is judged again if
    /// the device merely knows of it (`highest`) and does not have it any more.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn judge(
        &self,
        raw: &[u8],
        received: Received,
        highest: Option<HighWaterMark>,
        in_force: Option<&AcceptedDocument>,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        let envelope = Envelope::open(received)?;
        let newness = judge(&envelope, Reader { agent: &self.agent, highest, now })?;
        if newness == Newness::Same && in_force.is_some_and(|document| document.digest == envelope.digest) {
            return Ok(Verdict::InForce);
        }
        let lowered = self.lower(&envelope)?;
        self.protected.judge(&lowered.state)?;
        let document = AcceptedDocument {
            generation: envelope.metadata.generation,
            digest: envelope.digest,
            kind: envelope.kind,
            schema_version: envelope.schema_version.to_string(),
            at: now,
            raw: raw.to_owned(),
        };
        Ok(Verdict::Acceptable(Box::new(Candidate { document, lowered })))
    }

    /// Reads a document that was accepted before. Generation, expiry and trust are not judged
    /// again: what is in force stays in force, whatever the clock or the keys say by now.
    ///
    /// # Errors
    /// When this agent cannot read it any more, for example after a downgrade.
    pub fn read_accepted(&self, document: &AcceptedDocument) -> Result<Lowered, Refusal> {
        self.lower(&Envelope::open(Received::read(&document.raw))?)
    }

    fn lower(&self, envelope: &Envelope) -> Result<Lowered, Refusal> {
        let lowered = self.formats.lower(envelope, &self.facts)?;
        let unknown =
            lowered.state.resources().iter().find(|resource| !self.kinds.contains(&resource.kind()));
        match unknown {
            None => Ok(lowered),
            Some(resource) => {
                let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
                let message = format!(
                    "{:?} is a {}, for which this agent has no reconciler; it has {}",
                    resource.name.as_str(),
                    resource.kind(),
                    kinds.join(", ")
                );
                Err(Refusal::new(RefusalReason::Invalid, message))
            }
        }
    }
}
