//! The device's one connection to NATS, which is there before any server is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_model::AgentId;
use async_nats::{Client, ClientError, Event, Message, Request, RequestError, client::FlushError};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    access::{Access, AccessError, Entrance},
    names,
    patience::{self, Patience},
    token_bucket::TokenBucket,
};
use crate::backoff::Backoff;

/// How often the server is asked for a sign of life while it gives none; the third time in a row without
/// one, the connection counts as lost. Each costs some 200 bytes with TLS, so the client's own minute would
/// be most of what an idle device is allowed (ADR-023).
const PING_INTERVAL: Duration = Duration::from_secs(300);

/// Messages that may wait in one subscription. Beyond that the newest are dropped, which is no
/// loss for hints: those that wait lead to a read that begins after the dropped ones were sent.
pub(super) const SUBSCRIPTION_CAPACITY: usize = 256;

/// The jitter starts with the very first attempt: a server that restarts loses all its devices at
/// once. A minute is the longest that a device in reach of a server stays away from it.
const RECONNECT: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// What the client complains about can repeat with every message: so many lines at once, and then
/// one per interval.
const LOG_BURST: u32 = 10;
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Why a connection cannot even be tried. Only other settings help; a server that is out of reach
/// is no error.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no way in.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The client refused its settings.
    #[error("cannot set up the NATS client: check the server URLs and the credentials")]
    Client {
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Whether there is a server at the other end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether there is one now.
    pub connected: bool,
    /// How often one was reached: tells a reader that missed a short gap that there was one.
    pub connects: u64,
}

/// The device's connection. Clones share it; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
    link: watch::Receiver<Link>,
    patience: Arc<Patience>,
}

impl Connection {
    /// Starts to connect and returns at once, so that a device can boot without a server. The
    /// connection is tried, and tried again after each loss, for as long as this value lives.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(access: &Access, agent: &AgentId) -> Result<Self, ConnectError> {
        Self::open_with_inbox(access, agent, names::inbox_prefix(agent)).await
    }

    /// The same with answers to requests below that prefix.
    pub(super) async fn open_with_inbox(
        access: &Access,
        agent: &AgentId,
        inbox_prefix: String,
    ) -> Result<Self, ConnectError> {
        let Entrance { servers, options } = access.open().await?;
        let (link_sender, link) = watch::channel(Link::default());
        let observer = Mutex::new(LinkObserver::new(link_sender, Instant::now()));
        let observer = Arc::new(observer);
        let options = options
            .name(format!("harmony-agent {}", agent))
            .custom_inbox_prefix(inbox_prefix)
            .retry_on_initial_connect()
            .request_timeout(None)
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
                observer.observe(&event, Instant::now());
                std::future::ready(())
            });
        let client =
            options.connect(servers).await.map_err(|error| ConnectError::Client { source: error.into() })?;
        Ok(Self { client, link, patience: Arc::default() })
    }

    /// Whether there is a server at the other end now.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().connected
    }

    /// Follows whether there is a server at the other end.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Sends a request, and gives what came of it; `None` when nothing came in time, or there is no link, or it is lost
    /// over which an answer would have come.
    pub(super) async fn request(
        &self,
        subject: &str,
        request: Request,
    ) -> Option<Result<Message, RequestError>> {
        if !self.is_connected() {
            return None;
        }
        // The client knows a request by its part of an inbox that all share, until an answer comes, and for ever where
        // none does (nats-io/nats.rs#1617). Where that may be again the request has an inbox that goes with it.
        let request = match self.patience.is_tried(subject) {
            true => request.inbox(self.client.new_inbox()),
            false => request,
        };
        let answer = self.client.send_request(subject.to_owned(), request);
        while_linked(self.link.clone(), self.patience.wait_for(subject, answer)).await.flatten()
    }

    /// Returns when all has left that was sent before, and so comes before whatever is sent next; `None` when it does not
    /// in time, or the link is lost.
    pub(super) async fn flush(&self) -> Option<Result<(), FlushError>> {
        let leaving = timeout(patience::SHORTEST, self.client.flush());
        while_linked(self.link.clone(), leaving).await?.ok()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

/// What comes of a request; `None` when the link is lost over which its answer would come.
pub(super) async fn while_linked<T>(
    mut link: watch::Receiver<Link>,
    request: impl Future<Output = T>,
) -> Option<T> {
    let connects = link.borrow().connects;
    tokio::select! {
        // Cancel-safe: the request is given up with its answer, and whoever made it makes it again.
        answer = request => Some(answer),
        // Cancel-safe: this receiver is only looked at here.
        _ = link.wait_for(|link| !link.connected || link.connects != connects) => None,
    }
}

/// `attempts` counts from 1 since the last success.
fn reconnect_delay(attempts: usize) -> Duration {
    RECONNECT.delay(u64::try_from(attempts).unwrap_or(u64::MAX), rand::random())
}

/// Turns the client's events into the [`Link`] and into log lines.
struct LinkObserver {
    link: watch::Sender<Link>,
    log: TokenBucket,
    /// Lines left out since the last one.
    unlogged: u64,
}

impl LinkObserver {
    fn new(link: watch::Sender<Link>, now: Instant) -> Self {
        Self { link, log: TokenBucket::new(LOG_BURST, LOG_INTERVAL, now), unlogged: 0 }
    }

    fn observe(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Connected => self.link.send_modify(|link| {
                *link = Link { connected: true, connects: link.connects + 1 };
            }),
            Event::Disconnected | Event::Closed => self.link.send_modify(|link| link.connected = false),
            _ => {}
        }
        if self.log.take(now) {
            log(event, std::mem::take(&mut self.unlogged));
        } else {
            self.unlogged += 1;
        }
    }
}

