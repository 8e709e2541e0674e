//! The document of version 0.1.1, as its author writes it: it can say when the device goes back to the one before it.
//! Whatever did not change is of version 0.1.0.
//!
//! Frozen with the version: what changes on the wire goes into the types of a newer one. So the rollback is spelt out
//! here once more; a test holds it to that of the other formats.

use agent_model::{MAX_RESOURCES, status::API_VERSION};
use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;

use crate::{
    KIND,
    v0_1_0::{self, ApiVersion, Entry, Kind, Metadata, SCHEMA_VERSION},
};

/// This version.
pub const VERSION: Version = Version::new(0, 1, 1);

/// A length of time as humantime reads it.
const DURATION: &str = r"^\s*([0-9][0-9\s]*(\.[0-9\s]+)?[A-Za-zµ]+\s*)+$";

/// What one device should have, as Scores: the whole document, as its author writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Score 0.1.1")]
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

/// What the device should have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The Scores. An empty list removes whatever an earlier document put there.
    #[schemars(length(max = MAX_RESOURCES))]
    pub scores: Vec<Entry>,
    /// What becomes of the document where not all of it is ready in time. By default the device goes on trying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// What becomes of a document where not all of it is ready in time. The device decides that by itself, without a
/// server too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// What the device does then. Previous by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// How long after it was accepted all of it must have been ready once: 1s to 24h, 10m by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION))]
    pub deadline: Option<String>,
}

/// What a device does where not all of a document is ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum OnFailure {
    /// It goes back to the last document that converged.
    Previous,
    /// It goes on trying.
    None,
}

/// What version 0.1.0 could say means the same in this one.
impl From<v0_1_0::ScoreDocument> for ScoreDocument {
    fn from(older: v0_1_0::ScoreDocument) -> Self {
        let v0_1_0::ScoreDocument { api_version, kind, schema_version, min_schema_version, metadata, spec } =
            older;
        Self { api_version, kind, schema_version, min_schema_version, metadata, spec: spec.into() }
    }
}

impl From<v0_1_0::Spec> for Spec {
    fn from(older: v0_1_0::Spec) -> Self {
        let v0_1_0::Spec { scores } = older;
        Self { scores, rollback: None }
    }
}
