//! Events on their way to the stream: few, in order, each until it is stored.

use agent_model::{AgentId, status::Event};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::{Connection, publish_event};
use crate::backoff::Backoff;

/// Events that may wait for a server. They are also in the log.
const CAPACITY: usize = 16;
/// Tries for one event before it is given up. With the growing pauses that is about a day.
const MAX_TRIES: u64 = 300;

/// Publishes events one after the other until it is dropped.
#[derive(Debug)]
pub struct EventQueue {
    sender: mpsc::Sender<Event>,
    /// Ends its task when dropped.
    _task: JoinSet<()>,
}

impl EventQueue {
    /// Begins to publish what is put into the queue.
    pub fn spawn(connection: &Connection, agent: &AgentId) -> Self {
        let (sender, queue) = mpsc::channel(CAPACITY);
        let mut task = JoinSet::new();
        task.spawn(publish_all(connection.clone(), agent.clone(), queue));
        Self { sender, _task: task }
    }

    /// The end to put events in. A full queue is the sender's to notice.
    pub fn sender(&self) -> mpsc::Sender<Event> {
        self.sender.clone()
    }
}

async fn publish_all(connection: Connection, agent: AgentId, mut queue: mpsc::Receiver<Event>) {
    let mut random = StdRng::from_rng(&mut rand::rng());
    while let Some(event) = queue.recv().await {
        for tries in 1..=MAX_TRIES {
            match publish_event(&connection, &agent, &event).await {
                Ok(()) => break,
                Err(error) if error.retry_helps() && tries < MAX_TRIES => {
                    tracing::debug!(seq = event.seq, %error, "the event is not stored yet");
                    sleep(Backoff::RESOURCE.delay(tries, random.random())).await;
                }
                Err(error) => {
                    tracing::warn!(seq = event.seq, %error, "the event is given up");
                    break;
                }
            }
        }
    }
}