/// A missing permission or a revoked user shows up here and nowhere else: to whoever asked, it
/// looks like a time-out.
fn log(event: &Event, unlogged: u64) {
    match event {
        Event::Connected => tracing::info!(unlogged, "connected to NATS"),
        Event::Disconnected => tracing::warn!(unlogged, "lost the connection to NATS; trying again"),
        Event::ServerError(error) => tracing::error!(
            unlogged,
            %error,
            "the NATS server refused something; check this device's permissions and credentials"
        ),
        Event::ClientError(ClientError::Other(error)) => {
            tracing::warn!(unlogged, error, "cannot reach NATS; trying again")
        }
        Event::ClientError(error) => tracing::error!(unlogged, %error, "the NATS client failed"),
        Event::LameDuckMode | Event::Draining | Event::Closed | Event::SlowConsumer(_) => {
            tracing::debug!(unlogged, %event, "NATS")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_comes_soon_and_no_attempt_waits_longer_than_a_minute() {
        for _ in 0..100 {
            assert!(reconnect_delay(1) <= Duration::from_millis(500));
            assert!(reconnect_delay(usize::MAX) <= Duration::from_secs(60));
        }
    }

    #[test]
    fn a_short_gap_shows_in_the_count_of_connects() {
        let (sender, mut link) = watch::channel(Link::default());
        let mut observer = LinkObserver::new(sender, Instant::now());
        observer.observe(&Event::Connected, Instant::now());
        assert_eq!(*link.borrow_and_update(), Link { connected: true, connects: 1 });
        observer.observe(&Event::Disconnected, Instant::now());
        observer.observe(&Event::Connected, Instant::now());
        assert!(link.has_changed().unwrap());
        assert_eq!(*link.borrow_and_update(), Link { connected: true, connects: 2 });
        observer.observe(&Event::Closed, Instant::now());
        assert_eq!(*link.borrow_and_update(), Link { connected: false, connects: 2 });
    }

    #[test]
    fn complaints_are_logged_at_a_bounded_rate_and_those_left_out_are_counted() {
        let start = Instant::now();
        let mut observer = LinkObserver::new(watch::channel(Link::default()).0, start);
        for _ in 0..25 {
            observer.observe(&Event::Disconnected, start);
        }
        assert_eq!(observer.unlogged, 15);
        observer.observe(&Event::Disconnected, start + LOG_INTERVAL);
        assert_eq!(observer.unlogged, 0);
    }
}
