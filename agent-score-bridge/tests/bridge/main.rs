//! The bridge as its users see it: whole specs in, desired state or problems out.
#![cfg(test)]

mod bounds;
mod children;
mod container_app;
mod containers;
mod documents;
mod expressing;
mod problems;
mod processes;
mod properties;
mod registry;
mod schema;
mod scores;
mod service_app;
mod shell_jobs;

use agent_model::{
    DesiredState, Lowered, ManifestFormat, ResourceKind, ResourceName, SpecDocument, UnknownKeys,
};
use agent_score_bridge::{ScoreBridge, ScoreRegistry, json_schemas, v0_1_1};
use semver::Version;
use serde_json::{Value, json};

/// A bridge with the Scores of these tests, for a device that has files, processes and units.
fn bridge() -> ScoreBridge {
    ScoreBridge::new(scores::registry(), ResourceKind::ALL)
}

/// Lowers a spec that is written against that version; the problems are given as an author sees them.
fn lower_as(
    schema_version: &Version,
    bridge: &ScoreBridge,
    unknown_keys: UnknownKeys,
    spec: &Value,
) -> Result<Lowered, Vec<String>> {
    let facts = &[("hostname".to_owned(), "edge-0001".to_owned())].into();
    let document = SpecDocument { spec, schema_version, unknown_keys, facts };
    bridge.lower(&document).map_err(|invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

/// Lowers a spec of the newest version.
fn lower_with(bridge: &ScoreBridge, unknown_keys: UnknownKeys, spec: &Value) -> Result<Lowered, Vec<String>> {
    lower_as(&v0_1_1::VERSION, bridge, unknown_keys, spec)
}

/// Lowers a spec of the newest version of which every key should be known.
fn lower(spec: &Value) -> Result<DesiredState, Vec<String>> {
    lower_with(&bridge(), UnknownKeys::AreProblems, spec).map(|lowered| lowered.state)
}

/// The schema of the newest version.
fn newest_schema() -> Value {
    json_schemas().pop().unwrap().1
}

/// The problems of a spec that has some, by a bridge with these Scores.
fn problems_with(registry: ScoreRegistry, spec: &Value) -> Vec<String> {
    let bridge = ScoreBridge::new(registry, [ResourceKind::File]);
    lower_with(&bridge, UnknownKeys::AreProblems, spec).unwrap_err()
}

/// A spec of these entries.
fn spec(entries: &[Value]) -> Value {
    json!({"scores": entries})
}

/// An entry, with these fields besides what each has.
fn entry(score: &str, name: &str, with: Value, fields: Value) -> Value {
    let mut entry = json!({"score": score, "version": "0.1.0", "name": name, "with": with});
    entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    entry
}

/// A `File` entry.
fn file(name: &str, path: &str) -> Value {
    entry("File", name, json!({"path": path, "content": ""}), json!({}))
}

/// A `Bundle` entry: a file for each name, at `/<entry>/<name>`.
fn bundle(name: &str, files: &[&str], fields: Value) -> Value {
    let paths: Vec<Value> =
        files.iter().map(|file| json!({"name": file, "path": format!("/{name}/{file}")})).collect();
    entry("Bundle", name, json!({"files": paths}), fields)
}

fn names(names: &[ResourceName]) -> Vec<&str> {
    names.iter().map(ResourceName::as_str).collect()
}
