//! The JSON Schema, the wire types and the reader must know the same fields.

use std::{collections::BTreeSet, fs, path::PathBuf};

use agent_manifest_v1::{
    json_schemas,
    v1_0::{
        AgentManifest, ApiVersion, Container, ContainerLimits, ContainerUser, Cpus, Entry, Exec, File, Http,
        IdOrName, Kind, Limits, Log, Metadata, Mount, MountType, Port, Probe, Probes, Process, Protocol,
        PullPolicy, ResourceEntry, Restart, Scheme, ShellJob, Size, Spec, SystemdUnit, Tcp, UnitState,
    },
    v1_1,
};
use agent_model::UnknownKeys;
use semver::Version;
use serde_json::{Value, json};

use super::{lower, lower_as, newest_schema};

#[test]
fn the_committed_schemas_are_those_of_the_wire_types() {
    let newest = json_schemas().pop().unwrap().0;
    for (version, schema) in json_schemas() {
        let file = format!("schemas/AgentManifest/{version}.json");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(&file);
        // What has a newer version is frozen.
        if std::env::var_os("UPDATE_SCHEMAS").is_some() && version == newest {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            fs::write(&path, text).unwrap();
        }
        let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(
            committed == schema,
            "{file} differs from the wire types; if that is meant, and the version has not been released, regenerate \
             it: UPDATE_SCHEMAS=1 cargo test -p agent-manifest-v1"
        );
    }
}

/// The keys that the reader names as valid when it meets an unknown one in a document of that version.
fn keys_known_to_reader(version: &Version, spec: &Value) -> BTreeSet<String> {
    let problems = lower_as(version, UnknownKeys::AreProblems, spec).unwrap_err();
    let known =
        problems.iter().find_map(|problem| problem.split_once("unknown key \"???????????\"; valid here: "));
    known.unwrap().1.split(", ").map(str::to_owned).collect()
}

fn keys_in_schema(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let properties = schema.pointer(pointer).and_then(Value::as_object);
    properties.unwrap_or_else(|| panic!("no {pointer} in {schema:#}")).keys().cloned().collect()
}

fn container(spec: Value) -> Value {
    json!({"resources": [{"name": "c", "kind": "Container", "spec": spec}]})
}

fn process(spec: Value) -> Value {
    json!({"resources": [{"name": "p", "kind": "Process", "spec": spec}]})
}

fn job(spec: Value) -> Value {
    json!({"resources": [{"name": "j", "kind": "ShellJob", "spec": spec}]})
}

#[test]
fn reader_and_schema_know_the_same_keys() {
    let unknown = "???????????";
    for (spec, pointer) in [
        (json!({unknown: 0}), "/$defs/Spec/properties"),
        (json!({"resources": [{unknown: 0}]}), "/$defs/ResourceEntry/oneOf/0/properties"),
        (json!({"resources": [{"kind": "File", "spec": {unknown: 0}}]}), "/$defs/File/properties"),
        (json!({"resources": [{"kind": "File", unknown: 0}]}), "/$defs/ResourceEntry/oneOf/1/properties"),
        (json!({"resources": [{"kind": "Process", unknown: 0}]}), "/$defs/ResourceEntry/oneOf/2/properties"),
        (
            json!({"resources": [{"kind": "SystemdUnit", unknown: 0}]}),
            "/$defs/ResourceEntry/oneOf/4/properties",
        ),
        (container(json!({unknown: 0})), "/$defs/Container/properties"),
        (container(json!({"ports": [{unknown: 0}]})), "/$defs/Port/properties"),
        (container(json!({"mounts": [{unknown: 0}]})), "/$defs/Mount/properties"),
        (container(json!({"limits": {unknown: 0}})), "/$defs/ContainerLimits/properties"),
        (process(json!({unknown: 0})), "/$defs/Process/properties"),
        (job(json!({unknown: 0})), "/$defs/ShellJob/properties"),
        (
            json!({"resources": [{"kind": "SystemdUnit", "spec": {unknown: 0}}]}),
            "/$defs/SystemdUnit/properties",
        ),
        (process(json!({"limits": {unknown: 0}})), "/$defs/Limits/properties"),
        (process(json!({"log": {unknown: 0}})), "/$defs/Log/properties"),
        (process(json!({"probes": {unknown: 0}})), "/$defs/Probes/properties"),
        (process(json!({"probes": {"startup": {unknown: 0}}})), "/$defs/Probe/properties"),
        (process(json!({"probes": {"startup": {"exec": {unknown: 0}}}})), "/$defs/Exec/properties"),
        (process(json!({"probes": {"startup": {"http": {unknown: 0}}}})), "/$defs/Http/properties"),
        (process(json!({"probes": {"startup": {"tcp": {unknown: 0}}}})), "/$defs/Tcp/properties"),
    ] {
        for (version, schema) in json_schemas() {
            let known = keys_known_to_reader(&version, &spec);
            assert_eq!(known, keys_in_schema(&schema, pointer), "{version}: {pointer}");
        }
    }
    let spec = json!({"rollback": {unknown: 0}});
    let known = keys_known_to_reader(&v1_1::VERSION, &spec);
    assert_eq!(known, keys_in_schema(&newest_schema(), "/$defs/Rollback/properties"));
}

