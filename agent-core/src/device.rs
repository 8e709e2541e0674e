//! What is in force on this device and how it stands, without any transport.
//!
//! ```text
//! take_entry ─▶ acceptance ─▶ candidate ─▶ pass: prepare ─▶ ledger ─▶ run ─▶ ledger ─▶ report
//! ```
//!
//! A document is put in force by the very ledger write that holds the intents of its first pass:
//! before it, the old document is in force and nothing has been touched.

use std::{pin::pin, sync::Arc, time::Duration};

use agent_model::{
    Claim, Lowered, ResourceKind, ResourceName, Timestamp,
    status::{AgentStatus, Desired, ResourceState},
};
use tokio::time::Instant;

use crate::{
    acceptance::{Acceptance, Candidate, Verdict},
    backoff::Backoff,
    clock::Clock,
    envelope::{HighWaterMark, Received, Refusal},
    executor::{Executor, PassOutcome},
    ledger::{
        AcceptedDocument, AppliedDocument, InventoryEntry, Ledger, LedgerBody, Loaded, Provenance,
        StoreFailure, UntypedRecord,
    },
    pause::Pause,
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
    acceptance: Arc<Acceptance>,
    executor: Executor,
    ledger: Ledger,
    reporter: Reporter,
    clock: Clock,
    /// The document in force, lowered; `None` when there is none or it cannot be read any more.
    in_force: Option<Lowered>,
    unreadable: Option<Refusal>,
    /// A document that waits to be put in force.
    candidate: Option<Box<Candidate>>,
    /// Whether nothing is judged before the floor is known.
    asks_for_floor: bool,
    /// An entry that cannot be judged before the floor is known.
    unjudged: Option<DesiredValue>,
    /// What was kept for claims that the ledger is about to forget.
    dropped: Vec<(ResourceKind, UntypedRecord)>,
    entry: SeenEntry,
    judgement: Judgement,
    outcome: Option<PassOutcome>,
    pause: Option<Pause>,
    /// Whether the last pass left things undone because of a pause.
    held_back: bool,
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
                Err(refusal) => {
                    tracing::warn!(
                        reason = %refusal.reason,
                        message = refusal.message,
                        "the document in force cannot be read any more; all is left as it is"
                    );
                    (None, Some(refusal))
                }
            },
        };
        let asks_for_floor = ledger.body().needs_floor;
        let mut device = Self {
            acceptance: Arc::new(acceptance),
            executor,
            ledger,
            asks_for_floor,
            reporter,
            clock,
            in_force,
            unreadable,
            candidate: None,
            unjudged: None,
            dropped: Vec::new(),
            entry: SeenEntry::Unread,
            judgement: Judgement::NotYet,
            outcome: None,
            pause: None,
            held_back: false,
            store: StoreHealth::Healthy,
            recovered,
            store_failures: 0,
            store_retry: None,
        };
        device.store_served();
        device
    }

    /// Takes possession of what carries our mark and is not in the ledger: an earlier ledger was lost.
    /// What no document declares of it is removed like anything else that was made before.
    pub fn take_marked(&mut self, marked: Vec<(Claim, ResourceName, UntypedRecord)>) {
        let mut body = self.ledger.body().clone();
        for (claim, name, record) in marked {
            body.inventory.entry(claim).or_insert_with_key(|claim| {
                tracing::warn!(%claim, "the ledger does not know it, but it is ours");
                InventoryEntry::unremembered(name, record)
            });
        }
        self.recorded(body);
    }

    /// What must not be forgotten.
    pub fn ledger(&self) -> &LedgerBody {
        self.ledger.body()
    }

    /// Whether the device must know its own last status before it accepts anything.
    pub fn asks_for_floor(&self) -> bool {
        self.asks_for_floor
    }

    /// Goes without the floor, because there is nobody to ask. The ledger keeps in mind that it
    /// is not known.
    pub fn go_without_floor(&mut self) {
        self.asks_for_floor = false;
    }

    /// Holds changes back from the next pass on, or no longer.
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        if pause != self.pause {
            match pause.filter(|pause| pause.lasts(self.clock.now().wall)) {
                Some(pause) => tracing::warn!("paused: changes are held back {}", pause.end_in_words()),
                None if pause.is_none() => tracing::info!("resumed"),
                None => {}
            }
        }
        self.pause = pause;
    }

    /// The pause whose time is up: it is over for good, whatever the clock says later. Told once.
    pub fn pause_that_is_over(&mut self) -> Option<Pause> {
        let now = self.clock.now().wall;
        self.pause.take_if(|pause| !pause.lasts(now))
    }

    /// The pause, while it lasts.
    pub fn pause_in_force(&self) -> Option<Pause> {
        self.pause.filter(|pause| pause.lasts(self.clock.now().wall))
    }

    /// Hands in the highest generation that the device's own last status tells of, `None` when
    /// it tells of none. Says whether a document was waiting for that and is due for a pass now.
    pub fn take_floor(&mut self, floor: Option<HighWaterMark>) -> bool {
        if !self.asks_for_floor {
            return false;
        }
        self.asks_for_floor = false;
        let highest = self.ledger.body().highest;
        if floor.is_some() && highest.is_none() && self.recovered.is_none() {
            let message =
                "the ledger was missing, though this device has accepted documents before; began anew";
            self.recovered = Some(message.to_owned());
        }
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
        if self.asks_for_floor {
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

    /// Tells of a document that comes in during the next pass whether it would be put in force
    /// after it, so that the pass should end early.
    pub fn successor_test(&self) -> impl Fn(&[u8]) -> bool + use<> {
        let acceptance = Arc::clone(&self.acceptance);
        let clock = self.clock.clone();
        let body = self.ledger.body();
        let next = self
            .candidate
            .as_deref()
            .map(|candidate| &candidate.document)
            .or(body.accepted.as_ref())
            .cloned();
        let highest = match &next {
            Some(document) => Some(high_water_mark(document)),
            None => body.highest,
        };
        move |raw| {
            let verdict =
                acceptance.judge(raw, Received::read(raw), highest, next.as_ref(), clock.now().wall);
            matches!(verdict, Ok(Verdict::Acceptable(_)))
        }
    }

    /// Looks at everything and does what is to be done, first of all for a document that waits to
    /// be put in force. `superseded` tells that the pass should end early; `progress` gets the
    /// status while a long pass is under way.
    pub async fn pass(&mut self, superseded: impl Fn() -> bool, mut progress: impl FnMut(AgentStatus)) {
        self.held_back = false;
        let candidate = self.candidate.take();
        let Some(lowered) = candidate.as_ref().map(|candidate| &candidate.lowered).or(self.in_force.as_ref())
        else {
            let inventory = &self.ledger.body().inventory;
            self.outcome = self
                .unreadable
                .is_some()
                .then(|| PassOutcome::left_alone(inventory, "DocumentUnreadable", "left as it is"));
            // Writes only after a write that failed, to see whether the disk serves again.
            return self.recorded(self.ledger.body().clone());
        };
        let body = match &candidate {
            Some(candidate) => in_force(self.ledger.body().clone(), candidate),
            None => self.ledger.body().clone(),
        };
        let now = self.clock.now();
        let mut pass = self.executor.prepare(&lowered.state, &body.inventory, now).await;
        if let Some(pause) = self.pause_in_force() {
            self.held_back = true;
            pass.hold_all_back("Paused", &format!("held back {}", pause.end_in_words()));
        }
        if pass.has_work() || candidate.is_some() {
            let intents = LedgerBody { inventory: pass.intents(), ..body.clone() };
            if let Err(failure) = self.ledger.commit(intents) {
                match candidate {
                    Some(_) => {
                        self.judgement = Judgement::StoreFailed(failure.clone());
                        self.candidate = candidate;
                    }
                    None => {
                        let message = failure.to_string();
                        self.outcome = Some(pass.preview(ResourceState::Pending, "StateStore", &message));
                    }
                }
                return self.store_failed(failure);
            }
            self.store_served();
            if let Some(candidate) = candidate {
                self.put_in_force(*candidate);
            }
        }
        let preview = pass.has_work().then(|| pass.preview(ResourceState::Applying, "Applying", ""));
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
        self.dropped.append(&mut outcome.dropped);
        let applied = newly_applied(&body, &outcome, now.wall).or(body.applied.clone());
        self.recorded(LedgerBody { inventory: outcome.inventory.clone(), applied, ..body });
        self.outcome = Some(outcome);
        self.release_dropped().await;
    }

    /// When a pass is due by itself: to try something again that failed, or to go on with what
    /// did not have its turn.
    pub fn due(&self) -> Option<Instant> {
        // While the disk does not serve, no pass could do anything.
        if self.store_retry.is_some() {
            return self.store_retry;
        }
        let now = self.clock.now();
        if let Some(pause) = self.pause_in_force() {
            return pause.until.map(|until| now.monotonic + until.since(now.wall));
        }
        let interrupted = self.outcome.as_ref().is_some_and(|outcome| outcome.interrupted);
        if interrupted || self.held_back || self.candidate.is_some() {
            return Some(now.monotonic);
        }
        self.executor.next_retry()
    }

    /// Whether the newest entry and the floor are known. Before that, a report would tell the
    /// platform less than the last one did, and a restart would show there.
    pub fn is_oriented(&self) -> bool {
        self.entry != SeenEntry::Unread && !self.asks_for_floor
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
            pause: self.pause_in_force(),
            store: &self.store,
        })
    }

    fn put_in_force(&mut self, candidate: Candidate) {
        tracing::info!(generation = %candidate.document.generation, "document accepted");
        self.judgement = Judgement::Accepted { ignored: candidate.lowered.ignored.clone() };
        self.in_force = Some(candidate.lowered);
        self.unreadable = None;
    }

    /// Lets go of what was kept for claims that the ledger has durably forgotten.
    async fn release_dropped(&mut self) {
        if self.store_retry.is_none() {
            let dropped = std::mem::take(&mut self.dropped);
            self.executor.release(dropped, &self.ledger.body().inventory).await;
        }
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

fn high_water_mark(document: &AcceptedDocument) -> HighWaterMark {
    HighWaterMark { generation: document.generation, digest: Some(document.digest) }
}

fn in_force(body: LedgerBody, candidate: &Candidate) -> LedgerBody {
    let document = candidate.document.clone();
    LedgerBody { highest: Some(high_water_mark(&document)), accepted: Some(document), ..body }
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
