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
mod pass;
mod pausing;
mod store;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::Arc;

use agent_model::{Claim, Digest, Lowered, ResourceKind, ResourceName, Timestamp, status::AgentStatus};
use tokio::{sync::watch, time::Instant};

pub use entry::DesiredValue;

use self::{pausing::Heeded, store::Store, trial::Countdown};
use crate::{
    acceptance::{Acceptance, Candidate},
    audit::{AuditLog, Draft, Happening},
    clock::Clock,
    envelope::Refusal,
    executor::{Executor, PassOutcome},
    expiry::Present,
    ledger::{InventoryEntry, LedgerBody, Loaded, Provenance, UntypedRecord},
    safe_mode::{FirstPasses, SafeMode},
    state_dir::StateLayout,
    status::report::{Judgement, Reporter, SeenEntry, Situation},
};

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

    fn digest_in_force(&self) -> Option<Digest> {
        self.store.body().accepted.as_ref().map(|document| document.digest)
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
}

/// `draft`, said of the document in force.
fn about(body: &LedgerBody, draft: Draft) -> Draft {
    let document = body.accepted.as_ref();
    Draft {
        generation: document.map(|document| document.generation),
        document: document.map(|document| document.digest),
        signer: document.and_then(|document| document.signer),
        ..draft
    }
}
