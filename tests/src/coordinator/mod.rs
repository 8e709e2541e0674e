//! The coordinator: looks at a fleet from outside, and finds it guilty of what must never be seen.
//!
//! ```text
//! platform writes ──┐
//! server's traffic ─┼─▶ Coordinator ─▶ history ─▶ judges ─▶ Verdict, with its evidence
//! devices' cables ──┤     (record)               order, truth, writers, bounds, restarts
//! devices' disks ───┤                            and, when all is over, rest and quiet;
//! stored statuses ──┘                            sight judges the eyes themselves
//! ```
//!
//! It asks the agents nothing and believes them nothing. Judging is pure: each judge gets the events one
//! by one, so that a history written down by hand is judged like one that happened.

mod bounds;
mod documents;
mod order;
mod quiet;
mod record;
mod rest;
mod restarts;
mod sight;
mod truth;
mod verdict;
mod wording;
mod writers;

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use agent_model::status::Heartbeat;

use self::{bounds::Bounds, order::Order, restarts::Restarts, truth::Truth, writers::Writers};
pub use self::{
    documents::Documents,
    record::{BY_HAND, Beat, Body, Contents, Document, Event, Record, Said, Told},
    rest::{AtRest, LastEntry},
    verdict::Verdict,
};

/// Events about the guilty device that are shown as evidence.
const EVIDENCE: usize = 60;

/// Takes down what happens and judges it.
#[derive(Debug)]
pub struct Coordinator {
    began: Instant,
    history: Vec<Record>,
    documents: Documents,
    judges: Judges,
    verdict: Option<Verdict>,
}

/// All that judge while it happens.
#[derive(Debug, Default)]
struct Judges {
    order: Order,
    truth: Truth,
    writers: Writers,
    bounds: Bounds,
    restarts: Restarts,
}

impl Judges {
    fn judge(&mut self, record: &Record, documents: &Documents) -> Result<(), Verdict> {
        let event = &record.event;
        self.order.judge(event, documents)?;
        self.truth.judge(event, documents)?;
        self.writers.judge(event)?;
        self.bounds.judge(record)?;
        self.restarts.judge(event)
    }
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            history: Vec::new(),
            documents: Documents::default(),
            judges: Judges::default(),
            verdict: None,
        }
    }
}

impl Coordinator {
    /// Takes down what happens now.
    pub fn note(&mut self, event: Event) {
        self.take(Record { at: self.began.elapsed(), event });
    }

    fn take(&mut self, record: Record) {
        self.documents.note(&record.event);
        // The first is what led to all others.
        if self.verdict.is_none() {
            self.verdict = self.judges.judge(&record, &self.documents).err();
        }
        self.history.push(record);
    }

    /// What the fleet is guilty of, if anything so far.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// All that was written so far.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The last status that is stored under a name.
    pub fn last_told(&self, device: usize) -> Option<&Told> {
        let of_this_store = self.history.iter().rev();
        let mut of_this_store =
            of_this_store.take_while(|record| !matches!(record.event, Event::StoreReplaced));
        of_this_store.find_map(|record| match &record.event {
            Event::Told(told) if told.device == device => Some(&**told),
            _ => None,
        })
    }

    /// The last heartbeat of that epoch under a name.
    pub fn last_beat(&self, device: usize, epoch: u64) -> Option<&Heartbeat> {
        self.history.iter().rev().find_map(|record| match &record.event {
            Event::Beat(beat) if (beat.device, beat.heartbeat.epoch) == (device, epoch) => {
                Some(&beat.heartbeat)
            }
            _ => None,
        })
    }

    /// How much was seen so far: what is seen from here on has a higher place in the history.
    pub fn seen(&self) -> usize {
        self.history.len()
    }

    /// Whether a device asked for nothing in the last while, but for so many resyncs.
    ///
    /// # Errors
    /// With what it is guilty of if it never stops.
    pub fn is_quiet(&self, device: usize, for_how_long: Duration, resyncs: u32) -> Result<(), Verdict> {
        quiet::judge(device, self.began.elapsed().saturating_sub(for_how_long), resyncs, &self.history)
    }

    /// Whether the eyes saw what there was to see: of each of so many devices from that place in the history on,
    /// since when each got a new document.
    ///
    /// # Errors
    /// With what they missed.
    pub fn was_seen(&self, devices: usize, since: usize) -> Result<(), String> {
        sight::judge(devices, &self.history, since)
    }

    /// The highest generation that a device ever said to have in force; 0 for none.
    pub fn floor(&self, body: Body) -> u64 {
        let told = self.history.iter().filter_map(|record| match &record.event {
            Event::Told(told) if told.about == Some(body) => told.accepted(),
            _ => None,
        });
        told.map(|(generation, _)| generation).max().unwrap_or(0)
    }

    /// How much was seen, in words.
    pub fn summary(&self) -> String {
        let count = |of: fn(&Event) -> bool| self.history.iter().filter(|record| of(&record.event)).count();
        format!(
            "{} documents, {} starts, {} contents seen, {} statuses sent ({} of them looked at) and {} stored, {} \
             heartbeats, {} reads, {} writes",
            count(|event| matches!(event, Event::Wrote(..))),
            count(|event| matches!(event, Event::Started(_))),
            count(|event| matches!(event, Event::Saw { .. })),
            count(|event| matches!(event, Event::Said(_))),
            count(|event| matches!(event, Event::Said(said) if said.contents.is_some())),
            count(|event| matches!(event, Event::Told(_))),
            count(|event| matches!(event, Event::Beat(_))),
            count(|event| matches!(event, Event::Reads(..))),
            count(|event| matches!(event, Event::Writes(..))),
        )
    }

    /// What was seen last of a device, one line each. Reads and tries are left out: there are many.
    pub fn evidence(&self, device: usize) -> String {
        let about = self.history.iter().rev().filter(|record| {
            record.event.device().is_none_or(|of| of == device)
                && !matches!(record.event, Event::Reads(..) | Event::Writes(..))
        });
        let last: Vec<&Record> = about.take(EVIDENCE).collect();
        last.iter().rev().fold(String::new(), |mut lines, record| {
            let _ = writeln!(lines, "{:>9.3} s  {}", record.at.as_secs_f64(), record.event);
            lines
        })
    }
}

#[cfg(test)]
mod tests;
