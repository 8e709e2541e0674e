//! Single messages that a test takes out of the stream, to lose, double or delay them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{mpsc::WeakSender, watch};

use super::{
    pipe::{Inlet, Parcel},
    protocol::{Letter, Message, covers},
};
use crate::eventually::PATIENCE;

/// Requests whose answers are still known by what they ask.
const REQUESTS: usize = 4096;

/// Which messages. Subjects are patterns, with `*` and `>` as in NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Messages {
    /// What a client publishes on such a subject, requests included.
    Published(String),
    /// What the server delivers on such a subject.
    Delivered(String),
    /// What the server delivers in answer to a request that was published on such a subject: the
    /// acknowledgement of a write, what a Direct Get found.
    AnswersTo(String),
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It passes.
    Pass,
    /// It is lost, though the connection is not.
    Lose,
    /// It passes twice.
    Double,
    /// It passes so much later, and others pass meanwhile.
    Delay(Duration),
    /// It is kept until it is let go.
    Keep,
}

/// Direction in which a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// A fate for messages of a kind, for as long as this lives. What it kept is lost with it.
#[must_use = "it ends when it is dropped"]
pub struct Interception {
    id: u64,
    met: watch::Receiver<usize>,
    desk: Desk,
}

impl Interception {
    /// How many such messages there were.
    pub fn met(&self) -> usize {
        *self.met.borrow()
    }

    /// Waits until there were so many.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn meets(&mut self, count: usize) {
        let met = tokio::time::timeout(PATIENCE, self.met.wait_for(|met| *met >= count));
        let came = met.await.is_ok_and(|met| met.is_ok());
        assert!(came, "waited in vain for {count} messages: there were {}", self.met());
    }

    /// Ends it, and sends what it kept on its way, in order.
    pub async fn let_go(self) {
        let kept = self.desk.lock().end(self.id);
        for (inlet, bytes) in kept {
            // A connection that is gone takes nothing any more.
            if let Some(inlet) = inlet.upgrade() {
                let _ = inlet.send(Parcel::now(bytes)).await;
            }
        }
    }
}

impl Drop for Interception {
    fn drop(&mut self) {
        self.desk.lock().end(self.id);
    }
}

impl fmt::Debug for Interception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interception").field("met", &self.met()).finish_non_exhaustive()
    }
}

/// Where the messages of all connections of a proxy pass by.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    ids: u64,
    /// What was asked, by where the answer will go.
    requests: HashMap<String, String>,
    /// The same places, the oldest first.
    replies: VecDeque<String>,
    witnesses: Vec<Witness>,
}

/// Looks at messages of a kind, and changes nothing.
struct Witness {
    messages: Messages,
    sees: Box<Sees>,
}

type Sees = dyn FnMut(&[u8]) + Send;

struct Rule {
    id: u64,
    messages: Messages,
    decide: Box<dyn FnMut() -> Fate + Send>,
    met: watch::Sender<usize>,
    /// What was kept, with its connection, which it does not keep open.
    kept: Vec<(WeakSender<Parcel>, Bytes)>,
}

impl Desk {
    pub(super) fn intercept(
        &self,
        messages: Messages,
        decide: impl FnMut() -> Fate + Send + 'static,
    ) -> Interception {
        let mut state = self.lock();
        state.ids += 1;
        let (id, (sender, met)) = (state.ids, watch::channel(0));
        state.rules.push(Rule { id, messages, decide: Box::new(decide), met: sender, kept: Vec::new() });
        Interception { id, met, desk: self.clone() }
    }

    pub(super) fn witness(&self, messages: Messages, sees: impl FnMut(&[u8]) + Send + 'static) {
        self.lock().witnesses.push(Witness { messages, sees: Box::new(sees) });
    }

    /// What becomes of a message with that letter; one that is kept was taken in, and is nobody else's concern.
    pub(super) fn judge(
        &self,
        direction: Direction,
        letter: &Letter,
        message: &Message,
        inlet: &Inlet,
    ) -> Fate {
        self.lock().judge(direction, letter, message, inlet)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl State {
    fn judge(&mut self, direction: Direction, letter: &Letter, message: &Message, inlet: &Inlet) -> Fate {
        if let (Direction::ToServer, Some(reply)) = (direction, &letter.reply) {
            self.note_request(reply, &letter.subject);
        }
        let asked = self.requests.get(&letter.subject);
        let is_meant = |messages: &Messages| match (messages, direction) {
            (Messages::Published(pattern), Direction::ToServer)
            | (Messages::Delivered(pattern), Direction::ToClient) => covers(pattern, &letter.subject),
            (Messages::AnswersTo(pattern), Direction::ToClient) => {
                asked.is_some_and(|asked| covers(pattern, asked))
            }
            _ => false,
        };
        let witnesses = self.witnesses.iter_mut().filter(|witness| is_meant(&witness.messages));
        witnesses.for_each(|witness| (witness.sees)(&message.content));
        let Some(rule) = self.rules.iter_mut().find(|rule| is_meant(&rule.messages)) else {
            return Fate::Pass;
        };
        rule.met.send_modify(|met| *met += 1);
        let fate = (rule.decide)();
        if fate == Fate::Keep {
            rule.kept.push((inlet.downgrade(), message.bytes.clone()));
        }
        fate
    }

    fn note_request(&mut self, reply: &str, subject: &str) {
        if self.requests.insert(reply.to_owned(), subject.to_owned()).is_none() {
            self.replies.push_back(reply.to_owned());
        }
        if self.replies.len() > REQUESTS
            && let Some(oldest) = self.replies.pop_front()
        {
            self.requests.remove(&oldest);
        }
    }

    fn end(&mut self, id: u64) -> Vec<(WeakSender<Parcel>, Bytes)> {
        match self.rules.iter().position(|rule| rule.id == id) {
            Some(place) => self.rules.remove(place).kept,
            None => Vec::new(),
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}
