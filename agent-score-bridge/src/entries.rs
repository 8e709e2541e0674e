//! The spec of a `Score` document, version 0.1, and how it is read.

use std::time::Duration;

use agent_model::{
    ROLLBACK, ResourceName, SpecDocument, UnknownKeys, pointer_to, read_rollback,
    reader::{Field, Findings, shown},
};
use semver::VersionReq;

use crate::{
    registry::{ErasedBody, ScoreRegistry, UnknownScore},
    v0_1_1,
};

/// A spec as it was read.
#[derive(Default)]
pub(crate) struct ReadSpec {
    pub(crate) entries: Vec<ReadEntry>,
    /// By when all must be ready, else the device goes back; `None` where it never does.
    pub(crate) rollback: Option<Duration>,
}

/// An entry as it was read.
pub(crate) struct ReadEntry {
    pub(crate) pointer: String,
    pub(crate) name: ResourceName,
    pub(crate) depends_on: Vec<ResourceName>,
    pub(crate) restart_on: Vec<ResourceName>,
    /// `None` where the body cannot be read, or is not to be interpreted.
    pub(crate) body: Option<Box<dyn ErasedBody>>,
}

/// Reads the spec as the version has it that it is written against. Entries without a name are left out; everything
/// that is wrong is noted.
pub(crate) fn read(
    document: &SpecDocument<'_>,
    registry: &ScoreRegistry,
    findings: &mut Findings,
) -> ReadSpec {
    let written = document.schema_version;
    let spec = Field { value: document.spec, pointer: "/spec".to_owned() };
    let read = spec.object(findings, |fields| {
        let entries = fields.required("scores", |list, findings| {
            list.list(findings, |entry, findings| read_entry(entry, registry, findings))
        });
        let rollback = fields.optional_since(ROLLBACK, &v0_1_1::VERSION, written, read_rollback);
        Some(ReadSpec { entries: entries.unwrap_or_default(), rollback })
    });
    read.unwrap_or_default()
}

fn read_entry(entry: Field<'_>, registry: &ScoreRegistry, findings: &mut Findings) -> Option<ReadEntry> {
    entry.object(findings, |fields| {
        let name = fields.required("name", Field::parsed);
        let score = fields.required("score", |field, findings| field.text(findings));
        let range = fields.required("version", version_range);
        let depends_on = fields.optional("dependsOn", names).unwrap_or_default();
        let restart_on = fields.optional("restartOn", names).unwrap_or_default();
        let with = fields.required("with", object);
        let pointer = fields.pointer.clone();
        let score = score.zip(range).and_then(|(score, range)| {
            let note = |unknown: UnknownScore| {
                fields.findings.problem(pointer_to(&pointer, unknown.key()), unknown.to_string());
            };
            registry.choose(score, &range).map_err(note).ok()
        });
        let body = score.zip(with).and_then(|(score, with)| {
            // The range says which versions the author wrote for, so this one knows every key.
            fields.findings.within(UnknownKeys::AreProblems, |findings| score.read(with, findings))
        });
        Some(ReadEntry { pointer, name: name?, depends_on, restart_on, body })
    })
}

/// A range of versions, in the notation of Cargo: `0.1.0` stands for every compatible version.
fn version_range(field: Field<'_>, findings: &mut Findings) -> Option<VersionReq> {
    if field.value.is_number() {
        findings.problem(
            field.pointer,
            "expected a string, found a number: put the version in quotes, for example \"0.1.0\"",
        );
        return None;
    }
    let text = field.text(findings)?;
    let range = text.parse();
    if range.is_err() {
        let message =
            format!("{:?} is no range of versions: expected for example 0.1.0 or >=0.1, <0.3", shown(text));
        findings.problem(field.pointer, message);
    }
    range.ok()
}

/// A body; what is in it only the Score can read.
fn object<'v>(field: Field<'v>, findings: &mut Findings) -> Option<Field<'v>> {
    if field.value.is_object() { Some(field) } else { field.mistyped("an object", findings) }
}

fn names(field: Field<'_>, findings: &mut Findings) -> Option<Vec<ResourceName>> {
    field.list(findings, Field::parsed)
}
