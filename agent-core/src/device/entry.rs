//! The newest entry: whether it is put in force, and how far it gets.

use std::sync::Arc;

use agent_model::{Digest, status::Desired};

use super::Device;
use crate::{
    acceptance::Verdict,
    audit::{Draft, Happening},
    envelope::{HighWaterMark, Received},
    expiry::Present,
    ledger::{AcceptedDocument, LedgerBody},
    safe_mode::{DocumentId, Reach},
    status::report::{Judgement, SeenEntry},
};

/// A value of the device's entry, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesiredValue {
    /// There is no entry, or it was deleted.
    None,
    /// There is one.
    Some {
        /// Its revision in the bucket.
        revision: u64,
        /// The document as received.
        raw: Vec<u8>,
    },
}

impl Device {
    /// Hands in the highest generation that the device's own last status tells of, `None` when
    /// it tells of none. Says whether a document was waiting for that and is due for a pass now.
    pub fn take_floor(&mut self, floor: Option<HighWaterMark>) -> bool {
        if !self.asks_for_floor {
            return false;
        }
        self.asks_for_floor = false;
        let highest = self.store.body().highest;
        if floor.is_some() && highest.is_none() {
            self.store.ledger_was_lost(
                "the ledger was missing, though this device has accepted documents before; began anew",
            );
            self.executor.ledger_was_lost();
        }
        let higher =
            floor.filter(|floor| highest.is_none_or(|highest| floor.generation > highest.generation));
        let body =
            LedgerBody { highest: higher.or(highest), needs_floor: false, ..self.store.body().clone() };
        self.recorded(body);
        self.unjudged.take().is_some_and(|value| self.take_entry(value))
    }

    /// Hands in the newest entry. Says whether a pass is due for it.
    pub fn take_entry(&mut self, value: DesiredValue) -> bool {
        self.candidate = None;
        self.unjudged = None;
        self.refused_by_the_clock = None;
        let DesiredValue::Some { revision, raw } = value else {
            tracing::info!("no entry for this device; what was accepted stays in force");
            (self.entry, self.judgement) = (SeenEntry::None, Judgement::NoEntry);
            return false;
        };
        let received = self.acceptance.receive(&raw, self.present());
        let glance = received.glance.clone();
        self.entry = SeenEntry::Entry(Desired {
            revision,
            generation: glance.generation,
            digest: received.digest,
            kind: glance.kind,
            schema_version: glance.schema_version,
        });
        if self.asks_for_floor {
            tracing::info!(revision, "the document waits until this device's last status is known");
            self.judgement = Judgement::NotYet;
            self.unjudged = Some(DesiredValue::Some { revision, raw });
            return false;
        }
        let digest = received.digest;
        let barred = self.first_passes.bars(digest);
        if barred && self.digest_in_force() != Some(digest) {
            tracing::warn!(revision, "the document is left alone: the agent crashed with it again and again");
            self.judgement = Judgement::SafeMode;
            self.unjudged = Some(DesiredValue::Some { revision, raw });
            return false;
        }
        // Reading it may be what crashes. What has no generation is refused before.
        if let Some(generation) = glance.generation.filter(|_| !barred) {
            self.first_passes.begin(DocumentId { generation, digest }, Reach::Acting);
        }
        let was_safe = self.safe_mode().is_some();
        let is_candidate = self.judge(revision, &raw, received);
        if !is_candidate {
            self.first_passes.leave_off();
        }
        let ends_safe_mode = was_safe && self.safe_mode().is_none();
        if ends_safe_mode {
            tracing::warn!(revision, "safe mode ends: this is another document");
        }
        is_candidate || ends_safe_mode
    }

    /// A document that the clock refused may have been so by a wrong one alone, and nothing else would
    /// ever bring it back.
    pub(super) fn judge_again_after_the_clock_was_set(&mut self) {
        let present = self.present();
        let judged = self.refused_by_the_clock.take_if(|(_, earlier)| present.may_overrule(*earlier));
        if let Some((value, _)) = judged {
            self.take_entry(value);
        }
    }

