//! What is in force on this device and how it stands, without any transport.
//!
//! ```text
//! take_entry ─▶ acceptance ─▶ candidate ─▶ pass: prepare ─▶ ledger ─▶ run ─▶ ledger ─▶ report
//! ```
//!
//! A document is put in force by the very ledger write that holds the intents of its first pass:
//! before it, the old document is in force and nothing has been touched.

use std::{pin::pin, time::Duration};

use agent_model::{
    Lowered, Timestamp,
    status::{AgentStatus, Desired, ResourceState},
};
use tokio::time::Instant;

use crate::{
    acceptance::{Acceptance, Candidate, Verdict},
    backoff::Backoff,
    clock::Clock,
    envelope::{HighWaterMark, Received, Refusal},
    executor::{Executor, PassOutcome},
    ledger::{AppliedDocument, Ledger, LedgerBody, Loaded, OpenPass, Provenance, StoreFailure},
    status::report::{Judgement, Reporter, SeenEntry, Situation, StoreHealth},
};

/// A pass that lasts longer says so in the status meanwhile. Shorter ones are not worth a write.
const PROGRESS_AFTER: Duration = Duration::from_millis(250);
/// How often a disk that does not serve is tried again.
const STORE_RETRY: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(60) };

/// What a device is made of.
pub struct DeviceParts {
    /// Judges documents.
    pub acceptance: Acceptance,
    /// Carries them out.
    pub executor: Executor,
    /// Remembers.
    pub loaded: Loaded,
    /// Words the status.
    pub reporter: Reporter,
    /// Tells the time.
    pub clock: Clock,
}

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

/// The device.
pub struct Device {
    acceptance: Acceptance,
    executor: Executor,
    ledger: Ledger,
    reporter: Reporter,
    clock: Clock,
    /// The document in force, lowered; `None` when there is none or it cannot be read any more.
    in_force: Option<Lowered>,
    unreadable: Option<Refusal>,
    /// A document that waits to be put in force.
    candidate: Option<Box<Candidate>>,
    /// An entry that cannot be judged before the floor is known.
    unjudged: Option<DesiredValue>,
    entry: SeenEntry,
    judgement: Judgement,
    outcome: Option<PassOutcome>,
    store: StoreHealth,
    recovered: Option<String>,
    store_failures: u64,
    store_retry: Option<Instant>,
}

impl Device {
    /// A device that knows what it has accepted and has not looked at anything yet.
    pub fn new(parts: DeviceParts) -> Self {
        let DeviceParts { acceptance, executor, loaded: Loaded { ledger, provenance }, reporter, clock } =
            parts;
        let recovered = match provenance {
            Provenance::Recovered { message } => Some(message),
            Provenance::Intact | Provenance::New => None,
        };
        let (in_force, unreadable) = match &ledger.body().accepted {
            None => (None, None),
            Some(document) => match acceptance.read_accepted(document) {
                Ok(lowered) => (Some(lowered), None),
                Err(refusal) => (None, Some(refusal)),
            },
        };
        let mut device = Self {
            acceptance,
            executor,
            ledger,
            reporter,
            clock,
            in_force,
            unreadable,
            candidate: None,
            unjudged: None,
            entry: SeenEntry::Unread,
            judgement: Judgement::NotYet,
            outcome: None,
            store: StoreHealth::Healthy,
            recovered,
            store_failures: 0,
            store_retry: None,
        };
        device.store_served();
        device
    }

    /// What must not be forgotten.
    pub fn ledger(&self) -> &LedgerBody {
        self.ledger.body()
    }

    /// Whether the device must know its own last status before it accepts anything.
    pub fn needs_floor(&self) -> bool {
        self.ledger.body().needs_floor
    }

    /// Hands in the device's own last status, `None` when it never had one. Says whether a
    /// document was waiting for that and may be put in force by a pass now.
    pub fn take_floor(&mut self, status: Option<&AgentStatus>) -> bool {
        if !self.needs_floor() {
            return false;
        }
        let floor = status.and_then(floor);
        let highest = self.ledger.body().highest;
        let higher =
            floor.filter(|floor| highest.is_none_or(|highest| floor.generation > highest.generation));
        let body =
            LedgerBody { highest: higher.or(highest), needs_floor: false, ..self.ledger.body().clone() };
        self.recorded(body);
        self.unjudged.take().is_some_and(|value| self.take_entry(value))
    }

