//! One message of a stream, as a consumer delivers it or as the server's API shows it.
//!
//! The server keeps and delivers whatever a publisher calls headers. The client gives up its whole connection over some
//! that are none, which a consumer delivers again and again. The API puts them into JSON, where they break nothing.

use std::{future::Future, str::FromStr as _};

use agent_core::kv::{is_deletion, names};
use agent_model::Timestamp;
use async_nats::{
    HeaderMap, HeaderName, HeaderValue,
    jetstream::{message::Message, response::Response, stream::RawMessage},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{StoreError, no_answer, no_bucket};
use crate::{Breaking, Fleet, provisioning::STREAM_NOT_FOUND};

/// The server's number for that there is no such message.
const NO_MESSAGE_FOUND: u64 = 10037;

/// How often a question is asked again whose answer a lost connection may have taken along.
const ASKED_AT_MOST: usize = 10;

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    /// By the server's clock.
    pub(crate) stored_at: Timestamp,
    /// Whether it is only the marker of an entry that went.
    pub(crate) is_deletion: bool,
    pub(crate) payload: Bytes,
}

impl Stored {
    /// What a consumer delivered; `None` where it does not say of which place in the stream.
    pub(super) fn delivered(message: &Message) -> Option<Self> {
        let info = message.info().ok()?;
        Some(Self {
            subject: message.subject.to_string(),
            sequence: info.stream_sequence,
            stored_at: info.published.into(),
            is_deletion: message.headers.as_ref().is_some_and(is_deletion),
            payload: message.payload.clone(),
        })
    }
}

/// Which message.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Wanted<'a> {
    /// The newest on that subject.
    Last { last_by_subj: &'a str },
    /// The one at that place.
    At { seq: u64 },
    /// The first from that place on whose subject is, or matches, this one.
    Next { seq: u64, next_by_subj: &'a str },
}

#[derive(Deserialize)]
struct Answer {
    message: RawMessage,
}

/// Asks the leader of the stream for a message, whatever its headers are; `None` when there is none. Tells of one on
/// which clients break.
pub(super) async fn get(
    fleet: &Fleet,
    bucket: &'static str,
    wanted: Wanted<'_>,
) -> Result<Option<Stored>, StoreError> {
    let subject = format!("STREAM.MSG.GET.{}", stream_name(bucket));
    let answer = asked_again(fleet, bucket, || async {
        let answer = fleet.jetstream().request(subject.clone(), &wanted).await;
        answer.map_err(|error| no_answer(fleet, bucket, error))
    });
    let message = match answer.await? {
        Response::Ok(Answer { message }) => message,
        Response::Err { error } => {
            return match error.error_code().0 {
                NO_MESSAGE_FOUND => Ok(None),
                STREAM_NOT_FOUND => Err(no_bucket(fleet, bucket)),
                _ => Err(no_answer(fleet, bucket, error)),
            };
        }
    };
    let decoded = |text: &str| STANDARD.decode(text).map_err(|error| no_answer(fleet, bucket, error));
    let payload = decoded(&message.payload)?.into();
    let block = message.headers.as_deref().map(decoded).transpose()?;
    let headers = block.as_deref().map(headers_of).unwrap_or_default();
    if headers.is_breaking {
        fleet.tell(&Breaking { bucket, subject: message.subject.clone() });
    }
    Ok(Some(Stored {
        subject: message.subject,
        sequence: message.sequence,
        stored_at: message.time.into(),
        is_deletion: is_deletion(&headers.readable),
        payload,
    }))
}

/// Asks for something that can be asked for twice, and does so where the connection was lost meanwhile: whoever waits
/// for an answer that was lost waits for the whole time-out.
pub(super) async fn asked_again<T, F>(
    fleet: &Fleet,
    bucket: &'static str,
    ask: impl Fn() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut connections = fleet.connections();
    for _ in 0..ASKED_AT_MOST {
        let connection = *connections.borrow();
        tokio::select! {
            answer = ask() => return answer,
            // An error means that there will be no connection any more, which the other one tells.
            Ok(_) = connections.wait_for(|now| *now != connection) => {}
        }
    }
    Err(no_answer(fleet, bucket, "the connection was lost again and again"))
}

pub(super) fn stream_name(bucket: &str) -> String {
    if names::is_stream(bucket) { bucket.to_owned() } else { names::bucket_stream(bucket) }
}

/// What a publisher called headers.
#[derive(Debug, Default)]
struct Headers {
    /// Those that are some.
    readable: HeaderMap,
    /// Whether a consumer would not get them to anybody: the client gives up its connection, or takes the message for
    /// one of the server's own, which have a status.
    is_breaking: bool,
}

/// Reads a block of headers as the client does, but for lines that are no header, which are passed over.
fn headers_of(block: &[u8]) -> Headers {
    let mut lines = block.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let version = lines.next().map(<[u8]>::trim_ascii_end);
    let mut headers = Headers { is_breaking: version != Some(b"NATS/1.0"), ..Headers::default() };
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let Some((name, value)) = header_in(line) else {
            headers.is_breaking = true;
            continue;
        };
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.first().is_some_and(u8::is_ascii_whitespace)) {
            headers.is_breaking |= str::from_utf8(more).is_err();
            value.push_str(&String::from_utf8_lossy(more));
        }
        match HeaderValue::from_str(value.trim_end()) {
            Ok(value) => headers.readable.append(name, value),
            Err(_) => headers.is_breaking = true,
        }
    }
    headers
}

