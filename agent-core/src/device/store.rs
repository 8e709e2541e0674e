//! What a device keeps on its disk, the ledger and the audit log, and whether that disk serves.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    audit::{AuditLog, Draft},
    backoff::Backoff,
    ledger::{Ledger, LedgerBody, Loaded, Provenance, StoreFailure},
    status::report::StoreHealth,
};

/// How often a disk that does not serve is tried again.
const RETRY: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(60) };

/// The disk of a device.
#[derive(Debug)]
pub(super) struct Store {
    ledger: Ledger,
    audit: AuditLog,
    health: StoreHealth,
    /// What happened to an earlier ledger that was lost.
    recovered: Option<String>,
    failures: u64,
    retry: Option<Instant>,
}

impl Store {
    pub(super) fn new(loaded: Loaded, audit: AuditLog) -> Self {
        let Loaded { ledger, provenance } = loaded;
        let recovered = match provenance {
            Provenance::Recovered { message } => Some(message),
            Provenance::Intact | Provenance::New => None,
        };
        let mut store =
            Self { ledger, audit, health: StoreHealth::Healthy, recovered, failures: 0, retry: None };
        store.served();
        store
    }

    /// What the ledger says.
    pub(super) fn body(&self) -> &LedgerBody {
        self.ledger.body()
    }

    /// The audit log, for those who write down what is done.
    pub(super) fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// How the disk serves.
    pub(super) fn health(&self) -> &StoreHealth {
        &self.health
    }

    /// When a disk that does not serve is to be tried again; `None` while it serves.
    pub(super) fn retry(&self) -> Option<Instant> {
        self.retry
    }

    /// Says that an earlier ledger was lost, unless more is known about it.
    pub(super) fn ledger_was_lost(&mut self, message: &str) {
        self.recovered.get_or_insert_with(|| message.to_owned());
    }

    /// Makes durable what is going to be done: `body`, and in the log the lines that announce it. Gives the
    /// number of the first of these. After an error there is neither.
    pub(super) fn commit(
        &mut self,
        body: LedgerBody,
        batch: Vec<Draft>,
        now: Instant,
    ) -> Result<u64, StoreFailure> {
        let committed = self.audit.begin(batch).and_then(|first| {
            let body = body.with_audit_head(self.audit.head());
            let (ledger, audit) = (&mut self.ledger, &self.audit);
            let written = ledger.commit_with(body, || audit.sync());
            match &written {
                Ok(()) => audit.announce(),
                Err(_) => audit.take_back(),
            }
            written.map(|()| first)
        });
        match &committed {
            Ok(_) => self.served(),
            Err(failure) => self.failed(failure.clone(), now),
        }
        committed
    }

    /// Makes durable what has happened: `body`, and what was noted in the log. Writes nothing that the disk has.
    pub(super) fn record(&mut self, body: LedgerBody, now: Instant) {
        let written = self.audit.write();
        let body = body.with_audit_head(self.audit.head());
        let (ledger, audit) = (&mut self.ledger, &self.audit);
        let recorded = ledger.record_with(body, || audit.sync());
        if recorded.is_ok() {
            audit.announce();
        }
        match written.and(recorded) {
            Ok(()) => self.served(),
            Err(failure) => self.failed(failure, now),
        }
    }

    /// Writes down what has happened.
    pub(super) fn note(&mut self, draft: Draft, now: Instant) {
        self.audit.note(draft);
        self.record(self.ledger.body().clone(), now);
    }

    fn failed(&mut self, failure: StoreFailure, now: Instant) {
        tracing::error!(%failure, "the state folder cannot be written; nothing is accepted or changed");
        self.health = StoreHealth::Failing(failure);
        self.failures += 1;
        self.retry = Some(now + RETRY.delay(self.failures, 1.0));
    }

    fn served(&mut self) {
        self.failures = 0;
        self.retry = None;
        self.health = match &self.recovered {
            Some(message) => StoreHealth::Recovered { message: message.clone() },
            None => StoreHealth::Healthy,
        };
    }
}
