//! What must hold of any document.

use agent_manifest_v1::json_schema;
use agent_model::UnknownKeys;
use proptest::{collection, option, prelude::*, sample};
use serde_json::{Map, Value, json};

use super::{lower, lower_with};

/// Any JSON; keys and texts are often ones that mean something to the format.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        4 => sample::select(vec![
            "resources", "name", "kind", "dependsOn", "restartOn", "spec", "path", "content", "contentBase64",
            "mode", "owner", "group", "sealed", "File", "a", "/etc/a", "0644", "eA==",
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
    let or_any = |valid: Value| prop_oneof![8 => Just(valid), 1 => any_json()];
    let file = (or_any(json!("/etc/a")), or_any(json!("x")), or_any(json!("0600")), or_any(json!("root")), any_json())
        .prop_map(|(path, content, mode, owner, group)| {
            json!({"path": path, "content": content, "mode": mode, "owner": owner, "group": group})
        });
    (or_any(json!("a")), or_any(json!("File")), or_any(json!([])), file).prop_map(
        |(name, kind, depends_on, spec)| {
            json!({"resources": [{"name": name, "kind": kind, "dependsOn": depends_on, "spec": spec}]})
        },
    )
}

/// Valid files, the i-th at a place of its own and waiting only for earlier ones.
fn valid_resources() -> impl Strategy<Value = Vec<Value>> {
    let content = prop_oneof![
        any::<String>().prop_map(|text| ("content", text)),
        "([A-Za-z0-9+/]{4}){0,4}([A-Za-z0-9+/]w==)?".prop_map(|text| ("contentBase64", text)),
    ];
    let id = prop_oneof![any::<u16>().prop_map(Value::from), "[a-z][a-z0-9-]{0,20}".prop_map(Value::from)];
    let file = (content, option::of("0?[0-7]{3,4}"), option::of(id), any::<sample::Index>());
    collection::vec(file, 0..12).prop_map(|files| {
        files
            .into_iter()
            .enumerate()
            .map(|(i, ((key, text), mode, owner, earlier))| {
                let depends_on: Vec<String> =
                    if i > 0 { vec![format!("file-{}", earlier.index(i))] } else { Vec::new() };
                json!({"name": format!("file-{i}"), "kind": "File", "dependsOn": depends_on,
                    "spec": {"path": format!("/etc/{i}.conf"), key: text, "mode": mode, "owner": owner}})
            })
            .collect()
    })
}

/// The value as JSON text, with the fields of each object in another order.
fn with_fields_reversed(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|one, two| two.0.cmp(one.0));
            let fields = sorted
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), with_fields_reversed(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(with_fields_reversed).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

proptest! {
    #[test]
    fn lowering_never_panics_and_never_fails_without_a_problem(spec in prop_oneof![any_json(), nearly_valid()]) {
        for unknown_keys in [UnknownKeys::AreProblems, UnknownKeys::AreIgnored] {
            if let Err(problems) = lower_with(unknown_keys, &spec) {
                prop_assert!(!problems.is_empty());
            }
        }
    }

    #[test]
    fn every_problem_points_into_the_document(spec in nearly_valid()) {
        let document = json!({"spec": spec});
        for problem in lower(&spec).err().unwrap_or_default() {
            // A key may hold what looks like the end of a pointer, so the longest one counts.
            let ends = problem.match_indices(": ").map(|(end, _)| end);
            let found = ends.map(|end| &problem[..end]).any(|pointer| document.pointer(pointer).is_some());
            prop_assert!(found, "{problem}");
        }
    }

    #[test]
    fn what_lowers_is_valid_by_the_schema(spec in nearly_valid()) {
        if lower(&spec).is_ok() {
            let document = json!({
                "apiVersion": "harmony/v1", "kind": "AgentManifest", "metadata": {"name": "a"}, "spec": spec,
            });
            let verdict = jsonschema::validate(&json_schema(), &document);
            prop_assert!(verdict.is_ok(), "{:?}", verdict);
        }
    }

    #[test]
    fn a_valid_document_lowers_alike_in_whatever_order_it_is_written(resources in valid_resources()) {
        let state = lower(&json!({"resources": resources})).unwrap().state;
        prop_assert_eq!(state.resources().len(), resources.len());
        let mut reversed = resources;
        reversed.reverse();
        let reversed = with_fields_reversed(&json!({"resources": reversed}));
        let other = lower(&serde_json::from_str(&reversed).unwrap()).unwrap().state;
        prop_assert_eq!(state.digest(), other.digest());
    }
}
