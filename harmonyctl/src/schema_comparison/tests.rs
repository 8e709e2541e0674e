use serde_json::json;

use super::*;
use crate::schemas;

fn manifest_schema() -> Value {
    serde_json::from_str(schemas::named("AgentManifest@1.0.0").unwrap().text).unwrap()
}

fn compared(older: &Value, newer: &Value) -> Comparison {
    Comparison::of(older, newer).unwrap()
}

/// Each difference as `path: Change, was -> is`.
fn told_of(older: &Value, newer: &Value) -> Vec<String> {
    let none = || "-".to_owned();
    let line = |it: Difference| {
        let (was, is) = (it.was.unwrap_or_else(none), it.is.unwrap_or_else(none));
        format!("{}: {:?}, {was} -> {is}", it.path, it.change)
    };
    compared(older, newer).differences.into_iter().map(line).collect()
}

#[test]
fn a_schema_does_not_differ_from_itself_whatever_its_descriptions() {
    let schema = manifest_schema();
    let mut other = schema.clone();
    other["title"] = json!("Tea");
    other["$defs"]["File"]["description"] = json!("Leaves.");
    assert_eq!(compared(&schema, &other).differences, []);
}

#[test]
fn what_comes_is_told_once_by_its_path_and_an_old_reader_accepts_what_does_not_use_it() {
    let old = manifest_schema();
    let mut new = old.clone();
    new["$defs"]["Spec"]["properties"]["rollback"] =
        json!({"anyOf": [{"$ref": "#/$defs/Rollback"}, {"type": "null"}]});
    new["$defs"]["Rollback"] =
        json!({"type": "object", "required": ["deadline"], "properties": {"deadline": {"type": "string"}}});
    new["$defs"]["File"]["properties"]["acl"] = json!({"type": "string"});
    let mut timer = new["$defs"]["ResourceEntry"]["oneOf"][0].clone();
    timer["properties"]["kind"]["const"] = json!("Timer");
    new["$defs"]["ResourceEntry"]["oneOf"].as_array_mut().unwrap().push(timer);
    new["$defs"]["Restart"]["oneOf"]
        .as_array_mut()
        .unwrap()
        .push(json!({"const": "Weekly", "type": "string"}));
    let told = told_of(&old, &new);
    let restart = |kind: &str| {
        let (was, is) = (r#""Always"|"Never"|"OnFailure""#, r#""Always"|"Never"|"OnFailure"|"Weekly""#);
        format!("spec.resources[{kind}].spec.restart: Widened, {was} -> {is}")
    };
    let expected = [
        restart("Container"),
        "spec.resources[File].spec.acl: Added, - -> string".to_owned(),
        restart("Process"),
        "spec.resources[Timer]: Added, - -> object".to_owned(),
        "spec.rollback: Added, - -> object".to_owned(),
    ];
    assert_eq!(told, expected);

    let forward = compared(&old, &new);
    assert_eq!(forward.of_newer_by_older().refused, Vec::<String>::new());
    assert_eq!(forward.of_newer_by_older().refused_if_used.len(), expected.len());
    assert_eq!(forward.of_older_by_newer(), Reading::default());
    let back = compared(&new, &old);
    assert_eq!(back.of_older_by_newer(), forward.of_newer_by_older());
    assert_eq!(back.of_newer_by_older(), Reading::default());
}

#[test]
fn what_an_old_reader_cannot_do_without_makes_it_refuse() {
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let text = || json!({"type": "string"});
    for (older, newer, told, refused_by) in [
        (
            object(json!({}), &[]),
            object(json!({"a": text()}), &["a"]),
            "a: AddedRequired, - -> string",
            ["older", "newer"].as_slice(),
        ),
        (
            object(json!({"a": text()}), &["a"]),
            object(json!({}), &[]),
            "a: RemovedRequired, string -> -",
            &["older", "newer"],
        ),
        (
            object(json!({"a": text()}), &["a"]),
            object(json!({"a": text()}), &[]),
            "a: Widened, required -> optional",
            &[],
        ),
        (
            object(json!({"a": {"type": "string", "pattern": "^x"}}), &[]),
            object(json!({"a": {"type": "string", "pattern": "^y"}}), &[]),
            "a: Changed, pattern \"^x\" -> pattern \"^y\"",
            &["older", "newer"],
        ),
        (
            object(json!({"a": {"type": "integer", "maximum": 10, "minimum": 0}}), &[]),
            object(json!({"a": {"type": "integer", "maximum": 9.5, "minimum": 0}}), &[]),
            "a: Narrowed, maximum 10 -> maximum 9.5",
            &[],
        ),
        (
            object(json!({"a": {"type": "array", "items": text()}}), &[]),
            object(json!({"a": {"type": "array", "items": {"type": ["string", "null"]}}}), &[]),
            "a[]: Widened, string -> null|string",
            &[],
        ),
        (
            object(json!({"a": {"type": "object", "additionalProperties": text()}}), &[]),
            object(
                json!({"a": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}}}),
                &[],
            ),
            "a.*: Narrowed, no maxLength -> maxLength 3",
            &[],
        ),
    ] {
        assert_eq!(told_of(&older, &newer), [told]);
        let comparison = compared(&older, &newer);
        let refuses = |reading: Reading| !reading.refused.is_empty();
        assert_eq!(refuses(comparison.of_newer_by_older()), refused_by.contains(&"older"), "{told}");
        assert_eq!(refuses(comparison.of_older_by_newer()), refused_by.contains(&"newer"), "{told}");
    }
}

