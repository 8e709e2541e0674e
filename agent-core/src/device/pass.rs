//! A pass over everything that a document declares or the ledger holds.
//!
//! ```text
//! prepare ─▶ ledger: intents, document in force ─▶ run ─▶ ledger: what came of it ─▶ release
//! ```

use std::{pin::pin, time::Duration};

use agent_model::{
    Failure, Timestamp,
    status::{AgentStatus, ResourceRef, ResourceState},
};
use tokio::time::Instant;

use super::{Device, about, trial::with_in_force};
use crate::{
    acceptance::Candidate,
    audit::{Draft, Happening, Trail},
    executor::{DocumentPast, Pass, PassOutcome},
    ledger::{AppliedDocument, KIND_UNKNOWN, LedgerBody, StoreFailure, Unknown},
    pause::Pause,
    safe_mode::{DocumentId, Reach},
    status::report::Judgement,
};

/// A pass that lasts longer says so in the status meanwhile. Shorter ones are not worth a write.
const PROGRESS_AFTER: Duration = Duration::from_millis(250);

/// Why no pass can be made: in safe mode …
pub(super) const SAFE_MODE: &str = "SafeMode";
/// … and where the document in force cannot be read. Then all that we hold is said to wait, however it is.
pub(super) const UNREADABLE: &str = "DocumentUnreadable";

/// Why a resource waits for a disk that does not serve.
pub(super) const STATE_STORE: &str = "StateStore";

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Everything had its turn, whatever came of it.
    Over,
    /// Something was left for a later pass.
    Early,
}

impl Device {
    /// Looks at everything and does what is to be done, first of all for a document that waits to
    /// be put in force. `superseded` tells that the pass should end early; `progress` gets the
    /// status while a long pass is under way.
    pub async fn pass(&mut self, superseded: impl Fn() -> bool, progress: impl FnMut(AgentStatus)) {
        self.held_back = false;
        self.time_of_pass.send_replace(None);
        self.judge_again_after_the_clock_was_set();
        self.keep_time();
        if self.time_is_up()
            && let Some(way_back) = self.prepare_to_go_back().await
        {
            // Preparing took a moment, and what came in meanwhile goes first.
            if superseded() {
                return self.first_passes.leave_off();
            }
            self.candidate = Some(way_back);
        }
        if self.safe_mode().is_some() {
            return self.leave_alone(SAFE_MODE);
        }
        let next = self.candidate.as_ref().map(|candidate| &candidate.document);
        let Some(document) = next.or(self.store.body().accepted.as_ref()).map(DocumentId::from) else {
            self.outcome = None;
            return self.find_out_whether_the_disk_serves();
        };
        let pause = self.pause_in_force();
        let reach = if pause.is_some() { Reach::Planning } else { Reach::Acting };
        self.first_passes.begin(document, reach);
        match self.go_through(pause, superseded, progress).await {
            Ending::Over => self.first_passes.passed(document, reach),
            Ending::Early => self.first_passes.leave_off(),
        }
    }

    async fn go_through(
        &mut self,
        pause: Option<Pause>,
        superseded: impl Fn() -> bool,
        progress: impl FnMut(AgentStatus),
    ) -> Ending {
        let now = self.clock.now();
        let body = self.body_of_pass(now.wall, pause.is_some());
        let next = self.candidate.as_ref().map(|candidate| &candidate.lowered);
        let (Some(lowered), Some(document)) = (next.or(self.in_force.as_ref()), &body.accepted) else {
            self.leave_alone(UNREADABLE);
            return Ending::Over;
        };
        let applied = body.applied.as_ref().map(|applied| applied.digest);
        let past = DocumentPast { signer: document.signer, has_converged: applied == Some(document.digest) };
        let mut pass = self.executor.prepare(&lowered.state, past, &body.inventory, now).await;
        self.hold_back(&mut pass, &body, pause);
        let (log, clock) = (self.store.audit().clone(), self.clock.clone());
        let mut trail = Trail::new(log, clock, document, pass.announce());
        if pass.has_work() || self.candidate.is_some() {
            if let Err(failure) = self.commit(&body, &pass, &mut trail, now.monotonic) {
                self.not_committed(failure, &pass);
                return Ending::Early;
            }
            if let Some(candidate) = self.candidate.take() {
                self.put_in_force(*candidate);
                self.time_of_pass.send_replace(self.time_ends());
            }
        }
        let outcome = self.run(pass, trail, superseded, progress).await;
        let ending = if outcome.interrupted { Ending::Early } else { Ending::Over };
        self.remember(body, outcome);
        self.release_dropped().await;
        ending
    }

