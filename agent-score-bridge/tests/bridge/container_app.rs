//! The Score `ContainerApp`: a container with its configuration.

use agent_model::{ContainerSpec, DesiredState, MountSource, ResourceKind, ResourceSpec, UnknownKeys};
use agent_score_bridge::{ScoreBridge, ScoreRegistry};
use serde_json::{Value, json};

use super::{entry, file, lower_with, names, spec};

fn lower_on(kinds: &[ResourceKind], entries: &[Value]) -> Result<DesiredState, Vec<String>> {
    let bridge = ScoreBridge::new(ScoreRegistry::built_in(), kinds.iter().copied());
    lower_with(&bridge, UnknownKeys::AreProblems, &spec(entries)).map(|lowered| lowered.state)
}

fn lower(entries: &[Value]) -> Result<DesiredState, Vec<String>> {
    lower_on(&[ResourceKind::Container, ResourceKind::File], entries)
}

fn app(with: Value) -> Value {
    entry("ContainerApp", "broker", with, json!({}))
}

fn body() -> Value {
    json!({
        "config": {
            "folder": "/etc/broker", "target": "/config", "values": {"port": 1883},
            "files": [
                {"name": "main", "path": "main.conf", "template": "listener {{ values.port }}\n"},
                {"name": "users", "path": "users", "template": "", "mode": "0640"},
            ],
        },
        "container": {
            "image": "broker:2", "mounts": [{"type": "Volume", "source": "data", "target": "/data"}],
            "probes": {"readiness": {"tcp": {"port": 1883}}},
        },
    })
}

/// The body with another value at a place.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = body();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"));
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => parent[key] = value,
    }
    body
}

fn container(state: &DesiredState) -> &ContainerSpec {
    let broker = state.get(&"broker".parse().unwrap()).unwrap();
    let ResourceSpec::Container(container) = &broker.spec else { panic!("{broker:?}") };
    container
}

#[test]
fn the_container_has_the_entrys_name_and_waits_for_the_files_whose_change_restarts_it() {
    let other =
        entry("File", "last", json!({"path": "/last", "content": ""}), json!({"dependsOn": ["broker"]}));
    let state = lower(&[app(body()), other]).unwrap();
    let all: Vec<&str> = state.resources().iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(all, ["broker-main", "broker-users", "broker", "last"]);
    let broker = &state.resources()[2];
    assert_eq!(broker.claim().to_string(), "Container:broker");
    for references in [&broker.depends_on, &broker.restart_on] {
        assert_eq!(names(references), ["broker-main", "broker-users"]);
    }
    assert_eq!(names(&state.resources()[3].depends_on), ["broker-main", "broker-users", "broker"]);
}

#[test]
fn the_files_are_rendered_into_their_folder_which_the_container_sees_and_cannot_write() {
    let state = lower(&[app(body())]).unwrap();
    let ResourceSpec::File(main) = &state.resources()[0].spec else { panic!("no file") };
    assert_eq!(main.path.as_str(), "/etc/broker/main.conf");
    assert_eq!(main.content.plain().unwrap().bytes(), b"listener 1883\n");
    let mounts: Vec<_> = container(&state)
        .mounts
        .iter()
        .map(|mount| (mount.source.clone(), mount.target.as_str(), mount.read_only))
        .collect();
    assert_eq!(
        mounts,
        [
            (MountSource::Volume("data".parse().unwrap()), "/data", false),
            (MountSource::Bind("/etc/broker".parse().unwrap()), "/config", true),
        ]
    );
}

#[test]
fn another_value_is_another_container_to_be_run_and_the_same_one_is_not() {
    let running = |with: Value| {
        let state = lower(&[app(with)]).unwrap();
        state.effective_digest(state.get(&"broker".parse().unwrap()).unwrap())
    };
    assert_eq!(running(body()), running(with("/config/values/port", json!(1883))));
    assert_ne!(running(body()), running(with("/config/values/port", json!(8883))));
    assert_ne!(running(body()), running(with("/config/files/1/mode", json!("0600"))));
    assert_ne!(running(body()), running(with("/container/image", json!("broker:3"))));
}