#[test]
fn reader_and_schema_know_the_same_kinds() {
    let problem = lower(&json!({"resources": [{"name": "a", "kind": "???", "spec": {}}]})).unwrap_err();
    let (_, kinds) = problem[0].split_once("this version has: ").unwrap();
    for (version, schema) in json_schemas() {
        let entries = schema["$defs"]["ResourceEntry"]["oneOf"].as_array().unwrap();
        let in_schema: Vec<Value> =
            entries.iter().map(|entry| entry["properties"]["kind"]["const"].clone()).collect();
        assert_eq!(json!(kinds.split(", ").collect::<Vec<_>>()), json!(in_schema), "{version}");
    }
}

/// A manifest in which every field of the newest wire types is set.
fn full_manifest() -> v1_1::AgentManifest {
    let mut manifest = v1_1::AgentManifest::from(full_manifest_of_1_0());
    manifest.schema_version = Some("1.1.0".into());
    manifest.min_schema_version = Some("1.1.0".into());
    manifest.spec.rollback =
        Some(v1_1::Rollback { on_failure: Some(v1_1::OnFailure::Previous), deadline: Some("90s".into()) });
    manifest
}

/// A manifest in which every field of the wire types of version 1.0.0 is set.
fn full_manifest_of_1_0() -> AgentManifest {
    let file = |name: &str, content: Option<&str>, content_base64: Option<&str>| {
        ResourceEntry::File(Box::new(Entry {
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
        }))
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
        spec: Spec {
            resources: vec![
                file("a", Some("x"), None),
                file("b", None, Some("eA==")),
                ResourceEntry::Process(Box::new(Entry {
                    name: "p".into(),
                    depends_on: Some(vec!["a".into()]),
                    restart_on: Some(vec!["b".into()]),
                    spec: full_process(),
                })),
                ResourceEntry::ShellJob(Box::new(Entry {
                    name: "j".into(),
                    depends_on: Some(vec!["a".into()]),
                    restart_on: Some(vec![]),
                    spec: full_job(),
                })),
                ResourceEntry::Container(Box::new(Entry {
                    name: "c".into(),
                    depends_on: Some(vec!["a".into()]),
                    restart_on: Some(vec!["b".into()]),
                    spec: full_container(),
                })),
                ResourceEntry::SystemdUnit(Box::new(Entry {
                    name: "u".into(),
                    depends_on: Some(vec!["a".into()]),
                    restart_on: Some(vec!["b".into()]),
                    spec: SystemdUnit {
                        unit: "app@one.service".into(),
                        content: Some("[Service]\nExecStart=/bin/app\n".into()),
                        drop_ins: Some(
                            [("10-limits.conf".into(), "[Service]\nMemoryMax=64M\n".into())].into(),
                        ),
                        enabled: Some(true),
                        state: Some(UnitState::Stopped),
                    },
                })),
            ],
        },
    }
}

