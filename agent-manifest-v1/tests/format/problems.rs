//! Every problem of a document is reported, at its place and in words that help.

use std::time::Duration;

use agent_manifest_v1::v1_0;
use agent_model::UnknownKeys;
use serde_json::{Value, json};

use super::{lower, lower_as, lower_with};

fn file(name: &str, spec: Value) -> Value {
    json!({"name": name, "kind": "File", "spec": spec})
}

fn process(name: &str, spec: Value) -> Value {
    json!({"name": name, "kind": "Process", "spec": spec})
}

/// Lowers one `File` with this spec besides a path.
fn problems_of_file(fields: Value) -> Vec<String> {
    let mut spec = json!({"path": "/etc/a"});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    problems_of(file("a", spec))
}

/// Lowers one `Process` with this spec besides a command.
fn problems_of_process(fields: Value) -> Vec<String> {
    let mut spec = json!({"command": ["app"]});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    problems_of(process("a", spec))
}

/// Lowers one resource; pointers lead from its spec.
fn problems_of(resource: Value) -> Vec<String> {
    let problems = lower(&json!({"resources": [resource]})).map_or_else(|problems| problems, |_| vec![]);
    let place = "/spec/resources/0/spec";
    problems.iter().map(|problem| problem.strip_prefix(place).unwrap_or(problem).to_owned()).collect()
}

#[test]
fn a_spec_of_the_wrong_shape_is_told_what_is_expected() {
    for (spec, problem) in [
        (json!(null), "/: \"spec\" is missing"),
        (json!("x"), "/spec: expected an object, found a string"),
        (json!([]), "/spec: expected an object, found an array"),
        (json!({}), "/spec: \"resources\" is missing"),
        (json!({"resources": null}), "/spec: \"resources\" is missing"),
        (json!({"resources": {}}), "/spec/resources: expected an array, found an object"),
        (json!({"resources": [true]}), "/spec/resources/0: expected an object, found a boolean"),
        (
            json!({"resources": [], "policy": 1}),
            "/spec/policy: unknown key \"policy\"; valid here: resources, rollback",
        ),
    ] {
        assert_eq!(lower(&spec).unwrap_err(), [problem], "{spec}");
    }
}

#[test]
fn what_a_newer_version_brought_is_refused_in_a_document_of_an_older_one_with_its_version() {
    let spec = json!({"resources": [], "rollback": {"deadline": "1m"}});
    let lowered = |version: &str, unknown_keys| lower_as(&version.parse().unwrap(), unknown_keys, &spec);
    for version in ["1.0.0", "1.0.7"] {
        assert_eq!(
            lowered(version, UnknownKeys::AreProblems).unwrap_err(),
            [format!(
                "/spec/rollback: \"rollback\" came with version 1.1.0, and the document is written against {version}: write \
                 schemaVersion 1.1.0"
            )]
        );
    }
    for (version, unknown_keys) in [("1.1.0", UnknownKeys::AreProblems), ("1.7.0", UnknownKeys::AreIgnored)] {
        let state = lowered(version, unknown_keys).unwrap().state;
        assert_eq!(state.rollback_deadline(), Some(Duration::from_secs(60)));
    }
    let unknown = json!({"resources": [], "rolback": {}});
    assert_eq!(
        lower_as(&v1_0::VERSION, UnknownKeys::AreProblems, &unknown).unwrap_err(),
        ["/spec/rolback: unknown key \"rolback\"; valid here: resources"]
    );
}

#[test]
fn what_is_wrong_with_a_rollback_is_told_with_all_other_problems() {
    let spec = json!({"resources": [{"name": "a"}], "rollback": {"onFailure": "Never", "deadline": "2d", "after": 1}});
    assert_eq!(
        lower(&spec).unwrap_err(),
        [
            "/spec/resources/0: \"kind\" is missing",
            "/spec/resources/0: \"spec\" is missing",
            "/spec/rollback/onFailure: \"Never\" is no way to go on; valid here: Previous, None",
            "/spec/rollback/deadline: \"2d\" is too much: give at most 24h",
            "/spec/rollback/after: unknown key \"after\"; valid here: onFailure, deadline",
        ]
    );
}

#[test]
fn the_names_of_the_agents_temporary_files_cannot_be_declared() {
    for path in ["/etc/.harmony-0123456789abcdef.tmp", "/.harmony-0123456789abcdef.tmp/f"] {
        assert_eq!(
            problems_of_file(json!({"path": path, "content": "x"})),
            [
                "/path: names of the form .harmony-<16 hex digits>.tmp are the agent's own, for files that it is about \
              to put in place; choose another name"
            ]
        );
    }
    assert_eq!(problems_of_file(json!({"path": "/etc/.harmony-1.tmp", "content": "x"})), [""; 0]);
}

