//! Makes the buckets and the stream that platform and devices meet in (wire contract, section 1),
//! and brings existing ones up to date without losing an entry.
//!
//! The streams are made directly and not through the client's KV helpers: those always allow
//! rollup headers, and with one `Nats-Rollup: all` a device could then wipe out what all others
//! have said.

use std::time::Duration;

use agent_core::kv::names;
use async_nats::jetstream::{
    context::{CreateStreamErrorKind, GetStreamErrorKind, RequestErrorKind},
    stream::{Config, DiscardPolicy, Republish, RetentionPolicy, StorageType},
};

use crate::Fleet;

/// Total size of the event stream unless somebody says otherwise, in bytes: 10 GiB.
pub const DEFAULT_EVENTS_MAX_BYTES: i64 = 10 << 30;

/// The oldest servers without CVE-2026-33249, by which a device writes into another's entry.
const OLDEST_SERVER: ServerVersion = ServerVersion(2, 12, 6);
const OLDEST_SERVER_ON_2_11: ServerVersion = ServerVersion(2, 11, 15);

/// What may be chosen about the buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// Copies of each entry in a cluster, 1 to 5; `None` leaves existing buckets as they are and
    /// makes new ones with a single copy.
    pub replicas: Option<usize>,
    /// Total size of the event stream in bytes; `None` keeps an existing bound, else
    /// [`DEFAULT_EVENTS_MAX_BYTES`].
    pub events_max_bytes: Option<i64>,
}

/// What was done about one bucket or stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// The bucket's or stream's name.
    pub name: &'static str,
    /// What was done.
    pub change: Change,
}

/// What was done about a bucket or stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There was none.
    Created,
    /// Its settings were others; its entries are all still there.
    Updated,
    /// It was as it should be.
    Unchanged,
}

/// Why a bucket is not as it should be. Those before it are.
#[derive(Debug, thiserror::Error)]
pub enum ProvisioningError {
    /// The server has a hole that no setting closes.
    #[error(
        "the server is nats-server {found}, which lets one device write into another's entry \
         (CVE-2026-33249): upgrade it to 2.12.6 or newer, or to 2.11.15 or newer on the 2.11 line"
    )]
    ServerTooOld {
        /// The server's version.
        found: String,
    },
    /// The server stores nothing.
    #[error(
        "the server at {server} has no JetStream for this account: start it with -js, or enable it for the account"
    )]
    NoJetStream {
        /// The server.
        server: String,
    },
    /// There is a stream of that name that can never do what it is for.
    #[error(
        "the stream {stream} exists and cannot serve as {name}: it {why}. Copy what is needed of it, delete \
         it and run init again"
    )]
    Unusable {
        /// The bucket or stream.
        name: &'static str,
        /// The stream behind it.
        stream: String,
        /// What is the matter with it.
        why: &'static str,
    },
    /// The server has not the room that was asked for.
    #[error(
        "the server has no room for {name} ({said}): give it more storage, or ask for less with `init \
         --events-max-bytes`, which sets the size of {stream}", stream = names::EVENTS_STREAM
    )]
    NoRoom {
        /// The bucket or stream.
        name: &'static str,
        /// The server's words.
        said: String,
    },
    /// Copies need servers to lie on.
    #[error(
        "{name} cannot have {replicas} copies: the server is not part of a cluster. Run init with --replicas 1, \
         or on a cluster of at least {replicas} servers"
    )]
    NoCluster {
        /// The bucket or stream.
        name: &'static str,
        /// The copies that were asked for.
        replicas: usize,
    },
    /// The server accepts no such stream.
    #[error("the server refuses the settings of {name}: {said}")]
    Refused {
        /// The bucket or stream.
        name: &'static str,
        /// The server's words.
        said: String,
    },
    /// A setting cannot be changed once the stream exists.
    #[error(
        "{name} cannot be brought up to date: {said}. That setting is fixed once a stream exists: copy \
         its entries, delete the stream {stream}, run init again and put them back"
    )]
    Fixed {
        /// The bucket or stream.
        name: &'static str,
        /// The stream behind it.
        stream: String,
        /// The server's words.
        said: String,
    },
    /// The answer did not come; trying again may help.
    #[error("no usable answer from the server about {name}{}", .violation.as_ref().map(|v| format!(" (it says: {v})")).unwrap_or_default())]
    NoAnswer {
        /// The bucket or stream.
        name: &'static str,
        /// A permission error that the server sent, if it sent one.
        violation: Option<String>,
        /// What came instead.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Makes or updates every bucket and the event stream. Doing it again changes nothing.
///
/// # Errors
/// The first bucket that could not be brought about; those before it are done.
pub async fn provision(fleet: &Fleet, layout: &Layout) -> Result<Vec<Provisioned>, ProvisioningError> {
    let found = fleet.server_version();
    if !ServerVersion::parse(&found).is_some_and(ServerVersion::is_safe) {
        return Err(ProvisioningError::ServerTooOld { found });
    }
    let mut done = Vec::with_capacity(STORES.len());
    for store in &STORES {
        done.push(Provisioned { name: store.name, change: bring_about(fleet, store, layout).await? });
    }
    Ok(done)
}

async fn bring_about(fleet: &Fleet, store: &Store, layout: &Layout) -> Result<Change, ProvisioningError> {
    let stream = store.stream();
    let existing = match fleet.jetstream().get_stream(&stream).await {
        Ok(stream) => Some(stream.cached_info().config.clone()),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code().0 == STREAM_NOT_FOUND => None,
            GetStreamErrorKind::JetStream(error) if is_not_enabled(error.error_code().0) => {
                return Err(ProvisioningError::NoJetStream { server: fleet.server().to_owned() });
            }
            GetStreamErrorKind::Request if has_no_responders(&error) => {
                return Err(ProvisioningError::NoJetStream { server: fleet.server().to_owned() });
            }
            _ => return Err(no_answer(fleet, store, error)),
        },
    };
    if let Some(why) = existing.as_ref().and_then(unusable) {
        return Err(ProvisioningError::Unusable { name: store.name, stream, why });
    }
    let wanted = store.config(existing.as_ref(), layout);
    let replicas = wanted.num_replicas;
    let (done, change) = match existing {
        None => (fleet.jetstream().create_stream(wanted).await.map(|_| ()), Change::Created),
        Some(existing) if existing == wanted => return Ok(Change::Unchanged),
        Some(_) => (fleet.jetstream().update_stream(&wanted).await.map(|_| ()), Change::Updated),
    };
    let name = store.name;
    match done {
        Ok(()) => Ok(change),
        Err(error) => Err(match error.kind() {
            CreateStreamErrorKind::JetStream(error) => {
                let said = error.to_string();
                match error.error_code().0 {
                    SETTING_IS_FIXED => ProvisioningError::Fixed { name, stream, said },
                    NO_ROOM => ProvisioningError::NoRoom { name, said },
                    NO_CLUSTER => ProvisioningError::NoCluster { name, replicas },
                    _ => ProvisioningError::Refused { name, said },
                }
            }
            _ => no_answer(fleet, store, error),
        }),
    }
}

