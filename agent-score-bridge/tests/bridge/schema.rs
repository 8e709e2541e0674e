//! The JSON Schema, the wire types and the reader must know the same fields.

use std::{collections::BTreeSet, fs, path::PathBuf};

use agent_model::UnknownKeys;
use agent_score_bridge::{
    json_schemas,
    v0_1_0::{ApiVersion, Entry, Kind, Metadata, ScoreDocument, Spec},
    v0_1_1,
};
use semver::{Version, VersionReq};
use serde_json::{Value, json};

use super::{bridge, lower, lower_as, newest_schema};

fn committed(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(file)
}

fn read(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(committed(file)).unwrap()).unwrap()
}

#[test]
fn the_committed_schemas_are_those_of_the_wire_types() {
    let newest = json_schemas().pop().unwrap().0;
    for (version, schema) in json_schemas() {
        let file = format!("Score/{version}.json");
        // What has a newer version is frozen.
        if std::env::var_os("UPDATE_SCHEMAS").is_some() && version == newest {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            fs::write(committed(&file), text).unwrap();
        }
        assert!(
            read(&file) == schema,
            "schemas/{file} differs from the wire types; if that is meant, and the version has not been released, \
             regenerate it: UPDATE_SCHEMAS=1 cargo test -p agent-score-bridge"
        );
    }
}

/// All but what is a format's own.
fn envelope(mut schema: Value) -> Value {
    let fields = schema["properties"].as_object_mut().unwrap();
    fields.remove("spec");
    fields["kind"].as_object_mut().unwrap().remove("const");
    for version in ["schemaVersion", "minSchemaVersion"] {
        fields[version].as_object_mut().unwrap().remove("pattern");
    }
    json!({"metadata": schema["$defs"]["Metadata"], "fields": schema["properties"], "required": schema["required"]})
}

#[test]
fn the_envelope_is_the_one_of_the_other_formats() {
    for (_, schema) in json_schemas() {
        assert_eq!(envelope(schema), envelope(read("AgentManifest/1.0.0.json")));
    }
}

#[test]
fn the_rollback_is_the_one_of_the_other_formats() {
    let rollback = |schema: &Value| {
        let definitions = ["Rollback", "OnFailure"].map(|name| schema["$defs"][name].clone());
        (schema["$defs"]["Spec"]["properties"]["rollback"].clone(), definitions)
    };
    assert_eq!(rollback(&newest_schema()), rollback(&read("AgentManifest/1.1.0.json")));
}

/// The keys that the reader names as valid when it meets an unknown one in a document of that version.
fn keys_known_to_reader(version: &Version, spec: &Value) -> BTreeSet<String> {
    let problems = lower_as(version, &bridge(), UnknownKeys::AreProblems, spec).unwrap_err();
    let known =
        problems.iter().find_map(|problem| problem.split_once("unknown key \"???????????\"; valid here: "));
    known.unwrap().1.split(", ").map(str::to_owned).collect()
}

fn keys_in_schema(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let properties = schema.pointer(pointer).and_then(Value::as_object);
    properties.unwrap_or_else(|| panic!("no {pointer} in {schema:#}")).keys().cloned().collect()
}

#[test]
fn reader_and_schema_know_the_same_keys() {
    let unknown = "???????????";
    for (spec, pointer) in [
        (json!({unknown: 0}), "/$defs/Spec/properties"),
        (json!({"scores": [{unknown: 0}]}), "/$defs/Entry/properties"),
    ] {
        for (version, schema) in json_schemas() {
            let known = keys_known_to_reader(&version, &spec);
            assert_eq!(known, keys_in_schema(&schema, pointer), "{version}: {pointer}");
        }
    }
    let known = keys_known_to_reader(&v0_1_1::VERSION, &json!({"rollback": {unknown: 0}}));
    assert_eq!(known, keys_in_schema(&newest_schema(), "/$defs/Rollback/properties"));
}

