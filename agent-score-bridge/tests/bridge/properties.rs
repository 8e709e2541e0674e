//! What must hold of any document.

use agent_model::{DesiredState, UnknownKeys};
use agent_score_bridge::{json_schemas, requirements};
use proptest::{collection, prelude::*, sample};
use serde_json::{Map, Value, json};

use super::{bridge, bundle, entry, file, lower, lower_as, lower_with, spec};

/// Any JSON; keys and texts are often ones that mean something to the format.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        4 => sample::select(vec![
            "scores", "score", "version", "name", "dependsOn", "restartOn", "with", "path", "content",
            "contentBase64", "mode", "owner", "files", "depth", "File", "Bundle", "Nested", "0.1.0", "a", "/etc/a",
            "Container", "image", "ports", "mounts", "network", "ShellJob", "script", "writablePaths", "SystemdUnit", "unit", "Process", "command", "env", "probes", "liveness", "tcp", "port", "stopTimeout", "30s",
            "rollback", "onFailure", "Previous", "None", "deadline",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::btree_map(word.clone(), inner, 0..8)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A spec that is valid but for what `any_json` puts in some places.
fn nearly_valid() -> impl Strategy<Value = Value> {
    let or_any = |valid: Value| prop_oneof![30 => Just(valid), 1 => any_json()];
    let with = prop_oneof![
        (or_any(json!("File")), or_any(json!({"path": "/etc/a", "content": "x"}))),
        (or_any(json!("Bundle")), or_any(json!({"files": [{"name": "x", "path": "/etc/x"}]}))),
        (
            or_any(json!("Container")),
            or_any(json!({"image": "x", "ports": [{"host": 1, "container": 1}], "network": "n"}))
        ),
        (or_any(json!("Process")), or_any(json!({"command": ["x"], "env": {"A": "1"}, "stopTimeout": "1s"}))),
        (or_any(json!("ShellJob")), or_any(json!({"script": "x", "timeout": "1s", "writablePaths": ["/a"]}))),
        (
            or_any(json!("SystemdUnit")),
            or_any(json!({"unit": "a.service", "content": "[Unit]\n", "state": "Running"}))
        ),
        (or_any(json!("Nested")), or_any(json!({"depth": 3}))),
        (or_any(json!("Fussy")), or_any(json!({}))),
        (or_any(json!("Picky")), or_any(json!({}))),
        (or_any(json!("Untidy")), or_any(json!({"mistake": "waits for later"}))),
    ];
    let names = prop_oneof![8 => Just(json!([])), 1 => Just(json!(["a"])), 1 => any_json()];
    let version = or_any(json!("0.1.0"));
    let entry = (with, version, or_any(json!("a")), names.clone(), names).prop_map(
        |((score, with), version, name, depends_on, restart_on)| {
            json!({"score": score, "version": version, "name": name, "dependsOn": depends_on,
                "restartOn": restart_on, "with": with})
        },
    );
    let rollback = prop_oneof![
        3 => Just(Value::Null),
        1 => any_json(),
        3 => (or_any(json!("None")), or_any(json!("30s")))
            .prop_map(|(on_failure, deadline)| json!({"onFailure": on_failure, "deadline": deadline})),
    ];
    (collection::vec(entry, 0..3), rollback).prop_map(|(mut entries, rollback)| {
        if let Some(second) = entries.get_mut(1) {
            second["name"] = json!("b");
        }
        let mut spec = spec(&entries);
        if !rollback.is_null() {
            spec["rollback"] = rollback;
        }
        spec
    })
}

