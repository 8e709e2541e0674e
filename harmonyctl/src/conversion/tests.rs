use std::{fs, path::Path};

use agent_core::authoring::read_documents;
use agent_model::MAX_RESOURCES;
use proptest::{collection, option, prelude::*, sample};

use super::*;
use crate::{document_text, formats::known};

fn authored(document: &Value) -> AuthoredDocument {
    AuthoredDocument::from_fields("f.yaml", document.as_object().unwrap().clone())
}

fn manifest(document: &Value) -> Manifest {
    Manifest::check(authored(document)).unwrap_or_else(|broken| panic!("{:#?}", broken.problems))
}

fn v1(resources: &Value) -> Value {
    json!({
        "apiVersion": "harmony/v1", "kind": "AgentManifest", "metadata": {"name": "edge-1"},
        "spec": {"resources": resources},
    })
}

fn converted(document: &Value) -> Result<Value, Vec<String>> {
    let manifest = manifest(document);
    match to_scores(&manifest, &manifest.facts) {
        Ok(converted) => Ok(Value::Object(converted.document.fields().clone())),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

fn digest(document: &Value) -> agent_model::Digest {
    let manifest = manifest(document);
    manifest.lower(&manifest.facts).unwrap().state.digest()
}

/// Prints it as `convert` does and reads it as `apply` does.
fn printed_and_read(document: &Value) -> Vec<Value> {
    [document_text::yaml(document).unwrap(), document_text::json(document).unwrap()]
        .iter()
        .map(|text| {
            let mut documents = read_documents(&format!("{text}\n"), "").unwrap();
            assert_eq!(documents.len(), 1, "{text}");
            Value::Object(documents.remove(0).fields().clone())
        })
        .collect()
}

fn content() -> impl Strategy<Value = (&'static str, String)> {
    let text = prop_oneof![
        2 => any::<String>(),
        1 => Just(String::new()),
        2 => "([a-zäö😀 #:'\"\\-]{0,12}(\r\n|\n|\r|\n\n|\t)){0,5}",
        2 => "[\u{0}-\u{20}\u{7f}-\u{a0}\u{202a}-\u{202e}a]{0,12}",
        1 => sample::select(vec!["yes", "~", "0644", "1e3", "- a", "a: b", "---\n", "|\n  x\n", "\u{feff}x"])
            .prop_map(str::to_owned),
    ];
    prop_oneof![
        4 => text.prop_map(|text| ("content", text)),
        1 => "([A-Za-z0-9+/]{4}){0,8}([A-Za-z0-9+/]w==)?".prop_map(|text| ("contentBase64", text)),
    ]
}

fn principal() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (0..u32::MAX).prop_map(Value::from),
        (0..u32::MAX).prop_map(|id| id.to_string().into()),
        "[a-z_][a-z0-9_-]{0,20}".prop_map(Value::from),
        sample::select(vec!["yes", "null", "~", "0x10", "1e3", "ä"]).prop_map(Value::from),
    ]
}

/// Names of earlier resources by their places, some of them several times.
fn earlier() -> impl Strategy<Value = Option<Vec<sample::Index>>> {
    option::of(collection::vec(any::<sample::Index>(), 0..4))
}

