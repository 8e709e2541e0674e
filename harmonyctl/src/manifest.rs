//! Documents from files: reading them, and everything that can be found wrong with them without a
//! server.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use agent_core::{
    authoring::{AuthoredDocument, AuthoringError, Completion, read_documents},
    dispatcher::{Formats, choose_reader},
    envelope::{Envelope, strict_json},
};
use agent_manifest_v1::{AgentManifestV1, KIND};
use agent_model::{
    AgentId, DeviceFacts, Generation, ManifestFormat as _, Problem, RefusalReason, SpecDocument, Timestamp,
    UnknownKeys, status::AgentStatus,
};
use semver::Version;

use crate::failure::Failure;

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

/// A document that a device can accept, as far as can be told from here.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) agent: AgentId,
    pub(crate) document: AuthoredDocument,
    pub(crate) envelope: Envelope,
    schema_version: String,
}

/// A document that no device could accept.
#[derive(Debug)]
pub(crate) struct Broken {
    /// File, number and, where it can be read, the device.
    pub(crate) place: String,
    /// Everything that is wrong; never empty.
    pub(crate) problems: Vec<Problem>,
}

/// Reads and checks all documents of these files and folders; `-` is stdin.
///
/// # Errors
/// A file that cannot be read at all. Everything about the documents themselves is in the reading.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    for path in paths {
        for file in files_of(path)? {
            match read_documents(&text_of(&file)?, &file.display().to_string()) {
                Ok(documents) => reading.documents.extend(documents.into_iter().map(Manifest::check)),
                Err(error) => reading.unreadable.push(error),
            }
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

    /// Two documents for one device in one call: the second would undo the first.
    fn refuse_repeated_agents(&mut self) {
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

impl Manifest {
    /// Checks a document as a device would, collecting all problems instead of the first.
    ///
    /// # Errors
    /// The problems.
    pub(crate) fn check(document: AuthoredDocument) -> Result<Self, Broken> {
        let schema_version = newest_schema_version().to_string();
        let agent = document.agent();
        let envelope = document.open(&completion(&schema_version, Generation::FIRST, Timestamp::UNIX_EPOCH));
        let mut problems: Vec<Problem> = agent.as_ref().err().cloned().into_iter().collect();
        match &envelope {
            Ok(envelope) => problems.extend(problems_of(envelope)),
            Err(refusal) => {
                let problem = placed(&refusal.message);
                if !problems.iter().any(|known| known.pointer == problem.pointer) {
                    problems.push(problem);
                }
                // A device would stop here; an author wants to know about the spec as well.
                let bytes =
                    document.complete(&completion(&schema_version, Generation::FIRST, Timestamp::UNIX_EPOCH));
                let value = strict_json::parse(&bytes).unwrap_or_default();
                if value["kind"] == KIND
                    && let Some(spec) = value.get("spec")
                {
                    problems.extend(spec_problems(spec, &newest_schema_version()));
                }
            }
        }
        match (agent, envelope) {
            (Ok(agent), Ok(envelope)) if problems.is_empty() => {
                // The platform counts the generations itself.
                Ok(Self { agent, document: document.without_generation(), envelope, schema_version })
            }
            (agent, _) => Err(Broken { place: place(&document, agent.ok().as_ref()), problems }),
        }
    }

    /// File, number and device, for messages.
    pub(crate) fn place(&self) -> String {
        place(&self.document, Some(&self.agent))
    }

    /// The digest by which the same document is recognised.
    pub(crate) fn intent(&self) -> agent_model::Digest {
        self.document.intent_digest(&self.schema_version)
    }

    /// The bytes to write.
    pub(crate) fn complete(&self, generation: Generation, issued_at: Timestamp) -> Vec<u8> {
        self.document.complete(&completion(&self.schema_version, generation, issued_at))
    }

    /// What the device says it cannot read, if it has said anything.
    pub(crate) fn not_supported_by(&self, status: &AgentStatus) -> Option<String> {
        let formats = &status.agent_info.formats;
        let Some(versions) = formats.get(&self.envelope.kind) else {
            let kinds: Vec<&str> = formats.keys().map(String::as_str).collect();
            return Some(format!("the device reads no {}, only {}", self.envelope.kind, kinds.join(", ")));
        };
        let versions: Vec<Version> = versions.iter().filter_map(|version| version.parse().ok()).collect();
        choose_reader(&versions, &self.envelope).err()
    }
}

fn completion(schema_version: &str, generation: Generation, issued_at: Timestamp) -> Completion {
    Completion { schema_version: schema_version.to_owned(), generation, issued_at }
}

fn place(document: &AuthoredDocument, agent: Option<&AgentId>) -> String {
    let agent = agent.map(|agent| format!(" (agent/{agent})")).unwrap_or_default();
    format!("{}, document {}{agent}", document.source, document.number)
}

/// What documents are written against that do not say.
fn newest_schema_version() -> Version {
    AgentManifestV1.schema_versions().pop().unwrap_or(Version::new(1, 0, 0))
}

/// What the dispatcher finds wrong: kind, schema version, spec.
fn problems_of(envelope: &Envelope) -> Vec<Problem> {
    let formats = Formats::none().with(AgentManifestV1);
    let Err(refusal) = formats.lower(envelope, &DeviceFacts::new()) else { return Vec::new() };
    let at = |pointer: &str, message| vec![Problem { pointer: pointer.to_owned(), message }];
    match (refusal.reason, &envelope.spec) {
        (RefusalReason::UnsupportedKind, _) => at("/kind", refusal.message),
        (RefusalReason::UnsupportedSchema, _) => at("/schemaVersion", refusal.message),
        // The refusal holds all problems in one text; the format itself tells them apart.
        (_, Some(spec)) => spec_problems(spec, &envelope.schema_version),
        (_, None) => vec![placed(&refusal.message)],
    }
}

fn spec_problems(spec: &serde_json::Value, schema_version: &Version) -> Vec<Problem> {
    let unknown_keys = if *schema_version > newest_schema_version() {
        UnknownKeys::AreIgnored
    } else {
        UnknownKeys::AreProblems
    };
    let facts = DeviceFacts::new();
    let document = SpecDocument { spec, schema_version, unknown_keys, facts: &facts };
    AgentManifestV1.lower(&document).err().map(|invalid| invalid.problems).unwrap_or_default()
}

/// A refusal's message begins with the place where there is one.
fn placed(message: &str) -> Problem {
    match message.split_once(": ") {
        Some((pointer, rest)) if pointer.starts_with('/') => {
            Problem { pointer: pointer.to_owned(), message: rest.to_owned() }
        }
        _ => Problem { pointer: String::new(), message: message.to_owned() },
    }
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
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
        if is_manifest && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Failure::Usage(format!("{} holds no *.yaml, *.yml or *.json", path.display())));
    }
    files.sort();
    Ok(files)
}

fn text_of(path: &Path) -> Result<String, Failure> {
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

#[cfg(test)]
mod tests;
