//! A folder of configuration files that are rendered from values and the device's facts.

mod code_bounds;
mod engine;
mod relative_path;
mod tags;
#[cfg(test)]
mod tests;
mod undefined;

use std::collections::BTreeMap;

use agent_model::{
    FileSpec, InvalidTargetPath, Mode, Principal, ResourceName, TargetPath, pointer_to,
    reader::{Field, Findings, ObjectReader},
};
use semver::Version;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Child, File, Files, Interpret, InterpretError, Score, WireForm};

use engine::Stopped;
pub use relative_path::{InvalidRelativePath, RelativePath};

/// Most values that templates may use, lists and objects counted with what is in them: a single step of
/// a template may compare them all.
const MAX_VALUES: usize = 4096;
/// Most bytes of these values, written as JSON.
const MAX_VALUES_BYTES: usize = 64 << 10;

/// A folder of configuration files that are rendered from values and the device's facts. What else
/// lies in the folder is left alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigSet {
    /// Where the files lie.
    pub folder: TargetPath,
    /// What templates call `values`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
    /// The files; never empty.
    pub files: Vec<ConfigFile>,
}

/// One file of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigFile {
    /// Its own name, unique in the set: its resource is named after the Score and this.
    pub name: ResourceName,
    /// Where it lies below the folder.
    pub path: RelativePath,
    /// Its content, in the notation of Jinja.
    pub template: String,
    /// Its permissions.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// Its owner; the agent's own user when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Principal>,
    /// Its group; the agent's own group when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Principal>,
}

fn is_default(mode: &Mode) -> bool {
    *mode == Mode::default()
}

impl WireForm for ConfigSet {
    const NAME: &'static str = "ConfigSet";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        body.object(findings, Self::read_fields)
    }
}

impl ConfigSet {
    /// Reads its fields out of an object that may have more.
    pub(super) fn read_fields(fields: &mut ObjectReader<'_, '_>) -> Option<Self> {
        let folder = fields.required("folder", Field::parsed);
        let values = fields.optional("values", read_values).unwrap_or_default();
        let files = fields.required("files", |list, findings| read_files(list, folder.as_ref(), findings));
        Some(Self { folder: folder?, values, files: files? })
    }

    /// Declares the files, each as a child of the Score that is being interpreted, in the body of which the set is at
    /// the JSON pointer `place`. Returns the names of all.
    pub(super) fn declare<T: Files>(
        &self,
        topology: &mut T,
        place: &str,
    ) -> Result<Vec<ResourceName>, InterpretError> {
        let mut names = Vec::new();
        for (i, (file, content)) in self.files.iter().zip(self.render(topology, place)?).enumerate() {
            let pointer = pointer_to(&format!("{place}/files"), i);
            let child = Child { name: file.name.as_str(), pointer: &pointer, ..Child::default() };
            let file = file
                .rendered(&self.folder, content)
                .map_err(|error| InterpretError::invalid(&pointer_to(&pointer, "path"), error))?;
            names.extend(topology.interpret(&child, &file)?);
        }
        Ok(names)
    }

    /// The content of each file.
    fn render<T: Files>(&self, topology: &mut T, place: &str) -> Result<Vec<String>, InterpretError> {
        let templates: Vec<&str> = self.files.iter().map(|file| file.template.as_str()).collect();
        let (contents, work) =
            engine::render(&templates, &self.values, topology.facts(), topology.remaining_work());
        let spent = topology.spend(work);
        // A problem that can be named says more than that there is no work left to look for others.
        let contents = contents.map_err(|stopped| match (stopped, &spent) {
            (Stopped::Invalid(mut problems), _) => {
                problems.iter_mut().for_each(|problem| problem.pointer.insert_str(0, place));
                InterpretError::Invalid { problems }
            }
            (Stopped::OutOfWork, Err(error)) => error.clone(),
            (Stopped::OutOfWork, Ok(())) => InterpretError::TooMuchWork { limit: work },
        })?;
        spent.map(|()| contents)
    }
}

fn read_values(field: Field<'_>, findings: &mut Findings) -> Option<Map<String, Value>> {
    let Value::Object(values) = field.value else { return field.mistyped("an object", findings) };
    let count: usize = values.values().map(count_values).sum();
    let bytes = serde_json::to_vec(values).map_or(usize::MAX, |json| json.len());
    if count > MAX_VALUES || bytes > MAX_VALUES_BYTES {
        let message = format!(
            "{count} values in {bytes} bytes are more than a ConfigSet may have, {MAX_VALUES} in {MAX_VALUES_BYTES}; write \
             what is large into a File as it is"
        );
        findings.problem(field.pointer, message);
        return None;
    }
    Some(values.clone())
}

/// How many values there are in this one, itself included. Documents are nested only so deep.
fn count_values(value: &Value) -> usize {
    let within: usize = match value {
        Value::Array(items) => items.iter().map(count_values).sum(),
        Value::Object(fields) => fields.values().map(count_values).sum(),
        _ => 0,
    };
    1 + within
}

fn read_files(
    list: Field<'_>,
    folder: Option<&TargetPath>,
    findings: &mut Findings,
) -> Option<Vec<ConfigFile>> {
    let pointer = list.pointer.clone();
    if list.value.as_array().is_some_and(Vec::is_empty) {
        findings.problem(&pointer, "a ConfigSet has at least one file");
    }
    let mut names = BTreeMap::new();
    let length = list.value.as_array().map(Vec::len);
    let files = list.list(findings, |file, findings| {
        let pointer = file.pointer.clone();
        let file = ConfigFile::read(file, findings)?;
        if let Some(Err(error)) = folder.map(|folder| file.path.below(folder)) {
            findings.problem(pointer_to(&pointer, "path"), error.to_string());
        }
        match names.get(&file.name) {
            None => _ = names.insert(file.name.clone(), pointer),
            Some(first) => {
                let message = format!("{:?} is already the name of {first}", file.name.as_str());
                findings.problem(pointer_to(&pointer, "name"), message);
            }
        }
        Some(file)
    });
    // If one were left out, problems with those behind it would be told at the wrong place.
    files.filter(|files| length == Some(files.len()))
}

impl ConfigFile {
    fn read(file: Field<'_>, findings: &mut Findings) -> Option<Self> {
        file.object(findings, |fields| {
            let name = fields.required("name", Field::parsed);
            let path = fields.required("path", Field::parsed);
            let template =
                fields.required("template", |field, findings| field.text(findings).map(str::to_owned));
            let mode = fields.optional("mode", Mode::read).unwrap_or_default();
            let owner = fields.optional("owner", Principal::read);
            let group = fields.optional("group", Principal::read);
            Some(Self { name: name?, path: path?, template: template?, mode, owner, group })
        })
    }

    fn rendered(&self, folder: &TargetPath, content: String) -> Result<File, InvalidTargetPath> {
        let Self { name: _, path, template: _, mode, owner, group } = self;
        Ok(File(FileSpec {
            path: path.below(folder)?,
            content: content.into_bytes().into(),
            mode: *mode,
            owner: owner.clone(),
            group: group.clone(),
        }))
    }
}

impl<T: Files> Score<T> for ConfigSet {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Files> Interpret<T> for &ConfigSet {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        self.declare(topology, "").map(|_| ())
    }
}
