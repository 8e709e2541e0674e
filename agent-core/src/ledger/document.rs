//! The ledger as it lies on disk, version 1.

use std::{collections::BTreeMap, sync::Arc};

use agent_model::{
    AgentId, Claim, Digest, Generation, ResourceName, Timestamp,
    status::{ResourceState, RolledBack},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{Dependencies, Trial};
use crate::{audit::Head, envelope::HighWaterMark, signing::KeyId};

/// The version that this agent writes, and the only one that it reads.
///
/// A field that is added, and that an older agent may keep without knowing it ([`Unknown`]), needs no other version. What
/// does gets types of its own for the version before, and a step from each version to the next.
const VERSION: u32 = 1;

/// What a newer agent wrote beside what this one knows. It is kept, so that an agent of one version can come and go. What
/// is about a document is in that document's part, and goes with it.
pub type Unknown = Map<String, Value>;

/// The file: the body with what is needed to trust it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LedgerFile<'a> {
    version: u32,
    /// Of the body's bytes, exactly as they stand in the file.
    checksum: Digest,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// What the agent must not forget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerBody {
    /// Whose ledger it is.
    pub agent: AgentId,
    /// Whether the device's own status on the platform must be read before anything new is
    /// accepted, because an earlier ledger may have known a higher generation.
    pub needs_floor: bool,
    /// The highest generation ever accepted.
    pub highest: Option<HighWaterMark>,
    /// The document in force.
    pub accepted: Option<AcceptedDocument>,
    /// The newest document that fully converged.
    pub applied: Option<AppliedDocument>,
    /// What we made, by claim. Shared, because each pass hands all entries around, and seldom changes one.
    pub inventory: BTreeMap<Claim, Arc<InventoryEntry>>,
    /// What a newer agent made of kinds that this one does not know, in the inventory too. That agent sees to it when it
    /// is back. Shared, because each pass hands the ledger around.
    #[serde(skip)]
    pub unknown_claims: Arc<Unknown>,
    /// The number of the newest line of the audit log. An agent that had none counted its events by it.
    #[serde(rename = "eventSeq")]
    pub audit_seq: u64,
    /// The hash of that line.
    #[serde(default)]
    pub audit_hash: Option<Digest>,
    /// The highest epoch that a process of this device claimed as the writer of its status; 0 where none is
    /// known.
    #[serde(default)]
    pub writer_epoch: u64,
    /// The last document that converged, while a newer one is in force that did not yet: see
    /// [`way_back`](Self::way_back).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<AcceptedDocument>,
    /// How long the document in force has before the device goes back: see [`running_trial`](Self::running_trial).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Why the device went back to the document in force: see [`gone_back_from`](Self::gone_back_from).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "in_known_words")]
    pub rolled_back: Option<RolledBack>,
    /// See [`Unknown`].
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The document in force, as received, so that a device boots into it with no server in reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedDocument {
    /// Its generation.
    pub generation: Generation,
    /// SHA-256 of the envelope's bytes.
    pub digest: Digest,
    /// Its kind.
    pub kind: String,
    /// Its schema version.
    pub schema_version: String,
    /// When it was made, if it says so: that time is past. Of one that was gone back to, also when the late one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// When it was accepted.
    pub at: Timestamp,
    /// Who signed it, if somebody did who was trusted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<KeyId>,
    /// The bytes as received. Shared, because every pass hands the body around and compares it.
    #[serde(with = "base64_bytes")]
    pub raw: Arc<[u8]>,
    /// See [`Unknown`].
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The newest document that fully converged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedDocument {
    /// Its generation.
    pub generation: Generation,
    /// SHA-256 of the envelope's bytes.
    pub digest: Digest,
    /// When it converged first.
    pub at: Timestamp,
    /// See [`Unknown`].
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What a reconciler remembers of a claim, in the form in which it is stored. Shared, because a
/// pass hands the records of all claims around, and seldom changes one.
pub type UntypedRecord = Arc<serde_json::Value>;

/// One claim that we hold, with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// The resource that claimed it last.
    pub name: ResourceName,
    /// The claims of the resources that it depended on: when all go, this one goes first.
    pub depends_on: Dependencies,
    /// What its reconciler needs to undo it.
    pub record: UntypedRecord,
    /// The effective digest that was fully applied; `None` until then.
    pub applied_digest: Option<Digest>,
    /// The effective digest for which steps are under way that alter the target; `None` once they
    /// are done.
    pub altering: Option<Digest>,
    /// Whether those steps start something again that ran before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarting: bool,
    /// Passes that altered the target for a new spec.
    pub changes: u64,
    /// Repairs of what somebody else altered.
    pub drift_corrections: u64,
    /// Restarts.
    pub restarts: u64,
    /// See [`Unknown`].
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl InventoryEntry {
    /// One that is ours and of which nothing but this is known.
    pub(crate) fn unremembered(name: ResourceName, record: UntypedRecord) -> Self {
        Self {
            name,
            depends_on: Dependencies::default(),
            record,
            applied_digest: None,
            altering: None,
            restarting: false,
            changes: 0,
            drift_corrections: 0,
            restarts: 0,
            unknown: Unknown::new(),
        }
    }
}

impl LedgerBody {
    /// The newest line of the audit log that this ledger knows of.
    pub fn audit_head(&self) -> Head {
        Head { seq: self.audit_seq, hash: self.audit_hash }
    }

    /// This with another newest line.
    pub(crate) fn with_audit_head(self, head: Head) -> Self {
        Self { audit_seq: head.seq, audit_hash: head.hash, ..self }
    }

    /// The ledger of a device that has not accepted anything.
    pub fn empty(agent: AgentId) -> Self {
        Self {
            agent,
            needs_floor: true,
            highest: None,
            accepted: None,
            applied: None,
            inventory: BTreeMap::new(),
            unknown_claims: Arc::default(),
            audit_seq: 0,
            audit_hash: None,
            writer_epoch: 0,
            fallback: None,
            trial: None,
            rolled_back: None,
            unknown: Unknown::new(),
        }
    }
}

/// Why bytes are not a ledger that this agent can read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is of version {0}, and this agent reads version {VERSION}")]
    OtherVersion(u64),
    #[error("its checksum does not fit its content")]
    Checksum,
    #[error("it cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
}

pub(super) fn encode(body: &LedgerBody) -> Result<Vec<u8>, serde_json::Error> {
    let body = match body.unknown_claims.is_empty() {
        true => to_raw_value(body)?,
        false => {
            let mut written = serde_json::to_value(body)?;
            if let Some(inventory) = inventory_of(&mut written) {
                inventory.extend(Unknown::clone(&body.unknown_claims));
            }
            to_raw_value(&written)?
        }
    };
    let checksum = Digest::of_bytes(body.get().as_bytes());
    serde_json::to_vec(&LedgerFile { version: VERSION, checksum, body: &body })
}

pub(super) fn decode(bytes: &[u8]) -> Result<LedgerBody, Unreadable> {
    /// Read first, because a later version may be shaped otherwise.
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let Versioned { version } = serde_json::from_slice(bytes)?;
    if version != u64::from(VERSION) {
        return Err(Unreadable::OtherVersion(version));
    }
    let file: LedgerFile<'_> = serde_json::from_slice(bytes)?;
    if Digest::of_bytes(file.body.get().as_bytes()) != file.checksum {
        return Err(Unreadable::Checksum);
    }
    let mut written: Value = serde_json::from_str(file.body.get())?;
    let mut unknown_claims = Unknown::new();
    if let Some(inventory) = inventory_of(&mut written) {
        let (known, unknown) =
            std::mem::take(inventory).into_iter().partition(|(claim, _)| claim.parse::<Claim>().is_ok());
        (*inventory, unknown_claims) = (known, unknown);
    }
    Ok(LedgerBody { unknown_claims: Arc::new(unknown_claims), ..serde_json::from_value(written)? })
}

fn inventory_of(body: &mut Value) -> Option<&mut Map<String, Value>> {
    body.get_mut("inventory")?.as_object_mut()
}

/// A resource whose state only a newer agent has a word for is left out: it could not be told of.
fn in_known_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RolledBack>, D::Error> {
    let mut late = Option::<RolledBack>::deserialize(deserializer)?;
    if let Some(late) = &mut late {
        late.resources.retain(|resource| resource.state != ResourceState::Unknown);
    }
    Ok(late)
}

mod base64_bytes {
    use std::sync::Arc;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map(Arc::from).map_err(D::Error::custom)
    }
}
