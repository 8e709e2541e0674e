//! Whether what is read is still what it was.

use std::time::Duration;

use agent_model::Timestamp;
use tokio::{sync::watch, time::sleep};

use super::{
    StoreError, no_answer,
    stored::{Wanted, get},
};
use crate::Fleet;

/// The pause before it is asked again where nobody can tell, as while a cluster elects a leader.
const PAUSE: Duration = Duration::from_secs(1);

/// Notices when a server comes back with another store, or an older one. The place up to which a stream was read says
/// nothing of that, and whoever goes on there misses what was written before it, silently.
pub(super) struct SameStore {
    fleet: Fleet,
    bucket: &'static str,
    connections: watch::Receiver<u64>,
    /// The connection over which it was the same.
    confirmed_over: u64,
    /// When the last message that was read was stored, and its place: no other store has the same. Whoever has read none
    /// yet misses none either, as the reading begins with the first.
    last: Option<(Timestamp, u64)>,
}

impl SameStore {
    /// Of a stream that was looked at over that connection.
    pub(super) fn new(fleet: &Fleet, bucket: &'static str, connection: u64) -> Self {
        let (fleet, connections) = (fleet.clone(), fleet.connections());
        Self { fleet, bucket, connections, confirmed_over: connection, last: None }
    }

    /// Takes note of a message that was read.
    pub(super) fn has_read(&mut self, stored_at: Timestamp, sequence: u64) {
        if self.last.is_none_or(|(_, last)| last <= sequence) {
            self.last = Some((stored_at, sequence));
        }
    }

    /// Returns once it is known that the stream is still the one that was read: at once, unless there was another
    /// connection since. Dropping the future loses nothing.
    ///
    /// # Errors
    /// It is another one, or went back, or does not have that message any more: all has to be read again.
    pub(super) async fn confirmed(&mut self) -> Result<(), StoreError> {
        loop {
            let connection = *self.connections.borrow();
            if connection == self.confirmed_over {
                return Ok(());
            }
            match self.is_same().await {
                Ok(true) => self.confirmed_over = connection,
                Ok(false) => {
                    return Err(no_answer(&self.fleet, self.bucket, "what was read is not there any more"));
                }
                Err(error) if error.may_pass() => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn is_same(&self) -> Result<bool, StoreError> {
        let Some((stored_at, seq)) = self.last else { return Ok(true) };
        let found = get(&self.fleet, self.bucket, Wanted::At { seq }).await?;
        Ok(found.is_some_and(|found| found.stored_at == stored_at))
    }
}
