//! Makes the buckets and the stream that platform and devices meet in (wire contract: Names in NATS),
//! and brings existing ones up to date without losing an entry.
//!
//! The streams are made directly and not through the client's KV helpers: those always allow
//! rollup headers, and with one `Nats-Rollup: all` a device could then wipe out what all others
//! have said.

mod contract;
mod server_version;

use agent_core::kv::names;
use async_nats::jetstream::{
    context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind, RequestErrorKind},
    stream::{Config, Info},
};

use self::{
    contract::{STORES, Store, unusable},
    server_version::ServerVersion,
};
use crate::Fleet;

/// How many streams are made.
pub(crate) const STREAMS: usize = STORES.len();

/// Total size of the event stream unless somebody says otherwise or the server has no room for it, in bytes: 10 GiB.
pub const DEFAULT_EVENTS_MAX_BYTES: i64 = 10 << 30;

/// Smallest total size of the event stream that anybody means, in bytes: 1 MiB, some 1,500 events.
pub const LEAST_EVENTS_MAX_BYTES: i64 = 1 << 20;

/// What may be chosen about the buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// Copies of each entry in a cluster, 1 to 5; `None` leaves existing buckets as they are and
    /// makes new ones with a single copy.
    pub replicas: Option<usize>,
    /// Total size of the event stream in bytes, at least [`LEAST_EVENTS_MAX_BYTES`]; `None` keeps the bound of an
    /// existing stream. One that is made, or has no bound, gets [`DEFAULT_EVENTS_MAX_BYTES`]; one that is made on a server
    /// with less room, a quarter of that, or a quarter again.
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
    /// There was none, and the server has no room for one of the usual size.
    CreatedSmaller {
        /// What it may grow to, in bytes.
        max_bytes: i64,
    },
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
        "the server has no room for {name} ({said}): give it more storage{}",
        if *.name == names::EVENTS_STREAM { ", or ask for less with `init --events-max-bytes`" } else { "" }
    )]
    NoRoom {
        /// The bucket or stream.
        name: &'static str,
        /// The server's words.
        said: String,
    },
    /// The stream holds more than it would be allowed to: the server would drop what is too much.
    #[error(
        "{name} holds {held} bytes: with {wanted} at most, its oldest events would go. Nothing was changed; ask for {} or \
         more with `init --events-max-bytes`",
        in_mebibytes(*.held)
    )]
    TooSmall {
        /// The stream.
        name: &'static str,
        /// What it holds now, in bytes.
        held: u64,
        /// What it was to hold at most, in bytes.
        wanted: u64,
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
    if !is_safe(&found) {
        return Err(ProvisioningError::ServerTooOld { found });
    }
    // Before anything is changed.
    for store in &STORES {
        keeps_what_it_holds(fleet, store, layout).await?;
    }
    let mut done = Vec::with_capacity(STORES.len());
    for store in &STORES {
        done.push(Provisioned { name: store.name, change: bring_about(fleet, store, layout).await? });
    }
    Ok(done)
}

/// What [`provision`] would do about each bucket and stream; nothing is done.
///
/// # Errors
/// See [`ProvisioningError`].
pub async fn plan(fleet: &Fleet, layout: &Layout) -> Result<Vec<Provisioned>, ProvisioningError> {
    let mut planned = Vec::with_capacity(STORES.len());
    for store in &STORES {
        let change = match existing(fleet, store).await?.map(|existing| existing.config) {
            None => Change::Created,
            Some(existing) if existing == store.config(Some(&existing), layout) => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        planned.push(Provisioned { name: store.name, change });
    }
    Ok(planned)
}

/// Whether that release of the server has no known hole by which one device writes into another's entry.
pub(crate) fn is_safe(version: &str) -> bool {
    ServerVersion::parse(version).is_some_and(ServerVersion::is_safe)
}

/// Refuses a bound below what is there, where the bound is somebody's choice.
async fn keeps_what_it_holds(fleet: &Fleet, store: &Store, layout: &Layout) -> Result<(), ProvisioningError> {
    if !store.has_chosen_size() {
        return Ok(());
    }
    let Some(existing) = existing(fleet, store).await? else { return Ok(()) };
    let held = existing.state.bytes;
    let wanted = store.config(Some(&existing.config), layout).max_bytes;
    match u64::try_from(wanted) {
        Ok(wanted) if held > wanted => Err(ProvisioningError::TooSmall { name: store.name, held, wanted }),
        _ => Ok(()),
    }
}

/// So many bytes as somebody writes them who asks for enough.
fn in_mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes.div_ceil(1 << 20))
}

