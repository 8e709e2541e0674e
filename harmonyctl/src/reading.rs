//! Documents from files.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use agent_core::authoring::{AuthoredDocument, AuthoringError};
use agent_model::{AgentId, Problem};
use serde_json::Value;

use crate::{
    failure::Failure,
    manifest::{Broken, Manifest},
    yaml_words::documents_of,
};

/// Most bytes that are read of one file: thousands of documents.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// What was read, good and bad.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Every document, in the order of the files.
    pub(crate) documents: Vec<Result<Manifest, Broken>>,
    /// Files that hold no documents.
    pub(crate) unreadable: Vec<AuthoringError>,
}

/// Reads and checks all documents of these files and folders; `-` is stdin.
///
/// # Errors
/// A file that cannot be read at all. Everything about the documents themselves is in the reading.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    for path in paths {
        for file in files_of(path)? {
            reading.take_in(&text_of(&file)?, &name_of(&file));
        }
    }
    reading.refuse_repeated_agents();
    Ok(reading)
}

impl Reading {
    /// Whether every document can be written.
    pub(crate) fn is_valid(&self) -> bool {
        self.unreadable.is_empty() && self.documents.iter().all(Result::is_ok)
    }

    /// All that is wrong, a line for each problem.
    pub(crate) fn problems(&self) -> Vec<String> {
        let unreadable = self.unreadable.iter().map(ToString::to_string);
        let broken = self.documents.iter().filter_map(|document| document.as_ref().err());
        let broken = broken.flat_map(|broken| {
            broken.problems.iter().map(|problem| format!("{}: {problem}", broken.place)).collect::<Vec<_>>()
        });
        unreadable.chain(broken).collect()
    }

    /// The documents, when all are valid.
    ///
    /// # Errors
    /// A summary; the problems themselves come from [`problems`](Self::problems).
    pub(crate) fn into_manifests(self) -> Result<Vec<Manifest>, Failure> {
        let broken =
            self.unreadable.len() + self.documents.iter().filter(|document| document.is_err()).count();
        let manifests: Vec<Manifest> = self.documents.into_iter().filter_map(Result::ok).collect();
        if broken > 0 {
            let valid = manifests.len();
            return Err(Failure::InvalidDocuments(format!("{broken} invalid, {valid} valid")));
        }
        Ok(manifests)
    }

    /// Takes in the documents of a text.
    pub(crate) fn take_in(&mut self, text: &str, source: &str) {
        match documents_of(text, source) {
            Ok(documents) => {
                self.documents.extend(documents.into_iter().flat_map(items_of_list).map(Manifest::check));
            }
            Err(error) => self.unreadable.push(error),
        }
    }

    /// Two documents for one device in one call: the second would undo the first.
    pub(crate) fn refuse_repeated_agents(&mut self) {
        let mut seen: Vec<(AgentId, String)> = Vec::new();
        for document in &mut self.documents {
            let Ok(manifest) = document else { continue };
            match seen.iter().find(|(agent, _)| *agent == manifest.agent) {
                None => seen.push((manifest.agent.clone(), manifest.place())),
                Some((agent, first)) => {
                    let message = format!("{agent} has a document already, in {first}; a device has one");
                    *document = Err(Broken {
                        place: manifest.place(),
                        problems: vec![Problem { pointer: "/metadata/name".into(), message }],
                    });
                }
            }
        }
    }
}

/// The documents of a `List`, as `convert -o json` prints several; any other document is itself.
pub(crate) fn items_of_list(document: AuthoredDocument) -> Vec<AuthoredDocument> {
    let items = document.fields().get("items").and_then(Value::as_array);
    let Some(items) = items.filter(|_| document.kind() == Some("List")) else { return vec![document] };
    let source = format!("{}, list {}", document.source, document.number);
    let item = |(i, item): (usize, &Value)| {
        let fields = item.as_object().cloned().unwrap_or_default();
        let mut item = AuthoredDocument::from_fields(source.clone(), fields);
        item.number = i + 1;
        item
    };
    items.iter().enumerate().map(item).collect()
}

/// The files that a path stands for: itself, or those of a folder.
pub(crate) fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    if path == Path::new("-") || !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_manifest = file
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"));
        // A link that leads nowhere is an error and not a document less.
        if is_manifest && !file.is_dir() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Failure::Usage(format!("{} holds no *.yaml, *.yml or *.json", path.display())));
    }
    files.sort();
    Ok(files)
}

/// What to call a file in a message.
pub(crate) fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// What is in a file, or comes from stdin for `-`.
pub(crate) fn text_of(path: &Path) -> Result<String, Failure> {
    let read = || {
        let mut text = String::new();
        let source: &mut dyn io::Read =
            if path == Path::new("-") { &mut io::stdin().lock() } else { &mut fs::File::open(path)? };
        source.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other("it has more than 64 MiB; split it"));
        }
        Ok(text)
    };
    read().map_err(|source| Failure::File { path: path.to_owned(), source })
}
