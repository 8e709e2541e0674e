//! The requests of devices that want to be let in, and the answers to them (ADR-036).

use std::collections::BTreeMap;

use agent_core::{
    enrollment::{Answer, Facts, InvalidAnswer, Request},
    kv::names::{self, ENROLLMENT_REQUESTS_STREAM},
};
use agent_model::{AgentId, Timestamp, UserKey};
use futures_util::StreamExt as _;

use crate::{
    Fleet, StoreError,
    store::{self, Followed, Start, Stored, no_answer},
};

/// Somebody who asks for an id with a key. The key has signed that; all else is what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// As whom.
    pub agent: AgentId,
    /// With which key.
    pub key: UserKey,
    /// What they tell about themselves, newest.
    pub facts: Facts,
    /// When they asked first, of what is still there, by the server's clock.
    pub since: Timestamp,
    /// When they asked last.
    pub last: Timestamp,
}

impl Asking {
    /// The serial number that they claim.
    pub fn serial(&self) -> Option<&str> {
        self.facts.get("serial").map(String::as_str)
    }
}

/// All who ask, by id and key.
#[derive(Debug, Default)]
pub struct Requests {
    asking: BTreeMap<(AgentId, UserKey), Asking>,
    /// Messages that are no requests, which anybody with bootstrap credentials can leave.
    pub passed_over: usize,
}

impl Requests {
    /// What lies in the stream.
    ///
    /// # Errors
    /// [`StoreError`], but for `Conflict` and `Refused`.
    pub async fn read(fleet: &Fleet) -> Result<Self, StoreError> {
        Self::read_subject(fleet, names::ENROLLMENT_REQUESTS_SUBJECTS.to_owned()).await
    }

    /// Those who ask for that id.
    ///
    /// # Errors
    /// [`StoreError`], but for `Conflict` and `Refused`.
    pub async fn read_of(fleet: &Fleet, agent: &AgentId) -> Result<Self, StoreError> {
        Self::read_subject(fleet, names::enrollment_subject(agent)).await
    }

    async fn read_subject(fleet: &Fleet, subject: String) -> Result<Self, StoreError> {
        let mut follower = Follower::of(fleet, subject).await?;
        let requests = follower.present();
        follower.followed.end().await;
        Ok(requests)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Asking> {
        self.asking.values()
    }

    /// What a message tells; `None` when it is no request.
    fn take_in(&mut self, message: &Stored) -> Option<&Asking> {
        let Some((request, at)) = read(message) else {
            self.passed_over += 1;
            return None;
        };
        let Request { agent, public_key: key, facts } = request;
        let asking = self.asking.entry((agent.clone(), key.clone())).or_insert_with(|| Asking {
            agent,
            key,
            facts: Facts::new(),
            since: at,
            last: at,
        });
        asking.facts = facts;
        asking.last = at;
        Some(asking)
    }
}

fn read(message: &Stored) -> Option<(Request, Timestamp)> {
    let agent: AgentId = message.subject.strip_prefix("enroll.")?.parse().ok()?;
    match Request::read(&agent, &message.payload) {
        Ok(request) => Some((request, message.stored_at)),
        Err(error) => {
            tracing::debug!(%agent, %error, "a message that is no request is passed over");
            None
        }
    }
}

/// How many requests are taken together. With 4 KiB each, some MiB of memory.
const TOGETHER_AT_MOST: usize = 1000;

/// The requests as they come.
pub struct Follower {
    followed: Followed,
}

impl Follower {
    /// Begins with those that are there.
    ///
    /// # Errors
    /// [`StoreError`], but for `Conflict` and `Refused`.
    pub async fn start(fleet: &Fleet) -> Result<Self, StoreError> {
        Self::of(fleet, names::ENROLLMENT_REQUESTS_SUBJECTS.to_owned()).await
    }

    async fn of(fleet: &Fleet, subject: String) -> Result<Self, StoreError> {
        let subjects = vec![subject];
        let followed = store::follow(fleet, ENROLLMENT_REQUESTS_STREAM, subjects, Start::First).await?;
        Ok(Self { followed })
    }

    /// Those that were there.
    pub fn present(&mut self) -> Requests {
        let mut requests = Requests::default();
        for message in std::mem::take(&mut self.followed.present) {
            requests.take_in(&message);
        }
        requests
    }

    /// The next ones: one is waited for, and [`TOGETHER_AT_MOST`] are taken together where more have come already, so
    /// that whoever reads something for each time reads it seldom in a flood.
    ///
    /// # Errors
    /// [`StoreError`], but for `Conflict` and `Refused`; start again then.
    pub async fn next(&mut self, fleet: &Fleet) -> Result<Requests, StoreError> {
        let come = self.followed.coming.by_ref().ready_chunks(TOGETHER_AT_MOST).next().await;
        let come = come.ok_or_else(|| {
            no_answer(fleet, ENROLLMENT_REQUESTS_STREAM, "the server ended the stream of requests")
        })?;
        let mut requests = Requests::default();
        for message in come {
            requests.take_in(&message?);
        }
        Ok(requests)
    }
}

/// Why nobody was answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No device would read it.
    #[error("the answer to {agent} cannot be sent")]
    Invalid {
        /// To whom.
        agent: AgentId,
        /// What is wrong with it.
        source: InvalidAnswer,
    },
}

/// Answers whoever holds that key, now or when they look next. The newest answer counts.
///
/// # Errors
/// See [`AnswerError`]; trying again does no harm.
pub async fn answer(fleet: &Fleet, answer: &Answer) -> Result<(), AnswerError> {
    let bytes =
        answer.to_bytes().map_err(|source| AnswerError::Invalid { agent: answer.agent.clone(), source })?;
    let bucket = names::ENROLLMENT_ANSWERS_STREAM;
    let subject = names::enrollment_answer_subject(&answer.public_key);
    let stored = fleet.jetstream().publish(subject, bytes.into()).await;
    stored
        .map_err(|error| no_answer(fleet, bucket, error))?
        .await
        .map_err(|error| AnswerError::Store(no_answer(fleet, bucket, error)))?;
    Ok(())
}

/// Takes the requests of that key for that id out of the stream, those too that came since they were read. Called once
/// the answer is stored, which keeps the device from asking again.
///
/// # Errors
/// [`StoreError`], but for `Conflict` and `Refused`; what stays there ages.
pub async fn forget(fleet: &Fleet, agent: &AgentId, key: &UserKey) -> Result<(), StoreError> {
    let subjects = vec![names::enrollment_subject(agent)];
    let mut followed = store::follow(fleet, ENROLLMENT_REQUESTS_STREAM, subjects, Start::First).await?;
    let stream = store::stream_of(fleet, ENROLLMENT_REQUESTS_STREAM).await?;
    for message in std::mem::take(&mut followed.present) {
        let is_theirs = read(&message).is_some_and(|(request, _)| request.public_key == *key);
        let sequence = message.sequence;
        if is_theirs && let Err(error) = stream.delete_message(sequence).await {
            tracing::debug!(%error, sequence, "a request is gone already, or left to age");
        }
    }
    followed.end().await;
    Ok(())
}
