//! What must hold of any document.

use agent_manifest_v1::json_schemas;
use agent_model::UnknownKeys;
use proptest::{collection, option, prelude::*, sample};
use serde_json::{Map, Value, json};

use super::{lower, lower_as, lower_with};

/// Any JSON; keys and texts are often ones that mean something to the format.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        4 => sample::select(vec![
            "resources", "name", "kind", "dependsOn", "restartOn", "spec", "path", "content", "contentBase64",
            "mode", "owner", "group", "sealed", "File", "a", "/etc/a", "0644", "eA==", "Process", "command", "env",
            "workdir", "user", "restart", "limits", "memory", "cpus", "pids", "openFiles", "probes", "startup",
            "readiness", "exec", "http", "tcp", "port", "interval", "failureThreshold", "stopSignal", "stopTimeout",
            "log", "maxSize", "keep", "Always", "64Mi", "500m", "30s", "TERM", "/", "Container", "image", "args", "ports",
            "host", "container", "protocol", "hostIp", "mounts", "type", "source", "target", "readOnly", "devices", "network",
            "capAdd", "capDrop", "labels", "Bind", "Volume", "Tmpfs", "Host", "NET_ADMIN", "127.0.0.1", "/dev/a", "app:1",
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
    let or_any = |valid: Value| prop_oneof![8 => Just(valid), 1 => any_json()];
    let file = (or_any(json!("/etc/a")), or_any(json!("x")), or_any(json!("0600")), or_any(json!("root")), any_json())
        .prop_map(|(path, content, mode, owner, group)| {
            json!({"path": path, "content": content, "mode": mode, "owner": owner, "group": group})
        });
    let spoilt = |(mut spec, place, any): (Value, &str, _)| {
        // Where the place is not there, it stays valid.
        if let Some(value) = spec.pointer_mut(place) {
            *value = any;
        }
        spec
    };
    let container = (container(), sample::select(PLACES_IN_CONTAINERS.to_vec()), any_json()).prop_map(spoilt);
    let process = (process(), sample::select(PLACES.to_vec()), any_json()).prop_map(spoilt);
    let unit = (or_any(json!("a.service")), or_any(json!("x")), or_any(json!({"a.conf": "x"})), or_any(json!(true)), any_json())
        .prop_map(|(unit, content, drop_ins, enabled, state)| {
            json!({"unit": unit, "content": content, "dropIns": drop_ins, "enabled": enabled, "state": state})
        });
    let job = (or_any(json!("x")), or_any(json!("1")), or_any(json!(["/srv"])), or_any(json!("1s")), any_json()).prop_map(
        |(script, run_id, paths, timeout, unless)| {
            json!({"script": script, "runId": run_id, "writablePaths": paths, "timeout": timeout, "unless": unless})
        },
    );
    let resource = prop_oneof![
        container.prop_map(|spec| ("Container", spec)),
        file.prop_map(|spec| ("File", spec)),
        job.prop_map(|spec| ("ShellJob", spec)),
        process.prop_map(|spec| ("Process", spec)),
        unit.prop_map(|spec| ("SystemdUnit", spec)),
    ];
    let resource = (resource, option::weighted(0.1, any_json()));
    let rollback = prop_oneof![
        3 => Just(Value::Null),
        1 => any_json(),
        3 => (or_any(json!("Previous")), or_any(json!("30s")))
            .prop_map(|(on_failure, deadline)| json!({"onFailure": on_failure, "deadline": deadline})),
    ];
    (or_any(json!("a")), resource, or_any(json!([])), rollback).prop_map(
        |(name, ((kind, spec), other_kind), depends_on, rollback)| {
            let kind = other_kind.unwrap_or_else(|| kind.into());
            let resource = json!({"name": name, "kind": kind, "dependsOn": depends_on, "spec": spec});
            let mut spec = json!({"resources": [resource]});
            if !rollback.is_null() {
                spec["rollback"] = rollback;
            }
            spec
        },
    )
}

/// Places in a process, some of which each has.
const PLACES: [&str; 17] = [
    "/command",
    "/command/0",
    "/env",
    "/env/TOKEN",
    "/workdir",
    "/user",
    "/group",
    "/restart",
    "/limits",
    "/limits/memory",
    "/limits/cpus",
    "/limits/pids",
    "/probes",
    "/probes/readiness",
    "/probes/readiness/interval",
    "/stopTimeout",
    "/log/maxSize",
];

