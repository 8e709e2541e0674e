//! Reading one device's entry of a bucket, with the one request that a device may make for it.

use agent_model::AgentId;
use async_nats::{Message, Request, RequestErrorKind, StatusCode, jetstream::message::StreamMessage};
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
    #[error("no answer in time when reading {subject}, or the link was lost")]
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
        match self.request(&format!("$JS.API.DIRECT.GET.{stream}.{subject}"), Request::new()).await {
            Some(Ok(answer)) => entry_of(answer).map_err(failed),
            Some(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                Err(ReadError::Unavailable { subject })
            }
            Some(Err(error)) => Err(failed(error.into())),
            None => Err(ReadError::TimedOut { subject }),
        }
    }
}

/// What the answer says. Only a 404 means that there is no entry.
fn entry_of(answer: Message) -> Result<Entry, Box<dyn std::error::Error + Send + Sync>> {
    match answer.status {
        None | Some(StatusCode::OK) => {}
        Some(StatusCode::NOT_FOUND) => return Ok(Entry::Absent),
        Some(status) => {
            let description = answer.description.as_deref().unwrap_or("without a description");
            return Err(format!("the server answered {status}: {description}").into());
        }
    }
    let message = StreamMessage::try_from(answer)?;
    let revision = message.sequence;
    Ok(if is_deletion(&message.headers) {
        Entry::Deleted { revision }
    } else {
        Entry::Present { revision, value: message.payload }
    })
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
        entry_of(message(headers, payload)).unwrap()
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
        let outcome = |status| entry_of(Message { status: Some(status), headers: None, ..message(&[], "") });
        assert_eq!(outcome(StatusCode::NOT_FOUND).unwrap(), Entry::Absent);
        for status in [StatusCode::TIMEOUT, StatusCode::NO_RESPONDERS, StatusCode::REQUEST_TERMINATED] {
            assert!(outcome(status).unwrap_err().to_string().contains(&status.to_string()));
        }
        assert!(entry_of(Message { headers: None, ..message(&[], "no headers") }).is_err());
    }
}