/// Specs of processes, with names and values that YAML might take for something else.
fn process() -> impl Strategy<Value = Value> {
    let odd = || {
        sample::select(vec![
            "yes", "~", "0644", "1e3", "- a", "a: b", "---", " x", "#", "ä", "'\"", "x\n", "\u{202e}",
        ])
    };
    let text = move || prop_oneof![odd().prop_map(str::to_owned), "[^\0]{0,8}"];
    let name = prop_oneof![odd().prop_map(str::to_owned), "[^\0=]{1,8}"];
    let command = ("[^\0]{1,8}", collection::vec(text(), 0..3))
        .prop_map(|(program, arguments)| [vec![program], arguments].concat());
    let env = option::of(collection::btree_map(name, text(), 0..4));
    let amount = |amounts: &[Value]| sample::select([amounts, &[Value::Null]].concat());
    let limits = (
        amount(&[json!("64Mi"), json!("128M"), json!("1.5Gi"), json!(1_048_577), json!(1e9)]),
        amount(&[json!("500m"), json!("1.5"), json!(2), json!(0.25)]),
        amount(&[json!(1), json!(4_194_304)]),
    )
        .prop_map(|(memory, cpus, pids)| json!({"memory": memory, "cpus": cpus, "pids": pids, "openFiles": pids.as_u64().map(|_| 16)}));
    let duration =
        move || amount(&[json!("1m 30s"), json!("0.5s"), json!("250ms"), json!("10s"), json!("1h")]);
    let action = prop_oneof![
        command.clone().prop_map(|command| json!({"exec": {"command": command}, "tcp": null})),
        (1..=u16::MAX, amount(&[json!("/"), json!("/a?b=%20#'")]), amount(&[json!("Http"), json!("Https")]))
            .prop_map(|(port, path, scheme)| json!({"http": {"port": port, "path": path, "scheme": scheme}})),
        (1..=u16::MAX).prop_map(|port| json!({"tcp": {"port": port}, "exec": null})),
    ];
    let probe =
        (action, duration(), amount(&[json!(1), json!(3)])).prop_map(|(mut probe, interval, threshold)| {
            probe["interval"] = interval;
            probe["failureThreshold"] = threshold;
            probe
        });
    let probes = (option::of(probe.clone()), option::of(probe))
        .prop_map(|(startup, liveness)| json!({"startup": startup, "liveness": liveness}));
    let restart = amount(&[json!("Always"), json!("OnFailure"), json!("Never")]);
    let stop = (amount(&[json!("SIGINT"), json!("TERM")]), duration());
    let log = amount(&[json!({}), json!({"maxSize": "4Ki", "keep": 0}), json!({"maxSize": "10Mi"})]);
    let workdir = amount(&[json!("/"), json!("/var/lib/a b")]);
    (command, env, workdir, principal(), restart, limits, probes, stop, log).prop_map(
        |(command, env, workdir, user, restart, limits, probes, (stop_signal, stop_timeout), log)| {
            json!({
                "command": command, "env": env, "workdir": workdir, "user": user, "restart": restart, "limits": limits,
                "probes": probes, "stopSignal": stop_signal, "stopTimeout": stop_timeout, "log": log,
            })
        },
    )
}

/// Valid containers, much of which they have as processes do.
fn container() -> impl Strategy<Value = Value> {
    let amount = |amounts: &[Value]| sample::select([amounts, &[Value::Null]].concat());
    let image = sample::select(vec!["app", "a.b/c:V1", "localhost:5000/a/b:1.2"]);
    let network = amount(&[json!("Bridge"), json!("iot")]);
    let ports = amount(&[
        json!([]),
        json!([{"host": 1, "container": 80, "hostIp": "::1", "protocol": "Udp"}, {"host": 1, "container": 80, "protocol": null}]),
    ]);
    let mounts = amount(&[
        json!([]),
        json!([
            {"type": "Tmpfs", "source": null, "target": "/b b"}, {"type": "Volume", "source": "data", "target": "/a", "readOnly": true},
            {"type": "Bind", "source": "/etc/ä", "target": "/c", "readOnly": false},
        ]),
    ]);
    let user = amount(&[json!(7), json!("7"), json!("app:app")]);
    let capabilities = amount(&[json!([]), json!(["CAP_NET_RAW", "NET_RAW", "CHOWN"])]);
    let labels = option::of(collection::btree_map("[a-z./]{1,8}", "[^\0]{0,8}", 0..3));
    let pull = amount(&[json!("Always"), json!("IfNotPresent")]);
    (process().boxed(), image, network, ports, mounts, user, capabilities, labels, pull).prop_map(
        |(process, image, network, ports, mounts, user, capabilities, labels, pull)| {
            let mut spec = json!({
                "image": image, "network": network, "ports": ports, "mounts": mounts, "user": user, "capAdd": capabilities,
                "capDrop": ["ALL"], "labels": labels, "pullPolicy": pull, "args": process["command"],
            });
            for same in ["env", "workdir", "restart", "probes", "stopSignal", "stopTimeout", "log"] {
                spec[same] = process[same].clone();
            }
            spec
        },
    )
}

