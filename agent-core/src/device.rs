//! What is in force on this device and how it stands, without any transport.
//!
//! ```text
//! take_entry ─▶ acceptance ─▶ candidate ─▶ pass: prepare ─▶ ledger ─▶ run ─▶ ledger ─▶ report
//! ```
//!
//! A document is put in force by the very ledger write that holds the intents of its first pass:
//! before it, the old document is in force and nothing has been touched.

mod entry;
mod not_ready;
mod store;
#[cfg(test)]
mod tests;
mod trial;

use std::{pin::pin, sync::Arc, time::Duration};

use agent_model::{
    Claim, Digest, Failure, Lowered, ResourceKind, ResourceName, Timestamp,
    status::{AgentStatus, ResourceRef, ResourceState},
};
use tokio::{sync::watch, time::Instant};

pub use entry::DesiredValue;

use self::{
    store::Store,
    trial::{Countdown, with_in_force},
};
use crate::{
    acceptance::{Acceptance, Candidate},
    audit::{AuditLog, Draft, Happening, Trail},
    clock::Clock,
    envelope::Refusal,
    executor::{DocumentPast, Executor, PassOutcome},
    expiry::Present,
    ledger::{
        AppliedDocument, InventoryEntry, KIND_UNKNOWN, LedgerBody, Loaded, Provenance, Unknown, UntypedRecord,
    },
    pause::Pause,
    safe_mode::{DocumentId, FirstPasses, Reach, SafeMode},
    state_dir::StateLayout,
    status::report::{Judgement, Reporter, SeenEntry, Situation},
};

/// A pass that lasts longer says so in the status meanwhile. Shorter ones are not worth a write.
const PROGRESS_AFTER: Duration = Duration::from_millis(250);

/// Why no pass can be made: in safe mode …
const SAFE_MODE: &str = "SafeMode";
/// … and where the document in force cannot be read. Then all that we hold is said to wait, however it is.
const UNREADABLE: &str = "DocumentUnreadable";

/// What a device is made of.
pub struct DeviceParts {
    /// Judges documents.
    pub acceptance: Acceptance,
    /// Carries them out.
    pub executor: Executor,
    /// Remembers.
    pub loaded: Loaded,
    /// Remembers what was done.
    pub audit: AuditLog,
    /// Words the status.
    pub reporter: Reporter,
    /// Tells the time.
    pub clock: Clock,
}

/// The device.
pub struct Device {
    acceptance: Arc<Acceptance>,
    executor: Executor,
    store: Store,
    reporter: Reporter,
    clock: Clock,
    /// The document in force, lowered; `None` when there is none, it was not read yet or it cannot be
    /// read any more.
    in_force: Option<Lowered>,
    unreadable: Option<Refusal>,
    /// A document that waits to be put in force.
    candidate: Option<Box<Candidate>>,
    /// Whether nothing is judged before the floor is known.
    asks_for_floor: bool,
    /// An entry that cannot be judged before the floor is known, or in safe mode.
    unjudged: Option<DesiredValue>,
    /// The newest entry, when the clock refused it, and which clock that was.
    refused_by_the_clock: Option<(DesiredValue, Present)>,
    /// What was kept for claims that the ledger is about to forget.
    dropped: Vec<(ResourceKind, UntypedRecord)>,
    entry: SeenEntry,
    judgement: Judgement,
    outcome: Option<PassOutcome>,
    pause: Option<Heeded>,
    first_passes: FirstPasses,
    /// Whether it goes back from documents whose time is up.
    heeds_deadlines: bool,
    countdown: Option<Countdown>,
    /// When the time is up of the document that the pass under way is of.
    time_of_pass: watch::Sender<Option<Instant>>,
    /// Whether the last pass left things undone because of a pause.
    held_back: bool,
}

impl Device {
    /// A device that knows what it has accepted and has not looked at anything yet.
    pub fn new(parts: DeviceParts) -> Self {
        let DeviceParts { acceptance, executor, loaded, audit, reporter, clock } = parts;
        if let Provenance::Recovered { .. } = loaded.provenance {
            executor.ledger_was_lost();
        }
        let store = Store::new(loaded, audit);
        for (kind, name) in store.body().of_unknown_kinds() {
            tracing::warn!(
                kind,
                name,
                "a newer agent made it, and this one does not know its kind: it is left as it is"
            );
        }
        let asks_for_floor = store.body().needs_floor;
        Self {
            acceptance: Arc::new(acceptance),
            executor,
            store,
            asks_for_floor,
            reporter,
            clock,
            in_force: None,
            unreadable: None,
            candidate: None,
            unjudged: None,
            refused_by_the_clock: None,
            dropped: Vec::new(),
            entry: SeenEntry::Unread,
            judgement: Judgement::NotYet,
            outcome: None,
            pause: None,
            first_passes: FirstPasses::default(),
            heeds_deadlines: false,
            countdown: None,
            time_of_pass: watch::Sender::new(None),
            held_back: false,
        }
    }

