//! Reading single entries of a bucket, and following many, or a stream.
//!
//! Fleet-wide readers use one ordinary consumer for each bucket. Devices do not: see ADR-023.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
};

use agent_core::kv::{is_deletion, names};
use agent_model::{AgentId, Timestamp};
use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::{DeliverPolicy, push},
        context::GetStreamErrorKind,
        message::{Message, StreamMessage},
        stream::{self, LastRawMessageError, LastRawMessageErrorKind},
    },
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

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
    let subject = names::entry_subject(bucket, agent);
    let stored = stored_in(fleet, bucket).await?.get_last_raw_message_by_subject(&subject).await;
    entry_or_none(fleet, bucket, agent, stored)
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
    let entry = read_from(fleet, bucket, agent, revision).await?;
    Ok(entry.filter(|entry| entry.revision == revision))
}

/// Reads all that the bucket keeps of an entry, the newest last. One request for each, as they are few: a consumer
/// would be more work for the server.
///
/// # Errors
/// As [`read`].
pub async fn history(fleet: &Fleet, bucket: &'static str, agent: &AgentId) -> Result<Vec<Entry>, StoreError> {
    // So that it ends, however fast somebody writes.
    let Some(newest) = read(fleet, bucket, agent).await? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    let mut next = 1;
    while next < newest.revision
        && let Some(entry) = read_from(fleet, bucket, agent, next).await?
        && entry.revision < newest.revision
    {
        next = entry.revision + 1;
        entries.push(entry);
    }
    entries.push(newest);
    Ok(entries)
}

/// The oldest that the bucket keeps of an entry from that revision on. The server looks at the agent's subject only.
async fn read_from(
    fleet: &Fleet,
    bucket: &'static str,
    agent: &AgentId,
    revision: u64,
) -> Result<Option<Entry>, StoreError> {
    let subject = names::entry_subject(bucket, agent);
    let stored = stored_in(fleet, bucket).await?.get_first_raw_message_by_subject(&subject, revision).await;
    entry_or_none(fleet, bucket, agent, stored)
}

/// The stream behind a bucket, not asked whether it is there.
async fn stored_in(fleet: &Fleet, bucket: &'static str) -> Result<stream::Stream<()>, StoreError> {
    let stream = fleet.jetstream().get_stream_no_info(names::bucket_stream(bucket)).await;
    stream.map_err(|error| no_answer(fleet, bucket, error))
}

fn entry_or_none(
    fleet: &Fleet,
    bucket: &'static str,
    agent: &AgentId,
    stored: Result<StreamMessage, LastRawMessageError>,
) -> Result<Option<Entry>, StoreError> {
    match stored {
        Ok(message) => Ok(Some(Entry {
            bucket,
            agent: agent.clone(),
            revision: message.sequence,
            stored_at: message.time.into(),
            value: value_of(Some(&message.headers), message.payload),
        })),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::JetStream(error) if error.error_code().0 == STREAM_NOT_FOUND => {
                Err(no_bucket(fleet, bucket))
            }
            _ => Err(no_answer(fleet, bucket, error)),
        },
    }
}

/// The agents that a bucket has an entry or a marker for.
pub(crate) async fn keys(fleet: &Fleet, bucket: &'static str) -> Result<Vec<AgentId>, StoreError> {
    let stream = stream_of(fleet, bucket).await?;
    let mut subjects = stream
        .info_with_subjects(format!("$KV.{bucket}.*"))
        .await
        .map_err(|error| no_answer(fleet, bucket, error))?;
    let mut keys = Vec::new();
    while let Some(subject) = subjects.next().await {
        let (subject, _) = subject.map_err(|error| no_answer(fleet, bucket, error))?;
        keys.extend(agent_of(bucket, &subject));
    }
    Ok(keys)
}

pub(crate) async fn stream_of(fleet: &Fleet, bucket: &'static str) -> Result<stream::Stream, StoreError> {
    let name = if names::is_stream(bucket) { bucket.to_owned() } else { names::bucket_stream(bucket) };
    let found = fleet.jetstream().get_stream(name).await;
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
    let followed = follow(fleet, bucket, filter_subjects, |_| DeliverPolicy::LastPerSubject).await?;
    let present = followed.present.iter().filter_map(|message| entry_of(bucket, message)).collect();
    Ok(Watch { present, changes: changes(bucket, followed.coming).boxed() })
}

/// Messages of a stream: first those that are there, then those that come.
pub(crate) struct Followed {
    /// What was there when this began.
    pub(crate) present: VecDeque<Message>,
    /// Everything since. Ends only with an error.
    pub(crate) coming: BoxStream<'static, Result<Message, StoreError>>,
    stream: stream::Stream,
    consumer: String,
}

