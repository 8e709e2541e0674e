//! The compare-and-swap protocol of the status writer: facts go in, the next move comes out.
//! Pure: no IO, no clock, no randomness (ADR-023).
//!
//! ```text
//!              nothing to keep: read again later
//!                  ┌───────┐
//!  start ──▶ Reading ──▶ Free ──begin──▶ Sending ──acked──▶ Free
//!              │ ▲ ▲      │ check           │
//!              │ │ └──────┘                 │ not acked: it may be stored or not
//!              │ └──────────────────────────┘
//!              ├──▶ Free        it landed, or the entry is ours to write anew
//!              ├──▶ Sending     nothing happened: the same bytes against the same revision
//!              └──▶ Superseded  for good
//! ```
//!
//! Every write is made against the *base*: the revision, and whose write it holds, that this
//! writer knows to be the entry's last. The server lets at most one write win per base, so
//! sending a write again is harmless, and what is left to decide is how to go on from an entry
//! that is not the base.
//!
//! Writers are ranked by epoch. A writer that meets a higher one stops; one that meets a lower
//! one writes over it. Each process claims an epoch above the one it found at its start, and at
//! most one more, so no two writers can take turns for ever.

use std::{cmp::Ordering, mem};

use agent_model::status::Writer;

/// Who wrote the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Author {
    /// There is no value: nothing was written, or it was deleted.
    Nobody,
    /// Someone who does not write statuses of this device. Ranks below every writer.
    Stranger,
    /// A status writer of this device, this process or another.
    Writer(Writer),
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Sequence of the value or the deletion marker, which is what the server compares; 0 when
    /// there is neither.
    pub(super) revision: u64,
    pub(super) author: Author,
}

/// What became of the last move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// The read was answered.
    Found(Found),
    /// The read was not answered, or the answer says nothing about the entry.
    ReadFailed,
    /// The write is stored under that revision.
    Acked { revision: u64 },
    /// The write met a conflict, or nobody knows. In both cases it, or an earlier copy of it, may
    /// be stored: a conflict may be with itself.
    NotAcked,
    /// The server will not store this document, whatever the revision.
    Refused,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Move<'a, D> {
    /// Read the entry.
    Read,
    /// Publish `document` if the entry's revision is `expected`.
    Send { expected: u64, document: &'a D },
    /// Nothing that must be: begin a write or have the entry checked.
    Free,
    /// Never write again.
    Superseded,
}

/// How long to wait before the next move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    None,
    /// The longer, the more failures there were in a row (from 1).
    Backoff(u64),
    /// Until a replica that lags has caught up.
    LagBound,
}

#[derive(Debug)]
struct Pending<D> {
    writer: Writer,
    document: D,
}

#[derive(Debug)]
enum State<D> {
    /// The entry has to be read before anything can be said.
    Reading {
        pending: Option<Pending<D>>,
        /// An older entry than the base was read once already.
        suspects_loss: bool,
    },
    /// Nothing is in flight.
    Free,
    /// A write waits to be sent or answered.
    Sending(Pending<D>),
    /// Another writer has this higher rank.
    Superseded(Writer),
}

/// One process's part in the protocol, for documents of type `D`.
#[derive(Debug)]
pub(super) struct Protocol<D> {
    instance: String,
    /// The highest that an earlier process of this device claimed; 0 for none.
    earlier_epoch: u64,
    epoch: u64,
    /// Of the last write that was begun; 0 before the first, so long as nothing is claimed.
    op: u64,
    base: Found,
    /// The document of the base, when this process wrote it.
    standing: Option<D>,
    was_acked: bool,
    claimed_again: bool,
    failures: u64,
    pause: Pause,
    state: State<D>,
}

impl<D> Protocol<D> {
    /// `instance` must be new with each process. `earlier_epoch` is the highest that an earlier process of this
    /// device is known to have claimed; 0 for none.
    pub(super) fn new(instance: String, earlier_epoch: u64) -> Self {
        Self {
            instance,
            earlier_epoch,
            epoch: 0,
            op: 0,
            base: Found { revision: 0, author: Author::Nobody },
            standing: None,
            was_acked: false,
            claimed_again: false,
            failures: 0,
            pause: Pause::None,
            state: State::Reading { pending: None, suspects_loss: false },
        }
    }

