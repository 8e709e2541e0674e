//! Documents as authors write them: YAML or JSON files, several documents to a file, with
//! everything that a tool can fill in left out.

use agent_model::{AgentId, Digest, Generation, Problem, Timestamp};
use semver::Version;
use serde_json::{Map, Value, json};

use crate::{
    dispatcher::line_of,
    envelope::{Envelope, MAX_DOCUMENT_BYTES, Received, Refusal},
};

/// Most documents in one text.
const MAX_DOCUMENTS: usize = 10_000;

/// One document of a file, not yet complete.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthoredDocument {
    /// Where it comes from, for messages: a file's name, or `-`.
    pub source: String,
    /// Its place in the file, from 1.
    pub number: usize,
    fields: Map<String, Value>,
}

/// Why a text holds no documents.
#[derive(Debug, thiserror::Error)]
pub enum AuthoringError {
    /// Neither YAML nor JSON.
    #[error("{text_source}: {problem}")]
    Unreadable {
        /// Where the text comes from.
        text_source: String,
        /// What the parser says, with line and column.
        problem: String,
    },
    /// There is no document in it.
    #[error("{text_source}: holds no document")]
    Empty {
        /// Where the text comes from.
        text_source: String,
    },
    /// A document is something other than an object.
    #[error("{text_source}, document {number}: expected an object with apiVersion, kind, metadata and spec")]
    NoObject {
        /// Where the text comes from.
        text_source: String,
        /// Which document, from 1.
        number: usize,
    },
    /// More documents than anybody means to apply at once.
    #[error("{text_source}: holds more than {MAX_DOCUMENTS} documents; split it")]
    TooMany {
        /// Where the text comes from.
        text_source: String,
    },
}

/// What a tool fills in.
#[derive(Debug, Clone)]
pub struct Completion {
    /// For documents that name no schema version.
    pub schema_version: String,
    /// The document's place in the order of the agent's documents.
    pub generation: Generation,
    /// When it is made, unless the author said so.
    pub issued_at: Timestamp,
}

/// Reads YAML or JSON (which is YAML too). Empty documents between separators are passed over.
///
/// # Errors
/// The first thing that makes the text unreadable, with its place. Repeated keys are such a thing.
pub fn read_documents(text: &str, source: &str) -> Result<Vec<AuthoredDocument>, AuthoringError> {
    let options = serde_saphyr::options! {
        // `mode: 0644` means the text "0644" to everyone who writes it.
        leading_zero_numbers_as_strings: true,
        // `yes`, `on` and their like are texts, as in YAML 1.2.
        strict_booleans: true,
        budget: Some(budget(text.len())),
    };
    let text_source = || source.to_owned();
    let values: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        AuthoringError::Unreadable { text_source: text_source(), problem: error.to_string() }
    })?;
    if values.is_empty() {
        return Err(AuthoringError::Empty { text_source: text_source() });
    }
    if values.len() > MAX_DOCUMENTS {
        return Err(AuthoringError::TooMany { text_source: text_source() });
    }
    let document = |(i, value)| match value {
        Value::Object(fields) => Ok(AuthoredDocument { source: source.to_owned(), number: i + 1, fields }),
        _ => Err(AuthoringError::NoObject { text_source: text_source(), number: i + 1 }),
    };
    values.into_iter().enumerate().map(document).collect()
}

/// The parser's defaults, which bound what few bytes can be blown up to, with room for what a long
/// text holds by itself.
fn budget(length: usize) -> serde_saphyr::Budget {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_documents = MAX_DOCUMENTS + 1;
    budget.max_nodes = budget.max_nodes.max(length);
    budget.max_events = budget.max_events.max(2 * length);
    budget.max_total_scalar_bytes = budget.max_total_scalar_bytes.max(length);
    budget
}

impl AuthoredDocument {
    /// A document made by a program instead of read from a file.
    pub fn from_fields(source: impl Into<String>, fields: Map<String, Value>) -> Self {
        Self { source: source.into(), number: 1, fields }
    }

    /// The agent it is for.
    ///
    /// # Errors
    /// A problem with its place, when `metadata.name` is missing or no agent id.
    pub fn agent(&self) -> Result<AgentId, Problem> {
        let problem = |message: String| Problem { pointer: "/metadata/name".into(), message };
        match self.fields.get("metadata").and_then(|metadata| metadata.get("name")) {
            Some(Value::String(name)) => name.parse().map_err(|error| problem(format!("{error}"))),
            Some(_) => Err(problem("expected a string".into())),
            None => Err(problem("missing; it names the agent the document is for".into())),
        }
    }

