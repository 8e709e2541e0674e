//! The document of version 0.1.0, field by field as its author writes it.
//!
//! Frozen with the version: what changes on the wire goes into the types of a newer one. So the
//! envelope is spelt out here once more; a test holds it to that of the other formats. `None` is a
//! field that is left out. The comments on fields are the descriptions in the JSON Schema: they speak
//! to authors.

use std::collections::BTreeMap;

use agent_model::{MAX_RESOURCES, ResourceName, status::API_VERSION};
use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;
use serde_json::Value;

use crate::KIND;

/// This version.
pub const VERSION: Version = Version::new(0, 1, 0);

/// The name of an entry: a DNS label (RFC 1123).
const NAME: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// The name of a Score's type: a word in PascalCase.
const SCORE: &str = r"^[A-Z][A-Za-z0-9]{0,62}$";
/// Comparators with commas between, in the notation of Cargo.
const VERSION_RANGE: &str =
    r"^ *([=~^]|[<>]=?)? *[0-9*xX][0-9A-Za-z.*+-]*( *, *([=~^]|[<>]=?)? *[0-9*xX][0-9A-Za-z.*+-]*)* *$";
/// One token of a NATS subject.
const AGENT_ID: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$";
/// A version that an agent that reads 0.1 may be able to read.
pub(crate) const SCHEMA_VERSION: &str = r"^0\.1\.(0|[1-9][0-9]*)$";

/// What one device should have, as Scores: the whole document, as its author writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Score 0.1.0")]
pub struct ScoreDocument {
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
    /// Scores.
    #[default]
    Score,
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
    /// The Scores. An empty list removes whatever an earlier document put there.
    #[schemars(length(max = MAX_RESOURCES))]
    pub scores: Vec<Entry>,
}

/// One Score: what is wanted, and the type of Score that says what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The name of the Score's type; a device lists those that it has as agentInfo.scores.
    #[schemars(regex(pattern = SCORE))]
    pub score: String,
    /// Which versions of the type may read the entry: "0.1.0" or any that is compatible; or ">=0.1, <0.3".
    #[schemars(regex(pattern = VERSION_RANGE))]
    pub version: String,
    /// By which the other entries refer to it; unique in the document, a DNS label.
    #[schemars(with = "String", regex(pattern = NAME))]
    pub name: ResourceName,
    /// Names of the entries of which everything must be ready before anything of this one is acted on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>", inner(regex(pattern = NAME)))]
    pub depends_on: Vec<ResourceName>,
    /// Names of the entries of which every change restarts whatever of this one runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>", inner(regex(pattern = NAME)))]
    pub restart_on: Vec<ResourceName>,
    /// What is wanted, in the shape that the type of Score defines.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub with: Value,
}