async fn bring_about(fleet: &Fleet, store: &Store, layout: &Layout) -> Result<Change, ProvisioningError> {
    let existing = existing(fleet, store).await?.map(|existing| existing.config);
    let wanted = store.config(existing.as_ref(), layout);
    match existing {
        None => create(fleet, store, layout, wanted).await,
        Some(existing) if existing == wanted => Ok(Change::Unchanged),
        Some(_) => match fleet.jetstream().update_stream(&wanted).await {
            Ok(_) => Ok(Change::Updated),
            Err(error) => Err(refusal(fleet, store, &wanted, error)),
        },
    }
}

/// Makes the stream; with a smaller bound where the server has no room and the bound may be smaller.
async fn create(
    fleet: &Fleet,
    store: &Store,
    layout: &Layout,
    mut wanted: Config,
) -> Result<Change, ProvisioningError> {
    let mut change = Change::Created;
    loop {
        let refusal = match fleet.jetstream().create_stream(&wanted).await {
            Ok(_) => return Ok(change),
            Err(error) => refusal(fleet, store, &wanted, error),
        };
        match (refusal, store.smaller(wanted.max_bytes, layout)) {
            (ProvisioningError::NoRoom { .. }, Some(max_bytes)) => {
                wanted.max_bytes = max_bytes;
                change = Change::CreatedSmaller { max_bytes };
            }
            (refusal, _) => return Err(refusal),
        }
    }
}

/// Why the server did not take a stream with these settings.
fn refusal(fleet: &Fleet, store: &Store, wanted: &Config, error: CreateStreamError) -> ProvisioningError {
    let name = store.name;
    let CreateStreamErrorKind::JetStream(refusal) = error.kind() else {
        return no_answer(fleet, store, error);
    };
    let said = refusal.to_string();
    match refusal.error_code().0 {
        SETTING_IS_FIXED => ProvisioningError::Fixed { name, stream: store.stream(), said },
        NO_ROOM => ProvisioningError::NoRoom { name, said },
        NO_SERVER if said.contains(FOR_WANT_OF_ROOM) => ProvisioningError::NoRoom { name, said },
        NO_CLUSTER => ProvisioningError::NoCluster { name, replicas: wanted.num_replicas },
        _ => ProvisioningError::Refused { name, said },
    }
}

/// The settings and the state of a bucket's or the events' stream, where there is one that can serve.
async fn existing(fleet: &Fleet, store: &Store) -> Result<Option<Info>, ProvisioningError> {
    let stream = store.stream();
    let existing = match fleet.jetstream().get_stream(&stream).await {
        Ok(stream) => Some(stream.cached_info().clone()),
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
    match existing.as_ref().and_then(|existing| unusable(&existing.config)) {
        Some(why) => Err(ProvisioningError::Unusable { name: store.name, stream, why }),
        None => Ok(existing),
    }
}

/// Server error: the storage that is left, or allowed, is too small.
const NO_ROOM: u64 = 10047;

/// Server error: a cluster has not enough servers that could take the stream.
const NO_SERVER: u64 = 10005;

/// What the server adds to [`NO_SERVER`] where the room is what is missing. It has no code for that.
const FOR_WANT_OF_ROOM: &str = "insufficient storage";

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
