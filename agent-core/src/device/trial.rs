//! Going back from a document that did not converge in its time.
//!
//! ```text
//! pass ─▶ keep_time ─▶ time is up? ─▶ what was not ready, its last lines ─▶ the document before it, as a candidate
//! ```
//!
//! From there on it is put in force as any other: by the very ledger write that holds the intents of its first pass.
//! So a power cut at any moment leaves either document in force, and nobody goes back twice.

use std::{
    future::{Future, pending},
    time::Duration,
};

use agent_model::{Digest, status::RolledBack};
use tokio::time::{Instant, sleep_until};

use super::{Device, not_ready};
use crate::{
    acceptance::Candidate,
    audit::{Draft, Happening},
    ledger::{AcceptedDocument, LedgerBody, Trial},
    safe_mode::{DocumentId, Reach},
};

/// Why a device goes back, in one word: there is no other reason.
const REASON: &str = "DeadlineExceeded";

/// The time of the document in force, by the clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Countdown {
    document: Digest,
    /// When it is up.
    ends: Instant,
}

impl Device {
    /// From now on goes back from documents whose time is up. Without this the ledger merely tells when that is.
    pub fn heed_deadlines(&mut self) {
        self.heeds_deadlines = true;
    }

    /// When the time of the document in force is up; `None` where it has none, or a pause holds it.
    pub(super) fn time_ends(&self) -> Option<Instant> {
        self.countdown.map(|countdown| countdown.ends)
    }

    /// Whether the device goes back in its next pass, unless a newer document comes first.
    pub fn time_is_up(&self) -> bool {
        let is_up = self.time_ends().is_some_and(|ends| ends <= self.clock.now().monotonic);
        is_up && self.candidate.is_none() && self.pause_in_force().is_none()
    }

    /// Ready when the time of the document, of which the next pass is or which it puts in force, has been up for so
    /// long. A pass that goes back has all the time there is.
    pub fn overdue(&self, grace: Duration) -> impl Future<Output = ()> + use<> {
        let mut time = self.time_of_pass.subscribe();
        async move {
            let mut ends = None;
            loop {
                // Dropped, each arm keeps what it has: the watch its newest value, the timer its time.
                tokio::select! {
                    changed = time.changed() => match changed {
                        Ok(()) => ends = *time.borrow_and_update(),
                        Err(_) => return pending().await,
                    },
                    () = sleep_until(ends.map_or_else(Instant::now, |ends| ends + grace)), if ends.is_some() => return,
                }
            }
        }
    }

    /// Goes on counting after a start or a pause, holds on for a pause, and notes when the time ends where the clock was
    /// set since.
    pub(super) fn keep_time(&mut self) {
        let Some(trial) = self.store.body().running_trial().filter(|_| self.heeds_deadlines) else {
            self.countdown = None;
            return;
        };
        let now = self.clock.now();
        if self.pause_in_force().is_some() {
            let held = trial.held();
            self.countdown = None;
            self.note_trial(held);
        } else if let Some(countdown) = self.countdown.filter(|countdown| countdown.document == trial.digest)
        {
            let kept = trial.kept(now.wall, countdown.ends.saturating_duration_since(now.monotonic));
            self.note_trial(kept);
        } else {
            let (noted, left) = trial.taken_up(now.wall);
            tracing::info!(
                ?left,
                "the document in force is to be ready in this time, or the one before it comes back"
            );
            self.countdown = Some(Countdown { document: noted.digest, ends: now.monotonic + left });
            self.note_trial(noted);
        }
    }

    /// Begins to count for a document that has been put in force, unless that goes on for the same one.
    pub(super) fn begin_counting(&mut self) {
        let now = self.clock.now().monotonic;
        let trial = self.store.body().running_trial().filter(|_| self.heeds_deadlines);
        let counting = self.countdown.take();
        self.countdown = trial.filter(|trial| trial.ends.is_some()).map(|trial| {
            let begun = Countdown { document: trial.digest, ends: now + trial.deadline() };
            counting.filter(|counting| counting.document == trial.digest).unwrap_or(begun)
        });
    }