    /// The kind of its spec, if it says one.
    pub fn kind(&self) -> Option<&str> {
        self.fields.get("kind")?.as_str()
    }

    /// Its spec, if it has one.
    pub fn spec(&self) -> Option<&Value> {
        self.fields.get("spec")
    }

    /// All of it, as its author wrote it.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The document without a generation of the author's, for a tool that counts by itself.
    #[must_use]
    pub fn without_generation(mut self) -> Self {
        if let Some(Value::Object(metadata)) = self.fields.get_mut("metadata") {
            metadata.remove("generation");
        }
        self
    }

    /// The document with that `minSchemaVersion`, unless its author wrote one.
    #[must_use]
    pub fn with_min_schema_version(mut self, version: &Version) -> Self {
        let written = self.fields.entry("minSchemaVersion").or_insert(Value::Null);
        if written.is_null() {
            *written = version.to_string().into();
        }
        self
    }

    /// The bytes of the envelope with everything filled in that the author left out, ready to be
    /// written.
    pub fn complete(&self, completion: &Completion) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.entry("schemaVersion").or_insert_with(|| completion.schema_version.clone().into());
        if let Value::Object(metadata) = fields.entry("metadata").or_insert_with(|| Map::new().into()) {
            metadata.entry("generation").or_insert_with(|| completion.generation.get().into());
            metadata.entry("issuedAt").or_insert_with(|| completion.issued_at.to_string().into());
        }
        Value::Object(fields).to_string().into_bytes()
    }

    /// What is wrong with the envelope, as every reader would judge it once it is complete.
    ///
    /// # Errors
    /// The refusal that a device would answer with.
    pub fn open(&self, completion: &Completion) -> Result<Envelope, Refusal> {
        Envelope::open(Received::read(&self.complete(completion)))
    }

    /// The digest of what the author means: the document without generation and time of issue, so
    /// that applying the same file again can be told from a change.
    pub fn intent_digest(&self, schema_version: &str) -> Digest {
        let completion = Completion {
            schema_version: schema_version.to_owned(),
            generation: Generation::FIRST,
            issued_at: Timestamp::UNIX_EPOCH,
        };
        intent_digest(&self.complete(&completion)).unwrap_or_else(|| Digest::of_bytes(&[]))
    }
}

