//! The floor of a crowd: a device without an agent.
//!
//! On the wire it does what the agent does, message for message, and on the disk it syncs what the
//! agent syncs, as often. It does nothing else: no checks, no plan, no look at what is there. An agent
//! that starts where there is a status already may claim that first, with one more write.
//!
//! | | messages of the device | synced |
//! |---|---|---|
//! | attach | hint subscription, two Direct Gets, status by CAS, heartbeat, one more Direct Get | ledger; the first time the key and the audit log's folder before it, and the ledger once more |
//! | return | hint subscription, two Direct Gets, heartbeat, one more Direct Get; what a document takes, if there is another | |
//! | a document | Direct Get, status by CAS, heartbeat | intent, file, record; with the intent and the record the audit log |

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use agent_core::backoff::Backoff;
use agent_model::status::{AgentStatus, Applied, Heartbeat, Phase};
use async_nats::{
    Client, ConnectOptions, Event,
    jetstream::{
        self, Context,
        message::{PublishMessage, StreamMessage},
        stream::DirectGetErrorKind,
    },
};
use futures_util::{StreamExt, join};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::platform::{ACTUAL_STATE, DESIRED_STATE, HEARTBEAT};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::replacing::{replace, sync_folder};

/// As the agent: in a cluster, a change can fall between the first read and the first hint.
const SETTLING: Duration = Duration::from_secs(5);
/// As the agent, without its jitter.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(120);
/// As the agent: what is drawn here decides how soon a crowd is back, and nothing else should differ by it.
const RECONNECT: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };
/// Longer than a crowd may keep the server busy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Of the key for sealed values with its line break, in bytes.
const KEY_LEN: usize = 59;

/// What the device writes besides the file itself, as large as what the agent writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Likeness {
    /// A status of an agent that converged.
    pub(super) status: AgentStatus,
    /// Length of the agent's ledger, in bytes.
    pub(super) ledger_len: usize,
    /// What the agent's audit log grows by with an intent or a record, in bytes.
    pub(super) audited_len: usize,
}

/// One device.
pub(super) struct BareDevice {
    id: String,
    root: PathBuf,
    state: PathBuf,
    ledger_body: Vec<u8>,
    audited: Vec<u8>,
    status: AgentStatus,
    /// What its status says of a document that is applied: only the generation changes.
    likeness: Option<Applied>,
    /// Of its status.
    revision: u64,
}

