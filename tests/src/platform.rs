//! The platform's side of the wire: provisioned as the product does it, and from there on by plain
//! NATS, as anybody with a NATS client could.

use agent_model::status::{AgentStatus, Event};
use async_nats::{
    Client, HeaderMap, Subscriber,
    jetstream::{
        self, Context,
        consumer::pull::OrderedConfig,
        stream::{Config, DirectGetErrorKind},
    },
};
use fleet::{
    Endpoint, Fleet,
    provisioning::{Layout, Provisioned, ProvisioningError, provision},
};
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::{
    eventually::{PATIENCE, eventually},
    nats_server::NatsServer,
};

// The names are those of the wire contract, written out here: were one of them changed by mistake
// in the crate that agent and platform share, both would still understand one another.

/// Bucket that holds what each device should be.
pub const DESIRED_STATE: &str = "desired-state";
/// Bucket that holds what each device says about itself.
pub const ACTUAL_STATE: &str = "actual-state";
/// Bucket that holds each device's last sign of life.
pub const HEARTBEAT: &str = "agent-heartbeat";
/// What the subjects begin with on which devices tell of events.
pub const EVENTS: &str = "agent-events";

/// A connection with the platform's rights.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The connection itself.
    pub client: Client,
    /// Its streams.
    pub jetstream: Context,
}

/// Makes every bucket and stream of the wire contract, as `harmonyctl init` does.
pub async fn provision_all(server: &NatsServer) -> Vec<Provisioned> {
    provision_with(server, &Layout::default()).await
}

/// The same, laid out like this.
pub async fn provision_with(server: &NatsServer, layout: &Layout) -> Vec<Provisioned> {
    try_to_provision_with(server, layout).await.expect("a new server can be provisioned")
}

/// The same where that may not be possible yet.
///
/// # Errors
/// What the server has against it.
pub async fn try_to_provision_with(
    server: &NatsServer,
    layout: &Layout,
) -> Result<Vec<Provisioned>, ProvisioningError> {
    let endpoint = Endpoint { access: server.access(), timeout: PATIENCE };
    let fleet = Fleet::connect(&endpoint).await.expect("a running server can be connected to");
    provision(&fleet, layout).await
}

/// One entry of a bucket.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its revision.
    pub revision: u64,
    /// Its value; empty for a delete marker.
    pub value: Vec<u8>,
}

impl Platform {
    /// Connects to a server with the platform's rights.
    pub async fn connect(server: &NatsServer) -> Self {
        let client = server.connect().await;
        Self { jetstream: jetstream::new(client.clone()), client }
    }

    /// Removes a bucket with all that is in it.
    pub async fn remove_bucket(&self, bucket: &str) {
        self.jetstream.delete_stream(format!("KV_{bucket}")).await.expect("a bucket can be removed");
    }

    /// From now on, entries of the desired state are stored and nobody is told.
    pub async fn stop_hints(&self) {
        let stream = self.jetstream.get_stream(format!("KV_{DESIRED_STATE}")).await.expect("it is there");
        let config = Config { republish: None, ..stream.cached_info().config.clone() };
        self.jetstream.update_stream(config).await.expect("a bucket's settings can be changed");
    }

    /// From now on, so many entries of each device are kept in that bucket.
    pub async fn keep(&self, bucket: &str, entries: i64) {
        let stream = self.jetstream.get_stream(format!("KV_{bucket}")).await.expect("it is there");
        let config = Config { max_messages_per_subject: entries, ..stream.cached_info().config.clone() };
        self.jetstream.update_stream(config).await.expect("a bucket's settings can be changed");
    }

    /// Writes a document for a device and returns its revision.
    pub async fn put(&self, agent: &str, document: &Value) -> u64 {
        self.put_bytes(agent, document.to_string().into_bytes()).await
    }

    /// Writes any bytes for a device and returns their revision.
    pub async fn put_bytes(&self, agent: &str, bytes: Vec<u8>) -> u64 {
        let subject = format!("$KV.{DESIRED_STATE}.{agent}");
        let ack = self.jetstream.publish(subject, bytes.into()).await.expect("connected");
        ack.await.expect("the entry was stored").sequence
    }

