//! Reading what a device has told of itself, from the stream `AGENT_EVENTS`.

use std::collections::VecDeque;

use agent_core::kv::names;
use agent_model::{AgentId, Timestamp, status::Event};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};

use crate::{
    Fleet, StoreError,
    roster::{PAUSE, READING},
    store::{self, Followed, Start, Stored},
};

/// The name by which errors and messages call the stream.
const STREAM: &str = names::EVENTS_STREAM;

/// A message of a device's subject.
#[derive(Debug)]
pub struct StoredEvent {
    /// Its place in the stream.
    pub sequence: u64,
    /// The event as the device wrote it, with keys that this version does not know.
    pub bytes: Bytes,
    /// The same, read; or why it cannot be.
    pub event: Result<Event, serde_json::Error>,
}

/// The events of one device in the order of the stream, each once: first those that are there, then
/// those that come.
pub struct Events {
    fleet: Fleet,
    agent: AgentId,
    followed: Followed,
    seen: Seen,
}

impl Events {
    /// Begins to read. What may pass is tried again for some seconds.
    ///
    /// # Errors
    /// [`StoreError`], but for `Conflict` and `Refused`.
    pub async fn open(fleet: &Fleet, agent: &AgentId) -> Result<Self, StoreError> {
        let followed = follow(fleet, agent).await?;
        let (fleet, agent) = (fleet.clone(), agent.clone());
        Ok(Self { fleet, agent, followed, seen: Seen::default() })
    }

    /// Those that were there when reading began and were not taken yet: a thousand at most, which is
    /// what the stream keeps.
    pub fn take_present(&mut self) -> Vec<StoredEvent> {
        let present = std::mem::take(&mut self.followed.present);
        present.into_iter().filter_map(|message| self.take_in(message)).collect()
    }

    /// Waits for the next one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Reading broke off: see [`open_again`](Self::open_again).
    pub async fn next(&mut self) -> Result<StoredEvent, StoreError> {
        loop {
            if let Some(message) = self.followed.present.pop_front() {
                if let Some(event) = self.take_in(message) {
                    return Ok(event);
                }
                continue;
            }
            let came = self.followed.coming.next().await;
            let ended = || store::no_answer(&self.fleet, STREAM, "reading ended");
            self.followed.present.push_back(came.ok_or_else(ended)??);
        }
    }

    /// Goes on where reading broke off with `error`. What may pass is tried again for some seconds.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `error` itself when that does not pass.
    pub async fn open_again(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.may_pass() {
            return Err(error);
        }
        sleep(PAUSE).await;
        self.follow_again().await
    }

    /// Ends reading and leaves nothing behind on the server.
    pub async fn close(self) {
        self.followed.end().await;
    }

    /// Follows from the first event on, as nobody knows what store a server came back with. Those that were there before
    /// are told apart.
    async fn follow_again(&mut self) -> Result<(), StoreError> {
        let followed = follow(&self.fleet, &self.agent).await?;
        std::mem::replace(&mut self.followed, followed).end().await;
        Ok(())
    }

    /// The message as an event, unless it is one that was there before.
    fn take_in(&mut self, message: Stored) -> Option<StoredEvent> {
        let Stored { sequence, payload: bytes, .. } = message;
        let event: Result<Event, _> = serde_json::from_slice(&bytes);
        if let Ok(event) = &event
            && !self.seen.is_news(event)
        {
            return None;
        }
        Some(StoredEvent { sequence, bytes, event })
    }
}

/// Follows the device's subject.
async fn follow(fleet: &Fleet, agent: &AgentId) -> Result<Followed, StoreError> {
    let deadline = Instant::now() + READING;
    loop {
        match store::follow(fleet, STREAM, vec![names::events_subject(agent)], Start::First).await {
            Err(error) if error.may_pass() && Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Tells repetitions, which a device sends when it does not know that an event was stored. They have
/// the number and the time of the first. The number alone does not tell: a device that lost its state
/// counts anew.
#[derive(Debug, Default)]
struct Seen(VecDeque<(u64, Timestamp)>);

impl Seen {
    /// How many are kept in mind: as many as the stream keeps of a device.
    const MOST: usize = 1000;

    fn is_news(&mut self, event: &Event) -> bool {
        let identity = (event.seq, event.time);
        if self.0.contains(&identity) {
            return false;
        }
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(identity);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(seq: u64, second: u64) -> Event {
        Event {
            seq,
            time: Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(second)),
            event_type: "Applied".to_owned(),
            reason: "Applied".to_owned(),
            message: String::new(),
            resource: None,
            generation: None,
        }
    }

    #[test]
    fn a_repetition_is_told_from_an_event_of_a_device_that_counts_anew() {
        let mut seen = Seen::default();
        assert!(seen.is_news(&event(1, 10)));
        assert!(seen.is_news(&event(2, 10)));
        assert!(!seen.is_news(&event(1, 10)));
        assert!(seen.is_news(&event(1, 99)));
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded_and_the_oldest_goes_first() {
        let mut seen = Seen::default();
        for seq in 0..=Seen::MOST as u64 {
            assert!(seen.is_news(&event(seq, 0)));
        }
        assert_eq!(seen.0.len(), Seen::MOST);
        assert!(!seen.is_news(&event(1, 0)));
        assert!(seen.is_news(&event(0, 0)));
    }
}