#[test]
fn a_schema_that_leads_back_to_itself_and_one_that_is_none_are_walked_to_an_end() {
    let tree = |leaf: &str| {
        json!({"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "properties": {
            "next": {"$ref": "#/$defs/Tree"}, "leaf": {"type": leaf}}}}})
    };
    assert_eq!(told_of(&tree("string"), &tree("number")), ["leaf: Changed, string -> number"]);
    for schema in
        [json!(true), json!([]), json!({"properties": 1, "oneOf": {}, "required": [1], "$ref": "#/x"})]
    {
        assert_eq!(compared(&schema, &schema).differences, []);
    }
}

#[test]
fn a_new_kind_of_probe_is_more_and_breaks_nothing() {
    let old = manifest_schema();
    let mut new = old.clone();
    let probe = &mut new["$defs"]["Probe"];
    probe["properties"]["grpc"] = json!({"type": ["object", "null"]});
    let forms = probe["oneOf"].as_array_mut().unwrap();
    let mut grpc = forms[0].clone();
    for form in forms.iter_mut() {
        form["properties"]["grpc"] = json!({"type": "null"});
    }
    grpc["properties"]["exec"] = json!({"type": "null"});
    grpc["properties"]["grpc"] = json!({"type": "object"});
    grpc["required"] = json!(["grpc"]);
    forms.push(grpc);
    let forward = compared(&old, &new);
    assert!(forward.differences.iter().any(|it| it.path.ends_with("liveness.grpc")), "{forward:#?}");
    assert!(forward.differences.iter().any(|it| it.change == Change::Widened), "{forward:#?}");
    assert_eq!(forward.of_older_by_newer(), Reading::default());
    assert_eq!(forward.of_newer_by_older().refused, Vec::<String>::new());

    // One that is gone is gone.
    let mut less = old.clone();
    less["$defs"]["Probe"]["oneOf"].as_array_mut().unwrap().pop();
    let back = compared(&old, &less);
    assert!(back.differences.iter().all(|it| it.change == Change::Narrowed), "{back:#?}");
    assert!(!back.differences.is_empty());
}

#[test]
fn alternatives_that_no_word_tells_apart_are_compared_one_by_one() {
    let any_of = |forms: Value| json!({"type": "object", "properties": {"a": {"anyOf": forms}}});
    let (short, number) =
        (json!({"type": "string", "maxLength": 3}), json!({"type": "integer", "minimum": 0}));
    let swapped = [json!({"type": "string", "minimum": 0}), json!({"type": "integer", "maxLength": 3})];
    let (older, newer) = (any_of(json!([short, number])), any_of(json!(swapped)));
    let comparison = compared(&older, &newer);
    assert_eq!(comparison.differences.len(), 1, "{comparison:#?}");
    assert_eq!((&*comparison.differences[0].path, comparison.differences[0].change), ("a", Change::Changed));
    assert_eq!(compared(&older, &any_of(json!([number, short]))).differences, [], "in whatever order");
    // One more, and none for null.
    let more = any_of(json!([short, number, {"type": "boolean"}, {"type": "null"}]));
    let told = compared(&older, &more);
    assert_eq!(told.differences[0].change, Change::Widened, "{told:#?}");
    assert_eq!(compared(&more, &older).differences[0].change, Change::Narrowed);
    let plain = json!({"type": "object", "properties": {"a": {"type": "boolean"}}});
    let with_text = any_of(json!([{"type": "boolean"}, {"type": "string"}]));
    assert_eq!(compared(&plain, &with_text).differences[0].change, Change::Widened);
}

#[test]
fn a_property_that_may_be_anything_is_one() {
    let with = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    assert_eq!(told_of(&with(json!({})), &with(json!({"a": true}))), ["a: Added, - -> anything"]);
    assert_eq!(told_of(&with(json!({"a": true})), &with(json!({}))), ["a: Removed, anything -> -"]);
}

#[test]
fn what_is_too_large_to_be_looked_at_is_told_and_not_taken_for_the_same() {
    let many: serde_json::Map<String, Value> =
        (0..=MAX_FIELDS).map(|i| (format!("f{i}"), json!({"type": "string"}))).collect();
    let deep =
        (0..=MAX_DEPTH).fold(json!({"type": "string"}), |within, _| json!({"properties": {"a": within}}));
    // Each definition leads to the next twice.
    let links = (0..40).map(|i| {
        let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
        (format!("d{i}"), json!({"anyOf": [next, next]}))
    });
    let links: serde_json::Map<String, Value> = links.collect();
    let fanned_out = json!({"$ref": "#/$defs/d0", "$defs": links});
    for schema in [json!({"properties": many}), deep, fanned_out] {
        assert!(Comparison::of(&schema, &schema).unwrap_err().contains("cannot be compared"));
    }
}
