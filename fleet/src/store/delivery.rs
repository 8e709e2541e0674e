//! What a consumer delivers, and whether it gets on.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::push::{Ordered, OrderedError},
    message::Message,
};
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::{sync::watch, time::Instant};

use super::{
    StoreError,
    careful::Careful,
    no_answer,
    same_store::SameStore,
    stored::{Wanted, get},
};
use crate::Fleet;

/// A connection that is lost again within this time is taken to be lost over what was delivered. A server that is
/// started anew, or a network, does that seldom, and who reads carefully then gets the same.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// The messages of an ordered consumer. The client makes its connection, and the consumer, again by itself, and then
/// meets again what it broke on.
pub(super) struct Delivery {
    fleet: Fleet,
    bucket: &'static str,
    subjects: Vec<String>,
    messages: BoxStream<'static, Result<Message, OrderedError>>,
    same_store: SameStore,
    connections: watch::Receiver<u64>,
    lost: Option<Instant>,
    /// Where in the stream what was not delivered yet begins.
    place: u64,
    /// The place behind which something was found that should have been delivered.
    overdue: Option<u64>,
}

impl Delivery {
    /// Of these subjects.
    pub(super) fn new(
        fleet: &Fleet,
        bucket: &'static str,
        subjects: Vec<String>,
        messages: Ordered,
        same_store: SameStore,
    ) -> Self {
        let mut connections = fleet.connections();
        connections.mark_unchanged();
        let (fleet, messages) = (fleet.clone(), messages.boxed());
        Self {
            fleet,
            bucket,
            subjects,
            messages,
            same_store,
            connections,
            lost: None,
            place: 1,
            overdue: None,
        }
    }

    /// Waits for the next message; `None` when it is stuck, and what comes next cannot be delivered. After each `quiet`
    /// without one it is asked whether there is one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The watch ended, or what is there now is not what was read: all has to be read again.
    pub(super) async fn next(&mut self, quiet: Duration) -> Result<Option<Message>, StoreError> {
        loop {
            let (same_store, messages) = (&mut self.same_store, &mut self.messages);
            let next = async {
                same_store.confirmed().await?;
                Ok(tokio::time::timeout(quiet, messages.next()).await)
            };
            // Dropping either arm half-way takes nothing: one only looks, and the other takes a message when it is there.
            let came = tokio::select! {
                // First, so that nothing is asked for again over a connection that would be lost once more.
                biased;
                // An error means that there will be no connection any more, which ends the messages as well.
                Ok(()) = self.connections.changed() => {
                    if self.lost.replace(Instant::now()).is_some_and(|before| before.elapsed() < AGAIN_WITHIN) {
                        return Ok(None);
                    }
                    continue;
                }
                came = next => came,
            };
            match came? {
                Ok(Some(Ok(message))) => {
                    if let Ok(info) = message.info() {
                        self.place = info.stream_sequence + 1;
                        self.same_store.has_read(info.published.into(), info.stream_sequence);
                    }
                    return Ok(Some(message));
                }
                Ok(Some(Err(error))) => return Err(no_answer(&self.fleet, self.bucket, error)),
                Ok(None) => return Err(no_answer(&self.fleet, self.bucket, "the watch ended")),
                // Some headers have the client take a message for one of the server's own, which loses no connection.
                Err(_) if self.overdue == Some(self.place) => return Ok(None),
                Err(_) if self.is_behind().await => self.overdue = Some(self.place),
                Err(_) => {}
            }
        }
    }

    /// Whether there is something in the stream that was not delivered yet.
    async fn is_behind(&mut self) -> bool {
        for subject in &self.subjects {
            let wanted = Wanted::Next { seq: self.place, next_by_subj: subject };
            match get(&self.fleet, self.bucket, wanted).await {
                Ok(None) => {}
                Ok(Some(_)) => return true,
                // Whoever cannot ask cannot read carefully either.
                Err(_) => return false,
            }
        }
        false
    }

    /// Goes on at the same place, without the consumer.
    pub(super) fn carefully(self) -> Careful {
        Careful::from(&self.fleet, self.bucket, self.subjects, self.place, self.same_store)
    }
}