#[test]
fn reader_and_schema_ask_for_the_same_keys() {
    let missing = |spec: Value| -> BTreeSet<String> {
        let problems = lower(&spec).unwrap_err();
        problems
            .iter()
            .filter_map(|problem| Some(problem.strip_suffix(" is missing")?.split('"').nth(1)?.to_owned()))
            .collect()
    };
    let required = |definition: &str| -> BTreeSet<String> {
        serde_json::from_value(newest_schema()["$defs"][definition]["required"].clone()).unwrap()
    };
    assert_eq!(missing(json!({})), required("Spec"));
    assert_eq!(missing(json!({"scores": [{}]})), required("Entry"));
}

/// A document in which every field of the newest wire types is set.
fn full_document() -> Value {
    let mut document = v0_1_1::ScoreDocument::from(full_document_of_0_1_0());
    document.schema_version = Some("0.1.1".into());
    document.min_schema_version = Some("0.1.1".into());
    document.spec.rollback =
        Some(v0_1_1::Rollback { on_failure: Some(v0_1_1::OnFailure::None), deadline: Some("90s".into()) });
    json!(document)
}

/// A document in which every field of the wire types of version 0.1.0 is set.
fn full_document_of_0_1_0() -> ScoreDocument {
    let entry = |name: &str, others: &[&str]| Entry {
        score: "File".into(),
        version: ">=0.1, <0.3".into(),
        name: name.parse().unwrap(),
        depends_on: others.iter().map(|name| name.parse().unwrap()).collect(),
        restart_on: others.iter().map(|name| name.parse().unwrap()).collect(),
        with: json!({"path": format!("/etc/{name}"), "content": "x"}),
    };
    ScoreDocument {
        api_version: ApiVersion::HarmonyV1,
        kind: Kind::Score,
        schema_version: Some("0.1.0".into()),
        min_schema_version: Some("0.1.0".into()),
        metadata: Metadata {
            name: "edge-0001".into(),
            generation: Some(1),
            issued_at: Some("2026-01-31T12:00:00Z".into()),
            expires_at: Some("2027-01-31T12:00:00Z".into()),
            labels: Some([("site".into(), "north".into())].into()),
            annotations: Some([("note".into(), "".into())].into()),
        },
        spec: Spec { scores: vec![entry("a", &[]), entry("b", &["a"])] },
    }
}

#[test]
fn what_the_wire_types_write_is_valid_and_lowers() {
    let documents = [json!(full_document_of_0_1_0()), full_document()];
    for ((version, schema), document) in json_schemas().into_iter().zip(&documents) {
        jsonschema::validate(&schema, document).unwrap();
        let lowered = lower_as(&version, &bridge(), UnknownKeys::AreProblems, &document["spec"]).unwrap();
        assert_eq!(lowered.state.resources().len(), 2);
        assert_eq!(document["apiVersion"], "harmony/v1");
        assert_eq!(document["kind"], agent_score_bridge::KIND);
        assert_eq!(document["schemaVersion"], version.to_string());
    }
    assert!(!jsonschema::is_valid(&json_schemas()[0].1, &documents[1]));
    // A document of the older types is one of the newer.
    let newer = json!(v0_1_1::ScoreDocument::from(full_document_of_0_1_0()));
    assert_eq!(newer, documents[0]);
    jsonschema::validate(&newest_schema(), &newer).unwrap();
}

/// As in the reader, null is a field that is left out.
#[test]
fn the_schema_accepts_null_for_what_may_be_left_out() {
    let mut document = full_document();
    for key in ["dependsOn", "restartOn"] {
        document["spec"]["scores"][1][key] = json!(null);
    }
    for key in ["onFailure", "deadline"] {
        document["spec"]["rollback"][key] = json!(null);
    }
    jsonschema::validate(&newest_schema(), &document).unwrap();
    assert!(lower(&document["spec"]).is_ok());
    document["spec"]["rollback"] = json!(null);
    jsonschema::validate(&newest_schema(), &document).unwrap();
    assert!(lower(&document["spec"]).is_ok());
}