    /// Takes possession of what carries our mark and is not in the ledger: an earlier ledger was lost.
    /// What no document declares of it is removed like anything else that was made before.
    pub fn take_marked(&mut self, marked: Vec<(Claim, ResourceName, UntypedRecord)>) {
        let mut body = self.store.body().clone();
        for (claim, name, record) in marked {
            body.inventory.entry(claim).or_insert_with_key(|claim| {
                tracing::warn!(%claim, "the ledger does not know it, but it is ours");
                Arc::new(InventoryEntry::unremembered(name, record))
            });
        }
        self.recorded(body);
    }

    /// What must not be forgotten.
    pub fn ledger(&self) -> &LedgerBody {
        self.store.body()
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

    /// Holds changes back from the next pass on, or no longer. From here on the clock that never jumps tells
    /// how long.
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        if pause == self.pause.map(|heeded| heeded.pause) {
            return;
        }
        let now = self.clock.now();
        let ends = |pause: Pause| pause.remaining(now.wall).map(|remaining| now.monotonic + remaining);
        self.pause = pause.map(|pause| Heeded { pause, ends: ends(pause) });
        match (pause, self.pause_in_force()) {
            (_, Some(pause)) => tracing::warn!("paused: changes are held back {}", pause.end_in_words()),
            (None, None) => tracing::info!("resumed"),
            (Some(_), None) => {}
        }
    }

    /// The pause whose time is up: it is over for good, whatever the clock says later. Told once.
    pub fn pause_that_is_over(&mut self) -> Option<Pause> {
        let now = self.clock.now().monotonic;
        self.pause.take_if(|heeded| !heeded.lasts(now)).map(|heeded| heeded.pause)
    }

    /// The pause, while it lasts.
    pub fn pause_in_force(&self) -> Option<Pause> {
        let now = self.clock.now().monotonic;
        self.pause.filter(|heeded| heeded.lasts(now)).map(|heeded| heeded.pause)
    }

    /// From now on notes in the state folder what it is at for the first time, and counts this start if
    /// the agent before crashed there. Without this there is no safe mode.
    pub fn guard_against_crashes(&mut self, layout: &StateLayout) {
        let body = self.store.body();
        let known = body.accepted.iter().chain(body.way_back());
        self.first_passes = FirstPasses::at_start(
            layout.clone(),
            &known.map(|document| document.digest).collect::<Vec<_>>(),
            body.highest.map(|highest| highest.generation),
            self.clock.now().wall,
        );
        if let Some(safe_mode) = self.safe_mode() {
            tracing::warn!("safe mode: {safe_mode}");
            let happening = Happening::SafeMode { message: safe_mode.to_string() };
            let (generation, document) = (Some(safe_mode.generation), Some(safe_mode.digest));
            self.note(Draft { generation, document, ..self.draft(happening) });
        }
    }

    /// What keeps everything from being applied, unless a document that may end it waits.
    pub fn safe_mode(&self) -> Option<SafeMode> {
        self.first_passes.safe_mode().filter(|_| self.candidate.is_none())
    }

