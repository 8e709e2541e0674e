//! Whether a document is accepted: every check in its order, and nothing else.

use std::sync::Arc;

use agent_model::{
    AgentId, DesiredState, DeviceFacts, Digest, Lowered, RefusalReason, ResourceKind, Timestamp, Unsealer,
    status::RolledBack,
};

use crate::{
    dispatcher::Formats,
    envelope::{Envelope, HighWaterMark, Newness, Reader, Received, Refusal, judge},
    expiry::Present,
    ledger::{AcceptedDocument, Unknown},
    policy::DevicePolicy,
    signing::{KeyId, Trust},
};

/// As many resources with a box that does not open are named in a refusal.
const MAX_CLOSED_SHOWN: usize = 16;

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
    /// Whose documents are accepted.
    pub trust: Trust,
    /// What opens values that are sealed to this device.
    pub unsealer: Arc<dyn Unsealer>,
}

/// A document that may be put in force.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// As it will stand in the ledger.
    pub document: AcceptedDocument,
    /// What it asks for.
    pub lowered: Lowered,
    /// Whether it may be over, which the device's clock cannot tell.
    pub may_be_over: bool,
    /// What the device goes back from, where this is no newer document but the last one that converged.
    pub instead_of: Option<RolledBack>,
}

/// What became of a document.
#[derive(Debug)]
pub enum Verdict {
    /// It is the one in force already.
    InForce {
        /// Whose signature is on it now, where that is another one than the device has. By the one that is kept it may
        /// have to be put in force again, when only that key is trusted.
        signed_anew_by: Option<KeyId>,
    },
    /// It was in force, and the device went back from it.
    WasInForce,
    /// It may be put in force.
    Acceptable(Box<Candidate>),
}

impl Acceptance {
    /// Looks at a document that came in. Of one that nobody trusted has signed, nothing is parsed.
    pub fn receive(&self, raw: &[u8], present: Present) -> Received {
        Received::judge(raw, &self.trust, present)
    }

    /// The time to judge by, when the device's clock says `now` and this document is in force.
    pub fn present(&self, now: Timestamp, in_force: Option<&AcceptedDocument>) -> Present {
        // Where keys are asked for, nobody else is believed what time it is.
        let asks_for_keys = self.trust.keys().next().is_some();
        let believed = in_force.filter(|document| document.signer.is_some() || !asks_for_keys);
        Present::new(now, believed.and_then(|document| document.issued_at), self.policy.rules().unset_clock)
    }

