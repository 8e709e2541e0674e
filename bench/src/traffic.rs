//! What a device sends and receives in a month in which nothing happens.
//!
//! A month cannot be waited for. What it consists of is measured piece by piece on a real wire, TLS
//! included, each piece forced many times, and multiplied by how often it occurs with the default
//! intervals. A window with those intervals shows whether the pieces add up.

use std::time::Duration;

use agent_core::kv::{DesiredWatchSettings, HeartbeatTask};
use agent_model::status::Phase;
use futures_util::StreamExt;
use tests::{
    agent::Agent,
    certificates::Certificates,
    document::{file, manifest},
    nats_server::{NatsServer, Settings},
    platform::{Platform, provision_all},
};

use crate::wire::{ADDRESS, Wire};

/// How long the device is watched with the default intervals.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);
/// How long the document is about, in bytes.
pub(crate) const DOCUMENT_LEN: usize = 8 * 1024;
/// How long each piece is forced.
const FORCED: Duration = Duration::from_secs(15);
/// After a connection the device reads its entry once more, after some five seconds.
const UNTIL_QUIET: Duration = Duration::from_secs(10);
const RECONNECTS: u32 = 3;
/// A link that is lost sooner is made again later.
const LASTING: Duration = Duration::from_secs(35);
const OFTEN: &str = "1s";
const NEVER: &str = "24h";

const AGENT: &str = "edge-0001";
const DAYS: u64 = 30;
const MONTH: Duration = Duration::from_secs(DAYS * 24 * 3600);
const HEARTBEAT: Duration = HeartbeatTask::DEFAULT_INTERVAL;
/// `PING_INTERVAL` of the agent's connection.
const PING: Duration = Duration::from_secs(300);

/// One thing that crosses the wire.
pub(crate) struct Piece {
    pub(crate) what: &'static str,
    /// Bytes of IP packets in both directions, on average.
    pub(crate) bytes: f64,
    /// How often in a month.
    pub(crate) per_month: u64,
}

impl Traffic {
    /// What the pieces that occur in the window with default intervals come to, in bytes: a resync is too
    /// rare, and no reconnect is in it.
    pub(crate) fn expected_in_window(&self) -> f64 {
        let windows = MONTH.as_secs() / WINDOW.as_secs();
        let occurring = self.pieces.iter().filter(|piece| piece.per_month >= windows);
        occurring.map(Piece::bytes_a_month).sum::<f64>() / windows as f64
    }

    /// In millions of bytes.
    pub(crate) fn megabytes_a_month(&self) -> f64 {
        self.pieces.iter().map(Piece::bytes_a_month).sum::<f64>() / 1e6
    }
}

impl Piece {
    pub(crate) fn bytes_a_month(&self) -> f64 {
        self.bytes * self.per_month as f64
    }
}

/// What was found.
pub(crate) struct Traffic {
    pub(crate) pieces: Vec<Piece>,
    /// What crossed the wire in the window with default intervals.
    pub(crate) window_bytes: u64,
    /// Length of the document and of the status, in bytes.
    pub(crate) document_len: usize,
    pub(crate) status_len: usize,
}

