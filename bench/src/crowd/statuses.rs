//! All statuses as they are stored: what a dashboard watches.

use agent_model::status::Phase;
use async_nats::jetstream::{
    consumer::{
        AckPolicy, DeliverPolicy,
        push::{Config, Messages},
    },
    stream::Stream,
};
use futures_util::StreamExt;
use serde::Deserialize;
use tests::platform::{ACTUAL_STATE, Platform};

use super::worker::number;

/// What a device says, as far as it is looked at: the watch must not be what is measured.
#[derive(Deserialize)]
struct Said {
    phase: Phase,
    applied: Option<Applied>,
}

#[derive(Deserialize)]
struct Applied {
    generation: u64,
}

/// A watch over all statuses: the last of each device, and from then on every one.
///
/// It has no heartbeats, which would be missed, and the consumer made anew, while all devices come at
/// once. Nothing is lost on a connection that lasts.
pub(super) struct Statuses {
    bucket: Stream,
    consumer: String,
    messages: Messages,
}

impl Statuses {
    pub(super) async fn watch(platform: &Platform) -> Self {
        let bucket = platform.jetstream.get_stream(format!("KV_{ACTUAL_STATE}")).await.unwrap();
        let consumer = bucket.create_consumer(Config {
            deliver_subject: platform.client.new_inbox(),
            filter_subject: format!("$KV.{ACTUAL_STATE}.*"),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..Config::default()
        });
        let consumer = consumer.await.unwrap();
        let name = consumer.cached_info().name.clone();
        Self { bucket, consumer: name, messages: consumer.messages().await.unwrap() }
    }

    /// Takes its consumer away from the server, which would keep it for a while.
    pub(super) async fn end(self) {
        let Self { bucket, consumer, messages } = self;
        drop(messages);
        bucket.delete_consumer(&consumer).await.unwrap();
    }

    /// The number of the device that said something next, and the generation that it converged on.
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> (usize, Option<u64>) {
        let message = self.messages.next().await.expect("a watch never ends").unwrap();
        let device = message.subject.rsplit('.').next().and_then(number).expect("a device of the crowd");
        let said: Said = serde_json::from_slice(&message.payload).unwrap();
        let converged = said.applied.filter(|_| said.phase == Phase::Converged);
        (device, converged.map(|applied| applied.generation))
    }
}
