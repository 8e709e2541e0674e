//! Every problem of a document is reported, at its place and in words that help.

use agent_model::UnknownKeys;
use agent_score_bridge::{ScoreBridge, v0_1_0};
use serde_json::{Value, json};

use super::{bridge, bundle, entry, file, lower, lower_as, lower_with, problems_with, scores, spec};

#[test]
fn a_spec_of_the_wrong_shape_is_told_what_is_expected() {
    for (spec, problem) in [
        (json!(null), "/: \"spec\" is missing"),
        (json!("x"), "/spec: expected an object, found a string"),
        (json!({}), "/spec: \"scores\" is missing"),
        (json!({"scores": {}}), "/spec/scores: expected an array, found an object"),
        (json!({"scores": [true]}), "/spec/scores/0: expected an object, found a boolean"),
        (
            json!({"scores": [], "policy": 1}),
            "/spec/policy: unknown key \"policy\"; valid here: scores, rollback",
        ),
    ] {
        assert_eq!(lower(&spec).unwrap_err(), [problem], "{spec}");
    }
}

#[test]
fn what_a_newer_version_brought_is_refused_in_a_document_of_an_older_one_with_its_version() {
    let spec = json!({"scores": [], "rollback": {}});
    assert_eq!(
        lower_as(&v0_1_0::VERSION, &bridge(), UnknownKeys::AreProblems, &spec).unwrap_err(),
        [
            "/spec/rollback: \"rollback\" came with version 0.1.1, and the document is written against 0.1.0: write \
             schemaVersion 0.1.1"
        ]
    );
    assert!(lower(&spec).unwrap().rollback_deadline().is_some());
    assert_eq!(
        lower(&json!({"scores": [], "rollback": {"deadline": "0s"}})).unwrap_err(),
        ["/spec/rollback/deadline: \"0s\" is too little: give at least 1s"]
    );
}

#[test]
fn all_problems_of_all_entries_are_reported_at_once() {
    let problems = problems_with(
        agent_score_bridge::ScoreRegistry::none()
            .with::<agent_score_bridge::File>()
            .with::<scores::Bundle>()
            .with::<scores::Fussy>(),
        &json!({
            "socres": [],
            "scores": [
                {"score": "Fille", "version": "0.1.0", "name": "Web", "dependson": ["b"], "with": {}},
                {"score": "File", "version": "0.2.0", "name": "a", "with": {"path": "/a", "content": ""}},
                {"score": "File", "version": "latest", "name": "b", "dependsOn": "a", "restartOn": ["a", 1, "B"]},
                {"version": 1, "with": {}},
                {"score": "File", "version": "0.1.0", "name": "c", "with": {"paht": "/x", "content": 7, "mode": 420}},
                {"score": "File", "version": "0.1.0", "name": "c", "dependsOn": ["cc", "c"], "with": []},
                {"score": "Fussy", "version": "0.1.0", "name": "d", "with": {"colour": "red"}},
                {"score": "Bundle", "version": "0.1.0", "name": "e", "dependsOn": ["f"],
                    "with": {"files": [{"name": "x", "path": "/etc/x"}]}},
                {"score": "File", "version": "0.1.0", "name": "f", "dependsOn": ["e", "f"],
                    "with": {"path": "/etc/x", "content": ""}},
            ],
        }),
    );
    assert_eq!(
        problems,
        [
            "/spec/scores/0/name: \"Web\" is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit",
            "/spec/scores/0/score: no Score is named \"Fille\"; this device has Bundle@0.1.0, File@0.1.0, Fussy@0.1.0; did you mean \"File\"?",
            "/spec/scores/0/dependson: unknown key \"dependson\"; did you mean \"dependsOn\"?",
            "/spec/scores/1/version: no version of File is ^0.2.0; this device has File@0.1.0",
            "/spec/scores/2/version: \"latest\" is no range of versions: expected for example 0.1.0 or >=0.1, <0.3",
            "/spec/scores/2/dependsOn: expected an array, found a string",
            "/spec/scores/2/restartOn/1: expected a string, found a number",
            "/spec/scores/2/restartOn/2: \"B\" is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit",
            "/spec/scores/2: \"with\" is missing",
            "/spec/scores/3: \"name\" is missing",
            "/spec/scores/3: \"score\" is missing",
            "/spec/scores/3/version: expected a string, found a number: put the version in quotes, for example \"0.1.0\"",
            "/spec/scores/4/with: \"path\" is missing",
            "/spec/scores/4/with/content: expected a string, found a number",
            "/spec/scores/4/with/mode: expected a string, found a number: put the mode in quotes, for example \"0644\"",
            "/spec/scores/4/with/paht: unknown key \"paht\"; did you mean \"path\"?",
            "/spec/scores/5/with: expected an object, found an array",
            "/spec/scores/6/with/colour: unknown key \"colour\"; valid here: inChild",
            "/spec/socres: unknown key \"socres\"; did you mean \"scores\"?",
            "/spec/scores/5/name: \"c\" is already the name of /spec/scores/4",
            "/spec/scores/5/dependsOn/0: no Score of this document is named \"cc\"; did you mean \"c\"?",
            "/spec/scores/5/dependsOn/1: a Score cannot name itself",
            "/spec/scores/8/dependsOn/1: a Score cannot name itself",
            "/spec/scores/7/dependsOn: these wait for one another for ever: e -> f -> e",
            "/spec/scores/6/with/a: too red",
            "/spec/scores/6/with: too loud",
            "/spec/scores/8/with/path: conflicts with \"e-x\": both claim the same path",
        ]
    );
}

