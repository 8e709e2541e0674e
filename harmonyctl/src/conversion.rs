//! From a document of any known format to the `Score` document that asks for the very same.
//!
//! ```text
//! document ──lower──▶ DesiredState ──express──▶ Score document ──lower──▶ DesiredState
//!                          └────────────── must be the same ──────────────────┘
//! ```

use std::time::Duration;

use agent_core::{
    authoring::{AuthoredDocument, Completion},
    envelope::MAX_DOCUMENT_BYTES,
};
use agent_model::{DeviceFacts, Generation, Problem, Timestamp, status::API_VERSION};
use agent_score_bridge::{KIND, express};
use serde_json::{Map, Value, json};

use crate::{formats, manifest::Manifest};

/// What `apply` fills in anew each time.
const FILLED_IN: [&str; 2] = ["generation", "issuedAt"];

/// The document as Scores, for a device with these facts. One that consists of Scores already is
/// left as it is.
///
/// # Errors
/// Why it cannot be converted without loss.
pub(crate) fn to_scores(manifest: &Manifest, facts: &DeviceFacts) -> Result<Manifest, Vec<Problem>> {
    if manifest.envelope.kind == KIND {
        let same = document(manifest, manifest.document.fields().clone());
        return Manifest::check_as_it_is(same, facts.clone()).map_err(|broken| broken.problems);
    }
    let lowered = manifest.lower(facts)?;
    if !lowered.ignored.is_empty() {
        return Err(lowered.ignored.into_iter().map(lost).collect());
    }
    let spec = express(&lowered.state).and_then(serde_json::to_value);
    let spec = spec.map_err(|error| whole(format!("it cannot be written as Scores: {error}")))?;
    let metadata = manifest.document.fields().get("metadata").cloned().unwrap_or_default();
    let fields =
        [("apiVersion", json!(API_VERSION)), ("kind", json!(KIND)), ("metadata", metadata), ("spec", spec)];
    let converted =
        document(manifest, fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect());
    refuse_too_large(&manifest.document, &converted)?;
    let converted = Manifest::check_with(converted, facts.clone()).map_err(|broken| broken.problems)?;
    let again = converted.lower(facts)?.state;
    if again.digest() != lowered.state.digest() {
        let first = lowered.state.differences(&again).into_iter().next();
        return Err(whole(format!("its conversion would ask for something else, first of all {first:?}")));
    }
    Ok(converted)
}

/// A document in the place of the original, with metadata as its author meant it: without what
/// `apply` fills in, and without what is null.
fn document(original: &Manifest, mut fields: Map<String, Value>) -> AuthoredDocument {
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|key, value| !FILLED_IN.contains(&key.as_str()) && !value.is_null());
    }
    let AuthoredDocument { source, number, .. } = &original.document;
    let mut document = AuthoredDocument::from_fields(source.clone(), fields);
    document.number = *number;
    document
}

fn refuse_too_large(original: &AuthoredDocument, converted: &AuthoredDocument) -> Result<(), Vec<Problem>> {
    let completion = Completion {
        schema_version: formats::known()
            .newest_schema_version(KIND)
            .map(|version| version.to_string())
            .unwrap_or_default(),
        // Both are as long as any that will be filled in.
        generation: Generation::MAX,
        issued_at: Timestamp::UNIX_EPOCH.saturating_add(Duration::from_millis(1)),
    };
    let size = converted.complete(&completion).len();
    if size <= MAX_DOCUMENT_BYTES {
        return Ok(());
    }
    Err(whole(format!(
        "its conversion would have {size} bytes, more than the {MAX_DOCUMENT_BYTES} that a device reads; it has {} \
         itself",
        original.complete(&completion).len()
    )))
}

fn lost(pointer: String) -> Problem {
    let message = "this harmonyctl does not know the key, so that the conversion would lose it: use a newer one, or \
                   remove the key";
    Problem { pointer, message: message.to_owned() }
}

fn whole(message: String) -> Vec<Problem> {
    vec![Problem { pointer: String::new(), message }]
}

#[cfg(test)]
mod tests;
