//! Decides when the desired-state entry is read next. Pure: time comes in, a time comes out.

use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    kv::{jitter::spread, token_bucket::TokenBucket},
};

/// Reads of all causes together: this many at once, then one per interval.
const READ_BURST: u32 = 10;
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// After a read that failed.
const AFTER_FAILURE: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// After a read that came back older than expected, at least half of it. A cluster that elects a leader is behind for
/// about five seconds, a server that was cut off from the others until it finds them again; twelve of these delays add up
/// to between 8 and 17 minutes.
const WHILE_BEHIND: Backoff =
    Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(600) };
/// How often such a read is repeated for one hint. Bounded, because anyone may be able to forge a
/// hint of a revision that will never be.
const RETRIES_WHILE_BEHIND: u32 = 12;
/// What a hint that was not read yet makes of the repetitions so far: the next waits are seconds again, as it may be true
/// where the one before was forged, or of a bucket that was rebuilt.
const RETRIES_AFTER_A_HINT: u64 = 4;
/// How often an entry older than one seen before is read again before it is believed: a second or two, in which a
/// replica catches up that merely lags. Where it does not the bucket was rebuilt, and the entry is the one that counts.
const DOUBTED: u32 = 3;

/// Reads that hints asked for and that found nothing new: so many at once, then one per interval. A hint that was
/// forged costs a read of the whole entry; a true one waits for no longer than the interval where many are.
const FRUITLESS_BURST: u32 = 20;
const FRUITLESS_INTERVAL: Duration = Duration::from_secs(30);

/// So long after the first answer over a new link the entry is read once more, whatever was read before. In a cluster
/// the subscription to the hints reaches the node that leads the stream later than a nearer replica answers that read: a
/// write in between is neither read nor hinted at (18 of 2,400 on three nodes of 2.15.1, writes within 1.5 ms of the
/// subscription). A read that failed does not count: a server that has just started takes clients in before it has found
/// the others.
const SETTLING: Duration = Duration::from_secs(5);

/// When to read the entry next.
///
/// Whatever asks for a read only moves the time of the next one forward, so that requests
/// collapse: many hints during one read lead to one more read.
#[derive(Debug)]
pub(super) struct ReadSchedule<R> {
    resync_interval: Duration,
    rng: R,
    state: State,
    /// When the next read is wanted; the resync when nothing else asks for one.
    wanted_at: Instant,
    settling: Settling,
    budget: TokenBucket,
    fruitless: TokenBucket,
    /// Whether a hint asks for the next read, or asked for the one under way.
    hinted: bool,
    reads_for_a_hint: bool,
    /// Reads that failed in a row.
    failures: u64,
    /// The revision that the last read gave which was not in doubt.
    revision: u64,
    behind: Option<Behind>,
    /// How often in a row an entry was read that is older than one seen before.
    doubts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offline,
    Idle,
    Reading,
}

/// Whether a link is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settling {
    /// Nothing was read over it yet.
    Unanswered,
    /// It has settled then, and is read over once more.
    At(Instant),
    /// Nothing is special about it.
    Over,
}

/// A revision was announced, or seen before, that the last read did not reach.
#[derive(Debug)]
struct Behind {
    expected: u64,
    /// Repetitions that are left; each hint grants them anew.
    retries_left: u32,
    /// Repetitions so far, for the backoff; only catching up ends these, so that forged hints
    /// cannot keep the pauses short.
    retries: u64,
}

/// What a finished read means for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// As new as anything that was announced.
    Current,
    /// Older than what was announced or seen before: it will be read again.
    Behind,
    /// The same, and nothing to go by yet: older than what was seen before, which a replica that lags would say as well.
    Doubtful,
    /// Still older after all repetitions: not pursued until the next hint or resync.
    GivenUp {
        /// What was announced.
        expected: u64,
    },
}

impl<R: Rng> ReadSchedule<R> {
    pub(super) fn new(resync_interval: Duration, rng: R, now: Instant) -> Self {
        Self {
            resync_interval,
            rng,
            state: State::Offline,
            wanted_at: now,
            settling: Settling::Over,
            budget: TokenBucket::new(READ_BURST, READ_INTERVAL, now),
            fruitless: TokenBucket::new(FRUITLESS_BURST, FRUITLESS_INTERVAL, now),
            hinted: false,
            reads_for_a_hint: false,
            failures: 0,
            revision: 0,
            behind: None,
            doubts: 0,
        }
    }

