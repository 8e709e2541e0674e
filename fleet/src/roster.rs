//! Every device that is known, and what is known of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use agent_core::kv::names;
use agent_model::{
    AgentId, Timestamp,
    status::{AgentStatus, Phase},
};
use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    DesiredEntry, Fleet, StoreError,
    registry::{self, State},
    store::{self, Entry},
};

/// A device is a member when any of these has an entry for it.
const BUCKETS: [&str; 4] = [
    names::DESIRED_STATE_BUCKET,
    names::ACTUAL_STATE_BUCKET,
    names::HEARTBEAT_BUCKET,
    names::REGISTRY_BUCKET,
];

/// Which devices to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All there are.
    All,
    /// These, whether they exist or not.
    These(BTreeSet<AgentId>),
}

/// Filters that the server gets for one watch. A larger selection costs it more than reading all.
const MAX_FILTERS: usize = 100;

/// How long a reading is tried again: a leader election, and requests that time out meanwhile.
pub(crate) const READING: Duration = Duration::from_secs(20);
/// The pause before reading again.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

impl Selection {
    /// A selection that holds all of these, and others too when they are many.
    pub fn of<'a>(agents: impl IntoIterator<Item = &'a AgentId>) -> Self {
        let agents: BTreeSet<AgentId> = agents.into_iter().cloned().collect();
        if agents.is_empty() || agents.len() > MAX_FILTERS { Self::All } else { Self::These(agents) }
    }

    /// The subjects of its entries in a bucket.
    fn subjects(&self, bucket: &str) -> Vec<String> {
        match self {
            Self::All => vec![format!("$KV.{bucket}.*")],
            Self::These(agents) => agents.iter().map(|agent| names::entry_subject(bucket, agent)).collect(),
        }
    }
}

/// One device.
#[derive(Debug)]
pub struct Agent {
    /// Its name.
    pub id: AgentId,
    /// What it should be; also the marker that a deleted entry leaves.
    pub desired: Option<DesiredEntry>,
    /// What it says about itself.
    pub report: Option<Report>,
    /// When its last heartbeat was stored, by the server's clock.
    pub last_heartbeat: Option<Timestamp>,
    /// How it stands in the platform's registry, if that has it; [`State::Pending`] where the entry cannot be read.
    pub registered: Option<State>,
}

/// A status as it lies in the bucket.
#[derive(Debug)]
pub struct Report {
    /// When it was stored, by the server's clock.
    pub stored_at: Timestamp,
    /// The document as the device wrote it, with keys that this version does not know.
    pub bytes: Bytes,
    /// The same, read; or why it cannot be.
    pub status: Result<AgentStatus, serde_json::Error>,
}

impl Agent {
    fn unknown(id: AgentId) -> Self {
        Self { id, desired: None, report: None, last_heartbeat: None, registered: None }
    }

    /// Its status, if there is one and it can be read.
    pub fn status(&self) -> Option<&AgentStatus> {
        self.report.as_ref()?.status.as_ref().ok()
    }

    /// The phase that it is in, also one that only a newer agent knows; `None` without a status that can be read.
    pub fn phase(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct AsWritten {
            phase: String,
        }
        match self.status()?.phase {
            Phase::Unknown => {
                let report = self.report.as_ref()?;
                serde_json::from_slice(&report.bytes).ok().map(|AsWritten { phase }| phase)
            }
            known => Some(format!("{known:?}")),
        }
    }

    /// When it last gave a sign of life, by the server's clock: a heartbeat or a status.
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.last_heartbeat.max(self.report.as_ref().map(|report| report.stored_at))
    }

    /// Whether it was heard of not longer than `offline_after` ago.
    pub fn is_online(&self, now: Timestamp, offline_after: Duration) -> bool {
        self.last_seen().is_some_and(|seen| now.since(seen) <= offline_after)
    }

    /// Whether it was heard of, or the registry has it: somebody means this name.
    pub fn is_seen_or_registered(&self) -> bool {
        self.last_seen().is_some() || self.registered.is_some()
    }

    /// Whether there is anything about it but the traces of what was deleted.
    fn is_known(&self) -> bool {
        let has_document = self.desired.as_ref().is_some_and(|entry| entry.document.is_some());
        has_document || self.is_seen_or_registered()
    }

    fn take_in(&mut self, entry: &Entry) {
        match entry.bucket {
            names::DESIRED_STATE_BUCKET => self.desired = Some(DesiredEntry::of(entry)),
            names::ACTUAL_STATE_BUCKET => {
                let read = |bytes: &Bytes| Report::read(entry.stored_at, bytes.clone());
                self.report = entry.value.as_ref().map(read);
            }
            names::HEARTBEAT_BUCKET => {
                self.last_heartbeat = entry.value.as_ref().map(|_| entry.stored_at);
            }
            _ => self.registered = entry.value.is_some().then(|| registry::state_of(entry)),
        }
    }
}

