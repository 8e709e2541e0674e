//! All that the streams hold, to see what was left alone.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use tests::platform::Platform;

/// Every stream of the wire contract, with the subjects of one device in it.
pub(super) const STREAMS: [(&str, &str); 5] = [
    ("KV_desired-state", "$KV.desired-state."),
    ("KV_actual-state", "$KV.actual-state."),
    ("KV_agent-heartbeat", "$KV.agent-heartbeat."),
    ("KV_agents", "$KV.agents."),
    ("AGENT_EVENTS", "agent-events."),
];

/// A message: its headers as text, and its content.
pub(super) type Message = (String, Vec<u8>);

/// What is stored, by stream, number and subject, without what is there of `agent`.
pub(super) async fn without(
    agent: &str,
    platform: &Platform,
) -> BTreeMap<(&'static str, u64, String), Message> {
    let mut stored = BTreeMap::new();
    for (name, subjects) in STREAMS {
        let mut stream = platform.jetstream.get_stream(name).await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            // What a newer entry of its subject has pushed out is not there.
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            if message.subject.as_str() != format!("{subjects}{agent}") {
                let headers = format!("{:?}", message.headers);
                stored.insert(
                    (name, sequence, message.subject.to_string()),
                    (headers, message.payload.to_vec()),
                );
            }
        }
    }
    stored
}

/// Has something stored of a device in each stream.
pub(super) async fn fill(platform: &Platform, agent: &str, content: &str) {
    for (_, subjects) in STREAMS {
        let subject = format!("{subjects}{agent}");
        let acked =
            platform.jetstream.publish_with_headers(subject, HeaderMap::new(), content.to_owned().into());
        acked.await.unwrap().await.unwrap();
    }
}

/// The number under which the newest message of a subject is stored, 0 for none.
pub(super) async fn newest(platform: &Platform, stream: &str, subject: &str) -> u64 {
    let stream = platform.jetstream.get_stream(stream).await.unwrap();
    stream.get_last_raw_message_by_subject(subject).await.map_or(0, |message| message.sequence)
}
