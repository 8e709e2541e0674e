//! Reading single entries of a bucket, and following many, or a stream.
//!
//! Fleet-wide readers use one ordinary consumer for each bucket. Devices do not: see ADR-023. Where something lies in
//! it that a consumer cannot get to the client, they go on without one:
//!
//! ```text
//! follow ──▶ Delivery (a consumer) ──▶ Stored
//!               └─ stuck ─▶ Careful ──▶ Stored      a question for each message
//! read ────────────────────────────▶ Stored
//! ```

mod careful;
mod delivery;
mod outstanding;
mod same_store;
mod stored;

use std::{collections::VecDeque, fmt, time::Duration};

use agent_core::kv::names;
use agent_model::{AgentId, Timestamp};
use async_nats::jetstream::{
    consumer::{DeliverPolicy, push},
    context::GetStreamErrorKind,
    stream,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

pub(crate) use self::stored::Stored;
use self::{
    careful::{Careful, between, subjects_of},
    delivery::Delivery,
    outstanding::Outstanding,
    same_store::SameStore,
    stored::{Wanted, get, stream_name},
};
use crate::{
    Fleet,
    provisioning::{STREAM_NOT_FOUND, has_no_responders, is_not_enabled},
};

/// Why a bucket, or a stream, could not be read or written. What is called bucket in it is
/// either.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `init` was never run here, or with another account.
    #[error(
        "{} does not exist on {server}: run `harmonyctl init` once, or check which server and account this is",
        Called(bucket)
    )]
    NoBucket {
        /// The bucket.
        bucket: &'static str,
        /// The server.
        server: String,
    },
    /// The server stores nothing.
    #[error(
        "the server at {server} has no JetStream for this account: check which server and account this is"
    )]
    NoJetStream {
        /// The server.
        server: String,
    },
    /// The entry is not, or no longer, the one that the change was meant for.
    #[error("someone else changed {agent} in {bucket} meanwhile; look at it again and repeat the command")]
    Conflict {
        /// The bucket.
        bucket: &'static str,
        /// Whose entry.
        agent: AgentId,
    },
    /// The server says no, and would say it again.
    #[error("the server refuses to store {agent} in {bucket}: {said}")]
    Refused {
        /// The bucket.
        bucket: &'static str,
        /// Whose entry.
        agent: AgentId,
        /// The server's words.
        said: String,
    },
    /// These credentials do not allow it.
    #[error("these credentials do not allow it to use {}; the server says: {violation}", Called(bucket))]
    NotPermitted {
        /// The bucket.
        bucket: &'static str,
        /// The server's words.
        violation: String,
    },
    /// No answer, or none that can be understood. Trying again may help; what should be written
    /// may have been.
    #[error("no usable answer from {server} about {}", Called(bucket))]
    NoAnswer {
        /// The bucket.
        bucket: &'static str,
        /// The server.
        server: String,
        /// What came instead.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The words for a store.
struct Called<'a>(&'a str);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if names::is_stream(self.0) { "stream" } else { "bucket" };
        write!(f, "the {kind} {}", self.0)
    }
}

impl StoreError {
    /// Whether trying again may help: while a cluster elects a leader, nothing can be read or
    /// written, and that passes.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

/// One entry of a bucket, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which bucket it is in.
    pub bucket: &'static str,
    /// Whose it is.
    pub agent: AgentId,
    /// Its revision: what a compare-and-swap has to name.
    pub revision: u64,
    /// When the server stored it, by the server's clock.
    pub stored_at: Timestamp,
    /// What is in it; `None` for the marker that a delete or purge leaves.
    pub value: Option<Bytes>,
}

/// Reads an entry from the leader of its stream, so that the answer is never an old one.
///
/// # Errors
/// [`StoreError`], but for `Conflict` and `Refused`.
pub async fn read(fleet: &Fleet, bucket: &'static str, agent: &AgentId) -> Result<Option<Entry>, StoreError> {
    let wanted = Wanted::Last { last_by_subj: &names::entry_subject(bucket, agent) };
    let message = get(fleet, bucket, wanted).await?;
    Ok(message.map(|message| entry(bucket, agent.clone(), message)))
}

/// Reads what an entry was at that revision; `None` where the bucket does not keep it any more, and where the revision
/// is another agent's.
///
/// # Errors
/// As [`read`].
pub async fn read_revision(
    fleet: &Fleet,
    bucket: &'static str,
    agent: &AgentId,
    revision: u64,
) -> Result<Option<Entry>, StoreError> {
    let messages = between(fleet, bucket, &names::entry_subject(bucket, agent), revision, revision).await?;
    Ok(messages.into_iter().next().map(|message| entry(bucket, agent.clone(), message)))
}

