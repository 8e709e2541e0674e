//! The manifest format `AgentManifest`, version 1.x: typed resources, validated as a whole and
//! lowered to the neutral desired state.
//!
//! ```text
//! spec (JSON) ──reader, field by field──▶ declarations ──builder──▶ DesiredState
//!                        └────── every problem, with its place ──────▶ Invalid
//! ```
//!
//! A document is read by [`agent_model::reader`] and not by deserialising the wire types. The wire
//! types, a module for each version, are what tools write documents with and what the JSON Schemas are
//! derived from; tests hold them and what is read to the same fields.

mod lowering;
pub mod v1_0;
pub mod v1_1;

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
        vec![v1_0::VERSION, v1_1::VERSION]
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        lowering::lower(document)
    }
}

/// The JSON Schema of each version, oldest first: what is committed in `schemas/AgentManifest`, byte for byte.
pub const JSON_SCHEMAS: &[(Version, &str)] = &[
    (v1_0::VERSION, include_str!("../../schemas/AgentManifest/1.0.0.json")),
    (v1_1::VERSION, include_str!("../../schemas/AgentManifest/1.1.0.json")),
];

/// The JSON Schema (draft 2020-12) of a whole document, as its author writes it, of each version as it is derived from
/// the wire types; oldest first.
///
/// It says what can be said of each field by itself. Names, references and claims that must agree
/// across the document are judged by lowering only.
pub fn json_schemas() -> Vec<(Version, Value)> {
    vec![
        (v1_0::VERSION, schemars::schema_for!(v1_0::AgentManifest).to_value()),
        (v1_1::VERSION, schemars::schema_for!(v1_1::AgentManifest).to_value()),
    ]
}
