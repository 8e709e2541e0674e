//! The spec of a `Score` document, version 0.1, and how it is read.

use agent_model::{
    ResourceName, UnknownKeys, pointer_to,
    reader::{Field, Findings, shown},
};
use semver::VersionReq;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::registry::{ErasedBody, ScoreRegistry};

/// The spec, as tools write it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Spec {
    /// The Scores. An empty list removes whatever an earlier document put there.
    pub scores: Vec<Entry>,
}

/// One Score of a document, as tools write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The name of the Score's type.
    pub score: String,
    /// The range of versions that may read it: a version stands for all that are compatible with it.
    pub version: String,
    /// Its own name, unique in the document: a DNS label.
    pub name: ResourceName,
    /// Names of the entries of which all must be ready before anything of this one is acted on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ResourceName>,
    /// Names of the entries whose change restarts what this one runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart_on: Vec<ResourceName>,
    /// What the Score is about, as its type defines.
    pub with: Value,
}

/// An entry as it was read.
pub(crate) struct ReadEntry {
    pub(crate) pointer: String,
    pub(crate) name: ResourceName,
    pub(crate) depends_on: Vec<ResourceName>,
    pub(crate) restart_on: Vec<ResourceName>,
    /// `None` where the body cannot be read.
    pub(crate) body: Option<Box<dyn ErasedBody>>,
}

/// Reads the spec. Entries without a name are left out; everything that is wrong is noted.
pub(crate) fn read(spec: &Value, registry: &ScoreRegistry, findings: &mut Findings) -> Vec<ReadEntry> {
    let spec = Field { value: spec, pointer: "/spec".to_owned() };
    let entries = spec.object(findings, |fields| {
        fields.required("scores", |list, findings| {
            list.list(findings, |entry, findings| read_entry(entry, registry, findings))
        })
    });
    entries.unwrap_or_default()
}

fn read_entry(entry: Field<'_>, registry: &ScoreRegistry, findings: &mut Findings) -> Option<ReadEntry> {
    entry.object(findings, |fields| {
        let name = fields.required("name", Field::parsed);
        let score = fields.required("score", |field, findings| field.text(findings));
        let range = fields.required("version", version_range);
        let depends_on = fields.optional("dependsOn", names).unwrap_or_default();
        let restart_on = fields.optional("restartOn", names).unwrap_or_default();
        let nothing = Value::Object(Map::new());
        let pointer = fields.pointer.clone();
        let body =
            fields.take("with").unwrap_or(Field { value: &nothing, pointer: pointer_to(&pointer, "with") });
        let body = score.zip(range).and_then(|(score, range)| match registry.choose(score, &range) {
            // The range says which versions the author wrote for, so this one knows every key.
            Ok(score) => {
                fields.findings.within(UnknownKeys::AreProblems, |findings| score.read(body, findings))
            }
            Err(unknown) => {
                fields.findings.problem(pointer_to(&pointer, unknown.key()), unknown.to_string());
                None
            }
        });
        Some(ReadEntry { pointer, name: name?, depends_on, restart_on, body })
    })
}

/// A range of versions, in the notation of Cargo: `0.1.0` stands for every compatible version.
fn version_range(field: Field<'_>, findings: &mut Findings) -> Option<VersionReq> {
    let text = field.text(findings)?;
    let range = text.parse();
    if range.is_err() {
        let message =
            format!("{:?} is no range of versions: expected for example 0.1.0 or >=0.1, <0.3", shown(text));
        findings.problem(field.pointer, message);
    }
    range.ok()
}

fn names(field: Field<'_>, findings: &mut Findings) -> Option<Vec<ResourceName>> {
    field.list(findings, Field::parsed)
}