/// Reads all that the bucket keeps of an entry, the newest last. One request for each, as they are few: a consumer
/// would be more work for the server.
///
/// # Errors
/// As [`read`].
pub async fn history(fleet: &Fleet, bucket: &'static str, agent: &AgentId) -> Result<Vec<Entry>, StoreError> {
    // So that it ends, however fast somebody writes.
    let Some(newest) = read(fleet, bucket, agent).await? else { return Ok(Vec::new()) };
    let subject = names::entry_subject(bucket, agent);
    let messages = between(fleet, bucket, &subject, 1, newest.revision).await?;
    Ok(messages.into_iter().map(|message| entry(bucket, agent.clone(), message)).collect())
}

/// The agents that a bucket has an entry or a marker for.
pub(crate) async fn keys(fleet: &Fleet, bucket: &'static str) -> Result<Vec<AgentId>, StoreError> {
    let stream = stream_of(fleet, bucket).await?;
    let subjects = subjects_of(fleet, bucket, &stream, &format!("$KV.{bucket}.*")).await?;
    Ok(subjects.iter().filter_map(|subject| agent_of(bucket, subject)).collect())
}

pub(crate) async fn stream_of(fleet: &Fleet, bucket: &'static str) -> Result<stream::Stream, StoreError> {
    let found = fleet.jetstream().get_stream(stream_name(bucket)).await;
    let no_jetstream = || StoreError::NoJetStream { server: fleet.server().to_owned() };
    found.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(said) if said.error_code().0 == STREAM_NOT_FOUND => {
            no_bucket(fleet, bucket)
        }
        GetStreamErrorKind::JetStream(said) if is_not_enabled(said.error_code().0) => no_jetstream(),
        GetStreamErrorKind::Request if has_no_responders(&error) => no_jetstream(),
        _ => no_answer(fleet, bucket, error),
    })
}

/// The entries of a bucket: first those that are there, then every change.
pub(crate) struct Watch {
    /// What was there when the watch began, newest revision of each; empty entries included.
    pub(crate) present: VecDeque<Entry>,
    /// Everything since. Ends only with an error.
    pub(crate) changes: BoxStream<'static, Result<Entry, StoreError>>,
}

/// Watches the entries on these subjects. Keys that are no agent ids are passed over.
pub(crate) async fn watch(
    fleet: &Fleet,
    bucket: &'static str,
    filter_subjects: Vec<String>,
) -> Result<Watch, StoreError> {
    let followed = follow(fleet, bucket, filter_subjects, Start::Newest).await?;
    let present = followed.present.into_iter().filter_map(|message| entry_of(bucket, message)).collect();
    Ok(Watch { present, changes: changes(bucket, followed.coming).boxed() })
}

/// Where following begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// With the newest message of each subject.
    Newest,
    /// With the first message that is there.
    First,
}

impl Start {
    fn policy(self) -> DeliverPolicy {
        match self {
            Self::Newest => DeliverPolicy::LastPerSubject,
            Self::First => DeliverPolicy::All,
        }
    }
}

/// Messages of a stream: first those that are there, then those that come.
pub(crate) struct Followed {
    /// What was there when this began.
    pub(crate) present: VecDeque<Stored>,
    /// Everything since. Ends only with an error.
    pub(crate) coming: BoxStream<'static, Result<Stored, StoreError>>,
    stream: stream::Stream,
    /// The consumer, as long as there is one.
    consumer: String,
}

impl Followed {
    /// Takes the consumer off the server at once, which does so itself after some time. Where that
    /// fails, it is left to the server.
    pub(crate) async fn end(self) {
        drop(self.coming);
        if let Err(error) = self.stream.delete_consumer(&self.consumer).await {
            tracing::debug!(%error, "the consumer is left to expire");
        }
    }
}

/// Follows these subjects of a bucket or a stream from where `start` says. A consumer delivers them, as long as it gets
/// on.
pub(crate) async fn follow(
    fleet: &Fleet,
    bucket: &'static str,
    filter_subjects: Vec<String>,
    start: Start,
) -> Result<Followed, StoreError> {
    let connection = *fleet.connections().borrow();
    let stream = stream_of(fleet, bucket).await?;
    let same_store = || SameStore::new(fleet, bucket, connection);
    let consumer = stream
        .create_consumer(push::OrderedConfig {
            deliver_subject: fleet.client().new_inbox(),
            description: Some("harmony fleet reader".to_owned()),
            filter_subjects: filter_subjects.clone(),
            deliver_policy: start.policy(),
            ..push::OrderedConfig::default()
        })
        .await
        .map_err(|error| no_answer(fleet, bucket, error))?;
    let name = consumer.cached_info().name.clone();
    let pending = consumer.cached_info().num_pending;
    let outstanding = if names::is_stream(bucket) {
        Outstanding::of_stream(pending, stream.cached_info().state.last_sequence)
    } else {
        Outstanding::of_bucket(pending)
    };
    let messages = consumer.messages().await.map_err(|error| no_answer(fleet, bucket, error))?;
    let mut delivery = Delivery::new(fleet, bucket, filter_subjects.clone(), messages, same_store());
    let (present, coming) = match delivered(fleet, bucket, &stream, &mut delivery, outstanding).await {
        Ok(present) => (present, Coming::Delivered(delivery)),
        Err(refused) if !refused.may_pass() => return Err(refused),
        Err(stuck) => {
            // First, for as long as it is there the connection is lost again and again.
            drop(delivery);
            tracing::debug!(error = %stuck, bucket, "reading without a consumer");
            let begun = Careful::begin(fleet, bucket, &stream, filter_subjects, start, same_store());
            let (present, careful) = begun.await?;
            (present, Coming::Careful(careful))
        }
    };
    let coming = futures_util::stream::unfold(coming, Coming::next).boxed();
    Ok(Followed { present, coming, stream, consumer: name })
}

