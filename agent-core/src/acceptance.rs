//! Whether a document is accepted: every check in its order, and nothing else.

use std::sync::Arc;

use agent_model::{AgentId, DeviceFacts, Lowered, RefusalReason, ResourceKind, Timestamp};

use crate::{
    dispatcher::Formats,
    envelope::{Envelope, HighWaterMark, Newness, Reader, Received, Refusal, judge},
    ledger::AcceptedDocument,
    policy::DevicePolicy,
};

/// Judges documents for one device.
pub struct Acceptance {
    /// The device's name.
    pub agent: AgentId,
    /// What can be read.
    pub formats: Formats,
    /// What can be made.
    pub kinds: Vec<ResourceKind>,
    /// What is allowed here.
    pub policy: Arc<DevicePolicy>,
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
        self.policy.judge(&lowered.state)?;
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
    /// again: what is in force stays in force, whatever the clock or the keys say by now. The policy is judged
    /// in each pass, resource by resource.
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

#[cfg(test)]
mod tests {
    use agent_model::{Declaration, DesiredStateBuilder, Invalid, ManifestFormat, ProcessSpec, SpecDocument};
    use semver::Version;
    use serde_json::json;

    use super::*;
    use crate::policy::Policy;

    /// Whatever the spec, one process.
    struct OneProcess;

    impl ManifestFormat for OneProcess {
        fn kind(&self) -> &'static str {
            "OneProcess"
        }

        fn schema_versions(&self) -> Vec<Version> {
            vec![Version::new(1, 0, 0)]
        }

        fn lower(&self, _: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
            let mut builder = DesiredStateBuilder::default();
            let process = ProcessSpec::new(vec!["/bin/app".into()]);
            builder.declare(Declaration::new("", "app".parse().unwrap(), process));
            Ok(Lowered { state: builder.finish()?, ignored: Vec::new() })
        }
    }

    fn judged_with(kinds: Vec<ResourceKind>) -> Result<Verdict, Refusal> {
        let acceptance = Acceptance {
            agent: "edge-1".parse().unwrap(),
            formats: Formats::none().with(OneProcess),
            kinds,
            policy: crate::fakes::policy(Policy::default()),
            facts: DeviceFacts::new(),
        };
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "OneProcess", "schemaVersion": "1.0.0",
            "metadata": {"name": "edge-1", "generation": 1}, "spec": {},
        });
        let raw = document.to_string().into_bytes();
        acceptance.judge(&raw, Received::read(&raw), None, None, Timestamp::now())
    }

    #[test]
    fn a_kind_without_a_reconciler_is_refused_by_name_with_those_that_there_are() {
        let refusal = judged_with(vec![ResourceKind::File]).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::Invalid);
        assert_eq!(
            refusal.message,
            "\"app\" is a Process, for which this agent has no reconciler; it has File"
        );
        let verdict = judged_with(vec![ResourceKind::File, ResourceKind::Process]);
        assert!(matches!(verdict, Ok(Verdict::Acceptable(_))), "{verdict:?}");
    }
}