    pub(super) fn present(&self) -> Present {
        self.acceptance.present(self.clock.now().wall, self.store.body().accepted.as_ref())
    }

    /// Whether the document waits to be put in force now.
    fn judge(&mut self, revision: u64, raw: &[u8], received: Received) -> bool {
        let (digest, generation, signer) = (received.digest, received.glance.generation, received.signer);
        let body = self.store.body();
        let present = self.present();
        let gone_back_from = body.gone_back_from().map(|late| late.digest);
        let (highest, in_force) = (body.highest, body.accepted.as_ref());
        match self.acceptance.judge(raw, received, highest, in_force, gone_back_from, present) {
            Ok(Verdict::InForce { signed_anew_by }) => {
                if let (Some(signer), Some(document)) = (signed_anew_by, self.store.body().accepted.clone()) {
                    let document = AcceptedDocument { signer: Some(signer), raw: raw.into(), ..document };
                    self.recorded(LedgerBody { accepted: Some(document), ..self.store.body().clone() });
                }
                self.forget_passes_of_other_documents(digest);
                if self.safe_mode().is_none() {
                    self.read_in_force();
                }
                let ignored =
                    self.in_force.as_ref().map(|lowered| lowered.ignored.clone()).unwrap_or_default();
                self.judgement = Judgement::Accepted { ignored, may_be_over: false };
                false
            }
            Ok(Verdict::WasInForce) => {
                self.judgement = Judgement::Accepted { ignored: Vec::new(), may_be_over: false };
                false
            }
            Ok(Verdict::Acceptable(candidate)) => {
                self.forget_passes_of_other_documents(digest);
                tracing::info!(revision, generation = %candidate.document.generation, "document acceptable");
                self.judgement = Judgement::NotYet;
                self.candidate = Some(candidate);
                true
            }
            Err(refusal) => {
                tracing::warn!(revision, reason = %refusal.reason, message = refusal.message, "document refused");
                let happening = Happening::rejected(revision, refusal.reason.as_str(), &refusal.message);
                self.note(Draft { generation, document: Some(digest), signer, ..self.draft(happening) });
                if refusal.is_by_the_clock {
                    let value = DesiredValue::Some { revision, raw: raw.to_vec() };
                    self.refused_by_the_clock = Some((value, present));
                }
                self.judgement = Judgement::Refused(refusal);
                false
            }
        }
    }

    /// Tells of a document that comes in during the next pass whether it would be put in force
    /// after it, so that the pass should end early.
    pub fn successor_test(&self) -> impl Fn(&[u8]) -> bool + use<> {
        let acceptance = Arc::clone(&self.acceptance);
        let clock = self.clock.clone();
        let body = self.store.body();
        let newer = self.candidate.as_deref().filter(|candidate| candidate.instead_of.is_none());
        let next = newer.map(|candidate| &candidate.document).or(body.accepted.as_ref()).cloned();
        let highest = newer.map_or(body.highest, |candidate| Some(high_water_mark(&candidate.document)));
        let late = body.gone_back_from().map(|late| late.digest).filter(|_| newer.is_none());
        move |raw| {
            let present = acceptance.present(clock.now().wall, next.as_ref());
            let received = acceptance.receive(raw, present);
            let verdict = acceptance.judge(raw, received, highest, next.as_ref(), late, present);
            matches!(verdict, Ok(Verdict::Acceptable(_)))
        }
    }

    /// What crashed with a document that is neither this one nor in force is of no interest any more.
    pub(super) fn forget_passes_of_other_documents(&mut self, digest: Digest) {
        let in_force = self.digest_in_force();
        self.first_passes.retain(|known| known == digest || Some(known) == in_force);
    }
}

fn high_water_mark(document: &AcceptedDocument) -> HighWaterMark {
    HighWaterMark { generation: document.generation, digest: Some(document.digest) }
}