    /// A server was reached, perhaps again. A read under way is lost, with the link it was on.
    pub(super) fn connected(&mut self, now: Instant) {
        self.state = State::Idle;
        self.failures = 0;
        self.wanted_at = now;
        self.settling = Settling::Unanswered;
    }

    /// The server was lost, and a read under way with it.
    pub(super) fn disconnected(&mut self) {
        self.state = State::Offline;
    }

    /// The server announced an entry, with this sequence if it could be read.
    pub(super) fn hint(&mut self, now: Instant, sequence: Option<u64>) {
        let believed = self.fruitless.available_at() <= now;
        self.want(now.max(self.fruitless.available_at()));
        self.hinted = true;
        let Some(sequence) = sequence else { return };
        self.expect(sequence);
        if let Some(behind) = self.behind.as_mut().filter(|_| believed && sequence > self.revision) {
            behind.retries = behind.retries.min(RETRIES_AFTER_A_HINT);
        }
    }

    /// When to begin a read; `None` while offline or while one is under way.
    pub(super) fn next_read(&self) -> Option<Instant> {
        (self.state == State::Idle).then(|| self.wanted_at.max(self.budget.available_at()))
    }

    /// A read begins. Call it at or after [`next_read`](Self::next_read).
    pub(super) fn begin(&mut self, now: Instant) {
        self.budget.take(now);
        self.state = State::Reading;
        self.reads_for_a_hint = std::mem::take(&mut self.hinted);
        self.wanted_at = now + spread(self.resync_interval, &mut self.rng);
        match self.settling {
            Settling::At(at) if at <= now => self.settling = Settling::Over,
            Settling::At(at) => self.want(at),
            Settling::Unanswered | Settling::Over => {}
        }
    }

    /// The read gave an entry of this revision (0: none).
    pub(super) fn succeeded(&mut self, now: Instant, revision: u64) -> Freshness {
        self.state = State::Idle;
        self.failures = 0;
        if self.settling == Settling::Unanswered {
            let at = now + spread(SETTLING.min(self.resync_interval), &mut self.rng);
            self.settling = Settling::At(at);
            self.want(at);
        }
        if self.reads_for_a_hint && revision == self.revision {
            self.fruitless.take(now);
        }
        let went_back = revision < self.revision;
        self.doubts = if went_back { self.doubts + 1 } else { 0 };
        if self.doubts == 1 {
            // A lagging replica answered, or the bucket was rebuilt: only reading again shows which of the two it was.
            self.expect(self.revision);
        }
        let Some(behind) = self.behind.as_mut().filter(|behind| behind.expected > revision) else {
            self.behind = None;
            self.revision = revision;
            return Freshness::Current;
        };
        if behind.retries_left == 0 {
            let expected = behind.expected;
            self.behind = None;
            self.revision = revision;
            return Freshness::GivenUp { expected };
        }
        behind.retries_left -= 1;
        behind.retries = behind.retries.saturating_add(1);
        let in_doubt = went_back && self.doubts <= DOUBTED;
        // How long something was pursued that was announced says nothing about a doubt.
        let repetitions = if in_doubt { self.doubts.into() } else { behind.retries };
        let delay = WHILE_BEHIND.delay(repetitions, self.rng.random_range(0.5..=1.0));
        self.want(now + delay);
        if in_doubt {
            return Freshness::Doubtful;
        }
        self.revision = revision;
        Freshness::Behind
    }

    /// The read failed, which says nothing about the entry. Gives the number of reads that failed
    /// in a row.
    pub(super) fn failed(&mut self, now: Instant) -> u64 {
        self.state = State::Idle;
        self.failures = self.failures.saturating_add(1);
        let delay = AFTER_FAILURE.delay(self.failures, self.rng.random());
        self.want(now + delay);
        self.failures
    }

    fn want(&mut self, at: Instant) {
        self.wanted_at = self.wanted_at.min(at);
    }

    fn expect(&mut self, revision: u64) {
        let (expected, retries) =
            self.behind.as_ref().map_or((0, 0), |behind| (behind.expected, behind.retries));
        let expected = expected.max(revision);
        self.behind = Some(Behind { expected, retries_left: RETRIES_WHILE_BEHIND, retries });
    }
}

#[cfg(test)]
mod tests;
