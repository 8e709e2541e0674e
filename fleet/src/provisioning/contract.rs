//! The buckets and the stream as the wire contract asks for them: Names in NATS.

use std::time::Duration;

use agent_core::{
    enrollment::{MAX_ANSWER_BYTES, MAX_REQUEST_BYTES},
    kv::names,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Republish, RetentionPolicy, StorageType};

use super::{DEFAULT_EVENTS_MAX_BYTES, Layout};

/// A bucket or stream as the wire contract asks for it.
pub(super) struct Store {
    /// Its name to people.
    pub(super) name: &'static str,
    description: &'static str,
    shape: Shape,
}

enum Shape {
    Bucket {
        history: i64,
        /// Largest entry in bytes, headers included; -1 for the server's own limit.
        max_value: i32,
        /// Rollup headers serve a KV purge. Where devices write, they would serve a device to
        /// wipe out all others.
        allow_rollup: bool,
        republish_headers_to: Option<&'static str>,
    },
    Events,
    /// Messages of devices that want to be let in, or to them. The oldest go where there are too many.
    Enrollment {
        subjects: &'static str,
        per_subject: i64,
        messages: i64,
        bytes: i64,
        /// Largest message in bytes.
        max_message: usize,
        max_age: Duration,
        republish_headers_to: Option<&'static str>,
    },
}

/// All of them, in the order in which they are made.
pub(super) const STORES: [Store; 7] = [
    Store {
        name: names::DESIRED_STATE_BUCKET,
        description: "What each device should be",
        shape: Shape::Bucket {
            history: 16,
            max_value: 640 << 10,
            allow_rollup: true,
            republish_headers_to: Some("desired-state.>"),
        },
    },
    Store {
        name: names::ACTUAL_STATE_BUCKET,
        description: "What each device says about itself",
        shape: Shape::Bucket {
            history: 4,
            max_value: 256 << 10,
            allow_rollup: false,
            republish_headers_to: None,
        },
    },
    Store {
        name: names::HEARTBEAT_BUCKET,
        description: "Each device's last sign of life",
        shape: Shape::Bucket {
            history: 1,
            max_value: 1 << 10,
            allow_rollup: false,
            republish_headers_to: None,
        },
    },
    Store {
        name: names::REGISTRY_BUCKET,
        description: "What the platform knows about each device",
        shape: Shape::Bucket { history: 4, max_value: -1, allow_rollup: true, republish_headers_to: None },
    },
    Store {
        name: names::ENROLLMENT_REQUESTS_STREAM,
        description: "Which devices ask to be let in",
        shape: Shape::Enrollment {
            subjects: names::ENROLLMENT_REQUESTS_SUBJECTS,
            // A device asks again with one key, and somebody else with another: both are shown. Whoever asks often
            // enough pushes out that of the device, so that what decides names the key.
            per_subject: 4,
            messages: 100_000,
            bytes: 64 << 20,
            max_message: MAX_REQUEST_BYTES,
            max_age: Duration::from_secs(7 * 24 * 60 * 60),
            republish_headers_to: None,
        },
    },
    Store {
        name: names::ENROLLMENT_ANSWERS_STREAM,
        description: "What devices are answered that ask to be let in",
        shape: Shape::Enrollment {
            subjects: names::ENROLLMENT_ANSWERS_SUBJECTS,
            per_subject: 1,
            messages: 1_000_000,
            bytes: 256 << 20,
            max_message: MAX_ANSWER_BYTES,
            max_age: Duration::from_secs(90 * 24 * 60 * 60),
            republish_headers_to: Some("enroll-hints.>"),
        },
    },
    // Last, so that it makes do with the room that the others leave.
    Store { name: names::EVENTS_STREAM, description: "What happened on the devices", shape: Shape::Events },
];

/// What the headers of a message may add to its size, in bytes.
const HEADERS: usize = 1 << 10;

/// Some 100,000 events as devices usually send them. A server with less room is none to begin a fleet on.
const LEAST_TRIED_BYTES: i64 = 64 << 20;