#[test]
fn a_conflict_of_a_child_with_an_entry_stands_at_the_later_of_both() {
    let composite = bundle("web", &["a", "b"], json!({}));
    let plain = file("plain", "/web/b");
    assert_eq!(
        lower(&spec(&[composite.clone(), plain.clone()])).unwrap_err(),
        ["/spec/scores/1/with/path: conflicts with \"web-b\": both claim the same path"]
    );
    assert_eq!(
        lower(&spec(&[plain, composite])).unwrap_err(),
        ["/spec/scores/1/with/files/1: conflicts with \"plain\": both claim the same path"]
    );
}

#[test]
fn a_second_entry_of_a_name_is_told_of_its_name_only() {
    assert_eq!(
        lower(&spec(&[file("a", "/a"), file("a", "/a")])).unwrap_err(),
        ["/spec/scores/1/name: \"a\" is already the name of /spec/scores/0"]
    );
}

#[test]
fn every_body_is_an_object_whatever_the_score_makes_of_it() {
    for (with, found) in [(json!([]), "an array"), (json!("x"), "a string"), (json!(1), "a number")] {
        assert_eq!(
            lower(&spec(&[entry("Badge", "b", with, json!({}))])).unwrap_err(),
            [format!("/spec/scores/0/with: expected an object, found {found}")]
        );
    }
}

#[test]
fn what_a_child_finds_wrong_stands_where_the_parent_made_it_from() {
    let fussy = entry("Fussy", "a", json!({"inChild": true}), json!({}));
    assert_eq!(
        lower(&spec(&[fussy])).unwrap_err(),
        ["/spec/scores/0/with/inChild: too red", "/spec/scores/0/with/inChild: too loud"]
    );
    let unnameable = bundle("a", &["ok", "Not a name"], json!({}));
    assert_eq!(
        lower(&spec(&[unnameable])).unwrap_err(),
        [
            "/spec/scores/0/with/files/1: what is declared for it has no usable name: \"a-Not a name\" is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit"
        ]
    );
}

#[test]
fn a_missing_capability_names_score_version_capability_and_what_would_provide_it() {
    let bare = ScoreBridge::new(scores::registry(), []);
    let problems = |entry: Value| lower_with(&bare, UnknownKeys::AreProblems, &spec(&[entry])).unwrap_err();
    let lacks = "the Score File 0.1.0 needs the capability Files, which this device does not have; an agent with the reconciler File would provide it";
    assert_eq!(problems(file("a", "/a")), [format!("/spec/scores/0/with: {lacks}")]);
    assert_eq!(
        problems(bundle("web", &["a", "b"], json!({}))),
        [format!("/spec/scores/0/with/files/0: {lacks}")]
    );
    // What its child made a file from stands nowhere in the document.
    let chain = entry("Chain", "c", json!({}), json!({}));
    assert_eq!(problems(chain), [format!("/spec/scores/0/with: {lacks}")]);
}

#[test]
fn a_score_can_tell_that_a_capability_is_missing_and_do_without() {
    let modest = spec(&[entry("Modest", "m", json!({}), json!({}))]);
    assert_eq!(lower(&modest).unwrap().resources().len(), 1);
    let bare = ScoreBridge::new(scores::registry(), []);
    let lowered = lower_with(&bare, UnknownKeys::AreProblems, &modest).unwrap();
    assert_eq!(lowered.state.resources().len(), 0);
}