/// Places in a container, some of which each has.
const PLACES_IN_CONTAINERS: [&str; 17] = [
    "/image",
    "/command",
    "/env",
    "/ports",
    "/ports/0",
    "/ports/0/host",
    "/ports/0/hostIp",
    "/mounts",
    "/mounts/0",
    "/mounts/0/type",
    "/mounts/0/source",
    "/mounts/0/target",
    "/network",
    "/user",
    "/capAdd",
    "/limits",
    "/labels",
];

/// Valid containers.
fn container() -> BoxedStrategy<Value> {
    let image = "([a-z]{1,5}\\.[a-z]{2}(:[1-9][0-9]{3})?/)?[a-z]{1,5}([._-][a-z]{1,4})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,4})?";
    let address = option::of(any::<std::net::IpAddr>().prop_map(|ip| ip.to_string()));
    let port = (1..=u16::MAX, address, sample::select(vec![None, Some("Tcp"), Some("Udp")])).prop_map(
        |(container, address, protocol)| json!([{"host": 8080, "container": container, "hostIp": address, "protocol": protocol}]),
    );
    let mount = prop_oneof![
        "(/[a-z]{1,4}){1,2}".prop_map(|path| json!({"type": "Bind", "source": path, "target": "/a"})),
        "[a-z][a-z0-9._-]{0,8}"
            .prop_map(|name| json!({"type": "Volume", "source": name, "target": "/b", "readOnly": true})),
        Just(json!({"type": "Tmpfs", "target": "/c"})),
    ];
    let user = prop_oneof![
        Just(Value::Null),
        any::<u16>().prop_map(Value::from),
        "[a-z]{1,8}(:[0-9]{1,4})?".prop_map(Value::from)
    ];
    let capability = sample::select(vec!["CHOWN", "CAP_NET_RAW", "SYS_TIME"]);
    (image, process(), option::of(port), collection::vec(mount, 0..2), user, collection::vec(capability, 0..3), option::of("[a-z]{2,8}x")).prop_map(
        |(image, process, ports, mounts, user, capabilities, network)| {
            let mut spec = json!({
                "image": image, "args": process["command"], "ports": ports, "mounts": mounts, "user": user, "capAdd": capabilities,
                "capDrop": ["ALL"], "network": network, "labels": process["env"].as_object().filter(|env| env.is_empty()),
            });
            for same in ["env", "workdir", "restart", "limits", "probes", "stopTimeout", "log"] {
                spec[same] = process[same].clone();
            }
            spec
        },
    )
        .boxed()
}

/// Values that are sealed, to whomever.
fn sealed() -> impl Strategy<Value = Value> {
    ("X[A-Z2-7]{55}", "[A-Za-z0-9+/]{136,160}").prop_map(|(to, mut text)| {
        text.truncate(text.len() / 4 * 4);
        json!({"sealed": {"to": to, "box": text}})
    })
}

/// Valid processes.
fn process() -> BoxedStrategy<Value> {
    let word = |pattern: &'static str| pattern.prop_map(Value::from);
    let duration =
        || prop_oneof![word("[1-9][0-9]{0,2}s"), word("[1-9] ?m( [1-5]?[0-9]s)?"), word("[1-9][0-9]{2,4}ms")];
    let or_null = |value: BoxedStrategy<Value>| prop_oneof![Just(Value::Null), value];
    let action = prop_oneof![
        collection::vec("[^\0]{1,8}", 1..4).prop_map(|command| ("exec", json!({"command": command}))),
        (
            1..=u16::MAX,
            or_null(word("/[!-~]{0,8}").boxed()),
            sample::select(vec![None, Some("Http"), Some("Https")])
        )
            .prop_map(|(port, path, scheme)| ("http", json!({"port": port, "path": path, "scheme": scheme}))),
        (1..=u16::MAX).prop_map(|port| ("tcp", json!({"port": port}))),
    ];
    let probe = (action, or_null(duration().boxed()), option::of(1..=1000_u32)).prop_map(
        |((kind, action), interval, threshold)| json!({kind: action, "interval": interval, "failureThreshold": threshold}),
    );
    let probes = option::of(
        (option::of(probe.clone()), option::of(probe))
            .prop_map(|(readiness, liveness)| json!({"readiness": readiness, "liveness": liveness})),
    );
    let limits = option::of(
        (
            or_null(word("[1-9][0-9]{0,2}(Mi|Gi|G|e7)").boxed()),
            or_null(word("[1-9][0-9]{1,3}m").boxed()),
            option::of(1..9999_u32),
        )
            .prop_map(|(memory, cpus, pids)| json!({"memory": memory, "cpus": cpus, "pids": pids})),
    );
    let value = prop_oneof![3 => word("[^\0]{0,8}"), 1 => sealed()];
    let env = collection::btree_map("[^\0=]{1,8}", value, 0..3);
    let command = collection::vec("[^\0]{1,8}", 1..4);
    let restart = sample::select(vec![None, Some("Always"), Some("OnFailure"), Some("Never")]);
    let log = option::of("[1-9][0-9]{1,2}Ki".prop_map(|size| json!({"maxSize": size})));
    (command, env, or_null(word("(/[a-z]{1,8}){1,3}").boxed()), restart, limits, probes, or_null(duration().boxed()), log)
        .prop_map(|(command, env, workdir, restart, limits, probes, stop_timeout, log)| {
            json!({
                "command": command, "env": env, "workdir": workdir, "restart": restart, "limits": limits, "probes": probes,
                "stopTimeout": stop_timeout, "log": log,
            })
        })
        .boxed()
}

