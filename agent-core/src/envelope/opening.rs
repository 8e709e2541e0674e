//! From raw bytes to an envelope whose parts are typed.

use std::collections::BTreeMap;

use agent_model::{
    Digest, Generation, RefusalReason, Timestamp, did_you_mean, json_type, status::API_VERSION,
};
use semver::Version;
use serde_json::{Map, Value};

use super::{MAX_DOCUMENT_BYTES, MAX_ENTRY_BYTES, Refusal, strict_json};
use crate::{
    expiry::Present,
    signing::{KeyId, Sealed, Trust},
};

const ENVELOPE_KEYS: &[&str] =
    &["apiVersion", "kind", "schemaVersion", "minSchemaVersion", "metadata", "spec"];
const METADATA_KEYS: &[&str] = &["name", "generation", "issuedAt", "expiresAt", "labels", "annotations"];
/// Longest piece of the document that is repeated in the status.
const MAX_GLANCE_CHARS: usize = 80;

/// A document as it arrived: what can be said of it even if it is refused.
#[derive(Debug, Clone)]
pub struct Received {
    /// SHA-256 of the decoded envelope bytes. The content of a document is this, so that signing
    /// it again makes no new content.
    pub digest: Digest,
    /// What can be read of it, for the status.
    pub glance: Glance,
    /// Whose signature was verified.
    pub signer: Option<KeyId>,
    value: Result<Value, Refusal>,
}

/// The few values of a document that the status repeats, each `None` where it cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// `metadata.generation`.
    pub generation: Option<Generation>,
    /// `kind`.
    pub kind: Option<String>,
    /// `schemaVersion`.
    pub schema_version: Option<String>,
}

/// An opened envelope; its `spec` is not read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Which format the spec is in.
    pub kind: String,
    /// What the author wrote against.
    pub schema_version: Version,
    /// The oldest reader that understands every field used.
    pub min_schema_version: Version,
    /// Whose document it is, and which of them.
    pub metadata: Metadata,
    /// What the format reads; `None` when missing.
    pub spec: Option<Value>,
    /// SHA-256 of the envelope's bytes.
    pub digest: Digest,
}

/// Whose document it is, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The agent it is for, as written: whether it is an agent id at all shows in the comparison.
    pub name: String,
    /// Its place in the order of this agent's documents.
    pub generation: Generation,
    /// When it was made.
    pub issued_at: Option<Timestamp>,
    /// From when on it is no longer accepted anew.
    pub expires_at: Option<Timestamp>,
    /// For selecting.
    pub labels: BTreeMap<String, String>,
    /// For everything else.
    pub annotations: BTreeMap<String, String>,
}

impl Received {
    /// Checks size, UTF-8 and JSON, and looks at no signature: for whoever only wants to know what a document says.
    /// Never fails: what is wrong comes out of [`Envelope::open`], so that even an unreadable document has a digest
    /// for the status.
    pub fn read(raw: &[u8]) -> Self {
        Self::of(raw, |_| Ok(None))
    }

    /// Checks size, UTF-8 and JSON, and the signature. What is sealed is parsed only when its signature is one of a
    /// key that is trusted now.
    pub fn judge(raw: &[u8], trust: &Trust, present: Present) -> Self {
        Self::of(raw, |sealed| match sealed {
            Some(sealed) => trust.judge(sealed, present),
            None => trust.judge_plain().map(|()| None),
        })
    }

    fn of(raw: &[u8], judge: impl Fn(Option<&Sealed>) -> Result<Option<KeyId>, Refusal>) -> Self {
        let unreadable = |refusal| Self {
            digest: Digest::of_bytes(raw),
            glance: Glance::default(),
            signer: None,
            value: Err(refusal),
        };
        let value = match parse(raw, MAX_ENTRY_BYTES) {
            Ok(value) => value,
            Err(refusal) => return unreadable(refusal),
        };
        let Some(fields) = value.as_object().filter(|fields| Sealed::is_meant(fields)) else {
            if raw.len() > MAX_DOCUMENT_BYTES {
                return unreadable(too_long(raw));
            }
            let (digest, glance) = (Digest::of_bytes(raw), Glance::at(&value));
            return Self { digest, glance, signer: None, value: judge(None).and_then(|_| object(value)) };
        };
        let sealed = match Sealed::read(fields) {
            Ok(sealed) => sealed,
            Err(problem) => return unreadable(Refusal::malformed(problem)),
        };
        let digest = Digest::of_bytes(sealed.payload());
        let signer = match judge(Some(&sealed)) {
            Ok(signer) => signer,
            Err(refusal) => return Self { digest, ..unreadable(refusal) },
        };
        let value = parse(sealed.payload(), MAX_DOCUMENT_BYTES).and_then(object);
        let glance = value.as_ref().map(Glance::at).unwrap_or_default();
        Self { digest, glance, signer, value }
    }
}

impl Sealed {
    /// What lies sealed in the bucket; `None` where it is plain, or nothing that can be read.
    pub fn in_entry(raw: &[u8]) -> Option<Self> {
        let value = parse(raw, MAX_ENTRY_BYTES).ok()?;
        let fields = value.as_object().filter(|fields| Self::is_meant(fields))?;
        Self::read(fields).ok()
    }
}

fn parse(raw: &[u8], most: usize) -> Result<Value, Refusal> {
    if raw.len() > most {
        return Err(too_long(raw));
    }
    if raw.is_empty() {
        return Err(Refusal::malformed(
            "the entry is empty; to remove everything write a document with \"resources\": []",
        ));
    }
    strict_json::parse(raw).map_err(|error| Refusal::malformed(error.to_string()))
}