    /// What the ledger says once this pass has begun, but for its intents.
    fn body_of_pass(&mut self, now: Timestamp, paused: bool) -> LedgerBody {
        if let Some(candidate) = &self.candidate {
            return with_in_force(self.store.body().clone(), candidate, now, paused);
        }
        self.time_of_pass.send_replace(self.time_ends());
        self.read_in_force();
        self.store.body().clone()
    }

    fn hold_back(&mut self, pass: &mut Pass, body: &LedgerBody, pause: Option<Pause>) {
        let needed = body.needed_by_unknown_kinds();
        if !needed.is_empty() {
            let message = "is needed by something of a kind that only a newer agent knows";
            pass.hold_removals_back(&needed, KIND_UNKNOWN, message);
        }
        if let Some(pause) = pause {
            self.held_back = true;
            pass.hold_all_back("Paused", &format!("held back {}", pause.end_in_words()));
        }
    }

    /// Makes durable what the pass is going to do, and the document in force with it.
    fn commit(
        &mut self,
        body: &LedgerBody,
        pass: &Pass,
        trail: &mut Trail,
        now: Instant,
    ) -> Result<(), StoreFailure> {
        let succession = self.candidate.as_ref().map(|candidate| self.succession(candidate, body));
        let before = u64::from(succession.is_some());
        let batch = succession.into_iter().chain(trail.begin()).collect();
        let intents = LedgerBody { inventory: pass.intents(), ..body.clone() };
        trail.begun(self.store.commit(intents, batch, now)? + before);
        Ok(())
    }

    /// Nothing was touched, and says so.
    fn not_committed(&mut self, failure: StoreFailure, pass: &Pass) {
        match self.candidate.take_if(|candidate| candidate.instead_of.is_some()) {
            // It still is in force from which the device would go back, and its time is up still.
            Some(_) => {}
            None if self.candidate.is_some() => {
                // Nobody looks any more at what the document before it declares.
                let inventory = &self.store.body().inventory;
                let left = PassOutcome::left_alone(inventory, STATE_STORE, &failure.to_string());
                // What comes of the document is open, and it is looked at as soon as the disk serves.
                self.outcome = Some(PassOutcome { interrupted: true, ..left });
                self.judgement = Judgement::StoreFailed(failure);
            }
            None => {
                self.outcome = Some(pass.preview(ResourceState::Pending, STATE_STORE, &failure.to_string()));
            }
        }
    }