    /// Puts a delete marker in the place of a device's document.
    pub async fn delete(&self, agent: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "DEL");
        let subject = format!("$KV.{DESIRED_STATE}.{agent}");
        let ack = self.jetstream.publish_with_headers(subject, headers, "".into()).await.expect("connected");
        ack.await.expect("the marker was stored");
    }

    /// The newest entry of a device in a bucket.
    ///
    /// # Errors
    /// Why it cannot be read now: the server is away, the bucket is missing.
    pub async fn entry(&self, bucket: &str, agent: &str) -> Result<Option<Entry>, String> {
        let stream = self
            .jetstream
            .get_stream_no_info(format!("KV_{bucket}"))
            .await
            .map_err(|error| error.to_string())?;
        match stream.direct_get_last_for_subject(format!("$KV.{bucket}.{agent}")).await {
            Ok(message) => Ok(Some(Entry { revision: message.sequence, value: message.payload.to_vec() })),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// All entries of a device that a bucket still holds, the oldest first.
    pub async fn history(&self, bucket: &str, agent: &str) -> Vec<Entry> {
        let stream = self.jetstream.get_stream_no_info(format!("KV_{bucket}")).await.expect("it is named");
        let (subject, mut entries) = (format!("$KV.{bucket}.{agent}"), Vec::new());
        let mut from = 1;
        while let Ok(message) = stream.direct_get_next_for_subject(&subject, Some(from)).await {
            from = message.sequence + 1;
            entries.push(Entry { revision: message.sequence, value: message.payload.to_vec() });
        }
        entries
    }

    /// All events of a device that are stored, in their order.
    pub async fn events(&self, agent: &str) -> Vec<Event> {
        let stream = self.jetstream.get_stream("AGENT_EVENTS").await.expect("it was provisioned");
        let filter_subject = format!("agent-events.{agent}");
        let consumer = stream.create_consumer(OrderedConfig { filter_subject, ..OrderedConfig::default() });
        let mut consumer = consumer.await.expect("the platform may read events");
        let count = consumer.info().await.expect("it was just made").num_pending;
        let mut messages = consumer.messages().await.expect("it was just made");
        let mut events = Vec::new();
        for _ in 0..count {
            let message = tokio::time::timeout(PATIENCE, messages.next()).await;
            let message = message.expect("what is stored is delivered").expect("the connection lasts");
            events.push(serde_json::from_slice(&message.expect("it is stored").payload).expect("an event"));
        }
        events
    }

    /// The same once they are such.
    pub async fn events_where(
        &self,
        agent: &str,
        what: &str,
        are_such: impl Fn(&[Event]) -> bool,
    ) -> Vec<Event> {
        eventually(&format!("the events of {agent} tell {what}"), async || {
            let events = self.events(agent).await;
            if are_such(&events) { Ok(events) } else { Err(format!("they are {events:#?}")) }
        })
        .await
    }

    /// What a device says about itself.
    ///
    /// # Errors
    /// When there is nothing yet, or it cannot be read now.
    pub async fn status(&self, agent: &str) -> Result<AgentStatus, String> {
        let entry = self.entry(ACTUAL_STATE, agent).await?.ok_or("there is no status yet")?;
        serde_json::from_slice(&entry.value)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&entry.value)))
    }

    /// Listens to all that a device says about itself from now on.
    pub async fn listen(&self, agent: &str) -> Told {
        let subscriber =
            self.client.subscribe(format!("$KV.{ACTUAL_STATE}.{agent}")).await.expect("connected");
        // The server answers in order: with this answer it has taken the subscription.
        self.client.flush().await.expect("connected");
        Told(subscriber)
    }

    /// Waits until a device's status is such, and returns it.
    pub async fn status_where(
        &self,
        agent: &str,
        what: &str,
        is_such: impl Fn(&AgentStatus) -> bool,
    ) -> AgentStatus {
        eventually(&format!("the status of {agent} says {what}"), async || {
            let status = self.status(agent).await?;
            if is_such(&status) {
                return Ok(status);
            }
            Err(format!("it says {}", serde_json::to_string_pretty(&status).unwrap_or_default()))
        })
        .await
    }
}

/// What a device says about itself, every time that it does.
#[derive(Debug)]
pub struct Told(Subscriber);

impl Told {
    /// All that it said up to `last`, which it is known to have said.
    pub async fn up_to(&mut self, last: &AgentStatus) -> Vec<AgentStatus> {
        let mut told = Vec::new();
        while told.last().is_none_or(|status: &AgentStatus| status.writer != last.writer) {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let message = next.expect("what was stored is delivered").expect("the connection lasts");
            told.push(serde_json::from_slice(&message.payload).expect("a device tells its status"));
        }
        told
    }
}