/// Valid resources, the i-th with a place or a port of its own, and each waiting only for earlier ones.
fn valid_resources() -> impl Strategy<Value = Vec<Value>> {
    let content = prop_oneof![
        any::<String>().prop_map(|text| ("content", text.into())),
        "([A-Za-z0-9+/]{4}){0,4}([A-Za-z0-9+/]w==)?".prop_map(|text| ("contentBase64", text.into())),
        sealed().prop_map(|value| ("content", value)),
    ];
    let id = prop_oneof![any::<u16>().prop_map(Value::from), "[a-z][a-z0-9-]{0,20}".prop_map(Value::from)];
    let file = (content, option::of("0?[0-7]{3,4}"), option::of(id)).prop_map(
        |((key, content), mode, owner): ((_, Value), _, _)| {
            // What is sealed is for nobody but the owner.
            let mode = mode.filter(|mode: &String| !content.is_object() || mode.ends_with("00"));
            ("File", json!({"path": null, key: content, "mode": mode, "owner": owner}))
        },
    );
    let unit = (any::<bool>(), sample::select(vec![None, Some("Running"), Some("Stopped")]), "[a-z]{1,9}").prop_map(
        |(enabled, state, text)| {
            let drop_ins = json!({"b.conf": text, "a.conf": "x"});
            ("SystemdUnit", json!({"unit": null, "content": text, "enabled": enabled, "state": state, "dropIns": drop_ins}))
        },
    );
    let job = (any::<bool>(), option::of("[a-z0-9]{0,9}"), "[a-z\n]{0,9}[a-z]").prop_map(
        |(network, run_id, script)| {
            let paths = json!(["/srv/a", "/srv/b"]);
            (
                "ShellJob",
                json!({"script": script, "runId": run_id, "network": network, "writablePaths": paths}),
            )
        },
    );
    let resource = prop_oneof![
        container().prop_map(|spec| ("Container", spec)),
        file,
        job,
        process().prop_map(|spec| ("Process", spec)),
        unit
    ];
    collection::vec((resource, any::<sample::Index>()), 0..12).prop_map(|resources| {
        resources
            .into_iter()
            .enumerate()
            .map(|(i, ((kind, mut spec), earlier))| {
                let depends_on: Vec<String> =
                    if i > 0 { vec![format!("r-{}", earlier.index(i))] } else { Vec::new() };
                match kind {
                    "Container" => {
                        spec.pointer_mut("/ports/0/host")
                            .into_iter()
                            .for_each(|host| *host = (8080 + i).into());
                    }
                    "File" => spec["path"] = format!("/etc/{i}.conf").into(),
                    "SystemdUnit" => spec["unit"] = format!("u{i}.service").into(),
                    _ => {}
                }
                json!({"name": format!("r-{i}"), "kind": kind, "dependsOn": depends_on, "spec": spec})
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
    fn what_lowers_is_valid_by_the_schema_of_its_version(spec in nearly_valid()) {
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "AgentManifest", "metadata": {"name": "a"}, "spec": spec,
        });
        for (version, schema) in json_schemas() {
            if lower_as(&version, UnknownKeys::AreProblems, &spec).is_ok() {
                let verdict = jsonschema::validate(&schema, &document);
                prop_assert!(verdict.is_ok(), "{version}: {verdict:?}");
            }
        }
    }

    #[test]
    fn what_an_older_version_could_say_means_the_same_in_a_newer_one(spec in nearly_valid()) {
        let versions = json_schemas().into_iter().map(|(version, _)| version);
        let lowered = versions.filter_map(|version| lower_as(&version, UnknownKeys::AreProblems, &spec).ok());
        let states: Vec<_> = lowered.map(|lowered| lowered.state).collect();
        prop_assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "{states:?}");
        if spec.get("rollback").is_none() {
            prop_assert!(states.is_empty() || states.len() == json_schemas().len());
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