fn header_in(line: &[u8]) -> Option<(HeaderName, &str)> {
    let (name, value) = str::from_utf8(line).ok()?.split_once(':')?;
    Some((HeaderName::from_str(name).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_beside_lines_that_are_no_headers() {
        for (block, deletes) in [
            ("NATS/1.0\r\n\r\n", false),
            ("NATS/1.0\r\nKV-Operation: WHATEVER\r\n\r\n", false),
            ("NATS/1.0\r\nKV-Operation: DEL\r\n\r\n", true),
            ("NATS/1.0\r\nKV-Operation: PURGE\r\n\r\n", true),
            ("NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n", true),
            ("NATS/1.0\r\nfoo\r\nKV-Operation:DEL \r\n\r\n", true),
            ("KV-Operation: PUT\r\nbär: x\r\nKV-Operation: DEL\r\n\r\n", true),
            ("NATS/1.0\r\nKV-Operation: DEL\r\n or not\r\n\r\n", false),
        ] {
            assert_eq!(is_deletion(&headers_of(block.as_bytes()).readable), deletes, "{block:?}");
        }
    }

    #[test]
    fn headers_on_which_clients_break_are_told_from_all_others() {
        for (block, is_breaking) in [
            (&b"NATS/1.0\r\n\r\n"[..], false),
            (b"NATS/1.0\r\na: b\r\n c\r\nNats-Msg-Id:\r\n\r\n", false),
            (b"NATS/1.0\r\nfoo\r\n\r\n", true),
            (b"NATS/1.0\r\n a: b\r\n\r\n", true),
            (b"NATS/1.0\r\na b: c\r\n\r\n", true),
            (b"NATS/1.0\r\na: \xff\r\n\r\n", true),
            (b"NATS/1.0\r\na: b\r\n \xff\r\n\r\n", true),
            (b"NATS/1.0\r\na: b\rc\r\n\r\n", true),
            (b"NATS/1.0 100\n\n", true),
            (b"NATS/1.0\r100\r\n\r\n", true),
            (b"NATS/2.0\r\n\r\n", true),
            (b"foo", true),
            (b"", true),
        ] {
            assert_eq!(headers_of(block).is_breaking, is_breaking, "{}", block.escape_ascii());
        }
    }
}
