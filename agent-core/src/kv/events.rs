//! Telling the platform, for good, that something happened on this device.

use agent_model::{AgentId, status::Event};
use bytes::Bytes;

use super::{Connection, acked_publish::AckError, names};

/// Largest message of the stream `AGENT_EVENTS`, in bytes (wire contract: Names in NATS).
const MAX_LEN: usize = 8 * 1024;

/// The server's number for a message that is larger than the stream takes (`err_code`).
const MESSAGE_TOO_LARGE: u64 = 10054;

/// Ends a message that was cut.
const CUT: &str = "…";

/// Why an event is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// There is no server at the other end. Keep the event and try again later.
    #[error("event {seq} cannot be published without a connection")]
    Offline {
        /// The event's number.
        seq: u64,
    },
    /// It is too large even without its message: another attempt cannot help.
    #[error("event {seq} has more than {MAX_LEN} bytes even without its message")]
    TooLarge {
        /// The event's number.
        seq: u64,
    },
    /// The stream refused it. Unless it is too large for the stream, another attempt helps once the platform
    /// changed something: made room, or let this device publish.
    #[error("the server refused event {seq}: {description} (error {code})")]
    Refused {
        /// The event's number.
        seq: u64,
        /// The server's own number for the error.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// No acknowledgement came. It may be stored all the same; try again, readers drop what they
    /// have seen.
    #[error("event {seq} was not acknowledged")]
    Unacknowledged {
        /// The event's number.
        seq: u64,
        /// What the client saw.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EventError {
    /// Whether publishing the same event again could help.
    pub fn retry_helps(&self) -> bool {
        match self {
            Self::Offline { .. } | Self::Unacknowledged { .. } => true,
            Self::TooLarge { .. } => false,
            Self::Refused { code, .. } => *code != MESSAGE_TOO_LARGE,
        }
    }
}

/// Publishes `event` and waits until the stream has stored it. A message that would make the
/// event too large for the stream is cut at its end.
///
/// # Errors
/// See [`EventError`].
pub async fn publish_event(
    connection: &Connection,
    agent: &AgentId,
    event: &Event,
) -> Result<(), EventError> {
    let seq = event.seq;
    let payload = encode(event).ok_or(EventError::TooLarge { seq })?;
    if !connection.is_connected() {
        return Err(EventError::Offline { seq });
    }
    match connection.publish_acked(names::events_subject(agent), None, payload).await {
        Ok(_) => Ok(()),
        Err(AckError::Refused { code, description }) => Err(EventError::Refused { seq, code, description }),
        Err(AckError::Unknown { source }) => Err(EventError::Unacknowledged { seq, source }),
    }
}

/// The event as JSON of at most [`MAX_LEN`] bytes, with as much of its message as fits.
fn encode(event: &Event) -> Option<Bytes> {
    if let Some(whole) = to_json(event) {
        return Some(whole);
    }
    let message = &event.message[..event.message.floor_char_boundary(MAX_LEN)];
    let cuts: Vec<usize> = message.char_indices().map(|(start, _)| start).collect();
    let mut event = Event { message: String::new(), ..event.clone() };
    let mut cut_at = |end| {
        event.message = format!("{}{CUT}", &message[..end]);
        to_json(&event)
    };
    // How much room a character takes depends on its escaping: so the cut is searched for.
    let fitting = cuts.partition_point(|&end| cut_at(end).is_some());
    cut_at(*cuts.get(fitting.checked_sub(1)?)?)
}

fn to_json(event: &Event) -> Option<Bytes> {
    let json = serde_json::to_vec(event).ok()?;
    (json.len() <= MAX_LEN).then(|| json.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_model::Timestamp;
    use proptest::prelude::*;

    fn event(message: String) -> Event {
        Event {
            seq: 1041,
            time: Timestamp::UNIX_EPOCH,
            event_type: "Failed".to_owned(),
            reason: "UnsafePath".to_owned(),
            message,
            resource: None,
            generation: None,
        }
    }

    fn decode(json: &[u8]) -> Event {
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn an_event_that_fits_is_sent_as_it_is() {
        let event = event("a \"message\"\n".to_owned());
        assert_eq!(decode(&encode(&event).unwrap()), event);
    }

    #[test]
    fn an_event_that_is_too_large_without_its_message_is_refused() {
        let mut event = event("x".repeat(100_000));
        event.reason = "y".repeat(MAX_LEN);
        assert!(encode(&event).is_none());
        event.message.clear();
        assert!(encode(&event).is_none());
    }

    proptest! {
        #[test]
        fn a_long_message_is_cut_to_the_longest_start_that_fits(
            text in "[a-zé😀\"\\\\\n\u{1}]{1,40}",
            times in 100_usize..2000,
        ) {
            let event = event(text.repeat(times));
            let json = encode(&event).unwrap();
            prop_assert!(json.len() <= MAX_LEN);
            let sent = decode(&json).message;
            if sent != event.message {
                let kept = sent.strip_suffix(CUT).unwrap();
                prop_assert!(event.message.starts_with(kept));
                let next = event.message[kept.len()..].chars().next().unwrap();
                let longer = Event { message: format!("{kept}{next}{CUT}"), ..event };
                prop_assert!(to_json(&longer).is_none());
            }
        }
    }
}
