//! `AgentStatus` 1.1: what a device says about itself.
//!
//! These types are the document: field by field what is written to the bucket `actual-state`.
//! Readers ignore keys that they do not know and take words that they do not know for `Unknown`, so that an older
//! command line can read a newer agent. Keys that may be null are always present.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{AgentId, DeviceFacts, Digest, Generation, SealingKey, Timestamp};

#[cfg(test)]
mod schema;

/// `apiVersion` of every envelope and status of this version.
pub const API_VERSION: &str = "harmony/v1";
/// `kind` of the status.
pub const KIND: &str = "AgentStatus";
/// `schemaVersion` of the status.
pub const SCHEMA_VERSION: &str = "1.1.0";

/// What a device says about itself: the whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "AgentStatus 1.1.0"))]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Always `harmony/v1`.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: Cow<'static, str>,
    /// Always `AgentStatus`.
    #[cfg_attr(test, schemars(extend("const" = KIND)))]
    pub kind: Cow<'static, str>,
    /// The version of this form that the writer knows.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: Cow<'static, str>,
    /// Which device this is.
    pub agent: AgentId,
    /// Who wrote it, for the compare-and-swap protocol.
    pub writer: Writer,
    /// The state of the document in force.
    pub phase: Phase,
    /// The newest entry seen, also a refused one; null when there was none yet.
    pub desired: Option<Desired>,
    /// The highest generation ever accepted: nothing lower is.
    pub highest_generation: Option<Generation>,
    /// The document in force.
    pub accepted: Option<Accepted>,
    /// The newest document that was in force and fully converged.
    pub applied: Option<Applied>,
    /// The document from which the device went back to the one in force, until a newer one is accepted; `None` of an
    /// agent that is too old to go back by itself.
    #[serde(default)]
    pub rolled_back: Option<RolledBack>,
    /// One of each type that the writer knows, always.
    pub conditions: Vec<Condition>,
    /// Counts over all resources, also those left out below.
    pub summary: Summary,
    /// The resources, in the order of the document, then those being removed.
    pub resources: Vec<ResourceStatus>,
    /// Whether something was left out to keep the document within its size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What the agent is and can do.
    pub agent_info: AgentInfo,
}

impl AgentStatus {
    /// The condition of that type, which every writer provides.
    pub fn condition(&self, condition_type: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }

    /// Whether it can be written again: what says `Unknown` in the place of a word of a newer version cannot.
    pub fn has_known_words_only(&self) -> bool {
        let late = self.rolled_back.iter().flat_map(|late| &late.resources).map(|resource| resource.state);
        self.phase != Phase::Unknown
            && self.conditions.iter().all(|condition| condition.condition_type != ConditionType::Unknown)
            && self
                .resources
                .iter()
                .map(|resource| resource.state)
                .chain(late)
                .all(|state| state != ResourceState::Unknown)
    }
}

/// Identifies one write among those of all processes that ever wrote for this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Writer {
    /// A random id of the process (UUID), new at each start.
    pub instance: String,
    /// One more than the epoch found at the start: the highest is the rightful writer.
    pub epoch: u64,
    /// Counts this instance's writes.
    pub op: u64,
}

/// How the device stands to the document in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Phase {
    /// There is no entry for this device, or nothing was ever accepted. The platform acts next.
    Unassigned,
    /// Steps are under way or waited for. The device acts next.
    Converging,
    /// Everything is as declared. Nobody has to act.
    Converged,
    /// Some resource is failing; the device goes on trying, and someone should have a look.
    Degraded,
    /// The newest document was not ready in time, and the one that converged before it is in force again. How the
    /// device stands to that one, the condition `Converged` says. The platform acts next. Since 1.1.0.
    RolledBack,
    /// A word of a newer version. It cannot be written.
    #[serde(other, skip_serializing)]
    #[cfg_attr(test, schemars(skip))]
    Unknown,
}

/// The newest entry seen. What cannot be read of it is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Its revision in the bucket.
    pub revision: u64,
    /// Its generation.
    pub generation: Option<Generation>,
    /// SHA-256 of the decoded envelope bytes; of the raw value when they cannot be decoded.
    pub digest: Digest,
    /// Its kind.
    pub kind: Option<String>,
    /// Its schema version.
    pub schema_version: Option<String>,
}

/// The document in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its generation.
    pub generation: Generation,
    /// SHA-256 of the decoded envelope bytes.
    pub digest: Digest,
    /// Its kind.
    pub kind: String,
    /// Its schema version.
    pub schema_version: String,
    /// When it was accepted.
    pub at: Timestamp,
}

/// The newest document that fully converged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Applied {
    /// Its generation.
    pub generation: Generation,
    /// SHA-256 of the decoded envelope bytes.
    pub digest: Digest,
    /// When it converged first.
    pub at: Timestamp,
}