const EVENTS_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Store {
    /// The name of its stream.
    pub(super) fn stream(&self) -> String {
        match self.shape {
            Shape::Bucket { .. } => names::bucket_stream(self.name),
            Shape::Events | Shape::Enrollment { .. } => self.name.to_owned(),
        }
    }

    /// Whether somebody may choose how much its stream holds.
    pub(super) fn has_chosen_size(&self) -> bool {
        matches!(self.shape, Shape::Events)
    }

    /// What the stream's settings should be. Settings that the wire contract does not speak of
    /// (placement, compression …) stay as an operator has made them.
    pub(super) fn config(&self, existing: Option<&Config>, layout: &Layout) -> Config {
        let mut config = existing.cloned().unwrap_or_else(|| Config {
            name: self.stream(),
            max_messages: -1,
            max_bytes: -1,
            max_consumers: -1,
            max_message_size: -1,
            num_replicas: 1,
            duplicate_window: Duration::from_secs(120),
            ..Config::default()
        });
        config.description = Some(self.description.to_owned());
        config.storage = StorageType::File;
        // Every writer waits for the answer, and every reader of the fleet is a consumer.
        config.no_ack = false;
        config.max_consumers = -1;
        if let Some(replicas) = layout.replicas {
            config.num_replicas = replicas;
        }
        match self.shape {
            Shape::Bucket { history, max_value, allow_rollup, republish_headers_to } => {
                let subjects = format!("$KV.{}.>", self.name);
                // A longer history than asked for is left alone: shortening it deletes entries.
                let kept = config.max_messages_per_subject;
                config.max_messages_per_subject = if kept == -1 { -1 } else { kept.max(history) };
                config.max_age = Duration::ZERO;
                config.max_messages = -1;
                config.discard = DiscardPolicy::New;
                config.max_message_size = max_value;
                config.allow_rollup = allow_rollup;
                config.deny_delete = true;
                config.allow_direct = true;
                config.republish = republish_headers_to.map(|destination| Republish {
                    source: subjects.clone(),
                    destination: destination.to_owned(),
                    headers_only: true,
                });
                config.subjects = vec![subjects];
            }
            Shape::Events => {
                config.subjects = vec![names::EVENTS_SUBJECTS.to_owned()];
                config.max_messages_per_subject = 1000;
                config.max_age = EVENTS_MAX_AGE;
                config.discard = DiscardPolicy::Old;
                config.max_message_size = 8 << 10;
                config.allow_rollup = false;
                config.deny_delete = true;
                config.allow_direct = true;
                let bound = Some(config.max_bytes).filter(|bytes| *bytes > 0);
                config.max_bytes = layout.events_max_bytes.or(bound).unwrap_or(DEFAULT_EVENTS_MAX_BYTES);
            }
            Shape::Enrollment {
                subjects,
                per_subject,
                messages,
                bytes,
                max_message,
                max_age,
                republish_headers_to,
            } => {
                config.subjects = vec![subjects.to_owned()];
                config.max_messages_per_subject = per_subject;
                config.max_messages = messages;
                config.max_bytes = bytes;
                config.max_message_size = i32::try_from(max_message + HEADERS).unwrap_or(i32::MAX);
                config.max_age = max_age;
                config.discard = DiscardPolicy::Old;
                config.allow_rollup = false;
                config.allow_direct = true;
                config.republish = republish_headers_to.map(|destination| Republish {
                    source: subjects.replace('*', ">"),
                    destination: destination.to_owned(),
                    headers_only: true,
                });
            }
        }
        config
    }

    /// The bound to try next on a server that has no room for one of `refused` bytes, where nobody has chosen it. A
    /// quarter, so that the buckets, which have no bound, seldom have to live on what was just not enough.
    pub(super) fn smaller(&self, refused: i64, layout: &Layout) -> Option<i64> {
        let may_shrink = self.has_chosen_size() && layout.events_max_bytes.is_none();
        Some(refused / 4).filter(|bytes| may_shrink && *bytes >= LEAST_TRIED_BYTES)
    }
}

