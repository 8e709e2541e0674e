//! All statuses as they are stored: what a dashboard watches.

use agent_model::status::{AgentStatus, Phase};
use async_nats::jetstream::consumer::{
    DeliverPolicy,
    push::{Ordered, OrderedConfig},
};
use futures_util::StreamExt;
use tests::{
    eventually::PATIENCE,
    platform::{ACTUAL_STATE, Platform},
};
use tokio::time::timeout;

/// The statuses from its beginning on.
pub(crate) struct StatusWatch(Ordered);

impl StatusWatch {
    pub(crate) async fn begin(platform: &Platform) -> Self {
        let stream = platform.jetstream.get_stream(format!("KV_{ACTUAL_STATE}")).await.unwrap();
        let consumer = stream.create_consumer(OrderedConfig {
            deliver_subject: platform.client.new_inbox(),
            filter_subject: format!("$KV.{ACTUAL_STATE}.*"),
            deliver_policy: DeliverPolicy::New,
            ..OrderedConfig::default()
        });
        Self(consumer.await.unwrap().messages().await.unwrap())
    }

    /// Waits until the device says that this generation is in force and everything is as it says.
    pub(crate) async fn converged(&mut self, device: &str, generation: u64) -> AgentStatus {
        let seen = async {
            loop {
                let message = self.0.next().await.expect("a watch never ends").unwrap();
                let status: AgentStatus = serde_json::from_slice(&message.payload).unwrap();
                let applied = status.applied.as_ref().map(|applied| applied.generation.get());
                if status.agent.as_str() == device
                    && status.phase == Phase::Converged
                    && applied == Some(generation)
                {
                    return status;
                }
            }
        };
        let late = |_| panic!("{device} did not converge on generation {generation} within {PATIENCE:?}");
        timeout(PATIENCE, seen).await.unwrap_or_else(late)
    }
}
