//! What the loop says, and whether it is news.

use std::sync::Arc;

use agent_model::status::{AgentStatus, Heartbeat, Phase};
use tokio::sync::watch;

use super::Channels;
use crate::{
    device::Device,
    kv::WriterStanding,
    pause::Pause,
    state_dir::StateLayout,
    status::snapshot::{DuplicateIdentity, Snapshot},
};

/// Says how things stand: to the platform and to whoever looks on the device.
pub(super) struct Teller {
    pub(super) layout: StateLayout,
    reports: watch::Sender<Option<Arc<AgentStatus>>>,
    heartbeats: watch::Sender<Option<Heartbeat>>,
    phase: watch::Sender<Option<Phase>>,
    epoch: u64,
    snapshot: Option<Snapshot>,
    /// Whether the device's disk has it.
    is_left: bool,
    duplicate: Option<DuplicateIdentity>,
}

impl Teller {
    pub(super) fn new(layout: StateLayout, channels: &Channels) -> Self {
        Self {
            layout,
            reports: channels.reports.clone(),
            heartbeats: channels.heartbeats.clone(),
            phase: channels.phase.clone(),
            epoch: 0,
            snapshot: None,
            is_left: false,
            duplicate: None,
        }
    }

    /// Says how things stand, if it is news: to the platform where it `speaks`, and on the device always, with what
    /// [`leave_a_copy`](Self::leave_a_copy) leaves.
    pub(super) fn tell(&mut self, status: AgentStatus, speaks: bool, pause: Option<Pause>) {
        self.beat(&status);
        let phase = Some(status.phase);
        self.phase.send_if_modified(|told| std::mem::replace(told, phase) != phase);
        if speaks {
            self.reports.send_if_modified(|reported| {
                let news = reported.as_deref() != Some(&status);
                if news {
                    *reported = Some(Arc::new(status.clone()));
                }
                news
            });
        }
        let snapshot = Some(Snapshot { status, duplicate_identity: self.duplicate.clone(), pause });
        if snapshot != self.snapshot {
            (self.snapshot, self.is_left) = (snapshot, false);
        }
    }

    /// Leaves what was said last for people on the device.
    pub(super) fn leave_a_copy(&mut self) {
        if let Some(snapshot) = self.snapshot.as_ref().filter(|_| !self.is_left) {
            snapshot.write(&self.layout);
            self.is_left = true;
        }
    }

    fn beat(&self, status: &AgentStatus) {
        // Without an epoch nobody could tell whose sign of life it is, and a device that was
        // superseded gives none.
        if self.epoch == 0 || self.duplicate.is_some() {
            return;
        }
        let accepted_generation = status.accepted.as_ref().map(|accepted| accepted.generation);
        let beat = Heartbeat { epoch: self.epoch, accepted_generation, phase: status.phase };
        self.heartbeats.send_if_modified(|last| {
            let news = last.as_ref() != Some(&beat);
            *last = Some(beat);
            news
        });
    }

    /// Takes note of a new epoch, or of another device with this one's name.
    pub(super) fn stands(&mut self, standing: &WriterStanding, device: &mut Device) {
        self.epoch = standing.epoch;
        device.note_writer_epoch(standing.epoch);
        let Some(by) = standing.superseded_by.as_ref().filter(|_| self.duplicate.is_none()) else { return };
        self.heartbeats.send_replace(None);
        let message = format!(
            "another device reports under this name and goes first; this one reports no longer and goes on enforcing \
             what it accepted; {}",
            DuplicateIdentity::REMEDY,
        );
        tracing::error!(by = by.instance, by_epoch = by.epoch, epoch = standing.epoch, "{message}");
        self.duplicate = Some(DuplicateIdentity { since: device.now() });
        device.note_duplicate_identity(&message);
    }
}
