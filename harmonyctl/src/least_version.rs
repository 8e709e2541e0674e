//! The oldest schema version that suffices for a document.
//!
//! A field came with the first version whose schema has it. Schemas of released versions never change, so nothing
//! has to be noted beside the fields, and it holds for new values, bounds and forms of old fields as well: a version
//! suffices when its schema accepts what the document says. ADR 038 tells more.

use std::sync::LazyLock;

use agent_core::dispatcher::are_of_one_line;
use agent_model::pointer_to;
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use semver::Version;
use serde_json::{Map, Value};

use crate::{formats, schemas};

/// What a format's versions are judged by.
const SPEC: &str = "/spec";
/// Most places that are named in a message.
const MAX_PLACES: usize = 5;

/// The schemas of one kind.
#[derive(Debug)]
pub(crate) struct Versions {
    kind: &'static str,
    /// Oldest first.
    schemas: Vec<(Version, Validator)>,
}

/// Those that this program knows.
static KNOWN: LazyLock<Vec<Versions>> = LazyLock::new(|| {
    let of_kind = |(kind, _)| {
        Versions::of(
            kind,
            schemas::all().filter(|schema| schema.kind == kind).map(|schema| (schema.version, schema.text)),
        )
    };
    formats::SCHEMAS.into_iter().map(of_kind).collect()
});

/// The versions of a kind, if it is known here.
pub(crate) fn of_kind(kind: &str) -> Option<&'static Versions> {
    KNOWN.iter().find(|versions| versions.kind == kind)
}

impl Versions {
    /// The versions with these schemas, oldest first. Those that are no schemas are left out.
    fn of<'a>(kind: &'static str, schemas: impl IntoIterator<Item = (&'a Version, &'a str)>) -> Self {
        let compiled = |(version, text): (&Version, &str)| {
            let schema = serde_json::from_str(text).ok()?;
            Some((version.clone(), jsonschema::validator_for(&schema).ok()?))
        };
        Self { kind, schemas: schemas.into_iter().filter_map(compiled).collect() }
    }

    /// The oldest version that suffices for a document written against that version; `None` when no known one does,
    /// as where the author knows a newer one.
    pub(crate) fn least(&self, written: &Version, document: &Map<String, Value>) -> Option<Version> {
        let document = spec_of(document);
        let accepts = |schema: &Validator| !schema.iter_errors(&document).any(|error| is_of_spec(&error));
        self.line(written).find(|(_, schema)| accepts(schema)).map(|(version, _)| version.clone())
    }

    /// Why readers from version `said` on do not suffice for a document, when `least` is the oldest version that does.
    pub(crate) fn too_low(
        &self,
        said: &Version,
        least: &Version,
        document: &Map<String, Value>,
    ) -> Option<String> {
        let (version, schema) = self.line(least).find(|(version, _)| said <= version && version < least)?;
        let document = spec_of(document);
        let mut places = Vec::new();
        for error in schema.iter_errors(&document).filter(is_of_spec) {
            note_places(&error, &mut places);
        }
        places.truncate(MAX_PLACES);
        Some(format!(
            "{said} is too low: {} {version} does not know {}; write {least}, or leave it out and it is filled in",
            self.kind,
            places.join(", ")
        ))
    }

    fn line(&self, of: &Version) -> impl Iterator<Item = &(Version, Validator)> {
        self.schemas.iter().filter(move |(version, _)| are_of_one_line(version, of))
    }
}

/// The spec alone: the envelope has a version of its own.
fn spec_of(document: &Map<String, Value>) -> Value {
    document
        .get("spec")
        .map(|spec| Map::from_iter([("spec".to_owned(), spec.clone())]))
        .unwrap_or_default()
        .into()
}

fn is_of_spec(error: &ValidationError<'_>) -> bool {
    error.instance_path().as_str().starts_with(SPEC)
}

/// Notes what of the document a schema does not know, as JSON pointers, each once.
fn note_places(error: &ValidationError<'_>, places: &mut Vec<String>) {
    let at = error.instance_path().as_str();
    let mut note = |place: String| {
        if !places.contains(&place) {
            places.push(place);
        }
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().for_each(|key| note(pointer_to(at, key)));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let meant =
                context.iter().filter(|errors| !errors.iter().any(|error| is_another_form(error, at)));
            match meant.min_by_key(|errors| errors.len()) {
                Some(errors) => errors.iter().for_each(|error| note_places(error, places)),
                None => note(form(context, at)),
            }
        }
        _ => note(at.to_owned()),
    }
}

/// Whether the error only says that something else is meant than this alternative: its type, or the word that tells
/// the alternatives apart, is another.
fn is_another_form(error: &ValidationError<'_>, at: &str) -> bool {
    let within = error.instance_path().as_str().strip_prefix(at).unwrap_or_default();
    match error.kind() {
        ValidationErrorKind::Type { .. } => within.is_empty(),
        ValidationErrorKind::Constant { .. } => within.matches('/').count() <= 1,
        _ => false,
    }
}