    /// Hands in the newest entry. Says whether a pass is due for it.
    pub fn take_entry(&mut self, value: DesiredValue) -> bool {
        self.candidate = None;
        self.unjudged = None;
        let DesiredValue::Some { revision, raw } = value else {
            tracing::info!("no entry for this device; what was accepted stays in force");
            (self.entry, self.judgement) = (SeenEntry::None, Judgement::NoEntry);
            return false;
        };
        let received = Received::read(&raw);
        let glance = received.glance.clone();
        self.entry = SeenEntry::Entry(Desired {
            revision,
            generation: glance.generation,
            digest: received.digest,
            kind: glance.kind,
            schema_version: glance.schema_version,
        });
        if self.needs_floor() {
            tracing::info!(revision, "the document waits until this device's last status is known");
            self.judgement = Judgement::NotYet;
            self.unjudged = Some(DesiredValue::Some { revision, raw });
            return false;
        }
        self.judge(revision, &raw, received)
    }

    fn judge(&mut self, revision: u64, raw: &[u8], received: Received) -> bool {
        let body = self.ledger.body();
        let now = self.clock.now().wall;
        match self.acceptance.judge(raw, received, body.highest, body.accepted.as_ref(), now) {
            Ok(Verdict::InForce) => {
                let ignored =
                    self.in_force.as_ref().map(|lowered| lowered.ignored.clone()).unwrap_or_default();
                self.judgement = Judgement::Accepted { ignored };
                false
            }
            Ok(Verdict::Acceptable(candidate)) => {
                tracing::info!(revision, generation = %candidate.document.generation, "document acceptable");
                self.judgement = Judgement::NotYet;
                self.candidate = Some(candidate);
                true
            }
            Err(refusal) => {
                tracing::warn!(revision, reason = %refusal.reason, message = refusal.message, "document refused");
                self.judgement = Judgement::Refused(refusal);
                false
            }
        }
    }