fn object(value: Value) -> Result<Value, Refusal> {
    if value.is_object() {
        return Ok(value);
    }
    Err(Refusal::malformed(format!("the document is {}; expected an object", json_type(&value))))
}

fn too_long(raw: &[u8]) -> Refusal {
    Refusal::malformed(format!("the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are read", raw.len()))
}

impl Glance {
    fn at(value: &Value) -> Self {
        let text =
            |key: &str| value.get(key)?.as_str().map(|text| text.chars().take(MAX_GLANCE_CHARS).collect());
        let generation = value.pointer("/metadata/generation").and_then(Value::as_u64);
        Self {
            generation: generation.and_then(|number| Generation::try_from(number).ok()),
            kind: text("kind"),
            schema_version: text("schemaVersion"),
        }
    }
}

impl Envelope {
    /// Opens what was received: `apiVersion` first, then every key outside of `spec`.
    ///
    /// # Errors
    /// `Malformed` or `UnsupportedEnvelope`, with the place and what would be right there.
    pub fn open(received: Received) -> Result<Self, Refusal> {
        let Value::Object(mut fields) = received.value? else {
            return Err(Refusal::malformed("the document is no object"));
        };
        check_api_version(&fields)?;
        refuse_unknown_keys("", &fields, ENVELOPE_KEYS)?;
        let kind = required_text("", &fields, "kind")?;
        let schema_version = required_version(&fields, "schemaVersion")?;
        let min_schema_version = match fields.get("minSchemaVersion") {
            None | Some(Value::Null) => schema_version.clone(),
            Some(_) => required_version(&fields, "minSchemaVersion")?,
        };
        let metadata = match fields.get("metadata") {
            Some(Value::Object(metadata)) => Metadata::open(metadata)?,
            Some(other) => return Err(mistyped("/metadata", "an object", other)),
            None => return Err(missing("/metadata")),
        };
        Ok(Self {
            kind,
            schema_version,
            min_schema_version,
            metadata,
            spec: fields.remove("spec"),
            digest: received.digest,
        })
    }
}

impl Metadata {
    fn open(fields: &Map<String, Value>) -> Result<Self, Refusal> {
        refuse_unknown_keys("/metadata", fields, METADATA_KEYS)?;
        Ok(Self {
            name: required_text("/metadata", fields, "name")?,
            generation: generation(fields)?,
            issued_at: optional_time(fields, "issuedAt")?,
            expires_at: optional_time(fields, "expiresAt")?,
            labels: optional_texts(fields, "labels")?,
            annotations: optional_texts(fields, "annotations")?,
        })
    }
}

fn check_api_version(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let unsupported = |message: String| Err(Refusal::new(RefusalReason::UnsupportedEnvelope, message));
    match fields.get("apiVersion") {
        Some(Value::String(version)) if version == API_VERSION => Ok(()),
        Some(other) => {
            let found: String = other.to_string().chars().take(MAX_GLANCE_CHARS).collect();
            unsupported(format!("apiVersion is {found}; this agent reads \"{API_VERSION}\""))
        }
        None if fields.contains_key("command") => unsupported(
            "a bare command is no document any more; `harmonyctl convert --from LegacyCommand` makes a manifest of it"
                .to_owned(),
        ),
        None => unsupported(format!("apiVersion is missing; this agent reads \"{API_VERSION}\"")),
    }
}

fn refuse_unknown_keys(parent: &str, fields: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key: String = key.chars().take(MAX_GLANCE_CHARS).collect();
            let place = agent_model::pointer_to(parent, &key);
            Err(Refusal::malformed(format!("{place}: unknown key; {}", did_you_mean(&key, known))))
        }
    }
}

fn required_text(parent: &str, fields: &Map<String, Value>, key: &str) -> Result<String, Refusal> {
    let place = agent_model::pointer_to(parent, key);
    match fields.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(Refusal::malformed(format!("{place}: must not be empty"))),
        Some(other) => Err(mistyped(&place, "a string", other)),
        None => Err(missing(&place)),
    }
}

fn required_version(fields: &Map<String, Value>, key: &str) -> Result<Version, Refusal> {
    let text = required_text("", fields, key)?;
    Version::parse(&text)
        .map_err(|error| Refusal::malformed(format!("/{key}: not a semantic version like 1.0.0: {error}")))
}

fn generation(fields: &Map<String, Value>) -> Result<Generation, Refusal> {
    let place = "/metadata/generation";
    match fields.get("generation") {
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|number| number.try_into().ok()).ok_or_else(|| {
                Refusal::malformed(format!(
                    "{place}: {number} is not a generation; use a whole number from 1 to {}",
                    Generation::MAX
                ))
            })
        }
        Some(other) => Err(mistyped(place, "a number", other)),
        None => Err(missing(place)),
    }
}

fn optional_time(fields: &Map<String, Value>, key: &str) -> Result<Option<Timestamp>, Refusal> {
    let place = agent_model::pointer_to("/metadata", key);
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|error| Refusal::malformed(format!("{place}: {error}")))
        }
        Some(other) => Err(mistyped(&place, "a time in a string", other)),
    }
}

fn optional_texts(fields: &Map<String, Value>, key: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let place = agent_model::pointer_to("/metadata", key);
    match fields.get(key) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => entries
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                other => Err(mistyped(&agent_model::pointer_to(&place, name), "a string", other)),
            })
            .collect(),
        Some(other) => Err(mistyped(&place, "an object", other)),
    }
}

fn mistyped(place: &str, expected: &str, found: &Value) -> Refusal {
    Refusal::malformed(format!("{place}: expected {expected}, found {}", json_type(found)))
}

fn missing(place: &str) -> Refusal {
    Refusal::malformed(format!("{place}: missing"))
}
