//! From the manifest to Scores and back, and nothing on the device moves.

use std::{collections::BTreeMap, fs, path::PathBuf};

use agent_model::status::{AgentStatus, ResourceStatus};
use serde_json::{Value, json};
use tests::{
    document::{Format, authored, job, score, script},
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
    snapshot::{FileState, snapshot},
    systemd_container::SystemdContainer,
};

use super::{LAYOUT, UNIT, WATCH, have_started, identities, installed, resources, starts};
use crate::status_words::converged_at;

/// Everything that a step would leave a trace in.
#[derive(Debug, PartialEq)]
struct Traces {
    starts: Vec<String>,
    running: [String; 3],
    /// The process that holds the one of the document, and the agent's own.
    helpers: String,
    files: BTreeMap<PathBuf, FileState>,
    /// The history of jobs.
    jobs: String,
    /// What the ledger says that the agent made, with all counters.
    inventory: Value,
    /// The records of the audit log that are about a resource.
    records: Vec<Value>,
}

impl Traces {
    async fn on(device: &SystemdContainer, status: &AgentStatus) -> Self {
        let state =
            |name: &str| fs::read_to_string(device.path(&format!("/var/lib/harmony-agent/{name}"))).unwrap();
        let ledger: Value = serde_json::from_str(&state("ledger.json")).unwrap();
        let audit = state("audit.jsonl");
        let records = audit.lines().map(|line| serde_json::from_str(line).unwrap());
        let mut files = BTreeMap::new();
        for folder in ["/etc/app", "/etc/systemd/system", "/srv/app"] {
            let found = snapshot(&device.path(folder)).into_iter();
            files.extend(found.map(|(path, state)| (PathBuf::from(folder).join(path), state)));
        }
        Self {
            starts: starts(device).await,
            running: identities(device, status).await,
            helpers: device.shell("pidof process-shim; pidof harmony-agent").await,
            files,
            jobs: state("jobs.jsonl"),
            inventory: ledger["body"]["inventory"].clone(),
            records: records.filter(|record: &Value| !record["resource"].is_null()).collect(),
        }
    }
}

/// The same as the manifest, as somebody would say it who has the composite Scores.
fn by_hand() -> Value {
    let [_, recorder, web, ..] = resources("1", "first");
    let mut container = web["spec"].clone();
    container["mounts"].as_array_mut().unwrap().pop();
    let config = json!({
        "folder": "/etc/app", "target": "/settings", "values": {"version": 1},
        "files": [{"name": "settings", "path": "settings", "template": "{{ values.version }}\n"}],
    });
    let mut web = score("ContainerApp", "web", &json!({"config": config, "container": container}));
    web["dependsOn"] = json!(["layout"]);
    let mut recorder = score("ServiceApp", "recorder", &json!({"unit": recorder["spec"]}));
    recorder["dependsOn"] = json!(["web"]);
    recorder["restartOn"] = json!(["web"]);
    let mut watch = score("Process", "watch", &script("watch", WATCH)["spec"]);
    watch["dependsOn"] = json!(["layout"]);
    watch["restartOn"] = json!(["recorder"]);
    let mut layout = job("layout", LAYOUT)["spec"].take();
    layout["user"] = json!("root");
    layout["writablePaths"] = json!(["/srv"]);
    layout["creates"] = json!(super::LAID_OUT);
    json!({
        "apiVersion": "harmony/v1", "kind": "Score", "metadata": {"name": DEVICE},
        "spec": {"scores": [score("ShellJob", "layout", &layout), web, recorder, watch]},
    })
}

/// How every resource stands, whatever the order of the document.
fn by_name(status: &AgentStatus) -> BTreeMap<&str, &ResourceStatus> {
    status.resources.iter().map(|resource| (resource.name.as_str(), resource)).collect()
}

#[tokio::test]
async fn cutting_over_to_scores_and_back_takes_no_step_whichever_scores_say_the_same() {
    let site = Site::start(Access::Restricted).await;
    let device = installed(&site).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let manifest = authored(DEVICE, &resources("1", "first"));
    let ran = shell.apply(std::slice::from_ref(&manifest)).await;
    ran.assert_ended(0);
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    have_started(&device, &["layout", "web 1", "recorder 1", "watch"], "all have started").await;
    let traces = Traces::on(&device, &before).await;

    let file = shell.file(std::slice::from_ref(&manifest));
    let ran = shell.run(&["convert", "--to", "Score", "-f", &file, "-o", "json"]).await;
    ran.assert_ended(0);
    let converted: Value = serde_json::from_str(&ran.stdout).unwrap();
    let by_hand = by_hand();
    let ran = shell.run(&["convert", "--check", "-f", &shell.file(std::slice::from_ref(&by_hand))]).await;
    ran.assert_ended(0);

    let mut last = before.clone();
    for (generation, document) in [(2, &converted), (3, &manifest), (4, &by_hand), (5, &manifest)] {
        let ran = shell.apply(std::slice::from_ref(document)).await;
        ran.assert_ended(0);
        last = site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
        assert_eq!(last.accepted.as_ref().unwrap().kind, document["kind"].as_str().unwrap());
        assert_eq!(by_name(&last), by_name(&before), "nothing about any resource changed");
        assert_eq!(Traces::on(&device, &last).await, traces, "generation {generation}");
    }
    assert_eq!(last.writer.epoch, before.writer.epoch, "the agent is the same process");

    // What the manifest put there, a Score document can take away; what the job did stays done.
    let ran = shell.apply(&[Format::Score.authored(DEVICE, &[])]).await;
    ran.assert_ended(0);
    assert_eq!(device.shell("podman ps --all --quiet; pidof process-shim || true").await, "");
    for path in ["/etc/app", UNIT] {
        assert!(!device.path(path).exists(), "{path} is left");
    }
    assert_eq!(starts(&device).await, traces.starts);
    site.assert_nothing_was_forbidden();
}
