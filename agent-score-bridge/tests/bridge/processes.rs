//! The Score `Process`, and Scores that declare processes themselves.

use std::time::Duration;

use agent_model::{
    MaybeSealed, ProcessSpec, ResourceKind, ResourceSpec, UnknownKeys,
    reader::{Field, Findings},
};
use agent_score_bridge::{
    Child, Interpret, InterpretError, Process, Processes, Score, ScoreBridge, ScoreRegistry, WireForm,
};
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use super::{entry, file, lower, lower_with, spec};

fn process(name: &str, with: Value) -> Value {
    entry("Process", name, with, json!({}))
}

#[test]
fn a_process_is_declared_as_its_body_says_and_claims_the_name_of_its_entry() {
    let with = json!({"command": ["/bin/app", "--serve"], "env": {"LOG": "info"}, "stopTimeout": "5s"});
    let entries =
        [file("config", "/etc/app"), entry("Process", "app", with, json!({"restartOn": ["config"]}))];
    let state = lower(&spec(&entries)).unwrap();
    let app = &state.resources()[1];
    let ResourceSpec::Process(process) = &app.spec else { panic!("{app:?}") };
    assert_eq!(process.command, ["/bin/app", "--serve"]);
    assert_eq!(process.env.iter().collect::<Vec<_>>(), [("LOG", &MaybeSealed::Plain("info".to_owned()))]);
    assert_eq!(process.stop_timeout, Duration::from_secs(5));
    assert_eq!(app.claim().to_string(), "Process:app");
    assert_eq!(super::names(&app.restart_on), ["config"]);
}

#[test]
fn every_problem_with_a_body_is_told_at_its_place() {
    let with = json!({"command": [], "env": {"PORT": 80}, "restart": "always", "signal": "TERM"});
    assert_eq!(
        lower(&spec(&[process("app", with)])).unwrap_err(),
        [
            "/spec/scores/0/with/command: it is empty: name at least the program",
            "/spec/scores/0/with/env/PORT: expected a string, found a number: put it in quotes, as the program is to see it",
            "/spec/scores/0/with/restart: \"always\" is no restart policy; did you mean \"Always\"?",
            "/spec/scores/0/with/signal: unknown key \"signal\"; valid here: command, env, workdir, user, group, restart, limits, probes, stopSignal, stopTimeout, log",
        ]
    );
}

#[test]
fn a_command_that_is_too_long_is_told_once() {
    let problems = lower(&spec(&[process("app", json!({"command": ["x".repeat(128 << 10)]}))])).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with("/spec/scores/0/with/command: with the environment"), "{problems:?}");
}

#[test]
fn a_device_without_the_reconciler_lacks_the_capability() {
    let files_only = ScoreBridge::new(super::scores::registry(), [ResourceKind::File]);
    let app = process("app", json!({"command": ["/bin/app"]}));
    assert_eq!(
        lower_with(&files_only, UnknownKeys::AreProblems, &spec(&[app])).unwrap_err(),
        [
            "/spec/scores/0/with: the Score Process 0.1.0 needs the capability Processes, which this device does not have; an agent with the reconciler Process would provide it"
        ]
    );
}

#[test]
fn the_bytes_of_all_commands_and_environments_are_counted_with_those_of_files() {
    let app =
        |name: &str| process(name, json!({"command": ["/bin/app"], "env": {"V": "x".repeat(120 << 10)}}));
    let many = |n: usize| spec(&(0..n).map(|i| app(&format!("app-{i}"))).collect::<Vec<_>>());
    assert!(lower(&many(34)).is_ok());
    assert_eq!(
        lower(&many(35)).unwrap_err(),
        [
            "/spec/scores/34/with: the contents, commands and variables that the document's Scores declare have more than 4194304 bytes altogether"
        ]
    );
}

/// Declares, in a child, a process that no document could have.
#[derive(Serialize)]
struct Careless;

impl WireForm for Careless {
    const NAME: &'static str = "Careless";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(_: Field<'_>, _: &mut Findings) -> Option<Self> {
        Some(Self)
    }
}

impl<T: Processes> Score<T> for Careless {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Processes> Interpret<T> for &Careless {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        let child = Child { name: "c", pointer: "/seconds", ..Child::default() };
        let process = ProcessSpec {
            stop_timeout: Duration::from_secs(7200),
            ..ProcessSpec::new(vec!["/bin/app".into()])
        };
        topology.interpret(&child, &Process(process)).map(|_| ())
    }
}

#[test]
fn a_score_cannot_declare_what_no_document_could() {
    let bridge = ScoreBridge::new(ScoreRegistry::none().with::<Careless>(), [ResourceKind::Process]);
    let problems = lower_with(
        &bridge,
        UnknownKeys::AreProblems,
        &spec(&[entry("Careless", "a", json!({"seconds": 7200}), json!({}))]),
    );
    assert_eq!(
        problems.unwrap_err(),
        [
            "/spec/scores/0/with/seconds: no process can be like this: /stopTimeout: \"2h\" is too much: give at most 1h"
        ]
    );
}