    pub(super) fn next(&self) -> Move<'_, D> {
        match &self.state {
            State::Reading { .. } => Move::Read,
            State::Free => Move::Free,
            State::Sending(pending) => {
                Move::Send { expected: self.base.revision, document: &pending.document }
            }
            State::Superseded(_) => Move::Superseded,
        }
    }

    /// Whether a write may be stored or not.
    pub(super) fn is_in_doubt(&self) -> bool {
        matches!(self.state, State::Reading { pending: Some(_), .. })
    }

    /// How long to wait before that.
    pub(super) fn pause(&self) -> Pause {
        self.pause
    }

    /// The epoch that this process claims or has; 0 before the first read.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The entry's revision as far as this process knows.
    pub(super) fn revision(&self) -> u64 {
        self.base.revision
    }

    /// Whether a write was ever begun: until then, each read is a start read.
    pub(super) fn has_claimed(&self) -> bool {
        self.op > 0
    }

    /// This process's document that is known to be the entry; `None` when one has to be written.
    pub(super) fn standing(&self) -> Option<&D> {
        self.standing.as_ref()
    }

    /// Who outranks this process.
    pub(super) fn superseded_by(&self) -> Option<&Writer> {
        match &self.state {
            State::Superseded(by) => Some(by),
            _ => None,
        }
    }

    /// How the document of the next write has to be signed.
    pub(super) fn next_writer(&self) -> Writer {
        Writer { instance: self.instance.clone(), epoch: self.epoch, op: self.op.saturating_add(1) }
    }

    /// Begins to write `document`, signed with [`Self::next_writer`]. Only when free.
    pub(super) fn begin(&mut self, document: D) {
        if matches!(self.state, State::Free) {
            let writer = self.next_writer();
            self.op = writer.op;
            self.state = State::Sending(Pending { writer, document });
        }
    }

    /// Has the entry read and compared, if nothing is in flight that will tell anyway.
    pub(super) fn check(&mut self) {
        if matches!(self.state, State::Free) {
            self.state = State::Reading { pending: None, suspects_loss: false };
        }
    }

    /// There is a new link: old failures mean nothing on it, and another server may know more.
    pub(super) fn reconnected(&mut self) {
        self.failures = 0;
        if matches!(self.pause, Pause::Backoff(_)) {
            self.pause = Pause::None;
        }
        self.check();
    }

    /// Takes in what became of the last move.
    pub(super) fn note(&mut self, fact: Fact) {
        self.state = match (mem::replace(&mut self.state, State::Free), fact) {
            (State::Reading { pending, suspects_loss }, Fact::Found(found)) => {
                self.judge(pending, suspects_loss, found)
            }
            (reading @ State::Reading { .. }, Fact::ReadFailed) => {
                self.back_off();
                reading
            }
            (State::Sending(pending), Fact::Acked { revision }) => self.landed(pending, revision),
            (State::Sending(pending), Fact::NotAcked) => {
                self.back_off();
                State::Reading { pending: Some(pending), suspects_loss: false }
            }
            (State::Sending(_), Fact::Refused) => {
                self.back_off();
                State::Free
            }
            // Not an answer to the last move.
            (state, _) => state,
        };
    }

    fn back_off(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.pause = Pause::Backoff(self.failures);
    }

    fn settle(&mut self) -> State<D> {
        self.failures = 0;
        self.pause = Pause::None;
        State::Free
    }

    fn landed(&mut self, pending: Pending<D>, revision: u64) -> State<D> {
        self.base = Found { revision, author: Author::Writer(pending.writer) };
        self.standing = Some(pending.document);
        self.was_acked = true;
        self.settle()
    }

    fn judge(&mut self, pending: Option<Pending<D>>, suspects_loss: bool, found: Found) -> State<D> {
        if !self.has_claimed() {
            return self.start(found);
        }
        let pending = match pending {
            Some(pending) if found.author == Author::Writer(pending.writer.clone()) => {
                return self.landed(pending, found.revision);
            }
            pending => pending,
        };
        // Whose write it is belongs to the base: after a loss, a revision can come back with
        // another entry.
        if found == self.base {
            return match pending {
                Some(pending) => {
                    self.pause = Pause::None;
                    State::Sending(pending)
                }
                None => self.settle(),
            };
        }
        // The same write under another revision: the bucket was restored from a copy.
        if pending.is_none() && self.standing.is_some() && found.author == self.base.author {
            self.base = found;
            return self.settle();
        }
        if found.revision < self.base.revision && !suspects_loss {
            self.pause = Pause::LagBound;
            return State::Reading { pending, suspects_loss: true };
        }
        self.rebase(found)
    }

    /// Nothing is claimed yet: the claim goes above whatever is there, was there at an earlier start read, and
    /// was claimed by earlier processes of this device. A store may be lost, and come back with what those wrote.
    fn start(&mut self, found: Found) -> State<D> {
        let there = match &found.author {
            Author::Writer(writer) => writer.epoch,
            Author::Nobody | Author::Stranger => 0,
        };
        self.epoch = self.epoch.max(there.max(self.earlier_epoch).saturating_add(1));
        self.base = found;
        self.settle()
    }

    /// Goes on from an entry that is not what this process wrote, unless it is outranked. What
    /// was pending is given up: its revision is gone, so it cannot win any more, and the next
    /// write has newer content. The pause is over, the count of failures is not, so that no
    /// quarrel over the entry can become a hot loop.
    fn rebase(&mut self, found: Found) -> State<D> {
        self.base = found;
        self.standing = None;
        self.pause = Pause::None;
        let Author::Writer(other) = &self.base.author else {
            return State::Free;
        };
        match other.epoch.cmp(&self.epoch) {
            Ordering::Greater => State::Superseded(other.clone()),
            // A predecessor's late write, or a late copy of an earlier write of this process.
            Ordering::Less => State::Free,
            Ordering::Equal if other.instance == self.instance => State::Free,
            // Both found the same entry at their start, and the other one won.
            Ordering::Equal if !self.was_acked && !self.claimed_again => {
                self.claimed_again = true;
                self.epoch = self.epoch.saturating_add(1);
                State::Free
            }
            // Only after the store lost one of two claims: any order will do, if both follow it.
            Ordering::Equal if other.instance < self.instance => State::Free,
            Ordering::Equal => State::Superseded(other.clone()),
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