impl BareDevice {
    /// A device with a folder of its own in that one.
    pub(super) fn new(id: String, folder: &Path, likeness: Rc<Likeness>) -> Self {
        let (root, state) = (folder.join(&id).join("root"), super::worker::state_dir(folder, &id));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&state).unwrap();
        let mut status = likeness.status.clone();
        status.agent = id.parse().unwrap();
        status.phase = Phase::Unassigned;
        Self {
            id,
            root,
            state,
            ledger_body: vec![b'x'; likeness.ledger_len],
            audited: vec![b'x'; likeness.audited_len],
            likeness: status.applied.take(),
            status,
            revision: 0,
        }
    }

    /// Works until it is dropped.
    pub(super) async fn run(mut self, url: String) {
        let mut wire = Wire::connect(&url, &self.id).await;
        let mut hints = wire.client.subscribe(format!("{DESIRED_STATE}.{}", self.id)).await.unwrap();
        wire.client.flush().await.unwrap();
        self.attach(&wire).await;
        wire.connects.mark_unchanged();
        let mut settled = pin!(sleep_until(Instant::now() + SETTLING));
        let mut settling = true;
        let mut beat_at = Instant::now() + HEARTBEAT_INTERVAL;
        loop {
            // Nothing is begun in an arm, and whichever is dropped is waited for again.
            tokio::select! {
                hint = hints.next() => {
                    hint.unwrap();
                    let entry = wire.last(DESIRED_STATE, &self.id).await.expect("what is hinted at is there");
                    self.converge(&wire, &entry.payload).await;
                    beat_at = Instant::now() + HEARTBEAT_INTERVAL;
                }
                returned = wire.connects.changed() => {
                    returned.unwrap();
                    self.return_to(&wire).await;
                    settled.set(sleep_until(Instant::now() + SETTLING));
                    settling = true;
                    beat_at = Instant::now() + HEARTBEAT_INTERVAL;
                }
                () = &mut settled, if settling => {
                    settling = false;
                    wire.last(DESIRED_STATE, &self.id).await;
                }
                () = sleep_until(beat_at) => {
                    self.beat(&wire).await;
                    beat_at = Instant::now() + HEARTBEAT_INTERVAL;
                }
            }
        }
    }

    async fn attach(&mut self, wire: &Wire) {
        let (desired, own) = join!(wire.last(DESIRED_STATE, &self.id), wire.last(ACTUAL_STATE, &self.id));
        self.revision = own.map_or(0, |own| own.sequence);
        if !self.ledger().exists() {
            replace(&self.state.join("sealing.nk"), &[b'x'; KEY_LEN]).unwrap();
            File::create(self.audit_log()).unwrap();
            sync_folder(&self.state).unwrap();
            replace(&self.ledger(), &self.ledger_body).unwrap();
        }
        replace(&self.ledger(), &self.ledger_body).unwrap();
        if let Some(desired) = desired {
            self.apply(&desired.payload);
        }
        self.report(wire).await;
    }

    /// The server was away.
    async fn return_to(&mut self, wire: &Wire) {
        let (desired, own) = join!(wire.last(DESIRED_STATE, &self.id), wire.last(ACTUAL_STATE, &self.id));
        self.revision = own.map_or(0, |own| own.sequence);
        self.beat(wire).await;
        if let Some(desired) = desired {
            self.converge(wire, &desired.payload).await;
        }
    }

    /// Where that is another one than before: of a return and a hint both may tell of it.
    async fn converge(&mut self, wire: &Wire, document: &[u8]) {
        if self.apply(document) {
            self.report(wire).await;
        }
    }

    /// Whether there was something to do.
    fn apply(&mut self, document: &[u8]) -> bool {
        let document: Value = serde_json::from_slice(document).unwrap();
        let generation = document["metadata"]["generation"].as_u64().unwrap().try_into().unwrap();
        if self.status.applied.as_ref().is_some_and(|applied| applied.generation == generation) {
            return false;
        }
        let file = &document["spec"]["resources"][0]["spec"];
        let path = self.root.join(file["path"].as_str().unwrap().trim_start_matches('/'));
        let content = file["content"].as_str().unwrap();

        self.note();
        self.make_parents(path.parent().unwrap());
        replace(&path, content.as_bytes()).unwrap();
        self.note();

        self.status.phase = Phase::Converged;
        self.status.applied = self.likeness.clone().map(|applied| Applied { generation, ..applied });
        true
    }

    /// What is about to be done, or was.
    fn note(&self) {
        let mut audit_log = File::options().append(true).open(self.audit_log()).unwrap();
        audit_log.write_all(&self.audited).unwrap();
        audit_log.sync_data().unwrap();
        replace(&self.ledger(), &self.ledger_body).unwrap();
    }

    fn ledger(&self) -> PathBuf {
        self.state.join("ledger.json")
    }

    fn audit_log(&self) -> PathBuf {
        self.state.join("audit.jsonl")
    }

    fn make_parents(&self, folder: &Path) {
        if !folder.exists() {
            let above = folder.parent().unwrap();
            self.make_parents(above);
            fs::create_dir(folder).unwrap();
            sync_folder(above).unwrap();
        }
    }

    async fn report(&mut self, wire: &Wire) {
        let publish = PublishMessage::build()
            .payload(serde_json::to_vec(&self.status).unwrap().into())
            .expected_last_subject_sequence(self.revision);
        let subject = format!("$KV.{ACTUAL_STATE}.{}", self.id);
        let ack = wire.jetstream.send_publish(subject, publish).await.unwrap();
        self.revision = ack.await.expect("nobody else writes this entry").sequence;
        self.beat(wire).await;
    }

    async fn beat(&self, wire: &Wire) {
        let accepted_generation = self.status.applied.as_ref().map(|applied| applied.generation);
        let beat = Heartbeat { epoch: 1, accepted_generation, phase: self.status.phase };
        let subject = format!("$KV.{HEARTBEAT}.{}", self.id);
        wire.client.publish(subject, serde_json::to_vec(&beat).unwrap().into()).await.unwrap();
    }
}

/// The device's connection.
struct Wire {
    client: Client,
    jetstream: Context,
    /// How often there was a server at its other end.
    connects: watch::Receiver<u64>,
}

impl Wire {
    async fn connect(url: &str, id: &str) -> Self {
        let (connected, connects) = watch::channel(0);
        let options = ConnectOptions::new()
            .custom_inbox_prefix(format!("_INBOX_{id}"))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .connection_timeout(REQUEST_TIMEOUT)
            .subscription_capacity(256)
            .reconnect_delay_callback(|attempts| RECONNECT.delay(attempts as u64, rand::random()))
            .event_callback(move |event| {
                if matches!(event, Event::Connected) {
                    connected.send_modify(|connects| *connects += 1);
                }
                std::future::ready(())
            });
        let client = options.connect(url).await.unwrap();
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        Self { client, jetstream, connects }
    }

    /// The last entry of that device in a bucket.
    async fn last(&self, bucket: &str, id: &str) -> Option<StreamMessage> {
        let stream = self.jetstream.get_stream_no_info(format!("KV_{bucket}")).await.unwrap();
        match stream.direct_get_last_for_subject(format!("$KV.{bucket}.{id}")).await {
            Ok(entry) => Some(entry),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
            Err(error) => panic!("cannot read {bucket} of {id}: {error}"),
        }
    }
}
