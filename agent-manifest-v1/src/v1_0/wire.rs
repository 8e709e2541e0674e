//! The document of version 1.0.0, field by field as its author writes it.
//!
//! Frozen with the version: what changes on the wire goes into the types of a newer one. They hold
//! what a document *says*, so nothing here is judged yet, and `None` is a field that is left out.
//! The comments on fields are the descriptions in the JSON Schema: they speak to authors.

mod container;
mod process;
mod sealed;
mod shell_job;
mod systemd_unit;
mod workload;

use std::collections::BTreeMap;

use agent_model::{MAX_RESOURCES, status::API_VERSION};
use schemars::JsonSchema;
use serde::Serialize;

use crate::KIND;

pub use container::{
    Container, ContainerLimits, ContainerUser, Mount, MountType, Port, Protocol, PullPolicy,
};
pub(crate) use process::DURATION;
pub use process::Process;
pub use sealed::{Sealed, SealedTo, Text, Variable};
pub use shell_job::ShellJob;
pub use systemd_unit::{SystemdUnit, UnitState};
pub use workload::{Cpus, Exec, Http, Limits, Log, Probe, Probes, Restart, Scheme, Size, Tcp};

/// A resource's name: a DNS label (RFC 1123).
const RESOURCE_NAME: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// One token of a NATS subject.
const AGENT_ID: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$";
/// A version that an agent of major version 1 may be able to read.
pub(crate) const SCHEMA_VERSION: &str = r"^1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$";
/// Absolute, without `.`, `..`, `//` or a closing `/`. No look-ahead: not every dialect has it.
const TARGET_PATH: &str = r"^(/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))+$";
/// Three or four octal digits; one more leading zero is allowed.
const MODE: &str = r"^0?[0-7]{3,4}$";
/// The same with nothing for others than the owner.
const SEALED_MODE: &str = r"^0?[0-7]{1,2}00$";
/// A user's or group's name, or its id in digits.
const PRINCIPAL: &str = r"^[^\s\x00-\x1f\x7f:/,-][^\s\x00-\x1f\x7f:/,]*$";
/// The standard alphabet with padding (RFC 4648, section 4).
const BASE64: &str = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

/// What one device should have: the whole document, as its author writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "AgentManifest 1.0.0")]
pub struct AgentManifest {
    /// The version of the envelope.
    #[schemars(with = "String", extend("const" = API_VERSION))]
    pub api_version: ApiVersion,
    /// The format of the spec.
    #[schemars(with = "String", extend("const" = KIND))]
    pub kind: Kind,
    /// The version of the format that the document is written for; filled in on apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = SCHEMA_VERSION))]
    pub schema_version: Option<String>,
    /// The oldest version that knows every field used here; the same as schemaVersion by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = SCHEMA_VERSION))]
    pub min_schema_version: Option<String>,
    /// Which device it is for, and about the document itself.
    pub metadata: Metadata,
    /// What the device should have.
    pub spec: Spec,
}

/// The version of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum ApiVersion {
    /// The only version there is.
    #[default]
    #[serde(rename = "harmony/v1")]
    HarmonyV1,
}

/// The format of the spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Kind {
    /// Typed resources.
    #[default]
    AgentManifest,
}

/// About the document itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The id of the device that the document is for.
    #[schemars(regex(pattern = AGENT_ID))]
    pub name: String,
    /// Counts the documents of a device; it accepts none lower than before. Filled in on apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub generation: Option<u64>,
    /// When the document was written (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub issued_at: Option<String>,
    /// From when on no device accepts it any more (RFC 3339); where it was accepted, it stays in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    /// Words to select by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Notes that mean nothing to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What the device should have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The resources. An empty list removes whatever an earlier document put there.
    #[schemars(length(max = MAX_RESOURCES))]
    pub resources: Vec<ResourceEntry>,
}

/// One thing that the device should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum ResourceEntry {
    /// A container that the device's runtime runs, and that the agent starts again.
    Container(Box<Entry<Container>>),
    /// A regular file with exactly this content, mode and ownership.
    File(Box<Entry<File>>),
    /// A program that runs, outlives the agent, and is started again by its restart policy.
    Process(Box<Entry<Process>>),
    /// A script that runs to its end, at most once, isolated from the device.
    ShellJob(Box<Entry<ShellJob>>),
    /// A unit of systemd: its file, what is put beside it, and whether it runs.
    SystemdUnit(Box<Entry<SystemdUnit>>),
}

/// What every resource has, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry<S> {
    /// By which the other resources refer to it; unique in the document, a DNS label.
    #[schemars(regex(pattern = RESOURCE_NAME))]
    pub name: String,
    /// Names of the resources that must be ready before this one is acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = RESOURCE_NAME)))]
    pub depends_on: Option<Vec<String>>,
    /// Names of the resources whose change restarts this one, where it is a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = RESOURCE_NAME)))]
    pub restart_on: Option<Vec<String>>,
    /// What it should be like, by kind.
    pub spec: S,
}

/// A regular file. Exactly one of content and contentBase64 is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["content"], "properties": {"content": {"type": ["string", "object"]}, "contentBase64": {"type": "null"}}},
    {"required": ["contentBase64"], "properties": {"contentBase64": {"type": "string"}, "content": {"type": "null"}}},
]))]
#[schemars(extend("if" = {"required": ["content"], "properties": {"content": {"type": "object"}}}))]
#[schemars(extend("then" = {"properties": {"mode": {"pattern": SEALED_MODE}}}))]
pub struct File {
    /// Where it lies: an absolute path without `.`, `..`, `//` or a closing `/`.
    #[schemars(regex(pattern = TARGET_PATH), length(max = 4095))]
    pub path: String,
    /// What is in it, as text, or sealed to the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Text>,
    /// What is in it, as standard base64 with padding: for content that is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = BASE64), extend("contentEncoding" = "base64"))]
    pub content_base64: Option<String>,
    /// Its permissions: three or four octal digits in quotes. "0644" by default, and for a sealed content "0600", with
    /// nothing for anybody but the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = MODE))]
    pub mode: Option<String>,
    /// Its owner; the agent's own user by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<IdOrName>,
    /// Its group; the agent's own group by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<IdOrName>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum IdOrName {
    /// By number, whether or not the device knows a name for it.
    Id(#[schemars(range(max = 4_294_967_294_u32))] u32),
    /// By name, looked up on the device.
    Name(#[schemars(regex(pattern = PRINCIPAL), length(max = 32))] String),
}