fn full_job() -> ShellJob {
    ShellJob {
        script: "echo \"$LOG\"\n".into(),
        interpreter: Some(vec!["/bin/bash".into(), "-e".into()]),
        run_id: Some("2026-11".into()),
        unless: Some("test -e /opt/app/done".into()),
        creates: Some("/opt/app/made".into()),
        timeout: Some("24h".into()),
        retry: Some(100),
        env: Some([("LOG".into(), "info".into())].into()),
        user: Some(IdOrName::Id(65534)),
        network: Some(true),
        writable_paths: Some(vec!["/opt/app".into()]),
        limits: Some(Limits { pids: Some(1), ..Limits::default() }),
    }
}

fn full_process() -> Process {
    let probe = || Probe {
        interval: Some("1m 30s".into()),
        timeout: Some("500ms".into()),
        failure_threshold: Some(1000),
        start_period: Some("24h".into()),
        ..Probe::default()
    };
    let command = || vec!["/bin/app".into(), "--serve".into(), String::new()];
    Process {
        command: command(),
        env: Some([("LOG".into(), "info".into())].into()),
        workdir: Some("/var/lib/app".into()),
        user: Some(IdOrName::Name("app".into())),
        group: Some(IdOrName::Id(7)),
        restart: Some(Restart::OnFailure),
        limits: Some(Limits {
            memory: Some(Size::Quantity("64Mi".into())),
            cpus: Some(Cpus::Number(2.into())),
            pids: Some(1),
            open_files: Some(16),
        }),
        probes: Some(Probes {
            startup: Some(Probe { exec: Some(Exec { command: command() }), ..probe() }),
            readiness: Some(Probe {
                http: Some(Http { port: 1, path: Some("/ready?x=1".into()), scheme: Some(Scheme::Https) }),
                ..probe()
            }),
            liveness: Some(Probe { tcp: Some(Tcp { port: 65535 }), ..probe() }),
        }),
        stop_signal: Some("SIGINT".into()),
        stop_timeout: Some("1h".into()),
        log: Some(Log { max_size: Some(Size::Bytes(4096.into())), keep: Some(0) }),
    }
}

fn full_container() -> Container {
    let process = full_process();
    let mount = |kind, source: Option<&str>, target: &str| Mount {
        kind,
        source: source.map(Into::into),
        target: target.into(),
        read_only: Some(true),
    };
    Container {
        image: "registry.example.com:5000/team/app:1.2".into(),
        pull_policy: Some(PullPolicy::Never),
        command: Some(process.command.clone()),
        args: Some(vec![String::new()]),
        env: process.env,
        ports: Some(vec![Port {
            host: 1,
            container: 65535,
            protocol: Some(Protocol::Udp),
            host_ip: Some("::1".into()),
        }]),
        mounts: Some(vec![
            mount(MountType::Bind, Some("/etc/app"), "/etc/app"),
            mount(MountType::Volume, Some("data"), "/data"),
            mount(MountType::Tmpfs, None, "/tmp"),
        ]),
        devices: Some(vec!["/dev/ttyUSB0".into()]),
        network: Some("iot".into()),
        restart: process.restart,
        limits: Some(ContainerLimits {
            memory: Some(Size::Quantity("64Mi".into())),
            cpus: Some(Cpus::Quantity("500m".into())),
            pids: Some(1),
        }),
        user: Some(ContainerUser::Named("app:7".into())),
        workdir: Some("/".into()),
        read_only_rootfs: Some(true),
        cap_add: Some(vec!["CAP_NET_ADMIN".into()]),
        cap_drop: Some(vec!["ALL".into()]),
        probes: process.probes,
        stop_signal: process.stop_signal,
        stop_timeout: process.stop_timeout,
        log: process.log,
        labels: Some([("site".into(), "north".into())].into()),
    }
}

#[test]
fn what_the_wire_types_write_is_valid_and_lowers() {
    let documents = [json!(full_manifest_of_1_0()), json!(full_manifest())];
    for ((version, schema), document) in json_schemas().into_iter().zip(&documents) {
        jsonschema::validate(&schema, document).unwrap();
        let state = lower_as(&version, UnknownKeys::AreProblems, &document["spec"]).unwrap().state;
        assert_eq!(state.resources().len(), 6);
        assert_eq!(document["apiVersion"], "harmony/v1");
        assert_eq!(document["kind"], "AgentManifest");
        assert_eq!(document["schemaVersion"], version.to_string());
    }
    assert!(!jsonschema::is_valid(&json_schemas()[0].1, &documents[1]));
}