    /// Looks at everything and does what is to be done, first of all for a document that waits to
    /// be put in force. `superseded` tells that a newer entry has come in; `progress` gets the
    /// status while a long pass is under way.
    pub async fn pass(&mut self, superseded: impl Fn() -> bool, mut progress: impl FnMut(AgentStatus)) {
        if matches!(self.store, StoreHealth::Failing(_)) {
            match self.ledger.rewrite() {
                Ok(()) => self.store_served(),
                Err(failure) => return self.store_failed(failure),
            }
        }
        let candidate = self.candidate.take();
        let Some(lowered) = candidate.as_ref().map(|candidate| &candidate.lowered).or(self.in_force.as_ref())
        else {
            return;
        };
        let before = self.ledger.body();
        let body = match &candidate {
            Some(candidate) => in_force(before.clone(), candidate),
            None => before.clone(),
        };
        let now = self.clock.now();
        let pass = self.executor.prepare(&lowered.state, &body.inventory, now).await;
        let has_work = pass.has_work();
        if has_work {
            let generation = body.accepted.as_ref().map(|document| document.generation);
            let intents = LedgerBody {
                inventory: pass.intents(),
                open_pass: Some(OpenPass { generation, since: now.wall }),
                ..body.clone()
            };
            if let Err(failure) = self.ledger.commit(intents) {
                if candidate.is_none() {
                    let message = failure.to_string();
                    self.outcome = Some(pass.preview(ResourceState::Pending, "StateStore", &message));
                }
                return self.not_accepted(candidate, failure);
            }
            self.store_served();
        }
        let mut candidate = candidate;
        if has_work && let Some(candidate) = candidate.take() {
            self.put_in_force(*candidate);
        }
        let preview = has_work.then(|| pass.preview(ResourceState::Applying, "Applying", ""));
        let mut run = pin!(pass.run(superseded));
        let mut outcome = match tokio::time::timeout(PROGRESS_AFTER, &mut run).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.outcome = preview;
                progress(self.report());
                run.await
            }
        };
        let now = self.clock.now();
        self.executor.learn(&mut outcome, now);
        let applied = newly_applied(&body, &outcome, now.wall).or(body.applied.clone());
        let after = LedgerBody { inventory: outcome.inventory.clone(), open_pass: None, applied, ..body };
        match candidate {
            // Nothing was to be done for it, so this is the write that puts it in force.
            Some(candidate) => match self.ledger.commit(after) {
                Ok(()) => {
                    self.store_served();
                    self.put_in_force(*candidate);
                }
                Err(failure) => return self.not_accepted(Some(candidate), failure),
            },
            None => self.recorded(after),
        }
        self.outcome = Some(outcome);
    }

    /// When a pass is due by itself: to try something again that failed, or to go on with what
    /// was interrupted.
    pub fn due(&self) -> Option<Instant> {
        let interrupted = self.outcome.as_ref().is_some_and(|outcome| outcome.interrupted);
        let resume = interrupted.then(|| self.clock.now().monotonic);
        [self.executor.next_retry(), self.store_retry, resume].into_iter().flatten().min()
    }

    /// Whether the newest entry has been read since the start. Before that, a report would tell
    /// the platform less than the last one did.
    pub fn has_seen_entry(&self) -> bool {
        self.entry != SeenEntry::Unread
    }

    /// Counts an event. The number is durable where the disk serves.
    pub fn next_event_seq(&mut self) -> u64 {
        let seq = self.ledger.body().event_seq.saturating_add(1);
        let body = LedgerBody { event_seq: seq, ..self.ledger.body().clone() };
        self.recorded(body);
        seq
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// What is to be said now.
    pub fn report(&mut self) -> AgentStatus {
        self.reporter.report(Situation {
            now: self.clock.now().wall,
            entry: &self.entry,
            judgement: &self.judgement,
            ledger: self.ledger.body(),
            unreadable: self.unreadable.as_ref(),
            outcome: self.outcome.as_ref(),
            store: &self.store,
        })
    }

    fn put_in_force(&mut self, candidate: Candidate) {
        tracing::info!(generation = %candidate.document.generation, "document accepted");
        self.judgement = Judgement::Accepted { ignored: candidate.lowered.ignored.clone() };
        self.in_force = Some(candidate.lowered);
        self.unreadable = None;
    }

    fn not_accepted(&mut self, candidate: Option<Box<Candidate>>, failure: StoreFailure) {
        if candidate.is_some() {
            self.judgement = Judgement::StoreFailed(failure.clone());
            self.candidate = candidate;
        }
        self.store_failed(failure);
    }

    fn recorded(&mut self, body: LedgerBody) {
        match self.ledger.record(body) {
            Ok(()) => self.store_served(),
            Err(failure) => self.store_failed(failure),
        }
    }

    fn store_failed(&mut self, failure: StoreFailure) {
        tracing::error!(%failure, "the ledger cannot be written; nothing is accepted or changed");
        self.store = StoreHealth::Failing(failure);
        self.store_failures += 1;
        let delay = STORE_RETRY.delay(self.store_failures, 1.0);
        self.store_retry = Some(self.clock.now().monotonic + delay);
    }

    fn store_served(&mut self) {
        self.store_failures = 0;
        self.store_retry = None;
        self.store = match &self.recovered {
            Some(message) => StoreHealth::Recovered { message: message.clone() },
            None => StoreHealth::Healthy,
        };
    }
}

/// The highest generation in a device's own status, and its content where the status tells it.
fn floor(status: &AgentStatus) -> Option<HighWaterMark> {
    let generation = status.highest_generation?;
    let accepted = status.accepted.as_ref().filter(|accepted| accepted.generation == generation);
    Some(HighWaterMark { generation, digest: accepted.map(|accepted| accepted.digest) })
}

fn in_force(body: LedgerBody, candidate: &Candidate) -> LedgerBody {
    let document = &candidate.document;
    let highest = HighWaterMark { generation: document.generation, digest: Some(document.digest) };
    LedgerBody { accepted: Some(document.clone()), highest: Some(highest), ..body }
}

/// The document in force, when this pass is the first in which it fully converged.
fn newly_applied(body: &LedgerBody, outcome: &PassOutcome, now: Timestamp) -> Option<AppliedDocument> {
    let document = body.accepted.as_ref().filter(|_| outcome.is_converged())?;
    let before = body.applied.as_ref().filter(|applied| applied.digest == document.digest);
    match before {
        Some(_) => None,
        None => Some(AppliedDocument { generation: document.generation, digest: document.digest, at: now }),
    }
}

#[cfg(test)]
mod tests;
