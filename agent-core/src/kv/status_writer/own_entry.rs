//! This device's entry in `actual-state`: the two requests that are made for it, and what their
//! answers mean to the protocol.

use std::future::Future;

use agent_model::{
    AgentId, Generation,
    status::{AgentStatus, KIND, SCHEMA_VERSION, Writer},
};
use async_nats::{HeaderMap, RequestError, RequestErrorKind, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use bytes::Bytes;
use semver::Version;
use serde::Deserialize;
use serde_json::Value;

use super::decision::{Author, Fact, Found};
use crate::{
    envelope::HighWaterMark,
    kv::{
        Connection,
        acked_publish::{AckError, is_conflict},
        direct_get::{Entry, ReadError},
        names,
    },
};

/// How the entry is reached; another implementation serves the tests.
pub(super) trait OwnEntry: Send + Sync + 'static {
    /// Reads the last entry.
    fn read(&self) -> impl Future<Output = Result<Entry, ReadError>> + Send;

    /// Writes `payload` if the entry's revision is `expected`, and gives the new one.
    fn write(&self, expected: u64, payload: Bytes) -> impl Future<Output = Result<u64, AckError>> + Send;
}

/// The entry of one agent on the server.
pub(super) struct EntryOnServer {
    connection: Connection,
    agent: AgentId,
}

impl EntryOnServer {
    pub(super) fn new(connection: Connection, agent: AgentId) -> Self {
        Self { connection, agent }
    }
}

impl OwnEntry for EntryOnServer {
    async fn read(&self) -> Result<Entry, ReadError> {
        self.connection.read_last(names::ACTUAL_STATE_BUCKET, &self.agent).await
    }

    async fn write(&self, expected: u64, payload: Bytes) -> Result<u64, AckError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        let subject = names::entry_subject(names::ACTUAL_STATE_BUCKET, &self.agent);
        self.connection.publish_acked(subject, Some(headers), payload).await
    }
}