#[test]
fn all_problems_of_all_resources_are_reported_at_once() {
    let problems = lower(&json!({
        "resourcs": [],
        "resources": [
            {"name": "App", "kind": "Fille", "dependson": ["b"], "spec": {"paht": "/x"}},
            {"kind": "File", "dependsOn": "b", "restartOn": ["b", 1, "B"], "spec": {
                "path": "relative", "contents": "x", "mode": "rw-r--r--", "owner": "a b", "group": -1}},
            {"name": "c", "kind": "File"},
            {"name": "c", "kind": 7},
            {"name": "d", "kind": "File", "dependsOn": ["dd"], "spec": {"path": "/etc/d", "content": 1}},
            {"name": "e", "kind": "File", "spec": {"path": "/etc/d", "contentBase64": "!", "a/b": 1}},
        ],
    }))
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "/spec/resources/0/name: \"App\" is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit",
            "/spec/resources/0/kind: unknown kind \"Fille\"; this version has: Container, File, Process, ShellJob, SystemdUnit; did you mean \"File\"?",
            "/spec/resources/0/dependson: unknown key \"dependson\"; did you mean \"dependsOn\"?",
            "/spec/resources/1: \"name\" is missing",
            "/spec/resources/1/dependsOn: expected an array, found a string",
            "/spec/resources/1/restartOn/1: expected a string, found a number",
            "/spec/resources/1/restartOn/2: \"B\" is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit",
            "/spec/resources/1/spec/path: \"relative\" is not a usable path: it must be absolute",
            "/spec/resources/1/spec: one of \"content\" and \"contentBase64\" is missing",
            "/spec/resources/1/spec/mode: \"rw-r--r--\" is not a mode: use three or four octal digits in quotes, for example \"0644\"",
            "/spec/resources/1/spec/owner: \"a b\" names no user or group: use a number, or a name of at most 32 characters without : / or spaces",
            "/spec/resources/1/spec/group: expected a name or a non-negative integer, found a number",
            "/spec/resources/1/spec/contents: unknown key \"contents\"; did you mean \"content\"?",
            "/spec/resources/2: \"spec\" is missing",
            "/spec/resources/3/kind: expected a string, found a number",
            "/spec/resources/3: \"spec\" is missing",
            "/spec/resources/4/spec/content: expected a string, found a number",
            "/spec/resources/5/spec/contentBase64: not standard base64: '!' at offset 0 is none of A-Z a-z 0-9 + /",
            "/spec/resources/5/spec/a~1b: unknown key \"a/b\"; valid here: path, content, contentBase64, mode, owner, group",
            "/spec/resourcs: unknown key \"resourcs\"; did you mean \"resources\"?",
            "/spec/resources/3/name: \"c\" is already the name of /spec/resources/2",
            "/spec/resources/4/dependsOn/0: no resource is named \"dd\"; did you mean \"d\"?",
            "/spec/resources/5/spec/path: conflicts with \"d\": both claim the same path",
        ]
    );
}

#[test]
fn a_file_has_exactly_one_content() {
    for content in [
        json!({"content": ""}),
        json!({"contentBase64": ""}),
        json!({"content": null, "contentBase64": "eA=="}),
    ] {
        assert!(problems_of_file(content.clone()).is_empty(), "{content}");
    }
    let missing = [": one of \"content\" and \"contentBase64\" is missing"];
    assert_eq!(problems_of_file(json!({})), missing);
    assert_eq!(problems_of_file(json!({"content": null, "contentBase64": null})), missing);
    assert_eq!(
        problems_of_file(json!({"content": "x", "contentBase64": "eA"})),
        [
            ": \"content\" and \"contentBase64\" exclude each other: keep one of them",
            "/contentBase64: not standard base64: it must be filled up with = to a multiple of four",
        ]
    );
}

/// A box that is long enough to be one, for some key.
fn sealed() -> Value {
    json!({"sealed": {"to": format!("X{}", "A".repeat(55)), "box": "A".repeat(136)}})
}

#[test]
fn a_variable_and_a_content_can_be_sealed_and_nothing_else() {
    assert_eq!(problems_of_file(json!({"content": sealed()})), [""; 0]);
    assert_eq!(problems_of_process(json!({"env": {"TOKEN": sealed()}})), [""; 0]);
    assert_eq!(
        problems_of_file(json!({"contentBase64": sealed()})),
        [
            "/contentBase64: only the value of a variable and the \"content\" of a File can be sealed; give a string"
        ]
    );
    assert_eq!(
        problems_of_file(json!({"content": {"other": 1}})),
        ["/content: expected a string, found an object"]
    );
}

