//! The floor of convergence: a device without an agent.
//!
//! It takes the same steps on the wire and on the disk, one after the other, and nothing else: no
//! checks, no plan, no look at what is there.

use std::thread::JoinHandle;

use agent_model::status::AgentStatus;
use async_nats::{
    Client, Subscriber,
    jetstream::{self, message::PublishMessage},
};
use futures_util::StreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    nats_server::NatsServer,
    platform::{ACTUAL_STATE, DESIRED_STATE},
};
use tokio::sync::oneshot;

use crate::replacing::replace;

/// What the loop writes besides the file itself, as large as what the agent writes.
pub(crate) struct Likeness {
    /// A status of the agent.
    pub(crate) status: AgentStatus,
    /// Length of the agent's ledger, in bytes.
    pub(crate) ledger_len: usize,
}

/// A running loop, on a thread and a connection of its own as the agent is. Ends when dropped.
pub(crate) struct BareDevice {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl BareDevice {
    /// Starts the loop for this id and returns when its hints arrive.
    pub(crate) async fn start(server: &NatsServer, id: &'static str, likeness: Likeness) -> Self {
        let url = server.url();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let client = async_nats::connect(url).await.unwrap();
                let hints = client.subscribe(format!("{DESIRED_STATE}.{id}")).await.unwrap();
                // Its answer proves that the subscription before it was taken note of.
                let inbox = client.new_inbox();
                let mut echo = client.subscribe(inbox.clone()).await.unwrap();
                client.publish(inbox, "".into()).await.unwrap();
                echo.next().await.unwrap();
                ready.send(()).unwrap();
                // Either may be dropped anywhere: then the measurement is over.
                tokio::select! {
                    _ = stopped => {}
                    () = converge(client, hints, id, likeness) => {}
                }
            });
        });
        is_ready.await.expect("the bare device starts");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for BareDevice {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has said on the terminal why, if it panicked.
            let _ = thread.join();
        }
    }
}

async fn converge(client: Client, mut hints: Subscriber, id: &str, likeness: Likeness) {
    let Likeness { mut status, ledger_len } = likeness;
    let folder = TempDir::with_prefix("harmony-bare-device-").unwrap();
    let (ledger, file) = (folder.path().join("ledger.json"), folder.path().join("file"));
    let jetstream = jetstream::new(client);
    let desired = jetstream.get_stream_no_info(format!("KV_{DESIRED_STATE}")).await.unwrap();
    let desired_subject = format!("$KV.{DESIRED_STATE}.{id}");
    let status_subject = format!("$KV.{ACTUAL_STATE}.{id}");
    let mut revision = 0;
    while hints.next().await.is_some() {
        let entry = desired.direct_get_last_for_subject(desired_subject.as_str()).await.unwrap();
        let document: Value = serde_json::from_slice(&entry.payload).unwrap();
        let content = document["spec"]["resources"][0]["spec"]["content"].as_str().unwrap();
        let generation = document["metadata"]["generation"].as_u64().unwrap().try_into().unwrap();

        // Intent, file, record.
        let body = vec![b'x'; ledger_len];
        replace(&ledger, &body).unwrap();
        replace(&file, content.as_bytes()).unwrap();
        replace(&ledger, &body).unwrap();

        status.agent = id.parse().unwrap();
        status.applied.as_mut().unwrap().generation = generation;
        let publish = PublishMessage::build()
            .payload(serde_json::to_vec(&status).unwrap().into())
            .expected_last_subject_sequence(revision);
        let ack = jetstream.send_publish(status_subject.clone(), publish).await.unwrap();
        revision = ack.await.expect("nobody else writes this entry").sequence;
    }
}
