//! Writing an entry that is still what it was when the change was decided, and finding out what
//! became of a write that nobody answered for.
//!
//! ```text
//! publish ──▶ after_answer ──unknown──▶ pause ──▶ read ──▶ after_read ──unknown──▶ publish …
//!                  │                                            │
//!                  └──────────▶ stored, conflict, refused ◀─────┘
//! ```

use std::time::Duration;

use agent_core::kv::{KV_OPERATION, is_conflict, names};
use agent_model::AgentId;
use async_nats::{
    HeaderMap,
    client::Request,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{publish::PublishAck, response::Response},
};
use bytes::Bytes;

use crate::{
    Fleet, StoreError,
    store::{self, Entry, no_answer},
};

/// The pause after each try whose outcome is unknown; there are as many tries. Together they
/// outlast a leader election, during which every write of a replicated stream is refused.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_millis(1500), Duration::from_secs(3), Duration::from_secs(5)];

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Put(Bytes),
    Delete,
}

/// Writes if the entry is still at `revision` (0: never written), and returns its new revision.
/// A write whose outcome is unknown is looked after until it is known.
pub(crate) async fn compare_and_swap(
    fleet: &Fleet,
    bucket: &'static str,
    agent: &AgentId,
    revision: u64,
    change: &Change,
) -> Result<u64, StoreError> {
    let conclude = |known| match known {
        Known::Stored(revision) => Ok(revision),
        Known::Conflict => Err(StoreError::Conflict { bucket, agent: agent.clone() }),
        Known::Refused(said) => Err(StoreError::Refused { bucket, agent: agent.clone(), said }),
    };
    let mut unknown = None;
    for pause in PAUSES {
        let is_first = unknown.is_none();
        let error = match after_answer(publish(fleet, bucket, agent, revision, change).await, is_first) {
            Ok(known) => return conclude(known),
            Err(source) => no_answer(fleet, bucket, source),
        };
        if !error.may_pass() {
            return Err(error);
        }
        unknown = Some(error);
        tokio::time::sleep(pause).await;
        match store::read(fleet, bucket, agent).await {
            Ok(entry) => {
                if let Some(known) = after_read(entry.as_ref(), revision, change) {
                    return conclude(known);
                }
            }
            Err(error) if error.may_pass() => {}
            Err(error) => return Err(error),
        }
    }
    Err(unknown.unwrap_or_else(|| no_answer(fleet, bucket, "the write was never tried")))
}

/// What became of a write, for certain.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// It is stored, under this revision.
    Stored(u64),
    /// The entry was another one already.
    Conflict,
    /// The server says no, and would say it again.
    Refused(String),
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What an answer to a write tells; an error when it tells nothing. A conflict is certain for the
/// first try alone: later ones may be in conflict with an earlier one of our own, which may not even
/// be committed yet.
fn after_answer(answer: Result<Response<PublishAck>, Cause>, is_first: bool) -> Result<Known, Cause> {
    match answer? {
        Response::Ok(ack) => Ok(Known::Stored(ack.sequence)),
        Response::Err { error } => match error.error_code().0 {
            code if is_conflict(code) && is_first => Ok(Known::Conflict),
            code if is_conflict(code) => Err(error.into()),
            _ if error.code() >= 500 => Err(error.into()),
            _ => Ok(Known::Refused(error.to_string())),
        },
    }
}

/// What the entry tells about a write of unknown outcome; `None` while it is as it was before, for
/// then the write may still come.
fn after_read(entry: Option<&Entry>, revision: u64, change: &Change) -> Option<Known> {
    let found = entry.map_or(0, |entry| entry.revision);
    if found == revision {
        return None;
    }
    let is_ours = found > revision
        && entry.is_some_and(|entry| match change {
            Change::Put(value) => entry.value.as_ref() == Some(value),
            Change::Delete => entry.value.is_none(),
        });
    Some(if is_ours { Known::Stored(found) } else { Known::Conflict })
}

async fn publish(
    fleet: &Fleet,
    bucket: &'static str,
    agent: &AgentId,
    revision: u64,
    change: &Change,
) -> Result<Response<PublishAck>, Cause> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    let payload = match change {
        Change::Put(value) => value.clone(),
        Change::Delete => {
            headers.insert(KV_OPERATION, "DEL");
            Bytes::new()
        }
    };
    // A request of its own and not the client's publish, which tells only one of the two conflict
    // errors from all others.
    let request = Request::new().headers(headers).payload(payload);
    let answer = fleet.client().send_request(names::entry_subject(bucket, agent), request).await?;
    Ok(serde_json::from_slice(&answer.payload)?)
}

#[cfg(test)]
mod tests {
    use agent_model::Timestamp;
    use serde_json::json;

    use super::*;

    fn error(code: u64, number: u64) -> Result<Response<PublishAck>, Cause> {
        let answer = json!({"error": {"code": code, "err_code": number, "description": "no"}});
        Ok(serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn a_conflict_is_certain_for_the_first_try_alone() {
        for number in [10071, 10164] {
            assert_eq!(after_answer(error(400, number), true).unwrap(), Known::Conflict);
            assert!(after_answer(error(400, number), false).is_err(), "{number} was believed");
        }
    }

    #[test]
    fn a_stored_or_refused_write_is_known_and_one_without_an_answer_is_not() {
        for is_first in [true, false] {
            let stored = serde_json::from_value(json!({"stream": "KV_b", "seq": 8})).unwrap();
            assert_eq!(after_answer(Ok(stored), is_first).unwrap(), Known::Stored(8));
            let Known::Refused(said) = after_answer(error(400, 10054), is_first).unwrap() else {
                panic!("not refused");
            };
            assert!(said.contains("10054"), "{said}");
            assert!(after_answer(error(503, 10008), is_first).is_err());
            assert!(after_answer(Err("timed out".into()), is_first).is_err());
        }
    }

    #[test]
    fn an_entry_shows_what_became_of_a_write_unless_it_is_as_before() {
        let entry = |revision, value: Option<&'static [u8]>| Entry {
            bucket: "b",
            agent: "a".parse().unwrap(),
            revision,
            stored_at: Timestamp::UNIX_EPOCH,
            value: value.map(Bytes::from_static),
        };
        let put = Change::Put(Bytes::from_static(b"x"));
        for (found, revision, change, expected) in [
            (Some(entry(8, Some(b"x"))), 7, &put, Some(Known::Stored(8))),
            (Some(entry(8, None)), 7, &Change::Delete, Some(Known::Stored(8))),
            (Some(entry(1, Some(b"x"))), 0, &put, Some(Known::Stored(1))),
            // As before, whatever is in it.
            (Some(entry(7, Some(b"old"))), 7, &put, None),
            (Some(entry(7, Some(b"x"))), 7, &put, None),
            (None, 0, &put, None),
            // Somebody else's, or gone.
            (Some(entry(8, Some(b"y"))), 7, &put, Some(Known::Conflict)),
            (Some(entry(8, None)), 7, &put, Some(Known::Conflict)),
            (Some(entry(8, Some(b"x"))), 7, &Change::Delete, Some(Known::Conflict)),
            (Some(entry(6, Some(b"x"))), 7, &put, Some(Known::Conflict)),
            (None, 7, &put, Some(Known::Conflict)),
        ] {
            assert_eq!(after_read(found.as_ref(), revision, change), expected, "{found:?} {change:?}");
        }
    }

    #[test]
    fn the_pauses_outlast_a_leader_election() {
        assert_eq!(PAUSES.iter().sum::<Duration>(), Duration::from_secs(10));
    }
}