/// Where the word stands that tells the alternatives apart, when the document has none of theirs.
fn form(context: &[Vec<ValidationError<'static>>], at: &str) -> String {
    let words = context.iter().flatten().filter(|error| is_another_form(error, at));
    let words = words.filter(|error| matches!(error.kind(), ValidationErrorKind::Constant { .. }));
    words.map(|error| error.instance_path().as_str().to_owned()).next().unwrap_or_else(|| at.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Versions of a kind that there is not: each knows more than the one before, and the last is another line.
    pub(crate) fn planted() -> Versions {
        let schema = |spec: Value| json!({"type": "object", "properties": {"spec": spec}}).to_string();
        let entry = |kind: &str, properties: Value| {
            json!({"type": "object", "required": ["kind"], "additionalProperties": false,
                   "properties": {"kind": {"const": kind}, "spec": {"type": "object", "additionalProperties": false, "properties": properties}}})
        };
        let spec = |entries: Value, more: Value| {
            let mut properties = json!({"resources": {"type": "array", "items": {"oneOf": entries}}});
            properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            schema(json!({"type": "object", "additionalProperties": false, "properties": properties}))
        };
        let rollback = json!({"rollback": {"type": "object", "additionalProperties": false, "properties": {
            "onFailure": {"enum": ["Previous", "None"]}, "deadline": {"type": "string"}}}});
        let texts = [
            (
                "1.0.0",
                spec(
                    json!([entry("File", json!({"size": {"maximum": 10}})), entry("Unit", json!({}))]),
                    json!({}),
                ),
            ),
            (
                "1.1.0",
                spec(
                    json!([
                        entry("File", json!({"size": {"maximum": 10}, "mode": {"type": "string"}})),
                        entry("Unit", json!({}))
                    ]),
                    rollback.clone(),
                ),
            ),
            (
                "1.10.0",
                spec(
                    json!([
                        entry("File", json!({"size": {"maximum": 20}, "mode": {"type": "string"}})),
                        entry("Unit", json!({})),
                        entry("Timer", json!({}))
                    ]),
                    rollback,
                ),
            ),
            ("2.0.0", schema(json!(true))),
        ];
        let texts = texts.map(|(version, text)| (version.parse::<Version>().unwrap(), text));
        Versions::of("Tea", texts.iter().map(|(version, text)| (version, text.as_str())))
    }

    fn document(spec: Value) -> Map<String, Value> {
        Map::from_iter([("metadata".to_owned(), json!({"lables": 1})), ("spec".to_owned(), spec)])
    }

    fn resource(kind: &str, spec: Value) -> Value {
        json!({"resources": [{"kind": "Unit"}, {"kind": kind, "spec": spec}]})
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_oldest_version_that_knows_every_field_and_value_is_the_least() {
        let planted = planted();
        for (spec, least) in [
            (json!({}), Some("1.0.0")),
            (resource("File", json!({"size": 10})), Some("1.0.0")),
            (resource("File", json!({"mode": "x"})), Some("1.1.0")),
            (json!({"rollback": {"deadline": "1m"}}), Some("1.1.0")),
            (resource("File", json!({"size": 20})), Some("1.10.0")),
            (resource("Timer", json!({})), Some("1.10.0")),
            (json!({"newer": 1}), None),
        ] {
            for written in ["1.0.0", "1.10.0", "1.11.0"] {
                let found = planted.least(&version(written), &document(spec.clone()));
                assert_eq!(found, least.map(version), "{spec}");
            }
        }
        assert_eq!(planted.least(&version("2.3.0"), &document(json!({}))), Some(version("2.0.0")));
        assert_eq!(planted.least(&version("3.0.0"), &document(json!({}))), None);
    }

    #[test]
    fn what_an_older_version_does_not_know_is_named_by_place() {
        let planted = planted();
        let told = |said: &str, spec: Value| {
            let document = document(spec);
            let least = planted.least(&version("1.10.0"), &document).unwrap();
            planted.too_low(&version(said), &least, &document)
        };
        for (said, spec, places) in [
            ("1.0.0", json!({"rollback": {"onFailure": "None"}}), "1.0.0 does not know /spec/rollback;"),
            (
                "1.0.0",
                resource("File", json!({"mode": "x"})),
                "1.0.0 does not know /spec/resources/1/spec/mode;",
            ),
            ("1.1.0", resource("Timer", json!({})), "1.1.0 does not know /spec/resources/1/kind;"),
            (
                "1.0.5",
                resource("File", json!({"size": 11})),
                "1.1.0 does not know /spec/resources/1/spec/size;",
            ),
        ] {
            let told = told(said, spec.clone()).unwrap_or_else(|| panic!("{said} is no less: {spec}"));
            assert!(told.starts_with(&format!("{said} is too low: Tea {places} write 1.1")), "{told}");
        }
        for said in ["1.1.0", "1.1.7", "1.10.0", "1.11.0"] {
            assert_eq!(told(said, json!({"rollback": {}})), None, "{said}");
        }
        // There is no version between them that would read it and should not.
        assert_eq!(told("0.9.0", json!({})), None);
        assert_eq!(told("1.0.1", json!({"rollback": {}})), None);
    }

    #[test]
    fn every_schema_that_is_known_is_one_to_judge_by() {
        for (kind, schemas) in formats::SCHEMAS {
            assert_eq!(of_kind(kind).unwrap().schemas.len(), schemas.len(), "{kind}");
        }
        assert!(of_kind("Tea").is_none());
    }
}