/// What was there, as the consumer delivers it. An error when it cannot, or is late.
async fn delivered(
    fleet: &Fleet,
    bucket: &'static str,
    stream: &stream::Stream,
    delivery: &mut Delivery,
    mut outstanding: Outstanding,
) -> Result<VecDeque<Stored>, StoreError> {
    let mut present = VecDeque::new();
    while !outstanding.is_none() {
        let came = tokio::time::timeout(fleet.timeout(), delivery.next(QUIET_BEFORE))
            .await
            .map_err(|late| no_answer(fleet, bucket, late))??;
        let Some(message) = came else {
            return Err(no_answer(fleet, bucket, "the connection is lost over what a consumer delivers"));
        };
        let info = message.info().ok().map(|info| (info.stream_sequence, info.pending));
        outstanding.see(&message.subject, info);
        present.extend(Stored::delivered(&message));
        if outstanding.has_as_many_entries() {
            let now = stream.get_info().await.map_err(|error| no_answer(fleet, bucket, error))?;
            outstanding.end_at(now.state.last_sequence);
        }
    }
    Ok(present)
}

/// How long nothing comes before it is asked whether there is anything: of what is known to be there, and of what is to
/// come, where each follower asks so often.
const QUIET_BEFORE: Duration = Duration::from_secs(1);
const QUIET_SINCE: Duration = Duration::from_secs(5);

/// What comes, and how.
enum Coming {
    Delivered(Delivery),
    Careful(Careful),
}

impl Coming {
    async fn next(mut self) -> Option<(Result<Stored, StoreError>, Self)> {
        loop {
            return Some(match self {
                Self::Careful(mut careful) => (careful.next().await, Self::Careful(careful)),
                Self::Delivered(mut delivery) => match delivery.next(QUIET_SINCE).await {
                    Ok(Some(message)) => match Stored::delivered(&message) {
                        Some(message) => (Ok(message), Self::Delivered(delivery)),
                        None => {
                            self = Self::Delivered(delivery);
                            continue;
                        }
                    },
                    Ok(None) => {
                        self = Self::Careful(delivery.carefully());
                        continue;
                    }
                    Err(error) => (Err(error), Self::Delivered(delivery)),
                },
            });
        }
    }
}

fn changes(
    bucket: &'static str,
    messages: impl Stream<Item = Result<Stored, StoreError>> + Send,
) -> impl Stream<Item = Result<Entry, StoreError>> + Send {
    messages.filter_map(move |message| {
        std::future::ready(match message {
            Ok(message) => entry_of(bucket, message).map(Ok),
            Err(error) => Some(Err(error)),
        })
    })
}

fn agent_of(bucket: &str, subject: &str) -> Option<AgentId> {
    subject.strip_prefix("$KV.")?.strip_prefix(bucket)?.strip_prefix('.')?.parse().ok()
}

fn entry_of(bucket: &'static str, message: Stored) -> Option<Entry> {
    let agent = agent_of(bucket, &message.subject)?;
    Some(entry(bucket, agent, message))
}

fn entry(bucket: &'static str, agent: AgentId, message: Stored) -> Entry {
    Entry {
        bucket,
        agent,
        revision: message.sequence,
        stored_at: message.stored_at,
        value: (!message.is_deletion).then_some(message.payload),
    }
}

fn no_bucket(fleet: &Fleet, bucket: &'static str) -> StoreError {
    StoreError::NoBucket { bucket, server: fleet.server().to_owned() }
}

/// What a missing answer means: the server reports a missing permission not to the request but to
/// the connection, so that is looked up first.
pub(crate) fn no_answer(
    fleet: &Fleet,
    bucket: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    match fleet.last_violation() {
        Some(violation) => StoreError::NotPermitted { bucket, violation },
        None => StoreError::NoAnswer { bucket, server: fleet.server().to_owned(), source: source.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_calls_the_stream_of_events_a_stream_and_all_else_a_bucket() {
        let told = |bucket| StoreError::NoBucket { bucket, server: "here".to_owned() }.to_string();
        assert!(told("AGENT_EVENTS").starts_with("the stream AGENT_EVENTS does not exist on here"));
        assert!(told("agents").starts_with("the bucket agents does not exist on here"));
    }
}
