//! The manifest format `AgentManifest`, version 1.x: typed resources, validated as a whole and
//! lowered to the neutral desired state.
//!
//! ```text
//! spec (JSON) ──reader, field by field──▶ declarations ──builder──▶ DesiredState
//!                        └────── every problem, with its place ──────▶ Invalid
//! ```
//!
//! A document is read by [`agent_model::reader`] and not by deserialising the wire types. The wire
//! types in [`v1_0`] are what tools write documents with and what the JSON Schema is derived from;
//! tests hold them and what is read to the same fields.

pub mod v1_0;

use agent_model::{Invalid, Lowered, ManifestFormat, SpecDocument};
use semver::Version;
use serde_json::Value;

/// The kind of envelope that this format reads.
pub const KIND: &str = "AgentManifest";

/// Reads `AgentManifest` 1.x.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgentManifestV1;

impl ManifestFormat for AgentManifestV1 {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema_versions(&self) -> Vec<Version> {
        vec![Version::new(1, 0, 0)]
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        v1_0::lower(document)
    }
}

/// The JSON Schema of each version, oldest first: what is committed in `schemas/AgentManifest`, byte for byte.
pub const JSON_SCHEMAS: &[(Version, &str)] =
    &[(Version::new(1, 0, 0), include_str!("../../schemas/AgentManifest/1.0.0.json"))];

/// The JSON Schema (draft 2020-12) of a whole document of the newest version, as its author writes
/// it; committed as `schemas/AgentManifest/1.0.0.json`.
///
/// It says what can be said of each field by itself. Names, references and claims that must agree
/// across the document are judged by lowering only.
pub fn json_schema() -> Value {
    schemars::schema_for!(v1_0::AgentManifest).to_value()
}