/// Why a stream with such settings can never serve, and cannot be made to.
fn unusable(existing: &Config) -> Option<&'static str> {
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

/// Server error: the storage that is left, or allowed, is too small.
const NO_ROOM: u64 = 10047;

/// Server error: more than one copy on a server that is alone.
const NO_CLUSTER: u64 = 10074;

/// Server error: a setting of a stream cannot be changed, or not to this.
const SETTING_IS_FIXED: u64 = 10052;

/// Server error: there is no such stream.
pub(crate) const STREAM_NOT_FOUND: u64 = 10059;

/// Server errors: JetStream is off, for the server or for the account.
pub(crate) fn is_not_enabled(code: u64) -> bool {
    matches!(code, 10039 | 10076)
}

pub(crate) fn has_no_responders(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error
            .downcast_ref::<async_nats::jetstream::context::RequestError>()
            .is_some_and(|error| error.kind() == RequestErrorKind::NoResponders)
    })
}

fn no_answer(
    fleet: &Fleet,
    store: &Store,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ProvisioningError {
    ProvisioningError::NoAnswer {
        name: store.name,
        violation: fleet.last_violation(),
        source: Box::new(source),
    }
}

/// A bucket or stream as the wire contract asks for it.
struct Store {
    name: &'static str,
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
}

const STORES: [Store; 5] = [
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
    Store { name: names::EVENTS_STREAM, description: "What happened on the devices", shape: Shape::Events },
];

const EVENTS_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Store {
    fn stream(&self) -> String {
        match self.shape {
            Shape::Bucket { .. } => names::bucket_stream(self.name),
            Shape::Events => self.name.to_owned(),
        }
    }

    /// What the stream's settings should be. Settings that the wire contract does not speak of
    /// (placement, compression …) stay as an operator has made them.
    fn config(&self, existing: Option<&Config>, layout: &Layout) -> Config {
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
        }
        config
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ServerVersion(u64, u64, u64);

impl ServerVersion {
    /// Reads `2.12.8` and `2.15.0-RC.1` alike.
    fn parse(text: &str) -> Option<Self> {
        let release = text.trim_start_matches('v').split(['-', '+']).next()?;
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??, numbers.next()??))
    }

    fn is_safe(self) -> bool {
        let on_2_11 = (self.0, self.1) == (2, 11);
        self >= OLDEST_SERVER || (on_2_11 && self >= OLDEST_SERVER_ON_2_11)
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::Source;

    use super::*;

    #[test]
    fn servers_with_the_hole_are_refused_and_the_others_are_not() {
        let is_safe = |text| ServerVersion::parse(text).is_some_and(ServerVersion::is_safe);
        for version in ["2.12.6", "2.12.8", "2.15.1", "2.13.0-RC.1", "2.11.15", "2.11.20", "3.0.0"] {
            assert!(is_safe(version), "{version} was refused");
        }
        for version in ["2.12.5", "2.12.0", "2.11.14", "2.10.99", "2.9.10", "1.99.99", "", "latest"] {
            assert!(!is_safe(version), "{version} was accepted");
        }
    }

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
        let events = &STORES[4];
        let bytes = |existing: Option<&Config>, layout: &Layout| events.config(existing, layout).max_bytes;
        let chosen = Layout { events_max_bytes: Some(1 << 20), ..Layout::default() };
        assert_eq!(bytes(None, &Layout::default()), DEFAULT_EVENTS_MAX_BYTES);
        assert_eq!(bytes(None, &chosen), 1 << 20);
        let bounded = events.config(None, &chosen);
        assert_eq!(bytes(Some(&bounded), &Layout::default()), 1 << 20);
        let unbounded = Config { max_bytes: -1, ..bounded.clone() };
        assert_eq!(bytes(Some(&unbounded), &Layout::default()), DEFAULT_EVENTS_MAX_BYTES);
    }
}