/// Each change alone makes a valid document invalid.
#[test]
fn the_schema_refuses_what_is_wrong_in_a_single_field() {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
    let valid = full_document();
    assert!(validator.is_valid(&valid));
    for (pointer, wrong) in [
        ("/apiVersion", json!("harmony/v2")),
        ("/kind", json!("AgentManifest")),
        ("/schemaVersion", json!("0.2.0")),
        ("/schemaVersion", json!("1.0.0")),
        ("/minSchemaVersion", json!("0.1")),
        ("/metadata/name", json!("edge.0001")),
        ("/metadata/generation", json!(0)),
        ("/metadata/labels/site", json!(1)),
        ("/spec/scores/0/score", json!("file")),
        ("/spec/scores/0/score", json!("File@0.1.0")),
        ("/spec/scores/0/version", json!(0.1)),
        ("/spec/scores/0/name", json!("App")),
        ("/spec/scores/1/dependsOn/0", json!("-")),
        ("/spec/scores/1/restartOn", json!("a")),
        ("/spec/scores/0/with", json!([])),
        ("/spec/scores/0/with", json!(null)),
        ("/spec/rollback", json!("Previous")),
        ("/spec/rollback/onFailure", json!("previous")),
        ("/spec/rollback/deadline", json!(90)),
        ("/spec/rollback/deadline", json!("soon")),
    ] {
        let mut document = valid.clone();
        *document.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(!validator.is_valid(&document), "{pointer}: {wrong} was accepted");
    }
}

#[test]
fn reader_and_schema_agree_on_ranges_of_versions() {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
    let is_valid = |range: &str| {
        let mut document = full_document();
        document["spec"]["scores"][0]["version"] = json!(range);
        validator.is_valid(&document)
    };
    for range in [
        "0.1.0",
        "0.1",
        "0",
        "*",
        "x",
        " * ",
        "0.*",
        "0.1.X",
        "^0.1",
        "~ 0.1.2",
        "=0.1.0",
        ">0.1,<0.3",
        " >= 0.1 , < 0.3 ",
        "1.0.0-rc.1",
        "1.0.0-rc-1+build.5",
    ] {
        assert!(range.parse::<VersionReq>().is_ok(), "{range:?} is no range");
        assert!(is_valid(range), "{range:?} was refused");
    }
    for range in ["", "latest", "v0.1.0", ">=0.1 <0.3", "0.1,", ",0.1", "==0.1", "0.1.0 || 0.2.0", "\t0.1"] {
        assert!(range.parse::<VersionReq>().is_err(), "{range:?} is a range");
        assert!(!is_valid(range), "{range:?} was accepted");
    }
}

#[test]
fn the_schema_refuses_missing_and_additional_fields() {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
    let valid = full_document();
    for (parent, key) in [
        ("", "apiVersion"),
        ("", "kind"),
        ("", "metadata"),
        ("", "spec"),
        ("/metadata", "name"),
        ("/spec", "scores"),
        ("/spec/scores/0", "score"),
        ("/spec/scores/0", "version"),
        ("/spec/scores/0", "name"),
        ("/spec/scores/0", "with"),
    ] {
        let mut document = valid.clone();
        let fields = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let value = fields.remove(key).unwrap();
        assert!(!validator.is_valid(&document), "{parent}/{key} is not required");
        let fields = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        fields.extend([(key.to_owned(), value), ("colour".to_owned(), json!("red"))]);
        assert!(!validator.is_valid(&document), "{parent} may have a colour");
    }
    let mut many = valid;
    many["spec"]["scores"] = json!(vec![many["spec"]["scores"][0].clone(); 1025]);
    assert!(!validator.is_valid(&many));
}
