//! The Score `ShellJob`, and Scores that declare jobs themselves.

use std::time::Duration;

use agent_model::{
    ResourceKind, ResourceSpec, ShellJobSpec, UnknownKeys,
    reader::{Field, Findings},
};
use agent_score_bridge::{
    Child, Interpret, InterpretError, Score, ScoreBridge, ScoreRegistry, ShellJob, ShellJobs, WireForm,
};
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use super::{entry, file, lower, lower_with, spec};

fn job(name: &str, with: Value) -> Value {
    entry("ShellJob", name, with, json!({}))
}

#[test]
fn a_job_is_declared_as_its_body_says_and_claims_the_name_of_its_entry() {
    let with = json!({"script": "touch /srv/a\n", "runId": "2", "timeout": "5s", "writablePaths": ["/srv"]});
    let entries =
        [file("config", "/etc/app"), entry("ShellJob", "layout", with, json!({"dependsOn": ["config"]}))];
    let state = lower(&spec(&entries)).unwrap();
    let layout = &state.resources()[1];
    let ResourceSpec::ShellJob(job) = &layout.spec else { panic!("{layout:?}") };
    let expected = ShellJobSpec {
        run_id: "2".into(),
        timeout: Duration::from_secs(5),
        writable_paths: vec!["/srv".parse().unwrap()],
        ..ShellJobSpec::new("touch /srv/a\n")
    };
    assert_eq!(**job, expected);
    assert_eq!(layout.claim().to_string(), "ShellJob:layout");
    assert_eq!(super::names(&layout.depends_on), ["config"]);
}

/// What a job has run for is its spec. A document that says so as a Score, or under another name, is none to run it
/// again for.
#[test]
fn neither_what_it_names_nor_its_name_makes_a_job_another_one_to_run() {
    let digest = |entries: &[Value]| {
        let state = lower(&spec(entries)).unwrap();
        let job = state.resources().iter().find(|it| it.kind() == ResourceKind::ShellJob).unwrap();
        state.effective_digest(job)
    };
    let with = json!({"script": "true"});
    let restarted = [file("a", "/a"), entry("ShellJob", "b", with.clone(), json!({"restartOn": ["a"]}))];
    let alone = digest(&[job("layout", with)]);
    assert_eq!(digest(&restarted), alone);
    assert_ne!(digest(&[job("layout", json!({"script": "true", "runId": "2"}))]), alone);
}

#[test]
fn every_problem_with_a_body_is_told_at_its_place() {
    let with = json!({"script": " ", "runId": 7, "network": "yes", "writablePaths": ["/srv", "/srv/a"], "scirpt": ""});
    let problems = lower(&spec(&[job("layout", with)])).unwrap_err();
    let places = ["script", "runId", "network", "writablePaths/1", "scirpt"];
    assert_eq!(problems.len(), places.len(), "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(&format!("/spec/scores/0/with/{place}: ")), "{problem}");
    }
    assert_eq!(
        lower(&spec(&[job("layout", json!({}))])).unwrap_err(),
        ["/spec/scores/0/with: \"script\" is missing"]
    );
}

#[test]
fn an_environment_that_is_too_long_is_told_once() {
    let with = json!({"script": "true", "env": {"V": "x".repeat(128 << 10)}});
    let problems = lower(&spec(&[job("layout", with)])).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("with the environment it has"), "{problems:?}");
}

#[test]
fn a_device_without_the_reconciler_lacks_the_capability() {
    let files_only = ScoreBridge::new(super::scores::registry(), [ResourceKind::File]);
    let layout = job("layout", json!({"script": "true"}));
    assert_eq!(
        lower_with(&files_only, UnknownKeys::AreProblems, &spec(&[layout])).unwrap_err(),
        [
            "/spec/scores/0/with: the Score ShellJob 0.1.0 needs the capability ShellJobs, which this device does not have; an agent with the reconciler ShellJob would provide it"
        ]
    );
}

#[test]
fn scripts_are_counted_with_all_contents() {
    let layout = |name: &str| job(name, json!({"script": "x".repeat(120 << 10)}));
    let many = |n: usize| spec(&(0..n).map(|i| layout(&format!("job-{i}"))).collect::<Vec<_>>());
    assert!(lower(&many(34)).is_ok());
    assert_eq!(lower(&many(35)).unwrap_err().len(), 1);
}

/// Declares, in a child, a job that no document could have.
#[derive(Serialize)]
struct Careless;

impl WireForm for Careless {
    const NAME: &'static str = "Careless";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(_: Field<'_>, _: &mut Findings) -> Option<Self> {
        Some(Self)
    }
}

impl<T: ShellJobs> Score<T> for Careless {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: ShellJobs> Interpret<T> for &Careless {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        let child = Child { name: "c", pointer: "/times", ..Child::default() };
        let job = ShellJobSpec { retry: 101, ..ShellJobSpec::new("true") };
        topology.interpret(&child, &ShellJob(job)).map(|_| ())
    }
}

#[test]
fn a_score_cannot_declare_what_no_document_could() {
    let bridge = ScoreBridge::new(ScoreRegistry::none().with::<Careless>(), [ResourceKind::ShellJob]);
    let document = spec(&[entry("Careless", "a", json!({"times": 101}), json!({}))]);
    let problems = lower_with(&bridge, UnknownKeys::AreProblems, &document).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("/spec/scores/0/with/times: no job can be like this: /retry: "),
        "{problems:?}"
    );
}
