//! The Score `ServiceApp`: a unit of systemd with its program and configuration.

use agent_model::{
    DesiredState, ResourceKind, ResourceSpec, UnknownKeys,
    reader::{Field, Findings},
};
use agent_score_bridge::{ScoreBridge, ScoreRegistry, ServiceApp, WireForm};
use serde_json::{Value, json};

use super::{entry, lower_with, names, spec};

const UNIT: &str = "[Service]\nExecStart=/opt/collector/run\n";

fn lower_on(kinds: &[ResourceKind], entries: &[Value]) -> Result<DesiredState, Vec<String>> {
    let bridge = ScoreBridge::new(ScoreRegistry::built_in(), kinds.iter().copied());
    lower_with(&bridge, UnknownKeys::AreProblems, &spec(entries)).map(|lowered| lowered.state)
}

fn lower(entries: &[Value]) -> Result<DesiredState, Vec<String>> {
    lower_on(&[ResourceKind::File, ResourceKind::SystemdUnit], entries)
}

fn app(with: Value) -> Value {
    entry("ServiceApp", "collector", with, json!({}))
}

fn body() -> Value {
    json!({
        "program": {"path": "/opt/collector/run", "content": "#!/bin/sh\nexec sleep infinity\n"},
        "config": {
            "folder": "/etc/collector", "values": {"every": 5},
            "files": [{"name": "main", "path": "main.conf", "template": "every={{ values.every }}\n"}],
        },
        "unit": {"unit": "collector.service", "content": UNIT, "enabled": true},
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut body = body();
    body[key] = value;
    body
}

#[test]
fn the_unit_has_the_entrys_name_and_waits_for_the_files_whose_change_restarts_it() {
    let state = lower(&[app(body())]).unwrap();
    let all: Vec<&str> = state.resources().iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(all, ["collector-program", "collector-main", "collector"]);
    let unit = &state.resources()[2];
    assert_eq!(unit.claim().to_string(), "SystemdUnit:collector.service");
    for references in [&unit.depends_on, &unit.restart_on] {
        assert_eq!(names(references), ["collector-program", "collector-main"]);
    }
    let ResourceSpec::File(main) = &state.resources()[1].spec else { panic!("no file") };
    assert_eq!(main.content.plain().unwrap().bytes(), b"every=5\n");
}

#[test]
fn a_program_can_be_executed_unless_its_mode_says_otherwise() {
    for (mode, expected) in [(json!(null), "0755"), (json!("0644"), "0644"), (json!("0700"), "0700")] {
        let program = json!({"path": "/opt/run", "content": "", "mode": mode});
        let body = with("program", program);
        let state = lower(&[app(body.clone())]).unwrap();
        let ResourceSpec::File(program) = &state.resources()[0].spec else { panic!("no file") };
        assert_eq!(program.mode.to_string(), expected);
        let read = |value: &Value| {
            let field = Field { value, pointer: String::new() };
            ServiceApp::read(field, &mut Findings::new(UnknownKeys::AreProblems)).unwrap()
        };
        assert_eq!(read(&json!(read(&body))), read(&body));
    }
}

#[test]
fn another_program_or_value_is_another_unit_to_be_run_and_the_same_one_is_not() {
    let running = |with: Value| {
        let state = lower(&[app(with)]).unwrap();
        state.effective_digest(state.get(&"collector".parse().unwrap()).unwrap())
    };
    let mut slower = body();
    slower["config"]["values"]["every"] = json!(60);
    assert_eq!(running(body()), running(body()));
    assert_ne!(running(body()), running(slower));
    assert_ne!(
        running(body()),
        running(with("program", json!({"path": "/opt/collector/run", "content": "x"})))
    );
}

/// As somebody would say it without this Score, who cuts over to it later.
#[test]
fn it_asks_for_what_files_and_a_unit_ask_for() {
    let file = |name: &str, with: Value| entry("File", name, with, json!({}));
    let mut program = body()["program"].clone();
    program["mode"] = json!("0755");
    let files = json!(["collector-program", "collector-main"]);
    let plain = [
        file("collector-program", program),
        file("collector-main", json!({"path": "/etc/collector/main.conf", "content": "every=5\n"})),
        entry(
            "SystemdUnit",
            "collector",
            body()["unit"].clone(),
            json!({"dependsOn": files, "restartOn": files}),
        ),
    ];
    let (app, plain) = (lower(&[app(body())]).unwrap(), lower(&plain).unwrap());
    assert_eq!(app.differences(&plain), vec![]);
    assert_eq!(app.digest(), plain.digest());
}

#[test]
fn program_and_configuration_may_be_left_out() {
    for (left_out, expected) in [("program", 2), ("config", 2)] {
        assert_eq!(lower(&[app(with(left_out, json!(null)))]).unwrap().resources().len(), expected);
    }
    assert_eq!(lower(&[app(json!({"unit": body()["unit"]}))]).unwrap().resources().len(), 1);
}

#[test]
fn every_problem_is_told_at_its_place() {
    let wrong = json!({
        "program": {"path": "run", "content": ""}, "config": {"folder": "etc", "files": []}, "unit": {"unit": "a/b.service"},
        "replicas": 3,
    });
    let problems = lower(&[app(wrong)]).unwrap_err();
    let places = ["program/path", "config/folder", "config/files", "unit/unit", "replicas"];
    assert_eq!(problems.len(), places.len(), "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(&format!("/spec/scores/0/with/{place}: ")), "{problem}");
    }
    assert_eq!(
        lower(&[app(with("unit", json!(null)))]).unwrap_err(),
        ["/spec/scores/0/with: \"unit\" is missing"]
    );
    let mut misspelt = body();
    misspelt["config"]["files"][0]["template"] = json!("{{ values.evry }}");
    let problems = lower(&[app(misspelt)]).unwrap_err();
    assert!(problems[0].starts_with("/spec/scores/0/with/config/files/0/template: "), "{problems:?}");
}

#[test]
fn a_device_without_systemd_lacks_the_capability() {
    let problems = lower_on(&[ResourceKind::File], &[app(body())]).unwrap_err();
    assert!(problems[0].contains("needs the capability SystemdUnits"), "{problems:?}");
}
