//! The loop of the status writer. It waits and carries out; [`Protocol`] decides what, [`Change`]
//! and [`WriteRate`] how soon.

use std::{sync::Arc, time::Duration};

use agent_model::status::{AgentStatus, SCHEMA_VERSION};
use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    PriorStatus, StatusWriterSettings, WriterStanding,
    decision::{Fact, Move, Pause, Protocol},
    own_entry::{OwnEntry, examine, highest_generation, outcome},
    write_rate::WriteRate,
};
use crate::{
    backoff::Backoff,
    kv::{Link, connection::while_linked, jitter::spread},
    status::{
        pace::Change,
        size::{MAX_STATUS_LEN, fit},
    },
};

/// Before a write that follows a failure, or the read that tells what became of it and leads back to it. A full store may
/// stay full for days: then a whole status every five minutes, at most, is what that costs.
const REWRITE: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(300) };
/// Before a read that follows a failed one. A bucket may be made only after the devices are there.
const REREAD: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(60) };

/// How long a replica may lag behind before what it says of a lost entry is believed. Were one to
/// lag longer, the write that follows would meet a conflict, and nothing would be lost.
const LAG_BOUND: Duration = Duration::from_secs(2);

/// Shortest time between two writes for the sake of progress (wire contract: AgentStatus).
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

pub(super) struct Inputs {
    pub(super) link: watch::Receiver<Link>,
    pub(super) reports: watch::Receiver<Option<Arc<AgentStatus>>>,
    /// True: write the newest report and end.
    pub(super) flush: watch::Receiver<bool>,
}

pub(super) struct Outputs {
    pub(super) prior: watch::Sender<Option<PriorStatus>>,
    pub(super) standing: watch::Sender<WriterStanding>,
}

/// What is written.
#[derive(Debug)]
struct Document {
    /// As it was reported, to compare the next report with.
    report: Arc<AgentStatus>,
    /// As it is sent, signed and cut to size; the same bytes each time.
    bytes: Bytes,
}

pub(super) struct Task<E> {
    entry: E,
    settings: StatusWriterSettings,
    inputs: Inputs,
    outputs: Outputs,
    protocol: Protocol<Document>,
    /// What an earlier process left, to be kept until there is a report: a restart must not turn
    /// Converged into Converging.
    kept: Option<Arc<AgentStatus>>,
    /// The newest report.
    report: Option<Arc<AgentStatus>>,
    connected: bool,
    /// Counts links, to know a new one.
    connects: u64,
    /// The next move waits until then.
    not_before: Instant,
    resync_at: Instant,
    rate: WriteRate,
}

/// What the task woke up for.
enum Wake {
    /// The link, the report or the wish to end may have changed.
    Change,
    /// The next move is due.
    Due,
    /// The connection, or whoever holds this task, is gone.
    End,
}

impl<E: OwnEntry> Task<E> {
    pub(super) fn new(entry: E, settings: StatusWriterSettings, inputs: Inputs, outputs: Outputs) -> Self {
        let now = Instant::now();
        Self {
            entry,
            protocol: Protocol::new(settings.instance.clone(), settings.earlier_epoch),
            settings,
            inputs,
            outputs,
            kept: None,
            report: None,
            connected: false,
            connects: 0,
            not_before: now,
            resync_at: now,
            rate: WriteRate::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut reports_end = false;
        loop {
            self.look();
            if *self.inputs.flush.borrow_and_update() && self.has_said_all() {
                return;
            }
            let due = self.due();
            let Inputs { link, reports, flush } = &mut self.inputs;
            let wake = tokio::select! {
                // Cancel-safe: a change that was not returned is still unseen.
                changed = link.changed() => changed.map_or(Wake::End, |()| Wake::Change),
                // Cancel-safe, likewise.
                changed = flush.changed() => changed.map_or(Wake::End, |()| Wake::Change),
                // Cancel-safe, likewise. Without a reporter, what stands is kept standing.
                changed = reports.changed(), if !reports_end => {
                    reports_end = changed.is_err();
                    Wake::Change
                }
                // Cancel-safe: the next round computes the time anew.
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Wake::Due,
            };
            match wake {
                Wake::Change => {}
                Wake::Due => self.make_move().await,
                Wake::End => return,
            }
        }
    }

    /// Takes in the newest report and the state of the link.
    fn look(&mut self) {
        self.report.clone_from(&self.inputs.reports.borrow_and_update());
        let link = *self.inputs.link.borrow_and_update();
        self.connected = link.connected;
        if link.connected && link.connects != self.connects {
            self.connects = link.connects;
            self.protocol.reconnected();
            self.wait();
        }
    }

    /// Whether there is nothing left to write.
    fn has_said_all(&self) -> bool {
        match self.protocol.next() {
            Move::Superseded => true,
            Move::Free => self.write_due().is_none(),
            Move::Read | Move::Send { .. } => false,
        }
    }

    /// When to make the next move; `None`: when something changes.
    fn due(&self) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        match self.protocol.next() {
            Move::Read => Some(self.not_before),
            Move::Send { .. } => Some(self.at_write_rate(self.not_before)),
            Move::Free => Some(self.write_due().map_or(self.resync_at, |due| due.min(self.resync_at))),
            Move::Superseded => None,
        }
    }

