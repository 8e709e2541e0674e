//! The format as its users see it: whole specs in, desired state or problems out.
#![cfg(test)]

mod documents;
mod problems;
mod properties;
mod schema;

use agent_manifest_v1::AgentManifestV1;
use agent_model::{Lowered, ManifestFormat, SpecDocument, UnknownKeys};
use serde_json::Value;

/// Lowers a spec; the problems are given as an author sees them.
fn lower_with(unknown_keys: UnknownKeys, spec: &Value) -> Result<Lowered, Vec<String>> {
    let document = SpecDocument {
        spec,
        schema_version: &"1.0.0".parse().unwrap(),
        unknown_keys,
        facts: &Default::default(),
    };
    AgentManifestV1
        .lower(&document)
        .map_err(|invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

/// Lowers a spec of which every key should be known.
fn lower(spec: &Value) -> Result<Lowered, Vec<String>> {
    lower_with(UnknownKeys::AreProblems, spec)
}