impl Followed {
    /// The stream as it was when this began.
    pub(crate) fn stream(&self) -> &stream::Info {
        self.stream.cached_info()
    }

    /// Takes the consumer off the server at once, which does so itself after some time. Where that
    /// fails, it is left to the server.
    pub(crate) async fn end(self) {
        drop(self.coming);
        if let Err(error) = self.stream.delete_consumer(&self.consumer).await {
            tracing::debug!(%error, "the consumer is left to expire");
        }
    }
}

/// Follows these subjects of a bucket or a stream with a consumer that starts where `start` says, given
/// how the stream is.
pub(crate) async fn follow(
    fleet: &Fleet,
    bucket: &'static str,
    filter_subjects: Vec<String>,
    start: impl FnOnce(&stream::Info) -> DeliverPolicy,
) -> Result<Followed, StoreError> {
    let stream = stream_of(fleet, bucket).await?;
    let consumer = stream
        .create_consumer(push::OrderedConfig {
            deliver_subject: fleet.client().new_inbox(),
            description: Some("harmony fleet reader".to_owned()),
            filter_subjects,
            deliver_policy: start(stream.cached_info()),
            ..push::OrderedConfig::default()
        })
        .await
        .map_err(|error| no_answer(fleet, bucket, error))?;
    let name = consumer.cached_info().name.clone();
    let pending = consumer.cached_info().num_pending;
    let mut outstanding = if names::is_stream(bucket) {
        Outstanding::of_stream(pending, stream.cached_info().state.last_sequence)
    } else {
        Outstanding::of_bucket(pending)
    };
    let messages = consumer.messages().await.map_err(|error| no_answer(fleet, bucket, error))?;
    let mut messages = Box::pin(messages.map({
        let fleet = fleet.clone();
        move |message| message.map_err(|error| no_answer(&fleet, bucket, error))
    }));
    let mut present = VecDeque::new();
    while !outstanding.is_none() {
        let message = tokio::time::timeout(fleet.timeout(), messages.next())
            .await
            .map_err(|late| no_answer(fleet, bucket, late))?
            .unwrap_or_else(|| Err(no_answer(fleet, bucket, "the watch ended")))?;
        let info = message.info().ok().map(|info| (info.stream_sequence, info.pending));
        outstanding.see(&message.subject, info);
        present.push_back(message);
        if outstanding.has_as_many_entries() {
            let now = stream.get_info().await.map_err(|error| no_answer(fleet, bucket, error))?;
            outstanding.end_at(now.state.last_sequence);
        }
    }
    Ok(Followed { present, coming: messages.boxed(), stream, consumer: name })
}

/// What was there when a read began, and has not come yet.
struct Outstanding {
    /// Messages, as the server counts them: with those that came meanwhile, and of entries that were replaced meanwhile
    /// the new ones only.
    count: u64,
    until: Until,
}

/// What a read ends with though more has come. Without it, it would not end while others write faster than it reads.
enum Until {
    /// The last message that was there, of a stream.
    Sequence(u64),
    /// As many entries as a bucket had, and then its last message of that moment. Its last message at the beginning says
    /// nothing: what replaces an entry lies behind that, and belongs to what was there. Nor do so many entries by
    /// themselves: a new one may be among them instead of one that was replaced meanwhile, which lies behind it. One that
    /// is replaced once more before it is read is among the changes.
    Entries { had: u64, seen: HashSet<String> },
}

impl Outstanding {
    fn of_stream(count: u64, last: u64) -> Self {
        Self { count, until: Until::Sequence(last) }
    }

    fn of_bucket(count: u64) -> Self {
        Self { count, until: Until::Entries { had: count, seen: HashSet::new() } }
    }

    /// Takes a message into account, of this subject and sequence and with so many behind it.
    fn see(&mut self, subject: &str, message: Option<(u64, u64)>) {
        self.count = message.map_or(self.count.saturating_sub(1), |(_, pending)| pending);
        let is_last = match &mut self.until {
            Until::Sequence(last) => message.is_some_and(|(sequence, _)| sequence >= *last),
            Until::Entries { seen, .. } => {
                seen.insert(subject.to_owned());
                false
            }
        };
        if is_last {
            self.count = 0;
        }
    }

    /// Whether a bucket's entries have come that it had, or new ones instead, and there is more.
    fn has_as_many_entries(&self) -> bool {
        !self.is_none() && matches!(&self.until, Until::Entries { had, seen } if seen.len() as u64 >= *had)
    }

    /// Ends with the message of this sequence, which is the last one now.
    fn end_at(&mut self, last: u64) {
        self.until = Until::Sequence(last);
    }

    fn is_none(&self) -> bool {
        self.count == 0
    }
}

