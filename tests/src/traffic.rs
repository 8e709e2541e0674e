//! What a device asks of the server and writes there, counted at the server.

use std::time::Instant;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::unconstrained;

use crate::platform::{ACTUAL_STATE, DESIRED_STATE, Platform};

/// Reads that one hint may lead to: of an entry that is not there yet, nine (ADR-023).
const READS_FOR_A_HINT: u64 = 9;
/// Writes that a hint or an entry of somebody else may lead to: a document is told of as converging and as converged,
/// and each of these twice where the first time was in vain.
const WRITES_FOR_A_CHANGE: u64 = 4;
/// What may be asked for without any cause that shows here: a connection that is made, something altered by hand.
const AT_ALL: u64 = 10;
/// One read a second: of a device that resyncs as often as tests have it do, or that tries again what failed.
const PAUSE_OF_READS: u64 = 1;
/// One write in so many seconds: the pauses after failures grow, from a quarter of a second to five minutes.
const PAUSE_OF_WRITES: u64 = 4;

/// Counts what one device does from now on, and what it has cause to, on the server that the platform is connected to.
#[derive(Debug)]
pub struct Traffic {
    begun: Instant,
    reads: Subscriber,
    own_reads: Subscriber,
    writes: Subscriber,
    hints: Subscriber,
    counts: Counts,
}

/// How often a device did something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read its desired state.
    pub reads: u64,
    /// Read its own status.
    pub own_reads: u64,
    /// Sent its status, whether or not that was stored.
    pub writes: u64,
    /// Was told that its desired state may be another one, truly or not.
    pub hints: u64,
    /// Had something written to its status by somebody else.
    pub foreign_writes: u64,
}

impl Traffic {
    /// Begins to count.
    pub async fn watch(platform: &Platform, agent: &str) -> Self {
        let direct_get = |bucket| format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{agent}");
        let listen = async |subject| platform.client.subscribe(subject).await.expect("connected");
        let traffic = Self {
            begun: Instant::now(),
            reads: listen(direct_get(DESIRED_STATE)).await,
            own_reads: listen(direct_get(ACTUAL_STATE)).await,
            writes: listen(format!("$KV.{ACTUAL_STATE}.{agent}")).await,
            hints: listen(format!("{DESIRED_STATE}.{agent}")).await,
            counts: Counts::default(),
        };
        platform.client.flush().await.expect("connected");
        traffic
    }

    /// What was counted so far.
    pub fn counts(&mut self) -> Counts {
        let Self { reads, own_reads, writes, hints, counts, .. } = self;
        let its_own = |message: &Message| !is_the_platforms(message);
        counts.reads += all_of(reads).iter().filter(|message| its_own(message)).count() as u64;
        counts.own_reads += all_of(own_reads).iter().filter(|message| its_own(message)).count() as u64;
        let (own, foreign): (Vec<_>, Vec<_>) = all_of(writes).into_iter().partition(its_own);
        counts.writes += own.len() as u64;
        counts.foreign_writes += foreign.len() as u64;
        counts.hints += all_of(hints).len() as u64;
        *counts
    }

    /// Takes note of hints that only devices see: one that forges them publishes in their account.
    pub fn note_hints_among_devices(&mut self, hints: u64) {
        self.counts.hints += hints;
    }

    /// Makes sure that the device asked for no more than it had cause to, however much befell it.
    ///
    /// # Panics
    /// When it did more.
    pub fn assert_bounded(&mut self) -> Counts {
        let seconds = self.begun.elapsed().as_secs() + 1;
        let counts = self.counts();
        let exceeded = counts.exceeded(seconds);
        assert!(exceeded.is_none(), "too many {} in {seconds} s: {counts:?}", exceeded.unwrap_or_default());
        counts
    }
}

impl Counts {
    /// What was done more often, in so many seconds, than what befell the device explains.
    fn exceeded(&self, seconds: u64) -> Option<&'static str> {
        let Self { reads, own_reads, writes, hints, foreign_writes } = *self;
        let may_read = AT_ALL + READS_FOR_A_HINT * hints + seconds / PAUSE_OF_READS;
        let may_write = AT_ALL + WRITES_FOR_A_CHANGE * (hints + foreign_writes) + seconds / PAUSE_OF_WRITES;
        // Each read of the own status follows a write, somebody else's too, or a link, or a pause.
        let may_read_own = AT_ALL + 2 * (writes + foreign_writes) + seconds / PAUSE_OF_READS;
        let counted = [
            ("reads", reads, may_read),
            ("writes", writes, may_write),
            ("reads of the own status", own_reads, may_read_own),
        ];
        counted.into_iter().find(|(_, count, may_be)| count > may_be).map(|(what, ..)| what)
    }
}

/// All that has come.
fn all_of(subscriber: &mut Subscriber) -> Vec<Message> {
    // Unconstrained, because all that came is to be counted and not only what one turn allows.
    std::iter::from_fn(|| unconstrained(subscriber.next()).now_or_never().flatten()).collect()
}

/// Whether the platform sent it. A device asks for an answer at a place of its own; whoever asks for none at all may be
/// a device that does not want to know.
fn is_the_platforms(message: &Message) -> bool {
    message.reply.as_deref().is_some_and(|reply| reply.starts_with("_INBOX."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reply: Option<&str>) -> Message {
        Message {
            subject: "$KV.actual-state.edge".into(),
            reply: reply.map(Into::into),
            payload: Default::default(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn what_asks_for_no_answer_counts_as_the_devices() {
        assert!(is_the_platforms(&message(Some("_INBOX.a.b"))));
        for reply in [None, Some("_INBOX_edge.a"), Some("_R_.a")] {
            assert!(!is_the_platforms(&message(reply)), "{reply:?}");
        }
    }

    #[test]
    fn a_device_may_do_what_it_has_cause_to_and_no_more() {
        let three_documents = Counts { reads: 8, own_reads: 4, writes: 6, hints: 3, foreign_writes: 0 };
        assert_eq!(three_documents.exceeded(10), None);
        // Something every second, over a minute.
        for (counts, what) in [
            (Counts { reads: 120, ..three_documents }, "reads"),
            (Counts { writes: 60, ..three_documents }, "writes"),
            (Counts { own_reads: 120, ..three_documents }, "reads of the own status"),
        ] {
            assert_eq!(counts.exceeded(60), Some(what));
        }
        let rivalled = Counts { writes: 60, own_reads: 120, foreign_writes: 40, ..three_documents };
        assert_eq!(rivalled.exceeded(60), None);
    }
}
