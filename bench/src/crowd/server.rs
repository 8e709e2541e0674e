//! The server of a crowd, and what can be seen of it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use futures_util::TryStreamExt;
use serde::Deserialize;
use tests::{
    nats_server::{NatsServer, Settings, free_ports},
    platform::{Platform, provision_all},
};

use crate::{
    convergence::Sync,
    process_cost::{peak_rss_kib, processor_time, rss_kib},
};

/// How long a document may take to be stored while all devices keep the disk busy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How long its monitoring may take to answer.
const MONITORING_TIMEOUT: Duration = Duration::from_secs(30);

/// A stock server: besides the sync interval, it only has its monitoring switched on.
pub(super) struct Server {
    pub(super) nats: NatsServer,
    pub(super) monitoring: Monitoring,
}

/// The port of loopback at which it says what it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Monitoring(u16);

/// What it counts (`/varz`).
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Counts {
    /// Connections now.
    pub(super) connections: usize,
    /// Messages from clients so far.
    pub(super) in_msgs: u64,
    /// Messages to clients so far.
    pub(super) out_msgs: u64,
}

impl Server {
    pub(super) async fn start(sync: Sync) -> Self {
        let [port] = free_ports();
        let settings = Settings {
            sync_always: matches!(sync, Sync::Always),
            configuration: format!("http: \"127.0.0.1:{port}\""),
            ..Settings::default()
        };
        let nats = NatsServer::start(settings).await;
        provision_all(&nats).await;
        Self { nats, monitoring: Monitoring(port) }
    }

    /// A connection of the platform that has patience with a busy disk.
    pub(super) async fn platform(&self) -> Platform {
        let mut platform = Platform::connect(&self.nats).await;
        platform.jetstream.set_timeout(REQUEST_TIMEOUT);
        platform
    }

    pub(super) fn processor_time(&self) -> Duration {
        processor_time(self.nats.pid())
    }

    pub(super) fn rss_kib(&self) -> u64 {
        rss_kib(self.nats.pid())
    }

    /// Since it was started, or started again.
    pub(super) fn peak_rss_kib(&self) -> u64 {
        peak_rss_kib(self.nats.pid())
    }
}

impl Monitoring {
    pub(super) fn counts(&self) -> Counts {
        let mut connection = TcpStream::connect(("127.0.0.1", self.0)).unwrap();
        connection.set_read_timeout(Some(MONITORING_TIMEOUT)).unwrap();
        connection.write_all(b"GET /varz HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}

/// Consumers of all streams together.
pub(super) async fn consumers(platform: &Platform) -> usize {
    let streams: Vec<_> = platform.jetstream.streams().try_collect().await.unwrap();
    streams.iter().map(|stream| stream.state.consumer_count).sum()
}
