//! What a composite declares: names, order, and what is left of a child that failed.

use agent_model::{DesiredState, ResourceSpec};
use serde_json::json;

use super::{bundle, entry, file, lower, names, spec};

fn resource_names(state: &DesiredState) -> Vec<&str> {
    state.resources().iter().map(|resource| resource.name.as_str()).collect()
}

/// What the resource waits for, and by what it is restarted.
fn references<'a>(state: &'a DesiredState, name: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let resource = state.get(&name.parse().unwrap()).unwrap();
    (names(&resource.depends_on), names(&resource.restart_on))
}

#[test]
fn a_child_has_its_parents_name_and_its_own() {
    let state =
        lower(&spec(&[file("motd", "/etc/motd"), bundle("web", &["main", "extra"], json!({}))])).unwrap();
    assert_eq!(resource_names(&state), ["motd", "web-main", "web-extra"]);
}

#[test]
fn naming_a_composite_means_all_of_it_and_all_of_the_namer() {
    let state = lower(&spec(&[
        bundle("web", &["x", "y"], json!({"dependsOn": ["db", "motd"], "restartOn": ["motd"]})),
        bundle("db", &["x", "y"], json!({})),
        file("motd", "/etc/motd"),
        entry("File", "last", json!({"path": "/last", "content": ""}), json!({"restartOn": ["web"]})),
    ]))
    .unwrap();
    for child in ["web-x", "web-y"] {
        assert_eq!(references(&state, child), (vec!["db-x", "db-y", "motd"], vec!["motd"]));
    }
    assert_eq!(references(&state, "db-x"), (vec![], vec![]));
    assert_eq!(references(&state, "last"), (vec![], vec!["web-x", "web-y"]));
}

#[test]
fn a_child_passes_on_what_its_parent_gave_it() {
    let state = lower(&spec(&[
        entry("Chain", "c", json!({}), json!({"dependsOn": ["motd"]})),
        file("motd", "/etc/motd"),
    ]))
    .unwrap();
    assert_eq!(resource_names(&state), ["c-one-x", "c-one-y", "c-two-x", "c-two-y", "motd"]);
    let first = vec!["c-one-x", "c-one-y"];
    for child in ["c-two-x", "c-two-y"] {
        assert_eq!(references(&state, child), ([&first[..], &["motd"]].concat(), first.clone()));
    }
    assert_eq!(references(&state, "c-one-x"), (vec!["motd"], vec![]));
}

#[test]
fn nothing_is_left_of_a_child_that_failed_if_its_parent_does_without() {
    let state = lower(&spec(&[entry("Picky", "p", json!({}), json!({}))])).unwrap();
    assert_eq!(resource_names(&state), ["p-x"]);
}

#[test]
fn mistakes_with_names_are_told_where_the_score_made_them() {
    for (mistake, message) in [
        (
            "two of its own",
            "\"u\" is already declared: each further resource needs a child Score with a name of its own",
        ),
        ("waits for later", "it names \"u-later\", which was not declared before it"),
        (
            "no name",
            "what is declared for it has no usable name: \"u-Großes\" is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit",
        ),
    ] {
        let untidy = entry("Untidy", "u", json!({"mistake": mistake}), json!({}));
        assert_eq!(lower(&spec(&[untidy])).unwrap_err(), [format!("/spec/scores/0/with/mistake: {message}")]);
    }
    assert_eq!(
        lower(&spec(&[bundle("web", &["a", "a"], json!({}))])).unwrap_err(),
        [
            "/spec/scores/0/with/files/1: \"web-a\" is already declared: each further resource needs a child Score with a name of its own"
        ]
    );
}

#[test]
fn children_of_two_entries_cannot_have_the_same_name() {
    assert_eq!(
        lower(&spec(&[bundle("a", &["b-c"], json!({})), bundle("a-b", &["c"], json!({}))])).unwrap_err(),
        ["/spec/scores/1/name: \"a-b-c\" is already the name of /spec/scores/0"]
    );
}

#[test]
fn a_score_knows_the_facts_of_the_device() {
    let state = lower(&spec(&[entry("Badge", "b", json!({}), json!({}))])).unwrap();
    let ResourceSpec::File(badge) = &state.resources()[0].spec else { panic!("a badge is a file") };
    assert_eq!(badge.content.plain().unwrap().bytes(), b"edge-0001");
}