/// Why a stream with such settings can never serve, and cannot be made to.
pub(super) fn unusable(existing: &Config) -> Option<&'static str> {
    if existing.retention != RetentionPolicy::Limits {
        Some("loses entries once they were read (its retention is not \"limits\")")
    } else if existing.sealed {
        Some("is sealed, so that nothing can be written")
    } else if existing.mirror.is_some() {
        Some("is a mirror of another stream, so that nothing can be written")
    } else if existing.sources.as_ref().is_some_and(|sources| !sources.is_empty()) {
        Some("takes in other streams, whose entries would be mixed with its own")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::Source;

    use super::*;

    #[test]
    fn rollups_are_forbidden_wherever_a_device_writes() {
        let allowed: Vec<&str> = STORES
            .iter()
            .filter(|store| store.config(None, &Layout::default()).allow_rollup)
            .map(|store| store.name)
            .collect();
        assert_eq!(allowed, ["desired-state", "agents"]);
    }

    #[test]
    fn an_upgrade_keeps_what_the_contract_leaves_open_and_shortens_no_history() {
        let existing = Config {
            num_replicas: 3,
            max_messages_per_subject: 64,
            max_age: Duration::from_secs(60),
            max_bytes: 5,
            ..STORES[0].config(None, &Layout::default())
        };
        let wanted = STORES[0].config(Some(&existing), &Layout::default());
        assert_eq!((wanted.num_replicas, wanted.max_messages_per_subject, wanted.max_bytes), (3, 64, 5));
        assert_eq!(wanted.max_age, Duration::ZERO);
        let replicated =
            STORES[0].config(Some(&existing), &Layout { replicas: Some(5), ..Layout::default() });
        assert_eq!(replicated.num_replicas, 5);
    }

    #[test]
    fn what_would_keep_writers_or_readers_out_is_reset() {
        for store in &STORES {
            let made = store.config(None, &Layout::default());
            let existing = Config { no_ack: true, max_consumers: 1, ..made.clone() };
            assert_eq!(store.config(Some(&existing), &Layout::default()), made, "{}", store.name);
        }
    }

    #[test]
    fn streams_that_can_never_serve_are_told_from_those_that_can() {
        let made = STORES[0].config(None, &Layout::default());
        assert_eq!(unusable(&made), None);
        assert_eq!(unusable(&Config { sources: Some(Vec::new()), ..made.clone() }), None);
        let reasons = [
            Config { retention: RetentionPolicy::Interest, ..made.clone() },
            Config { retention: RetentionPolicy::WorkQueue, ..made.clone() },
            Config { sealed: true, ..made.clone() },
            Config { mirror: Some(Source::default()), ..made.clone() },
            Config { sources: Some(vec![Source::default()]), ..made },
        ]
        .map(|existing| unusable(&existing).unwrap());
        assert_eq!(reasons[0], reasons[1]);
        assert_eq!(reasons.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn the_event_stream_is_bounded_whoever_made_it() {
        let events = &STORES[STORES.len() - 1];
        let bytes = |existing: Option<&Config>, layout: &Layout| events.config(existing, layout).max_bytes;
        let chosen = Layout { events_max_bytes: Some(1 << 20), ..Layout::default() };
        assert_eq!(bytes(None, &Layout::default()), DEFAULT_EVENTS_MAX_BYTES);
        assert_eq!(bytes(None, &chosen), 1 << 20);
        let bounded = events.config(None, &chosen);
        assert_eq!(bytes(Some(&bounded), &Layout::default()), 1 << 20);
        let unbounded = Config { max_bytes: -1, ..bounded.clone() };
        assert_eq!(bytes(Some(&unbounded), &Layout::default()), DEFAULT_EVENTS_MAX_BYTES);
    }

    #[test]
    fn only_an_event_stream_whose_size_nobody_chose_makes_do_with_less_room() {
        let tried = |store: &Store, layout: &Layout| {
            let first = Some(DEFAULT_EVENTS_MAX_BYTES);
            let sizes = std::iter::successors(first, |bytes| store.smaller(*bytes, layout));
            sizes.map(|bytes| bytes >> 20).collect::<Vec<_>>()
        };
        let chosen = Layout { events_max_bytes: Some(DEFAULT_EVENTS_MAX_BYTES), ..Layout::default() };
        for store in &STORES {
            assert_eq!(tried(store, &chosen), [10_240], "{}", store.name);
            let sizes: &[i64] =
                if store.name == names::EVENTS_STREAM { &[10_240, 2560, 640, 160] } else { &[10_240] };
            assert_eq!(tried(store, &Layout::default()), sizes, "{}", store.name);
        }
    }
}
