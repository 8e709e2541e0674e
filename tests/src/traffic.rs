//! What a device asks of the server and writes there, counted at the server.

use std::time::Instant;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::unconstrained;

use crate::platform::{ACTUAL_STATE, DESIRED_STATE, Platform};

/// Reads of the desired state that a device may make in a second, and at once.
const READS: u64 = 10;
/// Writes of the status that a device may make in any second.
const WRITES: u64 = 4;

/// Counts what one device does from now on, on the server that the platform is connected to.
#[derive(Debug)]
pub struct Traffic {
    begun: Instant,
    reads: Subscriber,
    own_reads: Subscriber,
    writes: Subscriber,
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
            counts: Counts::default(),
        };
        platform.client.flush().await.expect("connected");
        traffic
    }

    /// What was counted so far.
    pub fn counts(&mut self) -> Counts {
        let Self { reads, own_reads, writes, counts, .. } = self;
        for (count, seen) in
            [(&mut counts.reads, reads), (&mut counts.own_reads, own_reads), (&mut counts.writes, writes)]
        {
            // Unconstrained, because all that came is to be counted and not only what one turn allows.
            while let Some(Some(message)) = unconstrained(seen.next()).now_or_never() {
                *count += u64::from(!is_the_platforms(&message));
            }
        }
        *counts
    }

    /// Makes sure that the device kept to what it may do, however much befell it.
    ///
    /// # Panics
    /// When it did more.
    pub fn assert_bounded(&mut self) -> Counts {
        let seconds = self.begun.elapsed().as_secs() + 1;
        let counts = self.counts();
        assert!(counts.reads <= READS * (seconds + 1), "{counts:?} in {seconds} s");
        assert!(counts.writes <= WRITES * (seconds + 1), "{counts:?} in {seconds} s");
        // Each read of the own status follows a write, a link or a pause of at least the shortest.
        assert!(counts.own_reads <= READS * (seconds + 1), "{counts:?} in {seconds} s");
        counts
    }
}

/// Whether the platform sent it. A device asks for an answer at a place of its own.
fn is_the_platforms(message: &Message) -> bool {
    message.reply.as_deref().is_none_or(|reply| reply.starts_with("_INBOX."))
}
