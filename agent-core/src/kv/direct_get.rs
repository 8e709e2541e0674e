//! Reading one device's entry of a bucket, with the one request that a device may make for it.

use agent_model::AgentId;
use async_nats::{
    StatusCode,
    jetstream::{
        message::StreamMessage,
        stream::{DirectGetError, DirectGetErrorKind},
    },
};
use bytes::Bytes;

use super::{Connection, marker::is_deletion, names};

/// What a bucket holds under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing, and no trace of anything deleted.
    Absent,
    /// The marker of a deletion, by a client or by the server itself.
    Deleted {
        /// Sequence of the marker in the bucket's stream.
        revision: u64,
    },
    /// A value. Empty values count: whether they mean anything is for the reader to say.
    Present {
        /// Sequence of the value in the bucket's stream.
        revision: u64,
        /// The value, as it was written.
        value: Bytes,
    },
}

impl Entry {
    /// Sequence of the value or the marker; 0, which no message has, when there is neither.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Deleted { revision } | Self::Present { revision, .. } => *revision,
        }
    }
}

/// Why an entry could not be read. Whatever the variant, it says nothing about the entry, and
/// reading again later may help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Nobody answered in time: a link that broke, a missing permission, an overloaded server.
    #[error("no answer in time when reading {subject}")]
    TimedOut {
        /// What was read.
        subject: String,
    },
    /// There is no stream that could answer, or it has no leader just now.
    #[error("no stream answers for {subject}: the bucket is missing or not available yet")]
    Unavailable {
        /// What was read.
        subject: String,
    },
    /// Anything else: an error status, or an answer that cannot be understood.
    #[error("cannot read {subject}")]
    Failed {
        /// What was read.
        subject: String,
        /// What the client or the server said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Connection {
    /// Reads the last entry of `agent` in `bucket`, by the single request
    /// `$JS.API.DIRECT.GET.KV_<bucket>.$KV.<bucket>.<agent>`. Any replica may answer, so what
    /// comes back can be older than what was written.
    ///
    /// # Errors
    /// See [`ReadError`]; none of them means that there is no entry.
    pub(crate) async fn read_last(&self, bucket: &str, agent: &AgentId) -> Result<Entry, ReadError> {
        self.read_last_of(names::bucket_stream(bucket), names::entry_subject(bucket, agent)).await
    }

    /// The same of a stream that is no bucket.
    pub(super) async fn read_last_of(&self, stream: String, subject: String) -> Result<Entry, ReadError> {
        let failed = |source| ReadError::Failed { subject: subject.clone(), source };
        let stream =
            self.jetstream().get_stream_no_info(stream).await.map_err(|error| failed(error.into()))?;
        match self.answer(stream.direct_get_last_for_subject(subject.as_str())).await {
            Some(Ok(message)) => Ok(entry_of(message)),
            Some(Err(error)) => absent_or_error(error, subject),
            None => Err(ReadError::TimedOut { subject }),
        }
    }
}

fn entry_of(message: StreamMessage) -> Entry {
    let revision = message.sequence;
    if is_deletion(&message.headers) {
        Entry::Deleted { revision }
    } else {
        Entry::Present { revision, value: message.payload }
    }
}

fn absent_or_error(error: DirectGetError, subject: String) -> Result<Entry, ReadError> {
    match error.kind() {
        DirectGetErrorKind::NotFound => Ok(Entry::Absent),
        DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _) => {
            Err(ReadError::Unavailable { subject })
        }
        _ => Err(ReadError::Failed { subject, source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    fn message(headers: &[(&str, &str)], payload: &'static str) -> async_nats::Message {
        let mut map = HeaderMap::new();
        map.insert("Nats-Stream", "KV_desired-state");
        map.insert("Nats-Subject", "$KV.desired-state.edge");
        map.insert("Nats-Sequence", "8812");
        map.insert("Nats-Time-Stamp", "2026-01-31T12:00:00Z");
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        async_nats::Message {
            subject: "_INBOX_edge.1".into(),
            reply: None,
            payload: payload.into(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        }
    }

    fn entry(headers: &[(&str, &str)], payload: &'static str) -> Entry {
        entry_of(message(headers, payload).try_into().unwrap())
    }

    #[test]
    fn deletions_by_clients_and_by_the_server_are_markers() {
        for headers in [("KV-Operation", "DEL"), ("KV-Operation", "PURGE"), ("Nats-Marker-Reason", "MaxAge")]
        {
            assert_eq!(entry(&[headers], ""), Entry::Deleted { revision: 8812 }, "{headers:?}");
        }
    }

    #[test]
    fn a_put_and_whatever_is_not_known_to_delete_is_a_value() {
        let value = |text: &'static str| Entry::Present { revision: 8812, value: text.into() };
        assert_eq!(entry(&[], "{}"), value("{}"));
        assert_eq!(entry(&[], ""), value(""));
        assert_eq!(entry(&[("KV-Operation", "PUT")], "{}"), value("{}"));
        assert_eq!(entry(&[("KV-Operation", "ARCHIVE")], "{}"), value("{}"));
    }

    #[test]
    fn only_a_404_means_that_there_is_no_entry() {
        let outcome = |kind| absent_or_error(DirectGetError::new(kind), "s".to_owned());
        assert!(matches!(outcome(DirectGetErrorKind::NotFound), Ok(Entry::Absent)));
        let no_responders = DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, String::new());
        assert!(matches!(outcome(no_responders), Err(ReadError::Unavailable { .. })));
        for kind in [
            DirectGetErrorKind::InvalidSubject,
            DirectGetErrorKind::Request,
            DirectGetErrorKind::Other,
            DirectGetErrorKind::ErrorResponse(StatusCode::REQUEST_TERMINATED, String::new()),
        ] {
            assert!(matches!(outcome(kind), Err(ReadError::Failed { .. })));
        }
    }
}