    /// Judges a document as received. `in_force` is the document in force; it is judged again if
    /// the device merely knows of it (`highest`) and does not have it any more, unless the device went back from it.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn judge(
        &self,
        raw: &[u8],
        received: Received,
        highest: Option<HighWaterMark>,
        in_force: Option<&AcceptedDocument>,
        gone_back_from: Option<Digest>,
        present: Present,
    ) -> Result<Verdict, Refusal> {
        let signer = received.signer;
        let envelope = Envelope::open(received)?;
        let newness = judge(&envelope, Reader { agent: &self.agent, highest, present })?;
        // The same again is nothing new, unless it is the first to come with a signature.
        let known = in_force.filter(|document| {
            document.digest == envelope.digest && (document.signer.is_some() || signer.is_none())
        });
        if let Some(document) = known.filter(|_| newness == Newness::Same) {
            let by_another = signer.is_some() && signer != document.signer && *document.raw != *raw;
            return Ok(Verdict::InForce { signed_anew_by: signer.filter(|_| by_another) });
        }
        // Also where the device was made to forget what it has accepted.
        if gone_back_from == Some(envelope.digest) {
            return Ok(Verdict::WasInForce);
        }
        let lowered = self.lower(&envelope)?;
        all_open(&lowered.state)?;
        self.policy.judge(&lowered.state, signer)?;
        let ends = [envelope.metadata.expires_at, signer.and_then(|key| self.trust.end(key))];
        let may_be_over = !present.is_set() && ends.iter().any(Option::is_some);
        let document = AcceptedDocument {
            generation: envelope.metadata.generation,
            digest: envelope.digest,
            kind: envelope.kind,
            schema_version: envelope.schema_version.to_string(),
            issued_at: envelope.metadata.issued_at,
            at: present.now(),
            signer,
            raw: raw.into(),
            unknown: Unknown::new(),
        };
        Ok(Verdict::Acceptable(Box::new(Candidate { document, lowered, may_be_over, instead_of: None })))
    }

    /// Reads a document that was accepted before. Generation, expiry and trust are not judged
    /// again: what is in force stays in force, whatever the clock or the keys say by now. The policy, and whether what is
    /// sealed opens, is judged in each pass, resource by resource.
    ///
    /// # Errors
    /// When this agent cannot read it any more, for example after a downgrade.
    pub fn read_accepted(&self, document: &AcceptedDocument) -> Result<Lowered, Refusal> {
        self.lower(&Envelope::open(Received::read(&document.raw))?)
    }

    /// Reads a document that was accepted before, to put it in force again: only what the device could make now, and
    /// may, from somebody whom it trusts now. That a key was taken away counts, because it may be in the wrong hands.
    /// That its time or that of the document is over does not: both were kept.
    ///
    /// # Errors
    /// When no trusted key has signed it, it cannot be read any more, something in it opens no longer, or the policy
    /// denies it by now.
    pub fn read_fallback(
        &self,
        document: AcceptedDocument,
        present: Present,
    ) -> Result<(AcceptedDocument, Lowered), Refusal> {
        let received = Received::judge(&document.raw, &self.trust.without_ends(), present);
        let signer = received.signer.or(document.signer);
        let lowered = self.lower(&Envelope::open(received)?)?;
        all_open(&lowered.state)?;
        self.policy.judge(&lowered.state, signer)?;
        Ok((AcceptedDocument { signer, ..document }, lowered))
    }

    fn lower(&self, envelope: &Envelope) -> Result<Lowered, Refusal> {
        let lowered = self.formats.lower(envelope, &self.facts)?;
        all_makeable(&lowered.state, &self.kinds)?;
        Ok(Lowered { state: lowered.state.with_boxes_tried(&*self.unsealer), ..lowered })
    }
}

/// Whether an agent with reconcilers for these kinds can make all that is asked for.
///
/// # Errors
/// `Invalid`, with the first resource that it cannot make.
pub fn all_makeable(state: &DesiredState, kinds: &[ResourceKind]) -> Result<(), Refusal> {
    let Some(resource) = state.resources().iter().find(|resource| !kinds.contains(&resource.kind())) else {
        return Ok(());
    };
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let message = format!(
        "{:?} is a {}, for which this agent has no reconciler; it has {}",
        resource.name.as_str(),
        resource.kind(),
        if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
    );
    Err(Refusal::new(RefusalReason::Invalid, message))
}

/// Whether all that is sealed opens. Judged of the whole document before anything of it is done: one that is half
/// another device's disturbs nothing of what runs.
fn all_open(state: &DesiredState) -> Result<(), Refusal> {
    let closed = state.resources().iter().filter_map(|resource| {
        let failure = resource.cannot_unseal()?;
        Some(format!("{} {:?}: {}", resource.kind(), resource.name.as_str(), failure.message))
    });
    let mut closed = closed.peekable();
    if closed.peek().is_none() {
        return Ok(());
    }
    let shown: Vec<String> = closed.by_ref().take(MAX_CLOSED_SHOWN).collect();
    let more = match closed.count() {
        0 => String::new(),
        more => format!("; and {more} more resources"),
    };
    Err(Refusal::new(RefusalReason::Invalid, shown.join("; ") + &more))
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
            trust: Trust::in_anybody(),
            unsealer: Arc::new(crate::secrets::DeviceSecrets::default()),
        };
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "OneProcess", "schemaVersion": "1.0.0",
            "metadata": {"name": "edge-1", "generation": 1}, "spec": {},
        });
        let raw = document.to_string().into_bytes();
        acceptance.judge(
            &raw,
            Received::read(&raw),
            None,
            None,
            None,
            acceptance.present(Timestamp::now(), None),
        )
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