/// Its types are where the wire types of a newer version begin.
#[test]
fn what_the_wire_types_of_an_older_version_write_means_the_same_as_one_of_a_newer() {
    let older = full_manifest_of_1_0();
    let written = json!(older);
    assert_eq!(json!(v1_1::AgentManifest::from(older)), written);
    jsonschema::validate(&newest_schema(), &written).unwrap();
}

/// Each change alone makes a valid document invalid.
#[test]
fn the_schema_refuses_what_is_wrong_in_a_single_field() {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
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

/// Each change alone makes a valid unit invalid by the schema and by the reader, or by neither.
#[test]
fn schema_and_reader_agree_about_each_field_of_a_unit() {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
    let valid = serde_json::to_value(full_manifest()).unwrap();
    for (key, right, wrong) in [
        (
            "unit",
            json!(["a.service", "a@b@c.timer", "-.mount", r"dev-\x2d.swap"]),
            json!(["", "a", "a.device", "@.service", "a/b.service", "a b.service", "x\0.service", null]),
        ),
        ("content", json!(["x", "\n x", null]), json!(["", " \n", "x\0", 1])),
        (
            "dropIns",
            json!([{}, {"a.conf": "x"}, null]),
            json!([[], {"a": "x"}, {".conf": "x"}, {"a/b.conf": "x"}, {"a.conf": ""}, {"a.conf": "\0"}, {"a.conf": null}]),
        ),
        ("enabled", json!([true, false, null]), json!(["true", 1])),
        ("state", json!(["Running", "Stopped", null]), json!(["running", true])),
    ] {
        let with = |value: &Value| {
            let mut document = valid.clone();
            document["spec"]["resources"][5]["spec"][key] = value.clone();
            (validator.is_valid(&document), lower(&document["spec"]).is_ok())
        };
        right
            .as_array()
            .unwrap()
            .iter()
            .for_each(|right| assert_eq!(with(right), (true, true), "{key}: {right}"));
        wrong
            .as_array()
            .unwrap()
            .iter()
            .for_each(|wrong| assert_eq!(with(wrong), (false, false), "{key}: {wrong}"));
    }
}

/// Each of these values of a field below a place makes a valid document invalid by the schema and by the reader, or by
/// neither.
fn schema_and_reader_agree(place: &str, fields: &[(&str, Value, Value)]) {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
    let valid = serde_json::to_value(full_manifest()).unwrap();
    for (pointer, right, wrong) in fields {
        for (values, is_right) in [(right, true), (wrong, false)] {
            for value in values.as_array().unwrap() {
                let mut document = valid.clone();
                let place = format!("{place}/{pointer}");
                *document.pointer_mut(&place).unwrap_or_else(|| panic!("no {place}")) = value.clone();
                assert_eq!(validator.is_valid(&document), is_right, "schema: {pointer}: {value}");
                let read = lower(&document["spec"]);
                assert_eq!(read.is_ok(), is_right, "reader: {pointer}: {value}: {:?}", read.err());
            }
        }
    }
}

#[test]
fn schema_and_reader_agree_about_each_field_of_a_rollback() {
    let fields = [
        ("rollback", json!([{}, null]), json!([[], "Previous", true])),
        ("rollback/onFailure", json!(["Previous", "None", null]), json!(["previous", "", 1, {}])),
        ("rollback/deadline", json!(["1s", "24h", "1m 30s", null]), json!(["", "5", "s", 5])),
    ];
    schema_and_reader_agree("/spec", &fields);
}

#[test]
fn schema_and_reader_agree_about_each_field_of_a_process() {
    let long = |length| Value::from(format!("/{}", "x".repeat(length)));
    let fields = [
        ("command", json!([["a"], ["a", ""]]), json!([[], [""], ["a\0"], ["a", "\0"], ["a", 1], "a", null])),
        (
            "env",
            json!([{}, {"a": ""}, {"a b": "x\n"}, null]),
            json!([{"": "x"}, {"a=": "x"}, {"a": "\0"}, {"a": 1}, {"a": null}, []]),
        ),
        ("workdir", json!(["/", "/a", "/..a", null]), json!(["", "a", "/a/", "//", "/..", "/a/../b", 1])),
        ("user", json!(["root", 0, "0", null]), json!(["", "a b", -1, true])),
        ("restart", json!(["Always", "OnFailure", "Never", null]), json!(["always", "", 1])),
        ("limits", json!([{}, null]), json!([[], 1])),
        (
            "limits/memory",
            json!(["1Mi", "1.5G", "1e9", 1048576, 1e9, null]),
            json!(["64MB", "", "-1", "400m", "1 Mi", -1, true]),
        ),
        ("limits/cpus", json!(["10m", "1.5", "2", 0.5, 8, null]), json!(["1k", "", "50%", -1, true])),
        ("limits/pids", json!([1, 4194304, null]), json!([0, 4194305, -1, 1.5, "1"])),
        ("limits/openFiles", json!([16, 1073741824, null]), json!([15, 1073741825, "16"])),
        ("probes", json!([{}, null]), json!([[], 1])),
        (
            "probes/startup",
            json!([{"tcp": {"port": 1}}, {"tcp": {"port": 1}, "exec": null, "http": null}, null]),
            json!([{}, {"tcp": {}}, {"tcp": {"port": 1}, "http": {"port": 1}}, {"tcp": {"port": 1}, "exec": {"command": ["a"]}}]),
        ),
        (
            "probes/startup/exec",
            json!([{"command": ["a"]}]),
            json!([{}, {"command": []}, {"command": [""]}, {"command": ["\0"]}, null]),
        ),
        ("probes/readiness/http/port", json!([1, 65535]), json!([0, 65536, "80", null])),
        (
            "probes/readiness/http/path",
            json!(["/", "/a?b=%20", null]),
            json!(["", "a", "/a b", "/ä", "/\n", long(2048)]),
        ),
        ("probes/readiness/http/scheme", json!(["Http", "Https", null]), json!(["HTTP", "", 1])),
        ("probes/liveness/tcp/port", json!([1, 65535]), json!([0, 65536, "80", null])),
        (
            "probes/liveness/interval",
            json!(["100ms", "1h", "0.5s", "1m30s", " 1 0 s ", null]),
            json!(["", "5", "s", "1s 5", "-1s", 5]),
        ),
        ("probes/liveness/timeout", json!(["100ms", "10m", null]), json!(["", "5", 5])),
        ("probes/liveness/startPeriod", json!(["0s", "24h", "1day", null]), json!(["", "5", 5])),
        ("probes/liveness/failureThreshold", json!([1, 1000, null]), json!([0, 1001, "3"])),
        ("stopSignal", json!(["SIGTERM", "KILL", null]), json!(["SIGSTOP", "sigterm", "", "SIGTERM ", 15])),
        ("stopTimeout", json!(["0s", "1h", null]), json!(["", "5", 5])),
        ("log", json!([{}, null]), json!([[], 1])),
        ("log/maxSize", json!(["4Ki", "1Gi", 4096, null]), json!(["4KB", "", true])),
        ("log/keep", json!([0, 100, null]), json!([-1, 101, "3"])),
    ];
    schema_and_reader_agree("/spec/resources/2/spec", &fields);
}

#[test]
fn schema_and_reader_agree_about_each_field_of_a_container() {
    let hex = "0123456789abcdef".repeat(4);
    let labels = |count: usize| -> serde_json::Map<_, _> {
        (0..count).map(|i| (format!("l{i}"), json!(""))).collect()
    };
    let fields = [
        (
            "image",
            json!([
                "app",
                "a.b/c",
                "localhost:5000/app:V1",
                "[::1]:5000/app",
                "127.0.0.1/app",
                "host:5000/a__b--c.d",
                format!("app@sha256:{hex}"),
            ]),
            json!([
                "",
                "App",
                "-v",
                "app:",
                "app:-v",
                "a b",
                "https://a.b/c",
                "app@sha256:1",
                "a___b",
                "a/",
                "/a",
                "a:1:2/b",
                1,
                null
            ]),
        ),
        ("pullPolicy", json!(["IfNotPresent", "Always", "Never", null]), json!(["always", "", 1])),
        ("command", json!([[], ["a"], ["a", ""], null]), json!([[""], ["a\0"], ["a", 1], "a"])),
        ("args", json!([[], [""], ["a", "b"], null]), json!([["a\0"], [1], "a"])),
        (
            "env",
            json!([{}, {"a": ""}, {"a b": "x\n"}, null]),
            json!([{"": "x"}, {"a=": "x"}, {"a": "\0"}, {"a": 1}, {"a": null}]),
        ),
        ("ports", json!([[], null]), json!([{}, [{}], [{"host": 1}], [{"container": 1}], [null]])),
        ("ports/0/host", json!([1, 65535]), json!([0, 65536, "80", null])),
        ("ports/0/container", json!([1, 65535]), json!([0, 65536, "80", null])),
        ("ports/0/protocol", json!(["Tcp", "Udp", null]), json!(["TCP", "sctp", 6])),
        (
            "ports/0/hostIp",
            json!(["0.0.0.0", "192.168.1.255", "::", "2001:db8::1", "::ffff:10.0.0.1", null]),
            json!(["", "localhost", "10.0.0.256", "10.0.0", "10.0.0.01", 1]),
        ),
        ("mounts", json!([[], null]), json!([{}, [{}], [{"type": "Tmpfs"}], [{"target": "/a"}], [null]])),
        ("mounts/0/type", json!(["Bind"]), json!(["Volume", "Tmpfs", "bind", null])),
        ("mounts/1/type", json!(["Volume"]), json!(["Bind", "Tmpfs"])),
        ("mounts/2/type", json!(["Tmpfs"]), json!(["Bind", "Volume"])),
        ("mounts/0/source", json!(["/a", "/..a"]), json!(["", "/", "a", "/a/", "/a/../b", 1, null])),
        (
            "mounts/1/source",
            json!(["a", "A_b.c-1"]),
            json!(["", "/a", "-a", ".a", "a b", "x".repeat(65), null]),
        ),
        (
            "mounts/2/target",
            json!(["/a", "/dev/shm", "/process", "/etc/sys"]),
            json!(["", "/", "a", "/a/", "/proc", "/proc/a", "/sys/fs/cgroup", "/dev", "/a/../b", null]),
        ),
        ("mounts/2/readOnly", json!([true, false, null]), json!(["true", 1])),
        (
            "devices",
            json!([[], ["/dev/a", "/dev/a/b"], null]),
            json!([["/dev"], ["/a"], ["/dev/"], ["/dev/../a"], ["/devil/a"], [null]]),
        ),
        (
            "network",
            json!(["iot", "A_b.c-1"]),
            json!(["", "host", "bridge", "none", "default", "container:a", "-a", "ns:/a", 1]),
        ),
        ("restart", json!(["Always", "OnFailure", "Never", null]), json!(["always", "", 1])),
        (
            "limits",
            json!([{}, {"memory": "64Mi", "cpus": 2, "pids": 1}, null]),
            json!([[], {"openFiles": 1024}, {"pids": 0}]),
        ),
        (
            "user",
            json!(["root", 0, "0", "app:app", "1000:1000", null]),
            json!(["", "a b", ":", "a:", ":a", "a:b:c", "-a", "a/b", -1, true]),
        ),
        ("workdir", json!(["/", "/a", "/..a", null]), json!(["", "a", "/a/", "//", "/a/../b", 1])),
        ("readOnlyRootfs", json!([true, false, null]), json!(["true", 1])),
        (
            "capAdd",
            json!([[], ["NET_RAW", "CAP_SYS_TIME"], null]),
            json!([["net_raw"], ["CAP_ALL"], ["SYS_ADM"], [""], [1], "ALL"]),
        ),
        ("capDrop", json!([[], ["ALL"], ["CAP_CHOWN"], null]), json!([["all"], ["CAP_"], [null]])),
        ("probes", json!([{}, null]), json!([[], 1, {"startup": {}}])),
        ("stopSignal", json!(["SIGTERM", "KILL", null]), json!(["SIGSTOP", "sigterm", "", 15])),
        ("stopTimeout", json!(["0s", "1h", null]), json!(["", "5", 5])),
        ("log", json!([{}, null]), json!([[], 1])),
        (
            "labels",
            json!([{}, {"a.b/c": "x"}, {"a": ""}, labels(64), null]),
            json!([{"": "x"}, {"a=b": "x"}, {"a b": "x"}, {"a": 1}, {"a": null}, {"io.harmony.agent": "x"}, labels(65)]),
        ),
    ];
    schema_and_reader_agree("/spec/resources/4/spec", &fields);
}

#[test]
fn schema_and_reader_agree_about_each_field_of_a_job() {
    let fields = [
        ("script", json!(["true", " a\n"]), json!(["", " \n", "a\0", 1, ["a"], null])),
        ("interpreter", json!([["a"], ["a", ""], null]), json!([[], [""], ["a\0"], "a"])),
        ("runId", json!(["", "2", "a b", null]), json!(["a\n", "\u{7f}", 2])),
        ("unless", json!(["test -e /x", null]), json!(["", "a\0", ["a"], true])),
        ("creates", json!(["/a", null]), json!(["", "a", "/a/", "/a/../b", 1])),
        ("timeout", json!(["1s", "24h", null]), json!(["", "5", 5])),
        ("retry", json!([0, 100, null]), json!([-1, 101, "3"])),
        ("env", json!([{}, {"a": ""}, null]), json!([{"": "x"}, {"a=": "x"}, {"a": 1}, []])),
        ("user", json!(["root", 0, null]), json!(["", "a b", -1])),
        ("network", json!([true, false, null]), json!(["true", 1])),
        (
            "writablePaths",
            json!([[], ["/a", "/b"], null]),
            json!(["/a", ["a"], ["/a/"], [1], vec!["/a"; 65]]),
        ),
        ("limits", json!([{}, null]), json!([[], 1])),
    ];
    schema_and_reader_agree("/spec/resources/3/spec", &fields);
}

/// What the patterns of quantities cannot say, the descriptions do.
#[test]
fn the_bounds_of_quantities_stand_in_their_descriptions() {
    for (field, bounds) in [
        ("Limits/properties/memory", &["1Mi"] as &[&str]),
        ("Limits/properties/cpus", &["10m"]),
        ("Log/properties/maxSize", &["4Ki", "1Gi"]),
        ("Probe/properties/interval", &["100ms", "1h"]),
        ("Probe/properties/timeout", &["100ms", "10m"]),
        ("Probe/properties/startPeriod", &["24h"]),
        ("Process/properties/stopTimeout", &["1h"]),
        ("Process/properties/command", &["1,024", "128 KiB"]),
        ("Container/properties/image", &["255"]),
        ("Container/properties/command", &["1,024", "128 KiB"]),
        ("Container/properties/stopTimeout", &["1h"]),
        ("Container/properties/labels", &["64", "4,096"]),
        ("ContainerLimits/properties/memory", &["1Mi"]),
        ("ContainerLimits/properties/cpus", &["10m"]),
        ("ShellJob/properties/timeout", &["1s", "24h"]),
        ("Rollback/properties/deadline", &["1s", "24h", "10m by default"]),
    ] {
        let schema = newest_schema();
        let description =
            schema.pointer(&format!("/$defs/{field}/description")).and_then(Value::as_str).unwrap();
        for bound in bounds {
            assert!(description.contains(bound), "{field}: {description}");
        }
    }
}

#[test]
fn the_schema_refuses_missing_and_additional_fields() {
    let validator = jsonschema::validator_for(&newest_schema()).unwrap();
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
        ("/spec/resources/2/spec", "command"),
        ("/spec/resources/3/spec", "script"),
        ("/spec/resources/4/spec", "image"),
        ("/spec/resources/4/spec/ports/0", "host"),
        ("/spec/resources/4/spec/ports/0", "container"),
        ("/spec/resources/4/spec/mounts/0", "type"),
        ("/spec/resources/4/spec/mounts/0", "source"),
        ("/spec/resources/4/spec/mounts/0", "target"),
        ("/spec/resources/2/spec/probes/startup", "exec"),
        ("/spec/resources/2/spec/probes/startup/exec", "command"),
        ("/spec/resources/2/spec/probes/readiness/http", "port"),
        ("/spec/resources/2/spec/probes/liveness/tcp", "port"),
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