    /// The last document that converged, ready to be put in force in the place of one whose time is up. This takes a
    /// moment: the last lines of what is not ready are read.
    pub(super) async fn prepare_to_go_back(&mut self) -> Option<Box<Candidate>> {
        let body = self.store.body();
        let trial = body.running_trial()?.clone();
        let (fallback, late) = (body.way_back()?.clone(), body.accepted.clone()?);
        if self.first_passes.bars(fallback.digest) {
            self.first_passes.retain(|document| document != fallback.digest);
            self.stay("the agent crashed with it again and again", &fallback);
            return None;
        }
        self.first_passes.begin(DocumentId::from(&fallback), Reach::Acting);
        let read = self.acceptance.read_fallback(fallback.clone(), self.present());
        self.first_passes.leave_off();
        let (fallback, lowered) = match read {
            Ok(read) => read,
            Err(refusal) => {
                self.stay(&refusal.to_string(), &fallback);
                return None;
            }
        };
        let safe_mode = self.first_passes.safe_mode();
        let last = self
            .reporter
            .last()
            .filter(|status| status.accepted.as_ref().is_some_and(|accepted| accepted.digest == late.digest));
        let mut resources = not_ready::of(last.map_or(&[], |status| &status.resources));
        let message = not_ready::in_words(&late, &trial, &fallback, last, safe_mode);
        if safe_mode.is_none() {
            // Reading it, or what it has printed, may be what crashes. After some crashes it goes without.
            self.first_passes.begin(DocumentId::from(&late), Reach::Acting);
            self.read_in_force();
            if let Some(lowered) = &self.in_force {
                not_ready::add_log_tails(&mut resources, &self.executor, &lowered.state).await;
            }
            self.first_passes.leave_off();
        }
        tracing::warn!(generation = %late.generation, to = %fallback.generation, message, "going back");
        let (generation, digest) = (late.generation, late.digest);
        let at = self.clock.now().wall;
        let rolled_back =
            RolledBack { generation, digest, at, reason: REASON.to_owned(), message, resources };
        let instead_of = Some(rolled_back);
        Some(Box::new(Candidate { document: fallback, lowered, may_be_over: false, instead_of }))
    }

    /// There is no way back, for this reason: from now on the document in force has all the time there is.
    fn stay(&mut self, why: &str, fallback: &AcceptedDocument) {
        let generation = fallback.generation;
        let message =
            format!("its time is up, but generation {generation} cannot be put in force again: {why}");
        tracing::warn!(message, "not going back");
        let body = self.store.body();
        let draft = super::about(body, self.draft(Happening::blocked("NoWayBack", &message)));
        self.store.audit().note(draft);
        self.countdown = None;
        self.recorded(LedgerBody { trial: None, ..self.store.body().clone() });
    }

    fn note_trial(&mut self, trial: Trial) {
        if self.store.body().trial.as_ref() != Some(&trial) {
            self.recorded(LedgerBody { trial: Some(trial), ..self.store.body().clone() });
        }
    }

    /// What the audit log says of a candidate that is put in force.
    pub(super) fn succession(&self, candidate: &Candidate, after: &LedgerBody) -> Draft {
        match &candidate.instead_of {
            None => super::about(after, self.draft(Happening::Accepted)),
            Some(RolledBack { reason, message, .. }) => {
                super::about(self.store.body(), self.draft(Happening::rolled_back(reason, message)))
            }
        }
    }
}

/// What the ledger says once this candidate is in force.
pub(super) fn with_in_force(
    body: LedgerBody,
    candidate: &Candidate,
    now: agent_model::Timestamp,
    paused: bool,
) -> LedgerBody {
    let Candidate { document, lowered, may_be_over: _, instead_of } = candidate;
    match instead_of {
        None => body.succeeded_by(document.clone(), lowered.state.rollback_deadline(), now, paused),
        Some(late) => body.gone_back_to(document.clone(), late.clone()),
    }
}