    /// When to begin a write; `None` when the entry says all there is to say.
    fn write_due(&self) -> Option<Instant> {
        let newest = self.newest()?;
        let change = self.protocol.standing().map(|standing| Change::between(&standing.report, newest));
        let at = match change {
            Some(Change::None) => return None,
            Some(Change::Progress) if !*self.inputs.flush.borrow() => self
                .rate
                .last()
                .map_or(self.not_before, |last| (last + PROGRESS_INTERVAL).max(self.not_before)),
            Some(Change::Progress | Change::Urgent) | None => self.not_before,
        };
        Some(self.at_write_rate(at))
    }

    fn newest(&self) -> Option<&Arc<AgentStatus>> {
        self.report.as_ref().or(self.kept.as_ref())
    }

    fn at_write_rate(&self, at: Instant) -> Instant {
        self.rate.available_at().map_or(at, |available| available.max(at))
    }

    async fn make_move(&mut self) {
        match self.protocol.next() {
            Move::Read => self.read().await,
            Move::Send { expected, document } => {
                let bytes = document.bytes.clone();
                self.send(expected, bytes).await;
            }
            Move::Free if self.write_due().is_some_and(|due| due <= Instant::now()) => self.begin(),
            Move::Free => self.protocol.check(),
            Move::Superseded => {}
        }
    }

    fn begin(&mut self) {
        let Some(report) = self.newest().cloned() else {
            return;
        };
        let mut status = AgentStatus::clone(&report);
        status.schema_version = SCHEMA_VERSION.into();
        status.writer = self.protocol.next_writer();
        match fit(status, MAX_STATUS_LEN) {
            Ok(bytes) => self.protocol.begin(Document { report, bytes: bytes.into() }),
            Err(error) => {
                tracing::error!(%error, "cannot write the status as JSON; please report this");
                self.not_before = Instant::now() + REWRITE.longest;
            }
        }
    }

    async fn read(&mut self) {
        let read = while_linked(self.inputs.link.clone(), self.entry.read()).await;
        self.resync_at = Instant::now() + spread(self.settings.resync_interval, &mut rand::rng());
        match read {
            Some(Ok(entry)) => {
                let (found, status) = examine(&entry, &self.settings.agent);
                if !self.protocol.has_claimed() {
                    self.kept = status.map(Arc::new);
                    let highest = highest_generation(&entry, &self.settings.agent);
                    self.outputs.prior.send_replace(Some(PriorStatus { highest }));
                }
                tracing::debug!(revision = found.revision, author = ?found.author, "read the own status");
                self.note(Fact::Found(found));
            }
            Some(Err(error)) => {
                self.note(Fact::ReadFailed);
                self.log_failure(&error, "cannot read this device's own status; trying again");
            }
            None => self.note(Fact::ReadFailed),
        }
    }

    async fn send(&mut self, expected: u64, bytes: Bytes) {
        self.rate.note(Instant::now());
        let answer = while_linked(self.inputs.link.clone(), self.entry.write(expected, bytes)).await;
        match answer {
            Some(answer) => {
                let fact = outcome(&answer);
                self.note(fact);
                match answer {
                    Ok(revision) => tracing::debug!(revision, "wrote the status"),
                    Err(error) => self.log_failure(&error, "the status is not written yet; trying again"),
                }
            }
            None => self.note(Fact::NotAcked),
        }
    }

    fn note(&mut self, fact: Fact) {
        self.protocol.note(fact);
        self.wait();
        let standing = WriterStanding {
            epoch: self.protocol.epoch(),
            revision: self.protocol.standing().map(|_| self.protocol.revision()),
            superseded_by: self.protocol.superseded_by().cloned(),
        };
        self.outputs.standing.send_if_modified(|last| {
            let differs = *last != standing;
            *last = standing;
            differs
        });
    }

    fn wait(&mut self) {
        let pause = match self.protocol.pause() {
            Pause::None => Duration::ZERO,
            Pause::Backoff(failures) => {
                let reads_only = matches!(self.protocol.next(), Move::Read) && !self.protocol.is_in_doubt();
                let pace = if reads_only { REREAD } else { REWRITE };
                pace.delay(failures, rand::random())
            }
            Pause::LagBound => LAG_BOUND,
        };
        self.not_before = Instant::now() + pause;
    }

    /// Conflicts and lost answers are ordinary. Only what goes on is worth a line, once.
    fn log_failure(&self, error: &(dyn std::error::Error + 'static), what: &'static str) {
        match self.protocol.pause() {
            Pause::Backoff(WORTH_A_LINE) => tracing::warn!(error, "{what}"),
            pause => tracing::debug!(error, ?pause, "{what}"),
        }
    }
}

/// So many failures in a row.
const WORTH_A_LINE: u64 = 3;
