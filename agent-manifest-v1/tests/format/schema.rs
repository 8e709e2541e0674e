//! The JSON Schema, the wire types and the reader must know the same fields.

use std::{collections::BTreeSet, fs, path::PathBuf};

use agent_manifest_v1::{
    json_schema,
    v1_0::{AgentManifest, ApiVersion, Entry, File, IdOrName, Kind, Metadata, ResourceEntry, Spec},
};
use serde_json::{Value, json};

use super::lower;

#[test]
fn the_committed_schema_is_the_one_of_the_wire_types() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas/AgentManifest/1.0.0.json");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let text = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
        fs::write(&path, text).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        committed == json_schema(),
        "schemas/AgentManifest/1.0.0.json differs from the wire types; if that is meant, regenerate it: \
         UPDATE_SCHEMAS=1 cargo test -p agent-manifest-v1"
    );
}

/// The keys that the reader names as valid when it meets an unknown one.
fn keys_known_to_reader(spec: &Value) -> BTreeSet<String> {
    let problems = lower(spec).unwrap_err();
    let known =
        problems.iter().find_map(|problem| problem.split_once("unknown key \"???????????\"; valid here: "));
    known.unwrap().1.split(", ").map(str::to_owned).collect()
}

fn keys_in_schema(pointer: &str) -> BTreeSet<String> {
    let schema = json_schema();
    let properties = schema.pointer(pointer).and_then(Value::as_object);
    properties.unwrap_or_else(|| panic!("no {pointer} in {schema:#}")).keys().cloned().collect()
}

#[test]
fn reader_and_schema_know_the_same_keys() {
    let unknown = "???????????";
    for (spec, pointer) in [
        (json!({unknown: 0}), "/$defs/Spec/properties"),
        (json!({"resources": [{unknown: 0}]}), "/$defs/ResourceEntry/oneOf/0/properties"),
        (json!({"resources": [{"kind": "File", "spec": {unknown: 0}}]}), "/$defs/File/properties"),
    ] {
        assert_eq!(keys_known_to_reader(&spec), keys_in_schema(pointer), "{pointer}");
    }
}

#[test]
fn reader_and_schema_know_the_same_kinds() {
    let problem = lower(&json!({"resources": [{"name": "a", "kind": "???", "spec": {}}]})).unwrap_err();
    let (_, kinds) = problem[0].split_once("this agent has: ").unwrap();
    let in_schema: Vec<Value> = json_schema()["$defs"]["ResourceEntry"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["properties"]["kind"]["const"].clone())
        .collect();
    assert_eq!(json!(kinds.trim_end_matches(')').split(", ").collect::<Vec<_>>()), json!(in_schema));
}

/// A manifest in which every field of the wire types is set.
fn full_manifest() -> AgentManifest {
    let file = |name: &str, content: Option<&str>, content_base64: Option<&str>| {
        ResourceEntry::File(Entry {
            name: name.into(),
            depends_on: Some(if name == "a" { vec![] } else { vec!["a".into()] }),
            restart_on: Some(vec![]),
            spec: File {
                path: format!("/etc/{name}"),
                content: content.map(Into::into),
                content_base64: content_base64.map(Into::into),
                mode: Some("0600".into()),
                owner: Some(IdOrName::Name("root".into())),
                group: Some(IdOrName::Id(0)),
            },
        })
    };
    AgentManifest {
        api_version: ApiVersion::HarmonyV1,
        kind: Kind::AgentManifest,
        schema_version: Some("1.0.0".into()),
        min_schema_version: Some("1.0.0".into()),
        metadata: Metadata {
            name: "edge-0001".into(),
            generation: Some(1),
            issued_at: Some("2026-01-31T12:00:00Z".into()),
            expires_at: Some("2027-01-31T12:00:00Z".into()),
            labels: Some([("site".into(), "north".into())].into()),
            annotations: Some([("note".into(), "".into())].into()),
        },
        spec: Spec { resources: vec![file("a", Some("x"), None), file("b", None, Some("eA=="))] },
    }
}

#[test]
fn what_the_wire_types_write_is_valid_and_lowers() {
    let document = serde_json::to_value(full_manifest()).unwrap();
    jsonschema::validate(&json_schema(), &document).unwrap();
    let state = lower(&document["spec"]).unwrap().state;
    assert_eq!(state.resources().len(), 2);
    assert_eq!(document["apiVersion"], "harmony/v1");
    assert_eq!(document["kind"], "AgentManifest");
}

/// Each change alone makes a valid document invalid.
#[test]
fn the_schema_refuses_what_is_wrong_in_a_single_field() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let valid = serde_json::to_value(full_manifest()).unwrap();
    assert!(validator.is_valid(&valid));
    for (pointer, wrong) in [
        ("/apiVersion", json!("harmony/v2")),
        ("/kind", json!("Manifest")),
        ("/schemaVersion", json!("2.0.0")),
        ("/minSchemaVersion", json!("1")),
        ("/metadata/name", json!("edge.0001")),
        ("/metadata/generation", json!(0)),
        ("/metadata/generation", json!(1_u64 << 53)),
        ("/metadata/labels/site", json!(1)),
        ("/spec/resources/0/kind", json!("Fille")),
        ("/spec/resources/0/name", json!("App")),
        ("/spec/resources/1/dependsOn/0", json!("-")),
        ("/spec/resources/0/spec/path", json!("etc/a")),
        ("/spec/resources/0/spec/path", json!("/etc/../a")),
        ("/spec/resources/0/spec/path", json!("/etc/a/")),
        ("/spec/resources/0/spec/content", json!({"sealed": {}})),
        ("/spec/resources/0/spec/content", json!(null)),
        ("/spec/resources/1/spec/contentBase64", json!("eA")),
        ("/spec/resources/0/spec/mode", json!("0888")),
        ("/spec/resources/0/spec/mode", json!(420)),
        ("/spec/resources/0/spec/owner", json!("a b")),
        ("/spec/resources/0/spec/group", json!(-1)),
    ] {
        let mut document = valid.clone();
        *document.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(!validator.is_valid(&document), "{pointer}: {wrong} was accepted");
    }
}

#[test]
fn the_schema_refuses_missing_and_additional_fields() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let valid = serde_json::to_value(full_manifest()).unwrap();
    for (parent, key) in [
        ("", "apiVersion"),
        ("", "kind"),
        ("", "metadata"),
        ("", "spec"),
        ("/metadata", "name"),
        ("/spec", "resources"),
        ("/spec/resources/0", "name"),
        ("/spec/resources/0", "kind"),
        ("/spec/resources/0", "spec"),
        ("/spec/resources/0/spec", "path"),
        ("/spec/resources/0/spec", "content"),
    ] {
        let mut document = valid.clone();
        let fields = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let value = fields.remove(key).unwrap();
        assert!(!validator.is_valid(&document), "{parent}/{key} is not required");
        let fields = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        fields.extend([(key.to_owned(), value), ("colour".to_owned(), json!("red"))]);
        assert!(!validator.is_valid(&document), "{parent} may have a colour");
    }
    let mut both = valid.clone();
    both["spec"]["resources"][0]["spec"]["contentBase64"] = json!("eA==");
    assert!(!validator.is_valid(&both));
    let mut many = valid;
    many["spec"]["resources"] = json!(vec![many["spec"]["resources"][0].clone(); 1025]);
    assert!(!validator.is_valid(&many));
}