pub(crate) async fn measure() -> Traffic {
    let certificates = Certificates::for_server_at(ADDRESS);
    let ping = {
        let bed = Bed::make(&certificates, "ping_interval: 1s").await;
        let mut agent = bed.started(bed.device(), NEVER, NEVER).await;
        let bytes = bed.bytes_in(FORCED).await;
        agent.stop().await;
        bytes as f64 / FORCED.as_secs_f64()
    };

    let bed = Bed::make(&certificates, "").await;
    let mut agent = bed.started(bed.device(), OFTEN, NEVER).await;
    let heartbeat = bed.average_of(&format!("$KV.agent-heartbeat.{AGENT}")).await;
    agent = bed.started(agent, NEVER, OFTEN).await;
    let read = format!("$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.{AGENT}");
    let resync = bed.average_of(&read).await;

    let resync_interval = DesiredWatchSettings::default().resync_interval;
    let in_seconds = |interval: Duration| format!("{}s", interval.as_secs());
    agent = bed.started(agent, &in_seconds(HEARTBEAT), &in_seconds(resync_interval)).await;
    let before = bed.wire.bytes();
    for _ in 0..RECONNECTS {
        bed.wire.cut();
        tokio::time::sleep(LASTING).await;
    }
    let reconnect = (bed.wire.bytes() - before) as f64 / f64::from(RECONNECTS);
    let window_bytes = bed.bytes_in(WINDOW).await;
    agent.stop().await;

    let times = |interval: Duration| MONTH.as_secs() / interval.as_secs();
    let piece = |what, bytes, per_month| Piece { what, bytes, per_month };
    Traffic {
        pieces: vec![
            piece("sign of life", heartbeat, times(HEARTBEAT)),
            piece("resync: document and status read", resync, times(resync_interval)),
            piece("ping and its answer", ping, times(PING)),
            piece("reconnect, with TLS and all reads, daily", reconnect, DAYS),
        ],
        window_bytes,
        document_len: bed.platform.entry("desired-state", AGENT).await.unwrap().unwrap().value.len(),
        status_len: bed.platform.entry("actual-state", AGENT).await.unwrap().unwrap().value.len(),
    }
}

/// A server with TLS, a wire to it, and the document of a device.
struct Bed<'f> {
    certificates: &'f Certificates,
    // Before the server, which it leads to.
    wire: Wire,
    platform: Platform,
    _server: NatsServer,
}

impl<'f> Bed<'f> {
    async fn make(certificates: &'f Certificates, more: &str) -> Self {
        let [certificate, key] = certificates.server();
        let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\nallow_non_tls: true\n");
        let settings = Settings { configuration: format!("{tls}{more}"), ..Settings::default() };
        let server = NatsServer::start(settings).await;
        provision_all(&server).await;
        let platform = Platform::connect(&server).await;
        let wire = Wire::lay(server.port()).await;
        let content = "a line of configuration\n".repeat(DOCUMENT_LEN / 26);
        let document = manifest(AGENT, 1, &[file("app-config", "/etc/app/app.conf", &content)]);
        platform.put(AGENT, &document).await;
        Self { certificates, wire, platform, _server: server }
    }

    /// A device at the other end of the wire.
    fn device(&self) -> Agent {
        Agent::new(AGENT, &self.wire.url())
            .in_network(self.wire.namespace())
            .with("tls_ca", self.certificates.authority().to_str().unwrap())
    }

    /// The device, started anew with these intervals, converged and quiet.
    async fn started(&self, mut agent: Agent, heartbeat_interval: &str, resync_interval: &str) -> Agent {
        if agent.is_running() {
            agent.stop().await;
        }
        agent = agent.with("heartbeat_interval", heartbeat_interval).with("resync_interval", resync_interval);
        agent.start();
        self.platform.status_where(AGENT, "Converged", |status| status.phase == Phase::Converged).await;
        tokio::time::sleep(UNTIL_QUIET).await;
        agent
    }

    /// Bytes on the wire from now on.
    async fn bytes_in(&self, window: Duration) -> u64 {
        let before = self.wire.bytes();
        tokio::time::sleep(window).await;
        self.wire.bytes() - before
    }

    /// Bytes on the wire for each message that the server gets on `subject`.
    async fn average_of(&self, subject: &str) -> f64 {
        let mut messages = self.platform.client.subscribe(subject.to_owned()).await.unwrap();
        self.platform.client.flush().await.unwrap();
        let bytes = self.bytes_in(FORCED).await;
        messages.unsubscribe().await.unwrap();
        let mut count = 0_u64;
        while messages.next().await.is_some() {
            count += 1;
        }
        assert!(count >= FORCED.as_secs() / 2, "{count} messages on {subject} in {FORCED:?}");
        bytes as f64 / count as f64
    }
}
