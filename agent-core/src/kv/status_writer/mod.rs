//! Writes this device's status into the bucket `actual-state`, by compare-and-swap only (ADR-023).
//!
//! ```text
//!  newest report ──▶ Task ──▶ decision::Protocol   what a fact means, what to do next (pure)
//!  link, timers ──▶   │  └──▶ WriteRate, Change    how soon (pure)
//!                     └─────▶ OwnEntry             Direct Get, publish
//! ```
//!
//! One task owns the only handle that writes the entry. It has one write in flight; what is
//! reported meanwhile collapses into the newest.

mod decision;
mod own_entry;
mod task;
mod write_rate;

use std::{sync::Arc, time::Duration};

use agent_model::{
    AgentId,
    status::{AgentStatus, Writer},
};
use tokio::{sync::watch, task::JoinError, time::timeout};

use self::{own_entry::EntryOnServer, task::Task};
use super::{Connection, Link, owned_task::OwnedTask};
use crate::envelope::HighWaterMark;

/// How to write the status.
#[derive(Debug, Clone)]
pub struct StatusWriterSettings {
    /// Which device this is.
    pub agent: AgentId,
    /// The id of this process among all that ever wrote for the device; new with each start.
    pub instance: String,
    /// The highest epoch that an earlier process of this device claimed, as far as the device knows; 0 for
    /// none. The entry may know of a higher one, or of none any more.
    pub earlier_epoch: u64,
    /// How often the entry is read and compared though nothing hints at a change, a quarter more
    /// or less: so a bucket that was rebuilt is filled again.
    pub resync_interval: Duration,
}

/// What the status that an earlier process left tells of generations, as the first answered read
/// found it. So long as this process has not written, a later read replaces it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PriorStatus {
    /// The highest generation that the device had accepted; `None` where there is no such status.
    pub highest: Option<HighWaterMark>,
}

/// How this process stands among all that write for the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriterStanding {
    /// The epoch that it claims or has; 0 before the entry was read once.
    pub epoch: u64,
    /// The revision of its last acknowledged write; `None` when none is known to stand.
    pub revision: Option<u64>,
    /// The writer that took over. Since the state folder is locked, that is a clone of this
    /// device. This process never writes again.
    pub superseded_by: Option<Writer>,
}

/// Writes until it is stopped or dropped.
#[derive(Debug)]
pub struct StatusWriter {
    prior: watch::Receiver<Option<PriorStatus>>,
    standing: watch::Receiver<WriterStanding>,
    flush: watch::Sender<bool>,
    /// Ends its task when dropped.
    task: OwnedTask,
}

impl StatusWriter {
    /// Begins to write what `reports` holds; what was reported last counts, and `None` is nothing
    /// to say yet. The field `writer` of a report is filled in here. Needs no server yet.
    pub fn spawn(
        connection: &Connection,
        settings: StatusWriterSettings,
        reports: watch::Receiver<Option<Arc<AgentStatus>>>,
    ) -> Self {
        let entry = EntryOnServer::new(connection.clone(), settings.agent.clone());
        Self::spawn_on(entry, connection.link(), settings, reports)
    }

    fn spawn_on(
        entry: impl own_entry::OwnEntry,
        link: watch::Receiver<Link>,
        settings: StatusWriterSettings,
        reports: watch::Receiver<Option<Arc<AgentStatus>>>,
    ) -> Self {
        let (prior_sender, prior) = watch::channel(None);
        let (standing_sender, standing) = watch::channel(WriterStanding::default());
        let (flush, flush_receiver) = watch::channel(false);
        let inputs = task::Inputs { link, reports, flush: flush_receiver };
        let outputs = task::Outputs { prior: prior_sender, standing: standing_sender };
        let task = OwnedTask::spawn(Task::new(entry, settings, inputs, outputs).run());
        Self { prior, standing, flush, task }
    }

    /// What an earlier process left; `None` before the entry was read.
    pub fn prior(&self) -> watch::Receiver<Option<PriorStatus>> {
        self.prior.clone()
    }

    /// How this process stands among all that write for the device.
    pub fn standing(&self) -> watch::Receiver<WriterStanding> {
        self.standing.clone()
    }

    /// Ready when its task panicked, which ought to end the agent: it would report no more. Cancel safe.
    pub async fn failed(&mut self) -> JoinError {
        self.task.failed().await
    }

    /// Writes the newest report, progress included, and ends. Gives up after `within`.
    pub async fn stop(mut self, within: Duration) {
        self.flush.send_replace(true);
        if timeout(within, self.task.ended()).await.is_err() {
            tracing::warn!("stopping before the newest status was acknowledged");
        }
    }
}

#[cfg(test)]
mod tests;