/// As somebody would say it without this Score, who cuts over to it later.
#[test]
fn it_asks_for_what_files_and_a_container_ask_for() {
    let file = |name: &str, path: &str, content: &str, mode: Value| {
        entry("File", name, json!({"path": path, "content": content, "mode": mode}), json!({}))
    };
    let mut container = body()["container"].clone();
    let mount = json!({"type": "Bind", "source": "/etc/broker", "target": "/config", "readOnly": true});
    container["mounts"].as_array_mut().unwrap().push(mount);
    let files = json!(["broker-main", "broker-users"]);
    let plain = [
        file("broker-main", "/etc/broker/main.conf", "listener 1883\n", json!(null)),
        file("broker-users", "/etc/broker/users", "", json!("0640")),
        entry("Container", "broker", container, json!({"dependsOn": files, "restartOn": files})),
    ];
    let (app, plain) = (lower(&[app(body())]).unwrap(), lower(&plain).unwrap());
    assert_eq!(app.differences(&plain), vec![]);
    assert_eq!(app.digest(), plain.digest());
}

#[test]
fn a_container_without_configuration_is_just_that() {
    let state = lower(&[app(with("/config", json!(null)))]).unwrap();
    assert_eq!(state.resources().len(), 1);
    assert_eq!(container(&state).mounts.len(), 1);
}

#[test]
fn every_problem_is_told_at_its_place() {
    let wrong = json!({
        "config": {
            "folder": "etc", "target": "/proc/x", "files": [{"name": "Main", "path": "/a", "template": 1}], "value": {},
        },
        "container": {"image": "Broker", "port": 1}, "replicas": 3,
    });
    let problems = lower(&[app(wrong)]).unwrap_err();
    let places = [
        "config/folder",
        "config/files/0/name",
        "config/files/0/path",
        "config/files/0/template",
        "config/target",
        "config/value",
        "container/image",
        "container/port",
        "replicas",
    ];
    assert_eq!(problems.len(), places.len(), "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(&format!("/spec/scores/0/with/{place}: ")), "{problem}");
    }
    for (pointer, value, told) in [
        ("/container", json!(null), ": \"container\" is missing"),
        (
            "/config/target",
            json!("/data"),
            "/config/target: /data is already the target of one of the container's mounts",
        ),
        ("/config/files/1/template", json!("{{ values.prot }}"), "/config/files/1/template: "),
        (
            "/config/files/1/path",
            json!("main.conf"),
            "/config/files/1: conflicts with \"broker-main\": both claim the same path",
        ),
    ] {
        let problems = lower(&[app(with(pointer, value))]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("/spec/scores/0/with{told}")), "{problems:?}");
    }
}

#[test]
fn a_port_that_another_has_is_told_where_the_container_stands() {
    let ports = json!([{"host": 1883, "container": 1883}]);
    let first = entry("Container", "first", json!({"image": "a", "ports": ports}), json!({}));
    let problems = lower(&[first, app(with("/container/ports", ports))]).unwrap_err();
    assert_eq!(
        problems,
        ["/spec/scores/1/with/container: conflicts with \"first\": both publish the device's port 1883/Tcp"]
    );
}

#[test]
fn a_device_lacks_the_capability_that_it_has_no_reconciler_for() {
    for (kinds, lacks) in [(ResourceKind::File, "Containers"), (ResourceKind::Container, "Files")] {
        let problems = lower_on(&[kinds], &[app(body())]).unwrap_err();
        assert!(problems[0].contains(&format!("needs the capability {lacks}")), "{problems:?}");
    }
}

#[test]
fn a_file_of_another_score_is_not_taken_for_one_of_its_own() {
    let state = lower(&[file("broker-other", "/etc/broker/other"), app(body())]).unwrap();
    assert_eq!(
        names(&state.get(&"broker".parse().unwrap()).unwrap().restart_on),
        ["broker-main", "broker-users"]
    );
}