#[test]
fn what_is_wrong_with_a_box_is_named_with_its_place() {
    let mut extended = sealed();
    extended["from"] = json!("X");
    assert_eq!(
        problems_of_file(json!({"content": extended})),
        ["/content/from: unknown key \"from\"; valid here: sealed"]
    );
    assert_eq!(
        problems_of_process(json!({"env": {"T": {"sealed": {"to": "XA", "box": "eA=="}}}})),
        [
            "/env/T/sealed/to: \"XA\" is no key to seal to: expected X and 55 more of A-Z 2-7, as `harmony-agent status` \
          shows it on the device"
        ]
    );
    let mut cut_off = sealed();
    cut_off["sealed"]["box"] = json!("A".repeat(132));
    assert_eq!(
        problems_of_file(json!({"content": cut_off})),
        [
            "/content/sealed/box: 99 bytes are too few for a box, which has 100 more than what is in it; is it cut off?"
        ]
    );
}

#[test]
fn what_is_sealed_is_for_the_owner_of_its_file_alone() {
    for mode in ["0600", "400", "0700"] {
        assert_eq!(problems_of_file(json!({"content": sealed(), "mode": mode})), [""; 0], "{mode}");
    }
    for mode in ["0644", "640", "0604", "0610"] {
        let problems = problems_of_file(json!({"content": sealed(), "mode": mode}));
        assert!(
            problems[0].starts_with("/mode: 0") && problems[0].contains("would let others"),
            "{problems:?}"
        );
    }
}

#[test]
fn what_is_wrong_with_base64_is_named_with_its_place() {
    for (text, problem) in [
        ("eHg-", "'-' at offset 3 is none of A-Z a-z 0-9 + /"),
        ("eHh4\neHh4", "'\\n' at offset 4 is none of A-Z a-z 0-9 + /"),
        ("eHü4", "'ü' at offset 2 is none of A-Z a-z 0-9 + /"),
        ("e===", "= at offset 1 is not at the end"),
        ("eHg", "it must be filled up with = to a multiple of four"),
        ("eHh4e", "5 characters make no whole number of bytes; is it cut off?"),
        ("eHh=", "the last character, at offset 2, has bits to spare; is it cut off?"),
    ] {
        let problem = format!("/contentBase64: not standard base64: {problem}");
        assert_eq!(problems_of_file(json!({"contentBase64": text})), [problem], "{text:?}");
    }
}

#[test]
fn a_mode_that_lost_its_quotes_is_told_to_put_them_back() {
    for mode in [json!(420), json!(644), json!(0.5)] {
        assert_eq!(
            problems_of_file(json!({"content": "", "mode": mode})),
            ["/mode: expected a string, found a number: put the mode in quotes, for example \"0644\""]
        );
    }
}

#[test]
fn owners_are_names_or_ids_whether_quoted_or_not() {
    for owner in [json!("root"), json!("0"), json!(0), json!(4_294_967_294_u32), json!(null)] {
        assert_eq!(problems_of_file(json!({"content": "", "owner": owner})), [""; 0], "{owner}");
    }
    for owner in [json!(4_294_967_295_u32), json!(u64::MAX), json!(-1), json!(1.5), json!(true), json!([])] {
        assert_eq!(problems_of_file(json!({"content": "", "owner": owner})).len(), 1, "{owner}");
    }
}

#[test]
fn a_process_is_read_in_all_its_parts() {
    assert_eq!(
        problems_of_process(json!({
            "command": "app --serve", "env": {"DEBUG": true}, "workdir": "var", "restart": "OnFailur", "cwd": "/",
            "limits": {"memory": "64MB"}, "probes": {"readiness": {"interval": 5}}, "stopTimeout": "2h",
            "log": {"maxsize": "1Mi"},
        })),
        [
            "/command: expected an array, found a string",
            "/env/DEBUG: expected a string, found a boolean: put it in quotes, as the program is to see it",
            "/workdir: \"var\" is not a usable path: it must be absolute",
            "/restart: \"OnFailur\" is no restart policy; did you mean \"OnFailure\"?",
            "/limits/memory: \"64MB\" is not a size: use a number and one of Ki Mi Gi Ti k M G T, for example \"64Mi\"",
            "/probes/readiness: one of \"exec\", \"http\" and \"tcp\" is missing",
            "/probes/readiness/interval: expected a string, found a number: put it in quotes with its unit, for example \"30s\"",
            "/stopTimeout: \"2h\" is too much: give at most 1h",
            "/log/maxsize: unknown key \"maxsize\"; did you mean \"maxSize\"?",
            "/cwd: unknown key \"cwd\"; valid here: command, env, workdir, user, group, restart, limits, probes, stopSignal, stopTimeout, log",
        ]
    );
    assert_eq!(
        problems_of(json!({"name": "a", "kind": "Process", "spec": {}})),
        [": \"command\" is missing"]
    );
}