fn changes(
    bucket: &'static str,
    messages: impl Stream<Item = Result<Message, StoreError>> + Send,
) -> impl Stream<Item = Result<Entry, StoreError>> + Send {
    messages.filter_map(move |message| {
        std::future::ready(match message {
            Ok(message) => entry_of(bucket, &message).map(Ok),
            Err(error) => Some(Err(error)),
        })
    })
}

fn agent_of(bucket: &str, subject: &str) -> Option<AgentId> {
    subject.strip_prefix("$KV.")?.strip_prefix(bucket)?.strip_prefix('.')?.parse().ok()
}

fn entry_of(bucket: &'static str, message: &Message) -> Option<Entry> {
    let agent = agent_of(bucket, &message.subject)?;
    let info = message.info().ok()?;
    Some(Entry {
        bucket,
        agent,
        revision: info.stream_sequence,
        stored_at: info.published.into(),
        value: value_of(message.headers.as_ref(), message.payload.clone()),
    })
}

/// The value, unless the headers say that the message is only a marker of one that went.
fn value_of(headers: Option<&HeaderMap>, payload: Bytes) -> Option<Bytes> {
    (!headers.is_some_and(is_deletion)).then_some(payload)
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

    /// How many messages a read takes in while one comes for each that it reads, on these subjects in turn.
    fn read_in_a_flood(mut outstanding: Outstanding, subjects: &[&str]) -> u64 {
        let (first, pending) = (7, outstanding.count);
        let mut read = 0;
        for subject in subjects.iter().cycle().take(1000) {
            if outstanding.is_none() {
                break;
            }
            let sequence = first + read;
            outstanding.see(subject, Some((sequence, pending)));
            if outstanding.has_as_many_entries() {
                outstanding.end_at(sequence + pending);
            }
            read += 1;
        }
        read
    }

    #[test]
    fn a_read_of_a_stream_ends_at_what_was_there_when_it_began_however_much_comes_meanwhile() {
        assert_eq!(read_in_a_flood(Outstanding::of_stream(3, 9), &["a"]), 3);
        // The last one is of another subject, or was pushed out.
        let mut outstanding = Outstanding::of_stream(3, 9);
        outstanding.see("a", Some((7, 4)));
        outstanding.see("a", Some((11, 4)));
        assert!(outstanding.is_none());
        let mut outstanding = Outstanding::of_stream(2, 9);
        for (sequence, pending) in [(5, 1), (6, 0)] {
            assert!(!outstanding.is_none());
            outstanding.see("a", Some((sequence, pending)));
        }
        assert!(outstanding.is_none());
    }

    #[test]
    fn a_read_of_a_bucket_ends_behind_as_many_entries_as_it_had_however_often_they_are_replaced_meanwhile() {
        // As many behind them as came meanwhile.
        assert_eq!(read_in_a_flood(Outstanding::of_bucket(3), &["a", "b", "c"]), 3 + 3);
        // One device replaces its own all the time: the others' are waited for.
        let subjects = ["a", "a", "a", "a", "b", "a", "c"];
        assert_eq!(read_in_a_flood(Outstanding::of_bucket(3), &subjects), 7 + 3);
        // A new one comes, and one of those before is replaced by what lies behind that.
        let mut outstanding = Outstanding::of_bucket(3);
        for (subject, message) in [("a", (1, 2)), ("b", (2, 2)), ("d", (4, 2))] {
            assert!(!outstanding.has_as_many_entries());
            outstanding.see(subject, Some(message));
        }
        assert!(outstanding.has_as_many_entries());
        outstanding.end_at(5);
        assert!(!outstanding.is_none(), "c is missing");
        outstanding.see("c", Some((5, 1)));
        assert!(outstanding.is_none());
        // One was removed: the server has nothing more.
        let mut outstanding = Outstanding::of_bucket(3);
        for (subject, pending) in [("a", 1), ("b", 0)] {
            assert!(!outstanding.is_none());
            outstanding.see(subject, Some((1, pending)));
        }
        assert!(outstanding.is_none());
    }

    #[test]
    fn markers_are_no_values_and_unknown_operations_are() {
        let value = |header: Option<(&str, &str)>| {
            let headers = header.map(|(name, text)| {
                let mut headers = HeaderMap::new();
                headers.insert(name, text);
                headers
            });
            value_of(headers.as_ref(), Bytes::from_static(b"x")).is_some()
        };
        assert!(value(None));
        assert!(value(Some(("KV-Operation", "WHATEVER"))));
        assert!(!value(Some(("KV-Operation", "DEL"))));
        assert!(!value(Some(("KV-Operation", "PURGE"))));
        assert!(!value(Some(("Nats-Marker-Reason", "MaxAge"))));
    }
}