    async fn run(
        &mut self,
        pass: Pass,
        trail: Trail,
        superseded: impl Fn() -> bool,
        mut progress: impl FnMut(AgentStatus),
    ) -> PassOutcome {
        let ends = self.time_ends();
        let superseded = move || superseded() || ends.is_some_and(|ends| ends <= Instant::now());
        let preview = pass.has_work().then(|| pass.preview(ResourceState::Applying, "Applying", ""));
        let mut run = pin!(pass.run(superseded, trail));
        let mut outcome = match tokio::time::timeout(PROGRESS_AFTER, &mut run).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.outcome = preview;
                progress(self.report());
                run.await
            }
        };
        // What is there only after its time is late all the same.
        outcome.interrupted |= self.time_is_up();
        outcome
    }

    /// Records what came of a pass, and judges by it what is tried again and when.
    fn remember(&mut self, body: LedgerBody, mut outcome: PassOutcome) {
        let now = self.clock.now();
        for (resource, failure) in self.executor.learn(&mut outcome, now) {
            self.store.audit().note(about(&body, self.blocked(resource, &failure)));
        }
        self.dropped.append(&mut outcome.dropped);
        let applied = newly_applied(&body, &outcome, now.wall).or(body.applied.clone());
        let body = LedgerBody { inventory: outcome.inventory.clone(), applied, ..body };
        if outcome.is_converged() {
            self.countdown = None;
            self.recorded(body.settled());
        } else {
            self.recorded(body);
        }
        self.outcome = Some(outcome);
    }

    /// The pass that was dropped in its middle was ended on purpose: that is no crash.
    pub fn pass_was_dropped(&mut self) {
        self.first_passes.leave_off();
    }

    /// No pass can be made: all that we hold is left as it is.
    fn leave_alone(&mut self, reason: &'static str) {
        let inventory = &self.store.body().inventory;
        self.outcome = Some(PassOutcome::left_alone(inventory, reason, "left as it is"));
        self.find_out_whether_the_disk_serves();
    }

    /// Writes only after a write that failed.
    fn find_out_whether_the_disk_serves(&mut self) {
        self.recorded(self.store.body().clone());
    }

    fn put_in_force(&mut self, candidate: Candidate) {
        let Candidate { document, lowered, may_be_over, instead_of } = candidate;
        tracing::info!(generation = %document.generation, "document in force");
        self.forget_passes_of_other_documents(document.digest);
        if instead_of.is_none() {
            self.judgement = Judgement::Accepted { ignored: lowered.ignored.clone(), may_be_over };
            if lowered.state.rollback_deadline().is_some() && self.store.body().running_trial().is_none() {
                tracing::info!("nothing else has converged on this device: there is nothing to go back to");
            }
        }
        self.in_force = Some(lowered);
        self.unreadable = None;
        self.begin_counting();
    }

    /// Reads the document in force where that was not done yet. Not at the start but in its first pass,
    /// because an agent that crashes here must be kept from it as well.
    pub(super) fn read_in_force(&mut self) {
        let Some(document) = &self.store.body().accepted else { return };
        if self.in_force.is_some() || self.unreadable.is_some() {
            return;
        }
        match self.acceptance.read_accepted(document) {
            Ok(lowered) => self.in_force = Some(lowered),
            Err(refusal) => {
                tracing::warn!(
                    reason = %refusal.reason,
                    message = refusal.message,
                    "the document in force cannot be read any more; all is left as it is"
                );
                self.unreadable = Some(refusal);
            }
        }
    }

    /// Lets go of what was kept for claims that the ledger has durably forgotten.
    async fn release_dropped(&mut self) {
        if self.store.retry().is_none() {
            let dropped = std::mem::take(&mut self.dropped);
            self.executor.release(dropped, &self.store.body().inventory).await;
        }
    }

    fn blocked(&self, resource: ResourceRef, failure: &Failure) -> Draft {
        let happening = Happening::blocked(&failure.reason, &failure.message);
        Draft { resource: Some(resource), ..self.draft(happening) }
    }
}

/// The document in force, when this pass is the first in which it fully converged. What a newer agent made of kinds that
/// are unknown here is in no document that this one reads, so it ought to be gone.
fn newly_applied(body: &LedgerBody, outcome: &PassOutcome, now: Timestamp) -> Option<AppliedDocument> {
    let is_converged = outcome.is_converged() && body.unknown_claims.is_empty();
    let document = body.accepted.as_ref().filter(|_| is_converged)?;
    let before = body.applied.as_ref().filter(|applied| applied.digest == document.digest);
    match before {
        Some(_) => None,
        None => Some(AppliedDocument {
            generation: document.generation,
            digest: document.digest,
            at: now,
            unknown: Unknown::new(),
        }),
    }
}
