//! The device's one connection to NATS, which is there before any server is.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use agent_model::AgentId;
use async_nats::{
    Client, ClientError, Event, Message, Request, RequestError, Statistics, client::FlushError,
    connection::State,
};
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
/// once. A minute is the longest that a device in reach of a server stays away from it, besides the time that other
/// addresses take not to answer.
const RECONNECT: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// A link that is lost sooner counts as an attempt that failed.
const LASTING: Duration = Duration::from_secs(30);

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
        let observer = Arc::new(Mutex::new(LinkObserver::new(link_sender, Instant::now())));
        let (observed, judged, counted) =
            (Arc::clone(&observer), Arc::clone(&observer), Arc::clone(&observer));
        let options = options
            .name(format!("harmony-agent {}", agent))
            .custom_inbox_prefix(inbox_prefix)
            .retry_on_initial_connect()
            .request_timeout(None)
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            // Called at the begin of each round through all addresses, and leaves the choice to the client.
            .reconnect_to_server_callback(move |servers, _| {
                lock(&counted).addresses = servers.len();
                std::future::ready(None)
            })
            .reconnect_delay_callback(move |attempts| {
                let judged = lock(&judged);
                reconnect_delay(attempts, judged.unanswering(), judged.short_links(Instant::now()))
            })
            .event_callback(move |event| {
                lock(&observed).observe(&event, Instant::now());
                std::future::ready(())
            });
        let client =
            options.connect(servers).await.map_err(|error| ConnectError::Client { source: error.into() })?;
        lock(&observer).statistics = Some(client.statistics());
        Ok(Self { client, link, patience: Arc::default() })
    }

    /// Whether there is a server at the other end now. What the client tells of its link can be lost where it has much
    /// to tell, so it is asked as well.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().connected && self.client.connection_state() == State::Connected
    }

    /// Follows whether there is a server at the other end.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Ready when the client is gone for good, which while somebody holds this comes of a fault of its own alone. Nobody
    /// else would notice: all that goes by it merely falls silent. Cancel safe.
    pub async fn failed(&self) {
        let mut link = self.link();
        while link.changed().await.is_ok() {}
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
        // By default the client knows a request by its part of an inbox that all share, until an answer comes, and for
        // ever where none does (nats-io/nats.rs#1617). An inbox of its own goes with the request.
        let request = request.inbox(self.client.new_inbox());
        let answer = self.client.send_request(subject.to_owned(), request);
        let statistics = self.client.statistics();
        let received = || statistics.in_bytes.load(Ordering::Relaxed);
        while_linked(self.link.clone(), self.patience.wait_for(subject, received, answer)).await.flatten()
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

/// The pause before the next address. `attempts` counts from 1 since the last success, whatever the address. A success
/// that does not last is none: each link costs a handshake and all reads. Where none of so many addresses gives an
/// answer, one round through all of them takes as long as the pause would be for one, as nobody knows which of them is in
/// reach: servers also tell of those that are not.
fn reconnect_delay(attempts: usize, addresses: usize, short_links: u64) -> Duration {
    let addresses = if short_links > 0 { 1 } else { addresses.max(1) };
    let rounds = u64::try_from(attempts.div_ceil(addresses)).unwrap_or(u64::MAX);
    let longest = RECONNECT.longest / u32::try_from(addresses).unwrap_or(u32::MAX);
    Backoff { longest, ..RECONNECT }.delay(rounds.max(short_links.saturating_add(1)), rand::random())
}

fn lock(observer: &Mutex<LinkObserver>) -> MutexGuard<'_, LinkObserver> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Turns the client's events into the [`Link`] and into log lines.
struct LinkObserver {
    link: watch::Sender<Link>,
    /// Counts links too. The client drops events where it has many to tell, and a link must not go unnoticed.
    statistics: Option<Arc<Statistics>>,
    since: Option<Instant>,
    /// How many there are to try, with those that servers told of.
    addresses: usize,
    /// Whether a server answered since the last link, and let the device not in. The others would not either, and the
    /// client asks them no more in that round.
    refused: bool,
    /// How many links in a row did not last, before the one that there is.
    short_links: u64,
    log: TokenBucket,
    /// Lines left out since the last one.
    unlogged: u64,
}

impl LinkObserver {
    fn new(link: watch::Sender<Link>, now: Instant) -> Self {
        let log = TokenBucket::new(LOG_BURST, LOG_INTERVAL, now);
        Self {
            link,
            statistics: None,
            since: None,
            addresses: 0,
            refused: false,
            short_links: 0,
            log,
            unlogged: 0,
        }
    }

    fn observe(&mut self, event: &Event, now: Instant) {
        let known = self.link.borrow().connects;
        let counted = self.statistics.as_ref().map(|counts| counts.connects.load(Ordering::Relaxed));
        match event {
            Event::Disconnected | Event::Closed => self.lost(now),
            Event::Connected => self.made(counted.unwrap_or(known + 1), now),
            Event::ClientError(ClientError::Other(error)) if is_refusal(error) => self.refused = true,
            _ => {
                if let Some(counted) = counted.filter(|counted| *counted > known) {
                    self.made(counted, now);
                }
            }
        }
        if is_minor(event) {
            log(event, 0);
        } else if self.log.take(now) {
            log(event, std::mem::take(&mut self.unlogged));
        } else {
            self.unlogged += 1;
        }
    }

    /// How many addresses give no answer, as far as is known.
    fn unanswering(&self) -> usize {
        if self.refused { 1 } else { self.addresses }
    }

    fn made(&mut self, connects: u64, now: Instant) {
        self.since = Some(now);
        self.refused = false;
        self.link.send_replace(Link { connected: true, connects });
    }

    fn lost(&mut self, now: Instant) {
        self.link.send_modify(|link| link.connected = false);
        self.short_links = self.short_links(now);
        self.since = None;
    }

    /// How many links in a row did not last, if the one that there is ends now. The client asks for the pause after a loss
    /// before it tells of the loss.
    fn short_links(&self, now: Instant) -> u64 {
        match self.since {
            None => self.short_links,
            Some(since) if now - since < LASTING => self.short_links + 1,
            Some(_) => 0,
        }
    }
}

/// What is of no interest to whoever runs the device.
fn is_minor(event: &Event) -> bool {
    matches!(event, Event::LameDuckMode | Event::Draining | Event::Closed | Event::SlowConsumer(_))
}

/// Whether a server lets nobody in with these credentials. The client's error has no type.
fn is_refusal(error: &str) -> bool {
    error.contains("authorization violation")
}

/// A missing permission or a revoked user shows up here and nowhere else: to whoever asked, it
/// looks like a time-out.
fn log(event: &Event, unlogged: u64) {
    let unlogged = (unlogged > 0).then_some(unlogged);
    match event {
        Event::Connected => tracing::info!(unlogged, "connected to NATS"),
        Event::Disconnected => tracing::warn!(unlogged, "lost the connection to NATS; trying again"),
        Event::ServerError(error) => tracing::error!(
            unlogged,
            %error,
            "the NATS server refused something; check this device's permissions and credentials"
        ),
        Event::ClientError(ClientError::Other(error)) if is_refusal(error) => tracing::error!(
            unlogged,
            error,
            "the NATS server refuses this device's login; trying again. Was the device revoked, or are these the \
             credentials for another server?"
        ),
        Event::ClientError(ClientError::Other(error)) => {
            tracing::warn!(unlogged, error, "cannot reach NATS; trying again")
        }
        Event::ClientError(error) => tracing::error!(unlogged, %error, "the NATS client failed"),
        Event::LameDuckMode | Event::Draining | Event::Closed | Event::SlowConsumer(_) => {
            tracing::debug!(%event, "NATS")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_first_attempt_comes_soon_and_no_round_through_all_addresses_waits_longer_than_a_minute() {
        for addresses in [0, 1, 3, 16, 600] {
            let tried = addresses.max(1);
            let round = |first: usize| -> Duration {
                (0..tried).map(|other| reconnect_delay(first + other, addresses, 0)).sum()
            };
            for _ in 0..100 {
                assert!(reconnect_delay(1, addresses, 0) <= Duration::from_millis(500));
                assert!(round(usize::MAX - tried) <= Duration::from_secs(60), "{addresses}");
                assert!(reconnect_delay(1, addresses, u64::MAX) <= Duration::from_secs(60));
            }
        }
        let longest = |attempts| (0..1000).map(|_| reconnect_delay(attempts, 4, 0)).max();
        assert!(
            longest(4) <= Some(Duration::from_millis(500)),
            "each address is tried once before it gets slower"
        );
        assert!(longest(5) > Some(Duration::from_millis(500)));
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
    fn links_that_do_not_last_are_made_again_later_and_later_and_one_that_lasts_begins_anew() {
        let start = Instant::now();
        let mut observer = LinkObserver::new(watch::channel(Link::default()).0, start);
        let mut now = start;
        let mut live = |seconds| {
            observer.observe(&Event::Connected, now);
            now += Duration::from_secs(seconds);
            // The pause is asked for before the loss is told.
            let short_links = observer.short_links(now);
            observer.observe(&Event::Disconnected, now);
            // A loss is told once, whatever is told twice.
            observer.observe(&Event::Disconnected, now);
            assert_eq!(observer.short_links(now + HOUR), short_links);
            short_links
        };
        assert_eq!([1, 29, 0, 31, 1].map(&mut live), [1, 2, 3, 0, 1]);
        // At whichever address: the next link costs as much.
        let longest = (0..1000).map(|_| reconnect_delay(1, 12, 10)).max();
        assert!(longest > Some(Duration::from_secs(30)), "{longest:?}");
    }

    #[test]
    fn whoever_is_refused_waits_as_if_there_were_one_address_until_it_is_let_in() {
        let mut observer = LinkObserver::new(watch::channel(Link::default()).0, Instant::now());
        observer.addresses = 12;
        let mut after = |event: Event| {
            observer.observe(&event, Instant::now());
            observer.unanswering()
        };
        let said = |words: &str| Event::ClientError(ClientError::Other(words.to_owned()));
        assert_eq!(after(said("IO error")), 12);
        assert_eq!(after(said("authorization violation: nats: authorization violation")), 1);
        assert_eq!(after(said("IO error")), 1);
        assert_eq!(after(Event::Connected), 12);
    }

    #[test]
    fn a_link_whose_event_the_client_dropped_shows_with_the_next_event() {
        let (sender, link) = watch::channel(Link::default());
        let mut observer = LinkObserver::new(sender, Instant::now());
        let statistics = Arc::new(Statistics::default());
        observer.statistics = Some(Arc::clone(&statistics));
        let mut sees = |connects, event: Event| {
            statistics.connects.store(connects, Ordering::Relaxed);
            observer.observe(&event, Instant::now());
            *link.borrow()
        };
        assert_eq!(sees(1, Event::Connected), Link { connected: true, connects: 1 });
        assert_eq!(sees(1, Event::SlowConsumer(1)), Link { connected: true, connects: 1 });
        assert_eq!(sees(2, Event::SlowConsumer(1)), Link { connected: true, connects: 2 });
        // Of which the client tells late, and of another one.
        assert_eq!(sees(2, Event::Disconnected), Link { connected: false, connects: 2 });
        assert_eq!(sees(2, Event::Connected), Link { connected: true, connects: 2 });
        assert_eq!(sees(3, Event::Connected), Link { connected: true, connects: 3 });
    }

    #[test]
    fn what_is_of_no_interest_takes_no_line_from_what_is() {
        let start = Instant::now();
        let mut observer = LinkObserver::new(watch::channel(Link::default()).0, start);
        for _ in 0..100 {
            observer.observe(&Event::SlowConsumer(1), start);
        }
        assert!(observer.unlogged == 0 && observer.log.available_at() <= start);
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