impl Report {
    /// Reads a status that was stored then.
    pub fn read(stored_at: Timestamp, bytes: Bytes) -> Self {
        Self { stored_at, status: serde_json::from_slice(&bytes), bytes }
    }
}

/// The ids of all devices, without reading anything about them; also of those whose entries were
/// deleted and of which only the markers are left.
///
/// # Errors
/// [`StoreError`], but for `Conflict` and `Refused`.
pub async fn ids(fleet: &Fleet) -> Result<BTreeSet<AgentId>, StoreError> {
    let mut ids = BTreeSet::new();
    for bucket in BUCKETS {
        ids.extend(store::keys(fleet, bucket).await?);
    }
    Ok(ids)
}

/// Reads what there is about one device, and watches nothing; `None` when it is not known.
///
/// # Errors
/// [`StoreError`], but for `Conflict` and `Refused`.
pub async fn read_one(fleet: &Fleet, id: &AgentId) -> Result<Option<Agent>, StoreError> {
    let mut agent = Agent::unknown(id.clone());
    for bucket in BUCKETS {
        if let Some(entry) = store::read(fleet, bucket, id).await? {
            agent.take_in(&entry);
        }
    }
    Ok(agent.is_known().then_some(agent))
}

/// The devices of a fleet, kept up to date by one ordinary watch on each bucket.
pub struct Roster {
    fleet: Fleet,
    selection: Selection,
    agents: BTreeMap<AgentId, Agent>,
    changes: SelectAll<BoxStream<'static, Result<Entry, StoreError>>>,
}

impl Roster {
    /// Reads what there is, and begins to watch. What may pass is tried again for some seconds.
    ///
    /// # Errors
    /// [`StoreError`], but for `Conflict` and `Refused`.
    pub async fn read(fleet: &Fleet, selection: Selection) -> Result<Self, StoreError> {
        Self::read_until(Instant::now() + READING, fleet, selection).await
    }

