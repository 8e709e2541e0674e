//! The Score `Container`, and Scores that declare containers themselves.

use agent_model::{
    ContainerSpec, ResourceKind, ResourceSpec, UnknownKeys,
    reader::{Field, Findings},
};
use agent_score_bridge::{
    Child, Container, Containers, Interpret, InterpretError, Score, ScoreBridge, ScoreRegistry, WireForm,
};
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use super::{entry, file, lower, lower_with, spec};

fn container(name: &str, with: Value) -> Value {
    entry("Container", name, with, json!({}))
}

#[test]
fn a_container_is_declared_as_its_body_says_and_claims_the_name_of_its_entry() {
    let with = json!({"image": "app:1", "args": ["--serve"], "ports": [{"host": 8080, "container": 80}]});
    let entries =
        [file("config", "/etc/app"), entry("Container", "app", with, json!({"restartOn": ["config"]}))];
    let state = lower(&spec(&entries)).unwrap();
    let app = &state.resources()[1];
    let ResourceSpec::Container(container) = &app.spec else { panic!("{app:?}") };
    assert_eq!(container.image.as_str(), "app:1");
    assert_eq!(container.args, ["--serve"]);
    assert_eq!(container.ports[0].host, 8080);
    assert_eq!(app.claim().to_string(), "Container:app");
    assert_eq!(super::names(&app.restart_on), ["config"]);
}

#[test]
fn every_problem_with_a_body_is_told_at_its_place() {
    let with = json!({"image": "App", "ports": [{"host": 0, "container": 80}], "network": "bridge", "privileged": true});
    let problems = lower(&spec(&[container("app", with)])).unwrap_err();
    let places = ["image", "ports/0/host", "network", "privileged"];
    assert_eq!(problems.len(), places.len(), "{problems:?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(&format!("/spec/scores/0/with/{place}: ")), "{problem}");
    }
}

#[test]
fn what_is_wrong_with_fields_together_is_told_once() {
    let ports = json!([{"host": 80, "container": 80}, {"host": 80, "container": 81}]);
    let twice = json!([{"type": "Tmpfs", "target": "/a"}, {"type": "Tmpfs", "target": "/a"}]);
    for (with, place) in [
        (json!({"image": "app", "network": "Host", "ports": [ports[0]]}), "ports"),
        (json!({"image": "app", "ports": ports}), "ports/1/host"),
        (json!({"image": "app", "mounts": twice}), "mounts/1/target"),
        (json!({"image": "app", "capAdd": ["KILL"], "capDrop": ["KILL"]}), "capDrop"),
        (json!({"image": "app", "args": ["x".repeat(128 << 10)]}), "args"),
    ] {
        let problems = lower(&spec(&[container("app", with)])).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("/spec/scores/0/with/{place}: ")), "{problems:?}");
    }
}

#[test]
fn two_scores_cannot_publish_the_same_port() {
    let app =
        |name: &str| container(name, json!({"image": "app", "ports": [{"host": 8080, "container": 80}]}));
    assert_eq!(
        lower(&spec(&[app("a"), app("b")])).unwrap_err(),
        ["/spec/scores/1/with: conflicts with \"a\": both publish the device's port 8080/Tcp"]
    );
}

#[test]
fn a_device_without_the_reconciler_lacks_the_capability() {
    let files_only = ScoreBridge::new(super::scores::registry(), [ResourceKind::File]);
    let app = container("app", json!({"image": "app"}));
    assert_eq!(
        lower_with(&files_only, UnknownKeys::AreProblems, &spec(&[app])).unwrap_err(),
        [
            "/spec/scores/0/with: the Score Container 0.1.0 needs the capability Containers, which this device does not have; an agent with the reconciler Container would provide it"
        ]
    );
}

#[test]
fn commands_and_variables_are_counted_with_those_of_processes() {
    let app = |name: &str| container(name, json!({"image": "app", "env": {"V": "x".repeat(120 << 10)}}));
    let many = |n: usize| spec(&(0..n).map(|i| app(&format!("app-{i}"))).collect::<Vec<_>>());
    assert!(lower(&many(34)).is_ok());
    assert_eq!(lower(&many(35)).unwrap_err().len(), 1);
}

/// Declares, in a child, a container that no document could have.
#[derive(Serialize)]
struct Careless;

impl WireForm for Careless {
    const NAME: &'static str = "Careless";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(_: Field<'_>, _: &mut Findings) -> Option<Self> {
        Some(Self)
    }
}

impl<T: Containers> Score<T> for Careless {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Containers> Interpret<T> for &Careless {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        let child = Child { name: "c", pointer: "/label", ..Child::default() };
        let mut container =
            ContainerSpec::new("app".parse().map_err(|_| InterpretError::invalid("", "no image"))?);
        container.labels.insert("io.harmony.agent".into(), "other".into());
        topology.interpret(&child, &Container(container)).map(|_| ())
    }
}

#[test]
fn a_score_cannot_declare_what_no_document_could() {
    let bridge = ScoreBridge::new(ScoreRegistry::none().with::<Careless>(), [ResourceKind::Container]);
    let document = spec(&[entry("Careless", "a", json!({"label": "x"}), json!({}))]);
    let problems = lower_with(&bridge, UnknownKeys::AreProblems, &document);
    assert_eq!(
        problems.unwrap_err(),
        [
            "/spec/scores/0/with/label: no container can be like this: /labels/io.harmony.agent: labels of the form io.harmony.… are the agent's own; choose another key"
        ]
    );
}