/// Entries of all kinds, bundles and chains, the i-th with names and paths of its own and naming only
/// earlier ones.
fn valid_entries() -> impl Strategy<Value = Vec<Value>> {
    let earlier = || collection::vec(any::<sample::Index>(), 0..3);
    let shape = (0..7_usize, earlier(), earlier());
    collection::vec(shape, 0..8).prop_map(|shapes| {
        let shapes = shapes.into_iter().enumerate();
        let mut has_chain = false;
        shapes
            .map(|(i, (shape, depends_on, restart_on))| {
                let names = |indexes: Vec<sample::Index>| -> Vec<String> {
                    if i == 0 {
                        return Vec::new();
                    }
                    indexes.iter().map(|index| format!("e{}", index.index(i))).collect()
                };
                let name = format!("e{i}");
                let fields = json!({"dependsOn": names(depends_on), "restartOn": names(restart_on)});
                match shape {
                    0 => entry("File", &name, json!({"path": format!("/file/{i}"), "content": name}), fields),
                    3 => entry("Container", &name, json!({"image": name}), fields),
                    4 => entry("Process", &name, json!({"command": [name]}), fields),
                    5 => entry("ShellJob", &name, json!({"script": name}), fields),
                    6 => entry("SystemdUnit", &name, json!({"unit": format!("{name}.service")}), fields),
                    // The files of a chain are always the same, so there can only be one.
                    1 if !has_chain => {
                        has_chain = true;
                        entry("Chain", &name, json!({}), fields)
                    }
                    _ => bundle(&name, &["x", "y"][..shape.min(2)], fields),
                }
            })
            .collect()
    })
}

/// What is declared under each name, and what that waits for.
fn by_name(state: &DesiredState) -> Vec<(String, String, Vec<String>)> {
    let mut resources: Vec<_> = state
        .resources()
        .iter()
        .map(|resource| {
            let mut names: Vec<String> = resource.depends_on.iter().map(ToString::to_string).collect();
            names.sort();
            (resource.name.to_string(), state.effective_digest(resource).to_string(), names)
        })
        .collect();
    resources.sort();
    resources
}

proptest! {
    #[test]
    fn lowering_never_panics_and_never_fails_without_a_problem(spec in prop_oneof![any_json(), nearly_valid()]) {
        for unknown_keys in [UnknownKeys::AreProblems, UnknownKeys::AreIgnored] {
            if let Err(problems) = lower_with(&bridge(), unknown_keys, &spec) {
                prop_assert!(!problems.is_empty());
            }
        }
        requirements(&spec);
    }

    #[test]
    fn every_problem_points_into_the_document(spec in nearly_valid()) {
        let document = json!({"spec": spec});
        for problem in lower(&spec).err().unwrap_or_default() {
            // Two Scores of these tests point at keys of a body that they do not have.
            if problem.ends_with("too red") || problem.contains("/with/inChild: ") {
                continue;
            }
            // A key may hold what looks like the end of a pointer, so the longest one counts.
            let ends = problem.match_indices(": ").map(|(end, _)| end);
            let found = ends.map(|end| &problem[..end]).any(|pointer| document.pointer(pointer).is_some());
            prop_assert!(found, "{problem}");
        }
    }

    #[test]
    fn what_lowers_is_valid_by_the_schema_of_its_version_and_asks_for_each_of_its_scores(spec in nearly_valid()) {
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "Score", "metadata": {"name": "a"}, "spec": spec,
        });
        for (version, schema) in json_schemas() {
            if lower_as(&version, &bridge(), UnknownKeys::AreProblems, &spec).is_ok() {
                let verdict = jsonschema::validate(&schema, &document);
                prop_assert!(verdict.is_ok(), "{version}: {verdict:?}");
                prop_assert_eq!(requirements(&spec).len(), spec["scores"].as_array().unwrap().len());
            }
        }
    }

    #[test]
    fn a_valid_document_is_always_lowered_alike_in_whatever_order_it_is_written(
        (entries, shuffled) in valid_entries().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        let state = lower(&spec(&entries)).unwrap();
        prop_assert_eq!(&lower(&spec(&entries)).unwrap(), &state);
        prop_assert_eq!(lower(&spec(&shuffled)).unwrap().digest(), state.digest());
    }

    #[test]
    fn another_entry_changes_nothing_about_the_others(entries in valid_entries(), at in any::<sample::Index>()) {
        let before = by_name(&lower(&spec(&entries)).unwrap());
        let mut more = entries.clone();
        more.insert(at.index(entries.len() + 1), file("unrelated", "/unrelated"));
        let mut after = by_name(&lower(&spec(&more)).unwrap());
        after.retain(|(name, ..)| name != "unrelated");
        prop_assert_eq!(before, after);
    }
}