#[test]
fn a_process_claims_nothing_but_its_name_of_which_a_document_is_told_once() {
    let twice = json!({"resources": [
        process("a", json!({"command": ["app"]})), process("b", json!({"command": ["app"]})),
        file("c", json!({"path": "/b", "content": ""})), process("b", json!({"command": ["other"]})),
    ]});
    assert_eq!(
        lower(&twice).unwrap_err(),
        ["/spec/resources/3/name: \"b\" is already the name of /spec/resources/1"]
    );
}

#[test]
fn no_problem_shows_the_value_of_a_variable() {
    for value in [json!("hunter2\0"), json!({"hunter2": "hunter2"}), json!(["hunter2"]), json!("hunter2")] {
        let problems = problems_of_process(json!({"env": {"TOKEN": value}, "user": " "}));
        assert!(!problems.is_empty() && !problems.concat().contains("hunter2"), "{problems:?}");
    }
    let long = problems_of_process(json!({"env": {"TOKEN": "hunter2".repeat(30_000)}}));
    assert!(
        long[0].starts_with("/command: with the environment it has ") && !long[0].contains("hunter2"),
        "{long:?}"
    );
}

#[test]
fn a_unit_is_read_in_all_its_parts() {
    let unit = |name: &str, spec: Value| json!({"name": name, "kind": "SystemdUnit", "spec": spec});
    assert_eq!(
        problems_of(unit(
            "a",
            json!({"unit": "../a.service", "content": 7, "dropIns": {"a": ""}, "enable": true})
        ))
        .len(),
        5
    );
    let twice = json!({"resources": [
        unit("a", json!({"unit": "app.service"})), unit("b", json!({"unit": "app.service"})),
        file("c", json!({"path": "/etc/systemd/system/app.service.d/x.conf", "content": ""})),
    ]});
    let problems = lower(&twice).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[0], "/spec/resources/1/spec/unit: conflicts with \"a\": both claim the same unit");
    assert!(problems[1].starts_with("/spec/resources/2/spec/path: conflicts with \"a\": "), "{problems:?}");
}

#[test]
fn keys_of_a_newer_version_are_listed_where_the_author_allows_it() {
    let spec = json!({"resources": [
        {"name": "a", "kind": "File", "priority": 1, "spec": {"path": "/etc/a", "content": "", "acl~/": {"x": 1}}},
    ], "rollout": {}});
    assert_eq!(lower(&spec).unwrap_err().len(), 3);
    let lowered = lower_with(UnknownKeys::AreIgnored, &spec).unwrap();
    assert_eq!(
        lowered.ignored,
        ["/spec/resources/0/spec/acl~0~1", "/spec/resources/0/priority", "/spec/rollout"]
    );
    assert_eq!(lowered.state.resources().len(), 1);
}

#[test]
fn a_kind_of_a_newer_version_is_a_problem_even_where_unknown_keys_are_not() {
    let spec = json!({"resources": [{"name": "a", "kind": "Teapot", "spec": {}}]});
    assert_eq!(
        lower_with(UnknownKeys::AreIgnored, &spec).unwrap_err(),
        [
            "/spec/resources/0/kind: unknown kind \"Teapot\"; this version has: Container, File, Process, ShellJob, SystemdUnit"
        ]
    );
}

#[test]
fn more_than_1024_resources_are_one_problem() {
    let many = |n: usize| -> Value {
        let files = (0..n).map(|i| file(&format!("f{i}"), json!({"path": format!("/x/{i}"), "content": ""})));
        json!({"resources": files.collect::<Vec<_>>()})
    };
    assert_eq!(lower(&many(1024)).unwrap().state.resources().len(), 1024);
    assert_eq!(
        lower(&many(1025)).unwrap_err(),
        ["/spec/resources/1024: 1025 resources are more than the 1024 a document may have"]
    );
}

#[test]
fn problems_beyond_what_anyone_reads_are_counted_only() {
    let problems = lower(&json!({"resources": vec![json!(0); 5000]})).unwrap_err();
    assert_eq!(problems.len(), 4097);
    assert_eq!(problems[4096], "/: there are 904 more problems than these");
}

#[test]
fn a_message_stays_short_however_long_a_key_or_value_is() {
    let long = "x".repeat(100_000);
    let problems =
        lower(&json!({"resources": [{"name": long, "kind": long, "spec": {}, "dependsOn": [long]}]}));
    for problem in problems.unwrap_err() {
        assert!(problem.len() < 400, "{problem}");
    }
    let problems = lower(&json!({"resources": [], &long: 1})).unwrap_err();
    let (_, message) = problems[0].split_once(": ").unwrap();
    assert!(message.len() < 200, "{message}");
}