/// Texts of several lines that YAML might take for something else, and which end as units and scripts do.
fn text() -> impl Strategy<Value = String> {
    let line = sample::select(vec![
        "",
        " ",
        "#!",
        "- a",
        "a: b",
        "---",
        "\t[Unit]",
        "x=%h $1 'ä\"",
        "~",
        "\u{feff}x",
    ]);
    collection::vec(line, 0..4).prop_map(|lines| lines.join("\n") + "true\n")
}

/// Valid units but for their names.
fn unit() -> impl Strategy<Value = Value> {
    let drop_ins = option::of(collection::btree_map("[a-z]{1,5}[.]conf", text(), 0..3));
    let state = option::of(sample::select(vec!["Running", "Stopped"]));
    (option::of(text()), drop_ins, option::of(any::<bool>()), state).prop_map(
        |(content, drop_ins, enabled, state)| {
            json!({"content": content, "dropIns": drop_ins, "enabled": enabled, "state": state})
        },
    )
}

/// Valid jobs, some of which they have as processes do.
fn job() -> impl Strategy<Value = Value> {
    let amount = |amounts: &[Value]| sample::select([amounts, &[Value::Null]].concat());
    let run_id = amount(&[json!(""), json!("1"), json!("yes"), json!("2026-01-31")]);
    let creates = amount(&[json!("/srv/a b"), json!("/~")]);
    let timeout = amount(&[json!("1m 30s"), json!("1s"), json!("24h")]);
    let retry = amount(&[json!(0), json!(100)]);
    let paths = amount(&[json!([]), json!(["/srv/ä", "/var/lib/#"])]);
    let network = option::of(any::<bool>());
    (text(), option::of(text()), run_id, creates, timeout, retry, paths, network, process()).prop_map(
        |(script, unless, run_id, creates, timeout, retry, paths, network, process)| {
            let mut spec = json!({
                "script": script, "unless": unless, "runId": run_id, "creates": creates, "timeout": timeout, "retry": retry,
                "writablePaths": paths, "network": network, "interpreter": process["command"],
            });
            for same in ["env", "user", "limits"] {
                spec[same] = process[same].clone();
            }
            spec
        },
    )
}