/// The digest of what the author of a complete document meant, as
/// [`AuthoredDocument::intent_digest`]; `None` when it is no envelope.
///
/// Of the versions, only which readers suffice is meant, which is what is needed and the version line: a newer tool
/// fills in a newer `schemaVersion` of the same line, and that alone must not touch a fleet.
pub fn intent_digest(document: &[u8]) -> Option<Digest> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return None;
    }
    let mut value = crate::envelope::strict_json::parse(document).ok()?;
    let metadata = value.get_mut("metadata")?.as_object_mut()?;
    metadata.remove("generation");
    metadata.remove("issuedAt");
    let fields = value.as_object_mut()?;
    let written_against = fields.get("schemaVersion").cloned().unwrap_or_default();
    if let Some(version) = written_against.as_str().and_then(|version| Version::parse(version).ok()) {
        fields.insert("schemaVersion".to_owned(), json!(line_of(&version)));
    }
    let needed = fields.entry("minSchemaVersion").or_insert(Value::Null);
    if needed.is_null() {
        *needed = written_against;
    }
    Some(Digest::of_value("harmony/intent", &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
apiVersion: harmony/v1
kind: AgentManifest
metadata: {name: edge-1}
spec:
  resources:
    - {name: a, kind: File, spec: {path: /a, content: yes, mode: 0644}}
---
---
{\"apiVersion\": \"harmony/v1\", \"kind\": \"AgentManifest\", \"metadata\": {\"name\": \"edge-2\"}, \"spec\": {}}
";

    fn completion(generation: u64) -> Completion {
        Completion {
            schema_version: "1.0.0".into(),
            generation: generation.try_into().unwrap(),
            issued_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn yaml_and_json_documents_are_read_from_one_file_and_completed() {
        let documents = read_documents(FILE, "f.yaml").unwrap();
        assert_eq!(documents.len(), 2);
        let envelope = documents[0].open(&completion(3)).unwrap();
        assert_eq!(envelope.metadata.generation.get(), 3);
        let spec = &envelope.spec.unwrap()["resources"][0]["spec"];
        assert_eq!((&spec["mode"], &spec["content"]), (&"0644".into(), &"yes".into()));
        assert_eq!(documents[1].agent().unwrap().as_str(), "edge-2");
    }

    #[test]
    fn a_text_may_hold_the_documents_of_a_large_fleet_and_no_more() {
        let document = |i: usize| {
            format!("{{kind: A, metadata: {{name: edge-{i}}}, spec: {{a: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}}}")
        };
        let text = |count| (0..count).map(document).collect::<Vec<_>>().join("\n---\n");
        assert_eq!(read_documents(&text(MAX_DOCUMENTS), "f").unwrap().len(), MAX_DOCUMENTS);
        let error = read_documents(&text(MAX_DOCUMENTS + 1), "f").unwrap_err();
        assert!(matches!(error, AuthoringError::TooMany { .. }), "{error}");
    }

    #[test]
    fn few_bytes_cannot_be_blown_up() {
        let levels = (1..9).map(|i| format!("a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(", ")));
        let bomb: Vec<String> = ["a0: &a0 [x, x]".to_owned()].into_iter().chain(levels).collect();
        assert!(matches!(read_documents(&bomb.join("\n"), "f"), Err(AuthoringError::Unreadable { .. })));
    }

    #[test]
    fn unreadable_texts_name_their_source_and_the_place() {
        for (text, part) in [
            ("a: 1\na: 2\n", "f.yaml"),
            ("a: [1", "f.yaml"),
            ("", "holds no document"),
            ("- 1\n", "document 1: expected an object"),
        ] {
            let message = read_documents(text, "f.yaml").unwrap_err().to_string();
            assert!(message.contains(part), "{message:?} does not contain {part:?}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 9].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(matches!(read_documents(&bomb, "f.yaml"), Err(AuthoringError::Unreadable { .. })));
    }

    #[test]
    fn what_the_author_means_does_not_change_with_generation_or_time_of_issue() {
        let document = &read_documents(FILE, "f.yaml").unwrap()[0];
        let later = Completion { issued_at: Timestamp::now(), ..completion(9) };
        assert_eq!(intent_digest(&document.complete(&later)), Some(document.intent_digest("1.0.0")));
        assert_eq!(intent_digest(b"{}"), None);
    }

    #[test]
    fn of_the_versions_only_which_readers_suffice_is_meant() {
        let intent = |versions: &str| {
            let text = format!("{{kind: A, metadata: {{name: edge-1}}, spec: {{}}, {versions}}}");
            read_documents(&text, "f").unwrap()[0].intent_digest("1.1.0")
        };
        let plain = intent("schemaVersion: 1.0.0");
        assert_eq!(plain, intent("schemaVersion: 1.0.0, minSchemaVersion: 1.0.0"));
        assert_eq!(plain, intent("schemaVersion: 1.1.0, minSchemaVersion: 1.0.0"));
        assert_eq!(plain, intent("minSchemaVersion: 1.0.0"), "filled in");
        assert_ne!(plain, intent("minSchemaVersion: null"), "1.1.0 is needed");
        assert_ne!(plain, intent("schemaVersion: 1.1.0, minSchemaVersion: 1.1.0"));
        assert_ne!(
            plain,
            intent("schemaVersion: 2.0.0, minSchemaVersion: 1.0.0"),
            "no reader of 1.x suffices"
        );
        let below_one = |written: &str| intent(&format!("schemaVersion: {written}, minSchemaVersion: 0.1.0"));
        assert_eq!(below_one("0.1.0"), below_one("0.1.7"));
        assert_ne!(below_one("0.1.0"), below_one("0.2.0"));
    }

    #[test]
    fn what_the_author_says_about_the_readers_that_suffice_is_kept() {
        let min = |written: &str| {
            let text = format!("{{kind: A, metadata: {{name: edge-1}}, {written}}}");
            let document = read_documents(&text, "f").unwrap().remove(0);
            document.with_min_schema_version(&Version::new(1, 0, 0)).fields()["minSchemaVersion"].clone()
        };
        assert_eq!((min("spec: {}"), min("minSchemaVersion: null")), ("1.0.0".into(), "1.0.0".into()));
        assert_eq!(min("minSchemaVersion: 1.2.0"), "1.2.0");
    }
}