    async fn read_until(deadline: Instant, fleet: &Fleet, selection: Selection) -> Result<Self, StoreError> {
        loop {
            match Self::read_once(fleet, selection.clone()).await {
                Err(error) if error.may_pass() && Instant::now() + PAUSE < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn read_once(fleet: &Fleet, selection: Selection) -> Result<Self, StoreError> {
        let mut roster =
            Self { fleet: fleet.clone(), selection, agents: BTreeMap::new(), changes: SelectAll::new() };
        for bucket in BUCKETS {
            let watch = store::watch(fleet, bucket, roster.selection.subjects(bucket)).await?;
            for entry in &watch.present {
                roster.take_in(entry);
            }
            roster.changes.push(watch.changes);
        }
        Ok(roster)
    }

    /// Reads everything again, after `error` of [`changed`](Self::changed). What may pass is tried
    /// again until the deadline, or for as long as a first reading where there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `error` itself when that does not pass; the roster is as it was.
    pub async fn read_again(
        &mut self,
        error: StoreError,
        deadline: Option<Instant>,
    ) -> Result<(), StoreError> {
        if !error.may_pass() {
            return Err(error);
        }
        let deadline = deadline.unwrap_or_else(|| Instant::now() + READING);
        tokio::time::sleep_until(deadline.min(Instant::now() + PAUSE)).await;
        *self = Self::read_until(deadline, &self.fleet, self.selection.clone()).await?;
        Ok(())
    }

    /// The known devices, by name.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values().filter(|agent| agent.is_known())
    }

    /// The device of that name, if it is known.
    pub fn get(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id).filter(|agent| agent.is_known())
    }

    /// The desired-state entry of that device, or the marker of a deleted one, even where nothing
    /// else is known of the device: a compare-and-swap has to name its revision.
    pub fn entry(&self, id: &AgentId) -> Option<&DesiredEntry> {
        self.agents.get(id)?.desired.as_ref()
    }

    /// Waits for the next change and takes it in; returns whose it was. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The watch broke: see [`read_again`](Self::read_again).
    pub async fn changed(&mut self) -> Result<AgentId, StoreError> {
        match self.changes.next().await {
            Some(Ok(entry)) => {
                self.take_in(&entry);
                Ok(entry.agent)
            }
            Some(Err(error)) => Err(error),
            None => Err(StoreError::NoAnswer {
                bucket: names::ACTUAL_STATE_BUCKET,
                server: self.fleet.server().to_owned(),
                source: "the watch ended".into(),
            }),
        }
    }

    /// The connection that it reads from.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Takes in what was just written, without waiting for the watch to bring it.
    pub fn note_written(&mut self, id: &AgentId, entry: DesiredEntry) {
        let agent = self.agents.entry(id.clone()).or_insert_with(|| Agent::unknown(id.clone()));
        if agent.desired.as_ref().is_none_or(|known| known.revision < entry.revision) {
            agent.desired = Some(entry);
        }
    }

    fn take_in(&mut self, entry: &Entry) {
        self.agents
            .entry(entry.agent.clone())
            .or_insert_with(|| Agent::unknown(entry.agent.clone()))
            .take_in(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bucket: &'static str, value: Option<&'static str>) -> Entry {
        Entry {
            bucket,
            agent: "a".parse().unwrap(),
            revision: 1,
            stored_at: Timestamp::UNIX_EPOCH,
            value: value.map(|text| Bytes::from_static(text.as_bytes())),
        }
    }

    #[test]
    fn a_device_is_known_from_any_bucket_and_forgotten_when_the_last_entry_goes() {
        for bucket in BUCKETS {
            let mut agent = Agent::unknown("a".parse().unwrap());
            assert!(!agent.is_known());
            agent.take_in(&entry(bucket, Some("{}")));
            assert!(agent.is_known(), "{bucket}");
            agent.take_in(&entry(bucket, None));
            assert!(!agent.is_known(), "{bucket}");
        }
    }

    #[test]
    fn how_a_device_stands_is_that_of_its_entry_and_pending_where_that_cannot_be_read() {
        for (value, state) in [
            (None, None),
            (Some(r#"{"state": "Retired"}"#), Some(State::Retired)),
            (Some("no JSON"), Some(State::Pending)),
        ] {
            let mut agent = Agent::unknown("a".parse().unwrap());
            agent.take_in(&entry(names::REGISTRY_BUCKET, value));
            assert_eq!((agent.registered, agent.is_seen_or_registered()), (state, state.is_some()));
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_is_kept_with_the_reason() {
        let mut agent = Agent::unknown("a".parse().unwrap());
        agent.take_in(&entry(names::ACTUAL_STATE_BUCKET, Some("{\"phase\": \"Converged\"}")));
        assert!(agent.status().is_none());
        let report = agent.report.unwrap();
        assert_eq!(report.bytes, "{\"phase\": \"Converged\"}");
        assert!(report.status.is_err());
    }

    #[test]
    fn a_device_is_offline_after_the_given_time_and_when_it_was_never_seen() {
        let after = |seconds| Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds));
        for sign_of_life in [names::HEARTBEAT_BUCKET, names::ACTUAL_STATE_BUCKET] {
            let mut agent = Agent::unknown("a".parse().unwrap());
            assert!(!agent.is_online(after(0), Duration::from_secs(300)));
            agent.take_in(&entry(sign_of_life, Some("{}")));
            assert!(agent.is_online(after(300), Duration::from_secs(300)), "{sign_of_life}");
            assert!(!agent.is_online(after(301), Duration::from_secs(300)), "{sign_of_life}");
        }
    }

    #[test]
    fn the_later_sign_of_life_counts() {
        let mut agent = Agent::unknown("a".parse().unwrap());
        let later = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(9));
        agent.take_in(&entry(names::HEARTBEAT_BUCKET, Some("{}")));
        agent.take_in(&Entry { stored_at: later, ..entry(names::ACTUAL_STATE_BUCKET, Some("{}")) });
        assert_eq!(agent.last_seen(), Some(later));
        agent.take_in(&entry(names::ACTUAL_STATE_BUCKET, Some("{}")));
        assert_eq!(agent.last_seen(), Some(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn some_agents_are_read_alone_and_many_with_all_others() {
        let agents: Vec<AgentId> = (0..=MAX_FILTERS).map(|i| format!("a{i}").parse().unwrap()).collect();
        let subjects = |count: usize| Selection::of(&agents[..count]).subjects("b");
        assert_eq!(subjects(2), ["$KV.b.a0", "$KV.b.a1"]);
        assert_eq!(subjects(MAX_FILTERS).len(), MAX_FILTERS);
        assert_eq!(subjects(MAX_FILTERS + 1), ["$KV.b.*"]);
        assert_eq!(subjects(0), ["$KV.b.*"]);
    }
}