/// Valid manifests, in which each resource waits for earlier ones only.
fn valid_manifest() -> impl Strategy<Value = Value> {
    let mode = prop_oneof![2 => Just(Value::Null), 3 => "0?[0-7]{3,4}".prop_map(Value::from)];
    let file = (content(), mode, principal(), principal(), "[a-z0-9]{1,6}( [a-zä#]{1,4})?").prop_map(
        |((key, text), mode, owner, group, folder)| {
            let mut spec = json!({"path": folder, key: text, "mode": mode, "owner": owner, "group": group});
            spec[if key == "content" { "contentBase64" } else { "content" }] = Value::Null;
            ("File", spec)
        },
    );
    let resource = prop_oneof![
        2 => file.boxed(),
        1 => container().prop_map(|spec| ("Container", spec)).boxed(),
        1 => job().prop_map(|spec| ("ShellJob", spec)).boxed(),
        1 => process().prop_map(|spec| ("Process", spec)).boxed(),
        1 => unit().prop_map(|spec| ("SystemdUnit", spec)).boxed(),
    ];
    let resource = (resource, earlier(), earlier(), any::<bool>());
    let labels = option::of(collection::btree_map("[a-z/. ]{0,8}", any::<String>(), 0..3));
    let rollback = option::of((
        sample::select(vec![None, Some("Previous"), Some("None")]),
        option::of("([1-9][0-9]?m ?)?[1-9][0-9]{0,2}s"),
    ));
    (collection::vec(resource, 0..8), labels, rollback).prop_map(|(resources, labels, rollback)| {
        let name = |i: usize| format!("r-{i}");
        let resources = resources.into_iter().enumerate().map(|(i, (resource, depends_on, restart_on, is_sparse))| {
            let (kind, mut spec) = resource;
            if kind == "File" {
                spec["path"] = format!("/etc/{i}/{}", spec["path"].as_str().unwrap()).into();
            }
            if kind == "SystemdUnit" {
                spec["unit"] = format!("u{i}.service").into();
            }
            for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                port["host"] = (1 + i).into();
            }
            let names = |places: Option<Vec<sample::Index>>| match places {
                Some(places) if i > 0 => places.iter().map(|place| name(place.index(i))).collect(),
                Some(_) => json!([]),
                None => Value::Null,
            };
            let mut resource = json!({
                "name": name(i), "kind": kind, "dependsOn": names(depends_on), "restartOn": names(restart_on),
            });
            if is_sparse {
                for value in [&mut spec, &mut resource] {
                    value.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                }
            }
            resource["spec"] = spec;
            resource
        });
        let mut document = v1(&resources.collect());
        document["metadata"]["labels"] = json!(labels);
        if let Some((on_failure, deadline)) = rollback {
            document["spec"]["rollback"] = json!({"onFailure": on_failure, "deadline": deadline});
        }
        document
    })
}

proptest! {
    #[test]
    fn a_valid_manifest_and_its_conversion_ask_for_the_identical_state_also_after_printing(document in valid_manifest()) {
        let converted = converted(&document).unwrap();
        prop_assert_eq!(&converted["kind"], KIND);
        prop_assert_eq!(digest(&document), digest(&converted));
        for read in printed_and_read(&converted) {
            prop_assert_eq!(&read, &converted);
            prop_assert_eq!(digest(&read), digest(&document));
        }
        // Scores stay as they are.
        prop_assert_eq!(self::converted(&converted).unwrap(), converted);
    }
}

#[test]
fn every_example_and_its_conversion_ask_for_the_identical_state() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let folders = ["", "gateway", "jobs", "processes", "rollback"].map(|name| folder.join(name));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut count = 0;
    for file in files.map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        for document in read_documents(&fs::read_to_string(&file).unwrap(), "").unwrap() {
            let document = Value::Object(document.fields().clone());
            let converted = converted(&document).unwrap();
            assert_eq!(digest(&document), digest(&converted), "{}", file.display());
            assert_eq!(document["metadata"], converted["metadata"], "{}", file.display());
            for read in printed_and_read(&converted) {
                assert_eq!(read, converted, "{}", file.display());
            }
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} examples were found");
}

#[test]
fn the_authors_metadata_is_kept_and_what_apply_fills_in_is_left_to_it() {
    let mut document = v1(&json!([]));
    document["schemaVersion"] = json!("1.0.0");
    document["minSchemaVersion"] = json!("1.0.0");
    document["metadata"] = json!({
        "name": "edge-1", "generation": 7, "issuedAt": "2026-01-31T12:00:00Z", "labels": {"site": "north"},
        "annotations": {"contact": "x"}, "expiresAt": "2999-01-31T12:00:00Z",
    });
    let expected = json!({
        "apiVersion": "harmony/v1", "kind": "Score", "minSchemaVersion": "0.1.0",
        "metadata": {"name": "edge-1", "labels": {"site": "north"}, "annotations": {"contact": "x"},
                     "expiresAt": "2999-01-31T12:00:00Z"},
        "spec": {"scores": []},
    });
    assert_eq!(converted(&document), Ok(expected));
}