/// A document from which the device went back, because it was not ready in time. Since 1.1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// Its generation.
    pub generation: Generation,
    /// SHA-256 of the decoded envelope bytes.
    pub digest: Digest,
    /// When the device went back.
    pub at: Timestamp,
    /// One PascalCase word, for programs.
    pub reason: String,
    /// For people: what was not ready, and by when it should have been.
    pub message: String,
    /// What was not ready then, the failed first, a few at most.
    pub resources: Vec<NotReady>,
}

/// A resource that was not ready when its document's time was up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotReady {
    /// Its kind.
    pub kind: String,
    /// Its name in the document.
    pub name: String,
    /// Where it stood.
    pub state: ResourceState,
    /// One PascalCase word, for programs.
    pub reason: String,
    /// For people; often empty.
    pub message: String,
    /// The last lines that it had written; `None` of what writes none, or where they could not be had.
    pub log_tail: Option<String>,
}

/// One aspect of the device, in the manner of Kubernetes' conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect.
    #[serde(rename = "type")]
    pub condition_type: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One PascalCase word, for programs.
    pub reason: String,
    /// For people; often empty.
    pub message: String,
    /// When `status` changed last.
    pub last_transition_time: Timestamp,
    /// The generation it was judged for, where that is known.
    pub observed_generation: Option<Generation>,
}

/// The aspects, all always present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ConditionType {
    /// Whether the newest entry was accepted.
    Accepted,
    /// Whether the document in force is fully applied.
    Converged,
    /// Whether the device's own disk serves.
    StateStore,
    /// Whether a technician holds changes back.
    Paused,
    /// Whether the agent stopped applying after repeated crashes.
    SafeMode,
    /// A word of a newer version. It cannot be written.
    #[serde(other, skip_serializing)]
    #[cfg_attr(test, schemars(skip))]
    Unknown,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Not judged yet, or cannot be; also a word of a newer version.
    #[serde(other)]
    Unknown,
}

/// Counts over all resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// All of them, those being removed included.
    pub total: u64,
    /// `Ready` and `Skipped`.
    pub ready: u64,
    /// `Failed`.
    pub failed: u64,
    /// All others.
    pub pending: u64,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// Its kind.
    pub kind: String,
    /// Its name in the document.
    pub name: String,
    /// Where it stands.
    pub state: ResourceState,
    /// One PascalCase word, for programs.
    pub reason: String,
    /// For people; often empty.
    pub message: String,
    /// When `state` changed last.
    pub since: Timestamp,
    /// The digest of its spec; null while it is being removed.
    pub spec_digest: Option<Digest>,
    /// Passes that altered the target for a new spec, creation included.
    pub changes: u64,
    /// Repairs of what somebody else altered.
    pub drift_corrections: u64,
    /// Restarts, for what can be restarted.
    pub restarts: u64,
    /// Failures in a row.
    pub attempts: u64,
    /// When it is tried again, after a failure.
    pub next_retry: Option<Timestamp>,
    /// Facts of the kind's own.
    #[serde(default)]
    pub details: serde_json::Value,
}

/// Where a resource stands, by who acts next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ResourceState {
    /// It waits, for a dependency or for the device's turn.
    Pending,
    /// The device is acting on it.
    Applying,
    /// As declared: nobody has to act.
    Ready,
    /// Not as declared, and the device could not make it so: see `reason` and `nextRetry`.
    Failed,
    /// No longer declared; the device is undoing it.
    Removing,
    /// Need not be done, and counts as ready.
    Skipped,
    /// A word of a newer version. It cannot be written.
    #[serde(other, skip_serializing)]
    #[cfg_attr(test, schemars(skip))]
    Unknown,
}

/// What the agent is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    /// Version of the agent.
    pub version: String,
    /// Kinds of envelope and the schema versions of each that it reads.
    pub formats: BTreeMap<String, Vec<String>>,
    /// Scores that it can interpret.
    pub scores: Vec<String>,
    /// Kinds of resource that it can make.
    pub reconcilers: Vec<String>,
    /// What the device is.
    pub facts: DeviceFacts,
    /// The key to which values can be sealed for this device; null while it has none.
    #[serde(default)]
    pub sealing_key: Option<SealingKey>,
    /// Changes with each boot of the device.
    pub boot_id: Option<String>,
    /// When this process started.
    pub started_at: Timestamp,
}

/// The entry in the bucket `agent-heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// The writer's epoch.
    pub epoch: u64,
    /// Generation of the document in force.
    pub accepted_generation: Option<Generation>,
    /// How the device stands to it.
    pub phase: Phase,
}

/// A message of the stream `AGENT_EVENTS`: something that happened on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts the device's events and survives restarts, so that readers can drop repetitions.
    pub seq: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What happened, one PascalCase word.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Why, one PascalCase word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// To which resource, if to one.
    pub resource: Option<ResourceRef>,
    /// Under which generation.
    pub generation: Option<Generation>,
}

/// Names a resource in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRef {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}
