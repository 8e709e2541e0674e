//! Whether what is read is still what it was.

use std::time::Duration;

use async_nats::jetstream::stream;
use tokio::{sync::watch, time::sleep};

use super::{StoreError, no_answer, stream_of};
use crate::Fleet;

/// The pause before it is asked again where nobody can tell, as while a cluster elects a leader.
const PAUSE: Duration = Duration::from_secs(1);

/// Notices when a server comes back with another store, or an older one. The place up to which a stream was read says
/// nothing of that, and whoever goes on there misses what comes until then, silently.
pub(super) struct SameStore {
    fleet: Fleet,
    bucket: &'static str,
    /// The stream as it was when reading began.
    known: stream::Info,
    connections: watch::Receiver<u64>,
    /// The connection over which it was that one.
    confirmed_over: u64,
}

impl SameStore {
    /// Of a stream that was looked at over that connection.
    pub(super) fn new(fleet: &Fleet, bucket: &'static str, known: stream::Info, connection: u64) -> Self {
        let (fleet, connections) = (fleet.clone(), fleet.connections());
        Self { fleet, bucket, known, connections, confirmed_over: connection }
    }

    /// Returns once it is known that the stream, read up to before that place, is still the same: at once, unless there
    /// was another connection since. Dropping the future loses nothing.
    ///
    /// # Errors
    /// It is another one, or went back: all has to be read again.
    pub(super) async fn confirmed(&mut self, place: u64) -> Result<(), StoreError> {
        loop {
            let connection = *self.connections.borrow();
            if connection == self.confirmed_over {
                return Ok(());
            }
            match stream_of(&self.fleet, self.bucket).await {
                Ok(stream) if is_continued(&self.known, stream.cached_info(), place) => {
                    self.confirmed_over = connection;
                }
                Ok(_) => {
                    return Err(no_answer(
                        &self.fleet,
                        self.bucket,
                        "the server came back with another store",
                    ));
                }
                Err(error) if error.may_pass() => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether `now` is the stream that was known, with all that lay before that place.
fn is_continued(known: &stream::Info, now: &stream::Info, place: u64) -> bool {
    now.created == known.created && now.state.last_sequence >= place.saturating_sub(1)
}