#[test]
fn when_the_device_goes_back_is_carried_over_and_needs_a_reader_that_knows_it() {
    let file = json!([{"name": "a", "kind": "File", "spec": {"path": "/a", "content": ""}}]);
    for (rollback, carried) in [
        (json!({"deadline": "90s"}), Some(json!({"onFailure": "Previous", "deadline": "90s"}))),
        (json!({}), Some(json!({"onFailure": "Previous", "deadline": "10m"}))),
        (json!({"onFailure": "None"}), None),
    ] {
        let mut document = v1(&file);
        document["spec"]["rollback"] = rollback;
        let converted = converted(&document).unwrap();
        assert_eq!(converted["spec"].get("rollback"), carried.as_ref());
        assert_eq!(digest(&document), digest(&converted));
        // Whatever is not said is the newest, which knows it.
        let min = converted.get("minSchemaVersion").and_then(Value::as_str);
        assert_eq!(min, if carried.is_some() { None } else { Some("0.1.0") });
        let versions = manifest(&converted).envelope;
        let needed = if carried.is_some() { "0.1.1" } else { "0.1.0" };
        assert_eq!(
            (versions.schema_version.to_string(), versions.min_schema_version.to_string()),
            ("0.1.1".to_owned(), needed.to_owned())
        );
    }
}

#[test]
fn scores_come_out_as_they_are_but_for_what_apply_fills_in() {
    let mut document = json!({
        "apiVersion": "harmony/v1", "kind": "Score", "schemaVersion": "0.1.0",
        "metadata": {"name": "edge-1", "generation": 7, "issuedAt": "2026-01-31T12:00:00Z"},
        "spec": {"scores": [{"score": "Tea", "version": "0.1.0", "name": "tea", "with": {"sugar": null}}]},
    });
    let converted = converted(&document).unwrap();
    document["metadata"] = json!({"name": "edge-1"});
    assert_eq!(converted, document);
}

#[test]
fn keys_that_the_conversion_would_lose_are_named_instead() {
    let mut document = v1(&json!([
        {"name": "a", "kind": "File", "colour": "red", "spec": {"path": "/a", "content": "", "shade": 1}}
    ]));
    document["schemaVersion"] = json!("1.9.0");
    document["minSchemaVersion"] = json!("1.0.0");
    let problems = converted(&document).unwrap_err();
    for pointer in ["/spec/resources/0/colour: ", "/spec/resources/0/spec/shade: "] {
        assert!(problems.iter().any(|problem| problem.starts_with(pointer)), "{problems:?}");
    }
    assert_eq!(problems.len(), 2, "{problems:?}");
}

/// A valid manifest of as many resources as there may be.
fn of_many_resources(content: &str) -> Value {
    let resource = |i| json!({"name": format!("f{i}"), "kind": "File", "spec": {"path": format!("/{i}"), "content": content}});
    v1(&(0..MAX_RESOURCES).map(resource).collect())
}

#[test]
fn a_conversion_that_no_device_could_read_is_refused_with_both_sizes() {
    let document = of_many_resources(&"x".repeat(430));
    let problems = converted(&document).unwrap_err();
    let original = document.to_string().len();
    assert!(original < MAX_DOCUMENT_BYTES, "{original}");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(&format!("more than the {MAX_DOCUMENT_BYTES}")), "{problems:?}");
    let told = problems[0].split_once("it has ").unwrap().1.strip_suffix(" itself").unwrap();
    // What apply fills in counts.
    assert!((original..original + 200).contains(&told.parse().unwrap()), "{original}: {problems:?}");
    let small = of_many_resources("");
    assert_eq!(digest(&small), digest(&converted(&small).unwrap()));
}

#[test]
fn every_format_that_is_not_scores_can_be_converted() {
    // What is known here is what fleets may have in their buckets.
    let mut kinds: Vec<String> = known().advertised().into_keys().collect();
    kinds.retain(|kind| kind != KIND);
    assert_eq!(kinds, ["AgentManifest"], "is there a test for the conversion of the new one?");
}
