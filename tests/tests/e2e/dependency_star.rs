//! Which crate may know which (architecture: dependencies form a star).

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// What each crate of the workspace may depend on among the others, outside of its tests. A
/// format or a reconciler can be deleted without touching the others, and the core never learns
/// a format.
const ALLOWED: &[(&str, &[&str])] = &[
    ("agent-model", &[]),
    ("crash-point", &[]),
    ("process-shim", &[]),
    ("agent-core", &["agent-model", "crash-point"]),
    ("agent-manifest-v1", &["agent-model", "crash-point"]),
    ("agent-score-bridge", &["agent-model"]),
    ("reconcilers", &["agent-model", "crash-point", "process-shim"]),
    ("nats-operator", &["agent-model"]),
    ("fleet", &["agent-core", "agent-model", "nats-operator"]),
    (
        "harmony-agent",
        &[
            "agent-core",
            "agent-manifest-v1",
            "agent-model",
            "agent-score-bridge",
            "crash-point",
            "process-shim",
            "reconcilers",
        ],
    ),
    (
        "harmonyctl",
        &["agent-core", "agent-manifest-v1", "agent-model", "agent-score-bridge", "fleet", "nats-operator"],
    ),
    ("motd-score", &["agent-model", "agent-score-bridge", "harmony-agent"]),
    ("planted-format", &["agent-model", "harmony-agent"]),
    ("tests", &["agent-model", "fleet", "nats-operator", "process-shim"]),
    (
        "fuzz-targets",
        &["agent-core", "agent-manifest-v1", "agent-model", "agent-score-bridge", "process-shim"],
    ),
    ("bench", &["agent-core", "agent-model", "harmony-agent", "reconcilers", "tests"]),
];

/// Who may name the NATS client. The compiler of the others cannot even spell it.
const MAY_NAME_ASYNC_NATS: &[&str] = &["agent-core", "bench", "fleet", "tests"];

/// The direct dependencies of each crate of the workspace: (name, kind), kind being `null` for
/// ordinary ones.
fn dependencies() -> BTreeMap<String, Vec<(String, Value)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let of =
                dependencies.iter().map(|dependency| (text(&dependency["name"]), dependency["kind"].clone()));
            (text(&package["name"]), of.collect())
        })
        .collect()
}

#[test]
fn crates_depend_on_one_another_as_a_star_only() {
    let dependencies = dependencies();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for (package, depends_on) in &dependencies {
        let Some(allowed) = allowed.get(package.as_str()) else {
            panic!("{package} is new: say in {} what it may depend on", file!());
        };
        for (dependency, _) in depends_on.iter().filter(|(name, _)| dependencies.contains_key(name)) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{package} must not depend on {dependency}: among the workspace's own crates it may know {allowed:?} only"
            );
        }
    }
}

#[test]
fn only_the_core_the_fleet_the_tests_and_the_benches_name_the_nats_client() {
    for (package, depends_on) in dependencies() {
        let names_it = depends_on.iter().any(|(dependency, _)| dependency == "async-nats");
        assert!(
            !names_it || MAY_NAME_ASYNC_NATS.contains(&package.as_str()),
            "{package} must not depend on async-nats: go through agent-core or fleet"
        );
    }
}
