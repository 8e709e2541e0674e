//! What each device should be: reading and writing the bucket `desired-state`, by compare-and-swap
//! only.

use agent_core::{
    authoring,
    envelope::{Glance, Received},
    kv::names::DESIRED_STATE_BUCKET,
    signing::{KeyId, PublicKey, Sealed},
};
use agent_model::{
    AgentId, Digest, ROLLBACK, Timestamp, UnknownKeys, read_rollback,
    reader::{Field, Findings},
};
use bytes::Bytes;
use serde_json::Value;

use crate::{
    Fleet, StoreError,
    compare_and_swap::{Change, compare_and_swap},
    store::{self, Entry},
};

/// A device's entry, or the marker that a deleted one leaves behind.
#[derive(Debug, Clone)]
pub struct DesiredEntry {
    /// Its revision: what the next write has to name.
    pub revision: u64,
    /// When it was written, by the server's clock.
    pub written_at: Timestamp,
    /// The document; `None` when it was deleted.
    pub document: Option<StoredDocument>,
}

/// A document as it lies in the bucket; it may be one that no device accepts.
#[derive(Debug, Clone)]
pub struct StoredDocument {
    /// The bytes of the envelope; of a sealed document those that are sealed.
    pub envelope: Bytes,
    /// Their digest, as devices report it.
    pub digest: Digest,
    sealed: Option<Sealed>,
    /// What can be read of it.
    pub glance: Glance,
    /// The digest of what its author meant; `None` when it is no envelope.
    pub intent: Option<Digest>,
}

impl DesiredEntry {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            revision: entry.revision,
            written_at: entry.stored_at,
            document: entry.value.clone().map(StoredDocument::read),
        }
    }
}

impl StoredDocument {
    /// What can be said of a value of the bucket.
    pub fn read(bytes: Bytes) -> Self {
        let received = Received::read(&bytes);
        let sealed = Sealed::in_entry(&bytes);
        let envelope = sealed.as_ref().map_or(bytes, |sealed| sealed.payload().to_owned().into());
        Self {
            intent: authoring::intent_digest(&envelope),
            digest: received.digest,
            glance: received.glance,
            envelope,
            sealed,
        }
    }

    /// Whether a device goes back from it by itself when it is not ready in time.
    pub fn goes_back(&self) -> bool {
        let envelope = serde_json::from_slice::<Value>(&self.envelope).unwrap_or_default();
        let value = &envelope["spec"][ROLLBACK];
        // Whether it may stand there at all is for the device to judge.
        let mut findings = Findings::new(UnknownKeys::AreIgnored);
        !value.is_null() && read_rollback(Field { value, pointer: String::new() }, &mut findings).is_some()
    }

    /// Whether it is sealed, by whomever.
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// The keys that are said to have signed it.
    pub fn claimed_keys(&self) -> Vec<KeyId> {
        self.sealed.iter().flat_map(Sealed::claimed_keys).collect()
    }

    /// Whether that key has signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| sealed.is_signed_by(key))
    }
}

/// Reads a device's entry; `None` when there never was one.
///
/// # Errors
/// [`StoreError`].
pub async fn read(fleet: &Fleet, agent: &AgentId) -> Result<Option<DesiredEntry>, StoreError> {
    Ok(store::read(fleet, DESIRED_STATE_BUCKET, agent).await?.as_ref().map(DesiredEntry::of))
}

/// Writes a complete document, if the entry is still the one given (`None`: there was none), and
/// returns what is there now.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody else was faster.
pub async fn write(
    fleet: &Fleet,
    agent: &AgentId,
    replaced: Option<&DesiredEntry>,
    document: Vec<u8>,
) -> Result<DesiredEntry, StoreError> {
    let bytes = Bytes::from(document);
    let change = Change::Put(bytes.clone());
    let revision =
        compare_and_swap(fleet, DESIRED_STATE_BUCKET, agent, revision_of(replaced), &change).await?;
    Ok(DesiredEntry { revision, written_at: Timestamp::now(), document: Some(StoredDocument::read(bytes)) })
}

/// Deletes the entry, if it is still the one given. The device goes on enforcing what it accepted
/// last: see the wire contract, "a deleted or empty entry".
///
/// # Errors
/// [`StoreError::Conflict`] when somebody else was faster.
pub async fn delete(fleet: &Fleet, agent: &AgentId, replaced: &DesiredEntry) -> Result<u64, StoreError> {
    compare_and_swap(fleet, DESIRED_STATE_BUCKET, agent, replaced.revision, &Change::Delete).await
}

fn revision_of(entry: Option<&DesiredEntry>) -> u64 {
    entry.map_or(0, |entry| entry.revision)
}