/// What the answer to a write means.
pub(super) fn outcome(answer: &Result<u64, AckError>) -> Fact {
    match answer {
        Ok(revision) => Fact::Acked { revision: *revision },
        Err(AckError::Refused { code, .. }) if is_conflict(*code) => Fact::NotAcked,
        Err(AckError::Refused { .. }) => Fact::Refused,
        Err(AckError::Unknown { source }) => match source.downcast_ref::<RequestError>() {
            // The client itself refused it, because the server would.
            Some(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => Fact::Refused,
            _ => Fact::NotAcked,
        },
    }
}

/// What tells a status of this device apart from anything else under its key. Read on its own, so
/// that a clone with another version of the agent is still known as one.
#[derive(Deserialize)]
struct Signature {
    kind: String,
    agent: AgentId,
    writer: Writer,
}

/// The highest generation that this device's status in `entry` tells of, and its content where it
/// tells that. Picked out by hand, so that the status of an agent of another version still keeps
/// older documents out.
pub(super) fn highest_generation(entry: &Entry, agent: &AgentId) -> Option<HighWaterMark> {
    let Entry::Present { value, .. } = entry else { return None };
    let status: Value = serde_json::from_slice(value).ok()?;
    if status["kind"] != KIND || status["agent"] != agent.as_str() {
        return None;
    }
    let generation = |value: &Value| Generation::try_from(value.as_u64()?).ok();
    let told_of = |document: &Value| {
        let digest = document["digest"].as_str().and_then(|digest| digest.parse().ok());
        generation(&document["generation"]).map(|generation| HighWaterMark { generation, digest })
    };
    // A document from which the device went back was accepted too, and is newer than the one in force.
    let documents = [told_of(&status["accepted"]), told_of(&status["rolledBack"])];
    let highest = generation(&status["highestGeneration"]).map(|generation| {
        // Neither of them, where an agent that knows of no going back was started since. The newest entry is it, unless
        // that was refused.
        let newest = told_of(&status["desired"]).filter(|newest| newest.generation == generation);
        let newest = newest.filter(|_| was_accepted(&status));
        HighWaterMark { generation, digest: newest.and_then(|newest| newest.digest) }
    });
    // Of two equal ones that with a digest is the better known.
    documents.into_iter().flatten().chain(highest).max_by_key(|mark| (mark.generation, mark.digest.is_some()))
}

/// Whether the newest entry was.
fn was_accepted(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Accepted" && it["status"] == "True")
}

/// Who wrote `entry`, and what it says where this agent can read all of it.
pub(super) fn examine(entry: &Entry, agent: &AgentId) -> (Found, Option<AgentStatus>) {
    let (author, status) = match entry {
        Entry::Absent | Entry::Deleted { .. } => (Author::Nobody, None),
        Entry::Present { value, .. } => match serde_json::from_slice::<Signature>(value) {
            Ok(signature) if signature.kind == KIND && signature.agent == *agent => {
                let status = serde_json::from_slice(value).ok().filter(is_fully_known);
                (Author::Writer(signature.writer), status)
            }
            _ => (Author::Stranger, None),
        },
    };
    (Found { revision: entry.revision(), author }, status)
}

/// Whether nothing of it is lost when it is written again as it was read. A later version may say what this one has no
/// words for.
fn is_fully_known(status: &AgentStatus) -> bool {
    let version = |text: &str| Version::parse(text).ok();
    let is_known =
        version(&status.schema_version).is_some_and(|found| Some(found) <= version(SCHEMA_VERSION));
    is_known && status.has_known_words_only()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::pace::tests::converged;
    use agent_model::Digest;
    use serde_json::{Value, json};

    fn refused(code: u64) -> Result<u64, AckError> {
        Err(AckError::Refused { code, description: String::new() })
    }

    fn unknown(kind: RequestErrorKind) -> Result<u64, AckError> {
        Err(AckError::Unknown { source: Box::new(RequestError::new(kind)) })
    }

    #[test]
    fn only_what_cannot_be_stored_at_all_is_refused() {
        assert_eq!(outcome(&Ok(7)), Fact::Acked { revision: 7 });
        for doubtful in [
            refused(10071),
            refused(10164),
            unknown(RequestErrorKind::TimedOut),
            unknown(RequestErrorKind::NoResponders),
            unknown(RequestErrorKind::Other),
        ] {
            assert_eq!(outcome(&doubtful), Fact::NotAcked, "{doubtful:?}");
        }
        for definite in [refused(10054), refused(10002), unknown(RequestErrorKind::MaxPayloadExceeded)] {
            assert_eq!(outcome(&definite), Fact::Refused, "{definite:?}");
        }
    }

    fn examined(change: impl FnOnce(&mut Value)) -> (Author, Option<AgentStatus>) {
        let mut status = converged(1);
        status.writer = Writer { instance: "a".to_owned(), epoch: 12, op: 341 };
        let mut value = serde_json::to_value(status).unwrap();
        change(&mut value);
        let entry = Entry::Present { revision: 8, value: value.to_string().into() };
        let (found, status) = examine(&entry, &"edge-0042".parse().unwrap());
        assert_eq!(found.revision, 8);
        (found.author, status)
    }

    #[test]
    fn a_status_of_this_device_names_its_writer_also_where_the_rest_cannot_be_read() {
        let author = Author::Writer(Writer { instance: "a".to_owned(), epoch: 12, op: 341 });
        let (read_author, status) = examined(|_| {});
        assert_eq!((&read_author, status.is_some()), (&author, true));
        for unreadable in [json!(7), json!("Levitating")] {
            assert_eq!(examined(|value| value["phase"] = unreadable), (author.clone(), None));
        }
    }

    #[test]
    fn the_status_of_a_newer_agent_names_writer_and_floor_and_is_never_written_again_with_less_in_it() {
        let newer = |value: &mut Value| {
            value["schemaVersion"] = json!("1.9.0");
            value["phase"] = json!("Levitating");
            value["levitation"] = json!({"generation": 9});
            value["highestGeneration"] = json!(9);
        };
        let author = Author::Writer(Writer { instance: "a".to_owned(), epoch: 12, op: 341 });
        assert_eq!(examined(newer), (author, None));

        let mut value = serde_json::to_value(converged(1)).unwrap();
        newer(&mut value);
        let entry = Entry::Present { revision: 8, value: value.to_string().into() };
        let highest = highest_generation(&entry, &"edge-0042".parse().unwrap()).unwrap();
        assert_eq!(highest.generation.get(), 9);
    }

    #[test]
    fn the_floor_names_the_content_of_the_highest_generation_wherever_the_status_tells_it() {
        let [accepted, late] = [b"5", b"9"].map(|content| Digest::of_bytes(content));
        let floor = |change: &dyn Fn(&mut Value)| {
            let mut value = serde_json::to_value(converged(1)).unwrap();
            value["accepted"]["generation"] = json!(5);
            value["accepted"]["digest"] = json!(accepted);
            value["highestGeneration"] = json!(9);
            value["desired"]["generation"] = json!(9);
            value["desired"]["digest"] = json!(late);
            value["conditions"] = json!([{"type": "Accepted", "status": "True"}]);
            change(&mut value);
            let entry = Entry::Present { revision: 8, value: value.to_string().into() };
            let floor = highest_generation(&entry, &"edge-0042".parse().unwrap()).unwrap();
            (floor.generation.get(), floor.digest)
        };
        let from = json!({"generation": 9, "digest": late});
        assert_eq!(floor(&|_| ()), (9, Some(late)));
        let refused = |status: &mut Value| status["conditions"][0]["status"] = json!("False");
        assert_eq!(floor(&refused), (9, None), "it may be that of another document");
        assert_eq!(
            floor(&|status| {
                refused(status);
                status["rolledBack"] = from.clone()
            }),
            (9, Some(late))
        );
        assert_eq!(floor(&|status| status["desired"]["generation"] = json!(10)), (9, None));
        assert_eq!(floor(&|status| status["highestGeneration"] = json!(5)), (5, Some(accepted)));
    }

    #[test]
    fn whatever_else_lies_under_the_key_was_put_there_by_a_stranger() {
        for (pointer, wrong) in [
            ("/agent", json!("edge-0043")),
            ("/agent", json!("*")),
            ("/kind", json!("AgentManifest")),
            ("/writer", json!(null)),
            ("/writer/epoch", json!(-1)),
            ("/writer/epoch", json!(1e30)),
            ("", json!([])),
            ("", json!("text")),
        ] {
            let examined = examined(|value| *value.pointer_mut(pointer).unwrap() = wrong);
            assert_eq!(examined, (Author::Stranger, None), "{pointer}");
        }
        let agent = "edge-0042".parse().unwrap();
        for bytes in ["", "\u{0}", "{", "{}"] {
            let entry = Entry::Present { revision: 8, value: bytes.into() };
            assert_eq!(examine(&entry, &agent).0.author, Author::Stranger);
        }
    }

    #[test]
    fn a_deletion_marker_is_nobodys_and_its_revision_counts() {
        let agent = "edge-0042".parse().unwrap();
        let nobody = |revision| (Found { revision, author: Author::Nobody }, None);
        assert_eq!(examine(&Entry::Absent, &agent), nobody(0));
        assert_eq!(examine(&Entry::Deleted { revision: 5 }, &agent), nobody(5));
    }
}