#[test]
fn cycles_are_told_in_the_documents_own_names_each_entry_once() {
    let of = |name: &str, depends_on: &[&str]| bundle(name, &["x", "y"], json!({"dependsOn": depends_on}));
    let problems = lower(&spec(&[
        of("a", &["b"]),
        of("b", &["c", "d"]),
        of("c", &["a"]),
        of("d", &["d"]),
        of("e", &["f"]),
        of("f", &["a", "e"]),
    ]));
    assert_eq!(
        problems.unwrap_err(),
        [
            "/spec/scores/3/dependsOn/0: a Score cannot name itself",
            "/spec/scores/0/dependsOn: these wait for one another for ever: a -> b -> c -> a",
            "/spec/scores/4/dependsOn: these wait for one another for ever: e -> f -> e",
        ]
    );
}

#[test]
fn a_cycle_over_large_composites_is_one_problem() {
    let files: Vec<String> = (0..250).map(|i| format!("f{i}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let of = |name: &str, depends_on: &str| bundle(name, &files, json!({"dependsOn": [depends_on]}));
    assert_eq!(
        lower(&spec(&[of("a", "b"), of("b", "a")])).unwrap_err(),
        ["/spec/scores/0/dependsOn: these wait for one another for ever: a -> b -> a"]
    );
}

#[test]
fn where_everything_waits_for_everything_the_problems_stay_few_and_short() {
    let names: Vec<String> = (0..400).map(|i| format!("n{i}")).collect();
    let entries: Vec<Value> = names
        .iter()
        .map(|name| {
            entry(
                "File",
                name,
                json!({"path": format!("/{name}"), "content": ""}),
                json!({"dependsOn": names}),
            )
        })
        .collect();
    let problems = lower(&spec(&entries)).unwrap_err();
    assert!(problems.len() <= 2 * names.len(), "{}", problems.len());
    assert!(problems.iter().map(String::len).sum::<usize>() < 100_000);
}

#[test]
fn suggestions_for_unknown_names_are_bounded_and_so_is_their_number() {
    let long = |i: usize| format!("{}{i:04}", "x".repeat(59));
    let entries: Vec<Value> = (0..1000).map(|i| file(&long(i), &format!("/{i}"))).collect();
    let unknown: Vec<String> = (0..6000).map(|i| long(i + 2000)).collect();
    let asking =
        entry("File", "asks", json!({"path": "/asks", "content": ""}), json!({"dependsOn": unknown}));
    let problems = lower(&spec(&[entries, vec![asking]].concat())).unwrap_err();
    assert_eq!(problems.iter().filter(|problem| problem.contains("did you mean")).count(), 10);
    assert_eq!(problems.len(), 4097);
}

#[test]
fn a_score_that_leaves_something_out_without_a_reason_is_refused_and_not_pruned() {
    for (score, problem) in [
        ("Silent", "/spec/scores/1/with: the Score cannot read this and does not say why"),
        ("Mute", "/spec/scores/1/with: the Score refuses this and does not say why"),
    ] {
        let entries = [file("a", "/a"), entry(score, "b", json!({}), json!({}))];
        assert_eq!(lower(&spec(&entries)).unwrap_err(), [problem]);
    }
}

#[test]
fn keys_of_a_newer_version_are_ignored_in_entries_and_remain_problems_in_their_bodies() {
    let newer = |with: Value| {
        let mut newer = spec(&[entry("File", "a", with, json!({"priority": 1}))]);
        newer["rollout"] = json!({});
        newer
    };
    let known = newer(json!({"path": "/a", "content": ""}));
    assert_eq!(lower(&known).unwrap_err().len(), 2);
    let lowered = lower_with(&bridge(), UnknownKeys::AreIgnored, &known).unwrap();
    assert_eq!(lowered.ignored, ["/spec/scores/0/priority", "/spec/rollout"]);
    assert_eq!(lowered.state.resources().len(), 1);
    assert_eq!(
        lower_with(
            &bridge(),
            UnknownKeys::AreIgnored,
            &newer(json!({"path": "/a", "content": "", "mod": 1}))
        )
        .unwrap_err(),
        ["/spec/scores/0/with/mod: unknown key \"mod\"; did you mean \"mode\"?"]
    );
}

#[test]
fn a_message_stays_short_however_long_a_key_or_value_is() {
    let long = "x".repeat(100_000);
    let problems = lower(&json!({"scores": [
        {"score": long, "version": "0.1.0", "name": long, "dependsOn": [long], "with": {}},
        {"score": "File", "version": format!("1.0.0-{long}"), "name": "a", "with": {}},
        {"score": "File", "version": long, "name": "b", "with": {}},
    ]}));
    let problems = problems.unwrap_err();
    assert_eq!(problems.len(), 5);
    for problem in problems {
        assert!(problem.len() < 400, "{problem}");
    }
}
