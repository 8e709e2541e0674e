//! Follows this device's entry in `desired-state` without a consumer on the server (ADR-023).
//!
//! ```text
//! hint ───────────┐
//! (re)connected ──┼──▶ ReadSchedule ──▶ Direct Get ──▶ watch::Receiver (latest wins)
//! resync, retry ──┘         ▲                │
//!                           └── failed, or behind the hint
//! ```
//!
//! The bucket repeats the headers of each stored entry on a subject of the device's own. Such a
//! message is a hint and never more: it can be forged, and it can be missed. The truth is what a
//! Direct Get returns. [`ReadSchedule`] decides when to make one; this file decides nothing.

mod hint_caution;
mod read_schedule;

use std::{pin::pin, time::Duration};

use agent_model::AgentId;
use async_nats::{Message, Subscriber, header::NATS_SEQUENCE};
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{Fuse, FusedFuture},
    stream,
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::JoinError,
    time::{Instant, sleep, sleep_until},
};

use self::{
    hint_caution::HintCaution,
    read_schedule::{Freshness, ReadSchedule},
};
use super::{
    Connection, Link,
    connection::{SUBSCRIPTION_CAPACITY, while_linked},
    direct_get::{Entry, ReadError},
    names,
    owned_task::OwnedTask,
};
use crate::backoff::Backoff;

/// After a subscription that could not be made, or ended.
const RESUBSCRIBE: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// How to follow the entry.
#[derive(Debug, Clone)]
pub struct DesiredWatchSettings {
    /// How often the entry is read though nothing hints at a change, a quarter more or less. Only
    /// a net: reading more often would be most of a device's traffic (ADR-023).
    pub resync_interval: Duration,
}

impl Default for DesiredWatchSettings {
    fn default() -> Self {
        Self { resync_interval: Duration::from_secs(4 * 3600) }
    }
}

/// Follows this device's entry until it is dropped.
#[derive(Debug)]
pub struct DesiredWatch {
    entries: watch::Receiver<Option<Entry>>,
    /// Ends its task when dropped.
    task: OwnedTask,
}

impl DesiredWatch {
    /// Begins to follow the entry of `agent`. Needs no server yet.
    pub fn spawn(connection: &Connection, agent: &AgentId, settings: DesiredWatchSettings) -> Self {
        let (sender, entries) = watch::channel(None);
        let follower = Follower {
            connection: connection.clone(),
            link: connection.link(),
            agent: agent.clone(),
            schedule: ReadSchedule::new(
                settings.resync_interval,
                StdRng::from_rng(&mut rand::rng()),
                Instant::now(),
            ),
            caution: HintCaution::default(),
            entries: sender,
        };
        let task = OwnedTask::spawn(follower.run());
        Self { entries, task }
    }

    /// Ready when its task panicked, which ought to end the agent: it would hear of no more documents. Cancel safe.
    pub async fn failed(&mut self) -> JoinError {
        self.task.failed().await
    }

    /// The newest entry read; `None` before the first read. A change shows when the entry differs
    /// from the one before, also when its revision is lower: the bucket may have been rebuilt, and
    /// revisions are no protection against old documents. Entries in between may be skipped, the
    /// last never is.
    pub fn entries(&self) -> watch::Receiver<Option<Entry>> {
        self.entries.clone()
    }
}

struct Follower {
    connection: Connection,
    link: watch::Receiver<Link>,
    agent: AgentId,
    schedule: ReadSchedule<StdRng>,
    caution: HintCaution,
    entries: watch::Sender<Option<Entry>>,
}

/// What the follower woke up for.
enum Wake {
    /// The link was lost or made, perhaps both since the last look; false: it is gone for good.
    Link(bool),
    /// Hints arrived; `None`: the subscription ended.
    Hints(Option<Vec<Message>>),
    /// It is time to read.
    ReadDue,
    /// A read ended.
    Read(Result<Entry, ReadError>),
    /// The link has stood for long enough without hints.
    Stood,
}

