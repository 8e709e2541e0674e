//! The format as its users see it: whole specs in, desired state or problems out.
#![cfg(test)]

mod documents;
mod problems;
mod properties;
mod schema;

use agent_manifest_v1::{AgentManifestV1, json_schemas, v1_1};
use agent_model::{Lowered, ManifestFormat, SpecDocument, UnknownKeys};
use semver::Version;
use serde_json::Value;

/// Lowers a spec that is written against that version; the problems are given as an author sees them.
fn lower_as(
    schema_version: &Version,
    unknown_keys: UnknownKeys,
    spec: &Value,
) -> Result<Lowered, Vec<String>> {
    let document = SpecDocument { spec, schema_version, unknown_keys, facts: &Default::default() };
    AgentManifestV1
        .lower(&document)
        .map_err(|invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

/// Lowers a spec of the newest version.
fn lower_with(unknown_keys: UnknownKeys, spec: &Value) -> Result<Lowered, Vec<String>> {
    lower_as(&v1_1::VERSION, unknown_keys, spec)
}

/// Lowers a spec of the newest version of which every key should be known.
fn lower(spec: &Value) -> Result<Lowered, Vec<String>> {
    lower_with(UnknownKeys::AreProblems, spec)
}

/// The schema of the newest version.
fn newest_schema() -> Value {
    json_schemas().pop().unwrap().1
}
