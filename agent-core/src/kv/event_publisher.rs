//! Telling the platform what the audit log tells, in its order, each record until it is stored.
//!
//! The log is the queue: how far it was told is a number in a file, so that nothing is lost while there is no
//! server, and nothing has to be held in memory meanwhile.

mod failures_told;

use std::time::Duration;

use agent_model::{AgentId, status::Event};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::JoinError,
    time::{Instant, sleep, sleep_until, timeout},
};

use self::failures_told::FailuresTold;
use super::{Connection, EventError, Link, owned_task::OwnedTask, publish_event, token_bucket::TokenBucket};
use crate::{
    audit::{AuditLog, EventCursor, unsent},
    backoff::Backoff,
    state_dir::StateLayout,
};

/// How long after a record was written its event is sent at the earliest: the status goes first, and what
/// belongs together is read at once.
const SETTLE: Duration = Duration::from_secs(1);
/// So many events are sent at once: the first document of a device with many resources. Beyond that one a
/// second: the stream holds 1,000 of a device, and somebody who fights with the agent over a file must not eat up
/// a metered link (an event is some 500 bytes on the wire).
const BURST: u32 = 200;
const INTERVAL: Duration = Duration::from_secs(1);

/// So many tries in a row without success are worth a line, once.
const WORTH_A_LINE: u64 = 3;

/// Publishes events until it is dropped.
#[derive(Debug)]
pub struct EventPublisher {
    /// Ends its task when dropped.
    task: OwnedTask,
}

impl EventPublisher {
    /// Begins to publish what `audit`, the log of that folder, tells beyond the cursor that lies beside it.
    pub fn spawn(connection: &Connection, agent: &AgentId, layout: StateLayout, audit: &AuditLog) -> Self {
        let (agent, link) = (agent.clone(), connection.link());
        let outlet = Stream { connection: connection.clone(), agent, link, reached: 0 };
        let task = OwnedTask::spawn(Publisher::new(layout, audit, outlet).run());
        Self { task }
    }

    /// Ready when its task panicked, which ought to end the agent: it would tell of no more events. Cancel safe.
    pub async fn failed(&mut self) -> JoinError {
        self.task.failed().await
    }
}

/// Where events go.
trait Outlet: Send + Sync {
    /// Ready when it is worth trying. Never, when it will not be any more.
    fn reachable(&mut self) -> impl Future<Output = ()> + Send;

    /// Ready when what is to be reached is another than was last [`reachable`](Self::reachable), so that a failure says
    /// nothing any more.
    fn renewed(&mut self) -> impl Future<Output = ()> + Send;

    /// Tries it once.
    fn publish(&self, event: &Event) -> impl Future<Output = Result<(), EventError>> + Send;
}

struct Stream {
    connection: Connection,
    agent: AgentId,
    link: watch::Receiver<Link>,
    /// Which link was there when it was reachable last.
    reached: u64,
}

impl Outlet for Stream {
    async fn reachable(&mut self) {
        match self.link.wait_for(|link| link.connected).await.map(|link| link.connects) {
            Ok(connects) => self.reached = connects,
            Err(_) => std::future::pending().await,
        }
    }

    async fn renewed(&mut self) {
        let reached = self.reached;
        if self.link.wait_for(|link| link.connects != reached).await.is_err() {
            std::future::pending().await
        }
    }

    async fn publish(&self, event: &Event) -> Result<(), EventError> {
        publish_event(&self.connection, &self.agent, event).await
    }
}

struct Publisher<O> {
    layout: StateLayout,
    durable: watch::Receiver<u64>,
    outlet: O,
    /// The newest record that needs no telling any more; `None` where nobody knows of any.
    cursor: Option<u64>,
    /// The newest record when this process began.
    start: u64,
    bucket: TokenBucket,
    failures: FailuresTold,
    random: StdRng,
}

impl<O: Outlet> Publisher<O> {
    fn new(layout: StateLayout, audit: &AuditLog, outlet: O) -> Self {
        let (durable, start) = (audit.durable(), audit.head().seq);
        let cursor = EventCursor::read(&layout).map(|cursor| cursor.published);
        // A lost state folder that came back in part: the numbers began anew.
        let cursor = cursor.filter(|cursor| *cursor <= start);
        let bucket = TokenBucket::new(BURST, INTERVAL, Instant::now());
        let (failures, random) = (FailuresTold::default(), StdRng::from_rng(&mut rand::rng()));
        Self { layout, durable, outlet, cursor, start, bucket, failures, random }
    }

    async fn run(mut self) {
        let mut seen = self.cursor.unwrap_or(0);
        while let Ok(newest) = self.durable.wait_for(|newest| *newest > seen).await.map(|newest| *newest) {
            sleep(SETTLE).await;
            seen = newest;
            if !self.tell_up_to(newest).await {
                return;
            }
        }
    }

    /// Whether there will be more to tell: a device that was superseded says that, and no more.
    async fn tell_up_to(&mut self, newest: u64) -> bool {
        let mut failures = 0;
        loop {
            let unsent = match unsent(&self.layout, self.cursor, newest) {
                Ok(unsent) => unsent,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "the audit log cannot be read; its events wait");
                    sleep(Backoff::RESOURCE.delay(failures, self.random.random())).await;
                    continue;
                }
            };
            for event in &unsent.events {
                if self.failures.is_news(event) {
                    self.deliver(event).await;
                }
                self.advance(event.seq);
                if event.event_type == "DuplicateIdentity" && event.seq > self.start {
                    return false;
                }
            }
            if self.cursor.unwrap_or(0) >= unsent.up_to && unsent.events.is_empty() {
                return true;
            }
            self.advance(unsent.up_to);
        }
    }

    async fn deliver(&mut self, event: &Event) {
        sleep_until(self.bucket.available_at()).await;
        self.bucket.take(Instant::now());
        let mut tries = 0;
        loop {
            self.outlet.reachable().await;
            match self.outlet.publish(event).await {
                Ok(()) => return,
                Err(error) if error.retry_helps() => {
                    tries += 1;
                    log_failure(event.seq, &error, tries);
                    let pause = Backoff::RESOURCE.delay(tries, self.random.random());
                    // Another link is another chance at once.
                    if timeout(pause, self.outlet.renewed()).await.is_ok() {
                        tries = 0;
                    }
                }
                Err(error) => {
                    tracing::warn!(seq = event.seq, %error, "the event is given up");
                    return;
                }
            }
        }
    }

    fn advance(&mut self, published: u64) {
        if self.cursor == Some(published) {
            return;
        }
        self.cursor = Some(published);
        if let Err(error) = (EventCursor { published }).write(&self.layout) {
            tracing::debug!(%error, "the cursor of the events cannot be written");
        }
    }
}

/// Lost answers are ordinary. Only what goes on is worth a line, once.
fn log_failure(seq: u64, error: &(dyn std::error::Error + 'static), in_a_row: u64) {
    match in_a_row {
        WORTH_A_LINE => tracing::warn!(seq, error, "events are not stored yet, and wait"),
        _ => tracing::debug!(seq, error, in_a_row, "the event is not stored yet"),
    }
}

#[cfg(test)]
mod tests;
