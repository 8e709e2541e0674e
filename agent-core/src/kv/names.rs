//! The names of buckets, streams and subjects (wire contract: Names in NATS).

use agent_model::{AgentId, UserKey};

/// Bucket that holds what each device should be; key = agent id.
pub const DESIRED_STATE_BUCKET: &str = "desired-state";
/// Bucket that holds what each device says about itself; key = agent id.
pub const ACTUAL_STATE_BUCKET: &str = "actual-state";
/// Bucket that holds each device's last sign of life; key = agent id.
pub const HEARTBEAT_BUCKET: &str = "agent-heartbeat";
/// Bucket that holds what the platform knows about each device; key = agent id.
pub const REGISTRY_BUCKET: &str = "agents";
/// Stream of what happened on the devices.
pub const EVENTS_STREAM: &str = "AGENT_EVENTS";
/// Subjects of [`EVENTS_STREAM`].
pub const EVENTS_SUBJECTS: &str = "agent-events.*";

/// Stream of the requests of devices that want credentials, on [`enrollment_subject`].
pub const ENROLLMENT_REQUESTS_STREAM: &str = "ENROLL_REQUESTS";
/// Subjects of [`ENROLLMENT_REQUESTS_STREAM`].
pub const ENROLLMENT_REQUESTS_SUBJECTS: &str = "enroll.*";
/// Stream of the answers to these requests, on [`enrollment_answer_subject`].
pub const ENROLLMENT_ANSWERS_STREAM: &str = "ENROLL_ANSWERS";
/// Subjects of [`ENROLLMENT_ANSWERS_STREAM`].
pub const ENROLLMENT_ANSWERS_SUBJECTS: &str = "enroll-answers.*";
/// Where the headers of each stored answer are repeated: the prefix before the key.
pub const ENROLLMENT_HINTS_PREFIX: &str = "enroll-hints";
/// The prefix of the inbox of whoever has bootstrap credentials.
pub const ENROLLMENT_INBOX_PREFIX: &str = "_INBOX_enroll";

/// Whether a store is a stream of its own and no bucket.
pub fn is_stream(store: &str) -> bool {
    [EVENTS_STREAM, ENROLLMENT_REQUESTS_STREAM, ENROLLMENT_ANSWERS_STREAM].contains(&store)
}

/// The subject on which a device asks for credentials.
pub fn enrollment_subject(agent: &AgentId) -> String {
    format!("enroll.{agent}")
}

/// The subject of the answer to whoever holds that key.
pub fn enrollment_answer_subject(key: &UserKey) -> String {
    format!("enroll-answers.{key}")
}

/// The subject on which the server says that there is an answer; a hint, as that of a document.
pub fn enrollment_hint_subject(key: &UserKey) -> String {
    format!("{ENROLLMENT_HINTS_PREFIX}.{key}")
}

/// The stream behind a KV bucket.
pub fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The subject on which a bucket stores the entry of a device.
pub fn entry_subject(bucket: &str, agent: &AgentId) -> String {
    format!("$KV.{bucket}.{agent}")
}

/// The subject on which the server repeats the headers of each stored desired-state entry. It is
/// a hint that there is something to read, and never more: anyone who may publish there can
/// forge it.
pub fn hint_subject(agent: &AgentId) -> String {
    format!("{DESIRED_STATE_BUCKET}.{agent}")
}

/// The subject of a device's events.
pub fn events_subject(agent: &AgentId) -> String {
    format!("agent-events.{agent}")
}

/// The prefix of a device's inbox, so that permissions can be limited to it.
pub fn inbox_prefix(agent: &AgentId) -> String {
    format!("_INBOX_{agent}")
}