impl Follower {
    async fn run(mut self) {
        let mut attempt = 0;
        // What the link was last says nothing once it is gone for good.
        while self.link.wait_for(|link| link.connected).await.is_ok() && self.link.has_changed().is_ok() {
            let began = Instant::now();
            if let Some(wait) = self.caution.wait(rand::random()) {
                tracing::info!(
                    ?wait,
                    "links were lost as soon as there were hints; this one goes without for a while"
                );
                self.follow(stream::pending(), Some(began + wait)).await;
                if began.elapsed() < wait {
                    continue;
                }
            }
            match subscribe(&self.connection, &self.agent).await {
                Ok(hints) => self.follow(hints, None).await,
                Err(error) => tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "cannot subscribe to hints of new documents; trying again"
                ),
            }
            attempt = if began.elapsed() > RESUBSCRIBE.longest { 1 } else { attempt + 1 };
            // Another link is worth another try at once.
            while_linked(self.link.clone(), sleep(RESUBSCRIBE.delay(attempt, rand::random()))).await;
        }
    }

    /// Reads whenever the schedule says so, until the subscription or the connection ends, or the link is lost and the
    /// next one is to go without hints. Given an `end`, there are none: until then, or the loss of the link.
    async fn follow(&mut self, hints: impl Stream<Item = Message> + Unpin, end: Option<Instant>) {
        let Self { connection, link, agent, schedule, caution, entries } = self;
        let mut hints = hints.ready_chunks(SUBSCRIPTION_CAPACITY);
        let mut reading = pin!(Fuse::terminated());
        let mut connects = None;
        link.mark_changed();
        loop {
            let read_at = schedule.next_read();
            let wake = tokio::select! {
                biased;
                // First, as a read that ends with its link has not failed.
                // Cancel-safe: a change that was not returned is still unseen.
                changed = link.changed() => Wake::Link(changed.is_ok()),
                // Cancel-safe: the read lives outside of the loop and goes on in the next round.
                outcome = &mut reading => Wake::Read(outcome),
                // Cancel-safe: the next round computes the time anew.
                () = sleep_until(read_at.unwrap_or_else(Instant::now)), if read_at.is_some() => Wake::ReadDue,
                // Cancel-safe, likewise. Not while an answer is on its way: given up, it would come all the same.
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() && reading.is_terminated() => {
                    Wake::Stood
                }
                // Last, as there is no end of them where somebody forges them.
                // Cancel-safe: a chunk is collected and returned within one poll.
                hints = hints.next() => Wake::Hints(hints),
            };
            let now = Instant::now();
            match wake {
                Wake::Link(true) => {
                    let link = *link.borrow_and_update();
                    let newest = link.connected.then_some(link.connects);
                    if newest == connects {
                        continue;
                    }
                    // What a read over the link that was lost comes to says nothing.
                    reading.set(Fuse::terminated());
                    schedule.disconnected();
                    if connects.is_some() {
                        caution.lost(now);
                        if end.is_some() || caution.wait(0.0).is_some() {
                            return;
                        }
                    }
                    connects = newest;
                    if link.connected {
                        schedule.connected(now);
                        if end.is_none() {
                            caution.asked(now);
                        }
                    }
                }
                Wake::Hints(Some(hints)) => {
                    hints.iter().for_each(|hint| schedule.hint(now, sequence_of(hint)));
                }
                Wake::ReadDue => {
                    schedule.begin(now);
                    reading.set(connection.read_last(names::DESIRED_STATE_BUCKET, agent).fuse());
                }
                Wake::Read(Ok(entry)) => {
                    let freshness = schedule.succeeded(now, entry.revision());
                    log_freshness(freshness, entry.revision());
                    if freshness != Freshness::Doubtful {
                        hand_on(entries, entry);
                    }
                }
                Wake::Read(Err(error)) => log_failure(&error, schedule.failed(now)),
                Wake::Link(false) | Wake::Hints(None) | Wake::Stood => {
                    schedule.disconnected();
                    return;
                }
            }
        }
    }
}

/// Subscribes to the hints, and returns when the subscription has left for the server at the other end, where it comes
/// before whatever is sent next. On a single server, what is read afterwards misses no change that is not hinted at; in
/// a cluster the schedule reads once more after a while.
async fn subscribe(
    connection: &Connection,
    agent: &AgentId,
) -> Result<Subscriber, Box<dyn std::error::Error + Send + Sync>> {
    let hints = connection.client().subscribe(names::hint_subject(agent)).await?;
    connection.flush().await.ok_or("it does not leave in time, or the link was lost")??;
    Ok(hints)
}

/// The sequence of the stored entry, as the server notes it on what it republishes.
fn sequence_of(hint: &Message) -> Option<u64> {
    hint.headers.as_ref()?.get_last(NATS_SEQUENCE)?.as_str().parse().ok()
}

fn hand_on(entries: &watch::Sender<Option<Entry>>, entry: Entry) {
    entries.send_if_modified(|last| {
        let differs = last.as_ref() != Some(&entry);
        if differs {
            *last = Some(entry);
        }
        differs
    });
}

fn log_freshness(freshness: Freshness, revision: u64) {
    match freshness {
        Freshness::Current => tracing::debug!(revision, "read the desired state"),
        Freshness::Behind | Freshness::Doubtful => {
            tracing::debug!(revision, "read an older desired state than expected");
        }
        Freshness::GivenUp { expected } => tracing::warn!(
            revision,
            expected,
            "the desired state stays older than was announced: a forged hint, or a rebuilt bucket"
        ),
    }
}

/// Only the first failure of a row is worth a line on a device that may fail for days.
fn log_failure(error: &ReadError, in_a_row: u64) {
    let error: &dyn std::error::Error = error;
    if in_a_row == 1 {
        tracing::warn!(error, "cannot read the desired state; trying again");
    } else {
        tracing::debug!(error, in_a_row, "cannot read the desired state; trying again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::HeaderMap;

    #[test]
    fn a_reader_wakes_for_whatever_differs_and_for_nothing_else() {
        let present = |revision, value: &'static str| Entry::Present { revision, value: value.into() };
        let (sender, mut reader) = watch::channel(None);
        let steps = [
            (Entry::Absent, true),
            (Entry::Absent, false),
            (present(7, "a"), true),
            (present(7, "a"), false),
            (present(3, "a"), true),
            (present(3, "b"), true),
            (Entry::Deleted { revision: 4 }, true),
            (Entry::Absent, true),
        ];
        for (entry, wakes) in steps {
            hand_on(&sender, entry.clone());
            assert_eq!(reader.has_changed().unwrap(), wakes, "{entry:?}");
            assert_eq!(*reader.borrow_and_update(), Some(entry));
        }
    }

    #[test]
    fn a_hint_needs_no_readable_sequence() {
        let hint = |sequence: Option<&str>| Message {
            subject: "desired-state.edge".into(),
            reply: None,
            payload: Default::default(),
            headers: sequence.map(|sequence| {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_SEQUENCE, sequence);
                headers
            }),
            status: None,
            description: None,
            length: 0,
        };
        assert_eq!(sequence_of(&hint(Some("8812"))), Some(8812));
        for unreadable in [None, Some(""), Some("-1"), Some("99999999999999999999"), Some("x")] {
            assert_eq!(sequence_of(&hint(unreadable)), None, "{unreadable:?}");
        }
    }
}