    /// Ends safe mode, because somebody on the device did. Says whether there was any, so that a pass
    /// is due.
    pub fn end_safe_mode(&mut self) -> bool {
        if self.first_passes.safe_mode().is_none() {
            return false;
        }
        tracing::warn!("safe mode was ended on the device; what it held back is tried again");
        self.first_passes.retain(|_| false);
        if let Some(value) = self.unjudged.take() {
            self.take_entry(value);
        }
        true
    }

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
        mut progress: impl FnMut(AgentStatus),
    ) -> Ending {
        let now = self.clock.now();
        let body = match &self.candidate {
            Some(candidate) => with_in_force(self.store.body().clone(), candidate, now.wall, pause.is_some()),
            None => {
                self.time_of_pass.send_replace(self.time_ends());
                self.read_in_force();
                self.store.body().clone()
            }
        };
        let next = self.candidate.as_ref().map(|candidate| &candidate.lowered);
        let (Some(lowered), Some(document)) = (next.or(self.in_force.as_ref()), &body.accepted) else {
            self.leave_alone(UNREADABLE);
            return Ending::Over;
        };
        let applied = body.applied.as_ref().map(|applied| applied.digest);
        let past = DocumentPast { signer: document.signer, has_converged: applied == Some(document.digest) };
        let mut pass = self.executor.prepare(&lowered.state, past, &body.inventory, now).await;
        let needed = body.needed_by_unknown_kinds();
        if !needed.is_empty() {
            let message = "is needed by something of a kind that only a newer agent knows";
            pass.hold_removals_back(&needed, KIND_UNKNOWN, message);
        }
        if let Some(pause) = pause {
            self.held_back = true;
            pass.hold_all_back("Paused", &format!("held back {}", pause.end_in_words()));
        }
        let (log, clock) = (self.store.audit().clone(), self.clock.clone());
        let mut trail = Trail::new(log, clock, document, pass.announce());
        if pass.has_work() || self.candidate.is_some() {
            let succession = self.candidate.as_ref().map(|candidate| self.succession(candidate, &body));
            let before = u64::from(succession.is_some());
            let batch = succession.into_iter().chain(trail.begin()).collect();
            let intents = LedgerBody { inventory: pass.intents(), ..body.clone() };
            match self.store.commit(intents, batch, now.monotonic) {
                Ok(first) => trail.begun(first + before),
                Err(failure) => {
                    match self.candidate.take_if(|candidate| candidate.instead_of.is_some()) {
                        // It still is in force from which the device would go back, and its time is up still.
                        Some(_) => {}
                        None if self.candidate.is_some() => self.judgement = Judgement::StoreFailed(failure),
                        None => {
                            let message = failure.to_string();
                            self.outcome = Some(pass.preview(ResourceState::Pending, "StateStore", &message));
                        }
                    }
                    return Ending::Early;
                }
            }
            if let Some(candidate) = self.candidate.take() {
                self.put_in_force(*candidate);
                self.time_of_pass.send_replace(self.time_ends());
            }
        }
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
        let ending = if outcome.interrupted { Ending::Early } else { Ending::Over };
        self.outcome = Some(outcome);
        self.release_dropped().await;
        ending
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

    /// When a pass is due by itself: to try something again that failed, or to go on with what
    /// did not have its turn.
    pub fn due(&self) -> Option<Instant> {
        // While the disk does not serve, no pass could do anything.
        if let Some(retry) = self.store.retry() {
            return Some(retry);
        }
        let now = self.clock.now();
        if let Some(heeded) = self.pause.filter(|heeded| heeded.lasts(now.monotonic)) {
            return heeded.ends;
        }
        let interrupted = self.outcome.as_ref().is_some_and(|outcome| outcome.interrupted);
        if interrupted || self.held_back || self.candidate.is_some() {
            return Some(now.monotonic);
        }
        self.executor.next_retry().into_iter().chain(self.time_ends()).min()
    }

    /// Whether the newest entry and the floor are known. Before that, a report would tell the
    /// platform less than the last one did, and a restart would show there.
    pub fn is_oriented(&self) -> bool {
        self.entry != SeenEntry::Unread && !self.asks_for_floor
    }

    /// Writes down that another device reports under this one's name.
    pub fn note_duplicate_identity(&mut self, message: &str) {
        let draft = self.draft(Happening::DuplicateIdentity { message: message.to_owned() });
        self.note(about(self.store.body(), draft));
    }

    /// Keeps in mind which epoch this process claims, where the disk serves: the entry that tells it may be
    /// lost, and come back.
    pub fn note_writer_epoch(&mut self, epoch: u64) {
        if epoch > self.store.body().writer_epoch {
            self.recorded(LedgerBody { writer_epoch: epoch, ..self.store.body().clone() });
        }
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
            ledger: self.store.body(),
            unreadable: self.unreadable.as_ref(),
            outcome: self.outcome.as_ref(),
            pause: self.pause_in_force(),
            safe_mode: self.safe_mode(),
            store: self.store.health(),
        })
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
    fn read_in_force(&mut self) {
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

    fn digest_in_force(&self) -> Option<Digest> {
        self.store.body().accepted.as_ref().map(|document| document.digest)
    }

    /// Lets go of what was kept for claims that the ledger has durably forgotten.
    async fn release_dropped(&mut self) {
        if self.store.retry().is_none() {
            let dropped = std::mem::take(&mut self.dropped);
            self.executor.release(dropped, &self.store.body().inventory).await;
        }
    }

    fn recorded(&mut self, body: LedgerBody) {
        self.store.record(body, self.clock.now().monotonic);
    }

    fn note(&mut self, draft: Draft) {
        self.store.note(draft, self.clock.now().monotonic);
    }

    fn draft(&self, happening: Happening) -> Draft {
        Draft::new(self.clock.now().wall, happening)
    }

    fn blocked(&self, resource: ResourceRef, failure: &Failure) -> Draft {
        let happening = Happening::blocked(&failure.reason, &failure.message);
        Draft { resource: Some(resource), ..self.draft(happening) }
    }
}

/// A pause that this process knows of.
#[derive(Debug, Clone, Copy)]
struct Heeded {
    pause: Pause,
    /// When it ends by itself. A wall clock that is set while somebody works on the device neither ends it nor
    /// makes it last for years.
    ends: Option<Instant>,
}

impl Heeded {
    fn lasts(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Everything had its turn, whatever came of it.
    Over,
    /// Something was left for a later pass.
    Early,
}

/// The same of the document in force.
fn about(body: &LedgerBody, draft: Draft) -> Draft {
    let document = body.accepted.as_ref();
    Draft {
        generation: document.map(|document| document.generation),
        document: document.map(|document| document.digest),
        signer: document.and_then(|document| document.signer),
        ..draft
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
