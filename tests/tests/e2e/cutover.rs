//! A live device goes from manifests to Scores and back, and nothing on it moves. With the bridge
//! switched off, it goes on with what it has.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase};
use serde_json::{Value, json};
use tests::{
    agent::{Agent, Bridge},
    document::{Format, file, file_after},
    harmonyctl::Harmonyctl,
    platform::DESIRED_STATE,
    site::{Access, DEVICE, Site},
    snapshot::{FileState, snapshot},
};

use crate::status_words::{converged_at, is, refused, resource};

/// Files of every sort, one of them in the place of another that came with the device.
fn resources() -> [Value; 4] {
    let mut app = file_after("app-config", &["motd", "key"], "/opt/app/etc/app.conf", "listen = 80\n");
    app["restartOn"] = json!(["key"]);
    let key = json!({"path": "/opt/app/etc/key", "contentBase64": "AP8QgA==", "mode": "0600"});
    let mut script = file_after("script", &["app-config"], "/opt/app/bin/run", "#!/bin/sh\nexec true\n");
    script["spec"]["mode"] = json!("4755");
    [app, json!({"kind": "File", "name": "key", "spec": key}), script, file("motd", "/etc/motd", "ours\n")]
}

/// A site where documents are Scores, and its device with something on it from the factory.
async fn site_and_device() -> (Site, Agent) {
    let site = Site::start(Access::Restricted).await.with_format(Format::Score);
    let device = site.device();
    device.write_by_hand("/etc/motd", "factory\n");
    (site, device)
}

/// Puts a document in force and waits until it is fully applied.
async fn converge(site: &Site, format: Format, generation: u64) -> AgentStatus {
    site.platform.put(DEVICE, &format.document(DEVICE, generation, &resources())).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    assert_in_force(&status, format.kind(), format.schema_version());
    status
}

#[track_caller]
fn assert_in_force(status: &AgentStatus, kind: &str, schema_version: &str) {
    let accepted = status.accepted.as_ref().unwrap();
    assert_eq!((&*accepted.kind, &*accepted.schema_version), (kind, schema_version));
}

/// Everything that a step would leave a trace in.
#[derive(Debug, PartialEq)]
struct Traces {
    files: BTreeMap<PathBuf, FileState>,
    originals: BTreeMap<PathBuf, FileState>,
    /// What the ledger says that the agent made, with all counters.
    inventory: Value,
    /// The lines of the log, over all starts, that tell of a step.
    steps: Vec<String>,
}

impl Traces {
    fn on(device: &Agent) -> Self {
        let ledger = fs::read(device.state_dir().join("ledger.json")).unwrap();
        let mut ledger: Value = serde_json::from_slice(&ledger).unwrap();
        let inventory = ledger["body"]["inventory"].take();
        assert_eq!(inventory.as_object().map(serde_json::Map::len), Some(resources().len()), "{inventory}");
        let steps =
            device.log().lines().filter(|line| line.contains("applying")).map(str::to_owned).collect();
        let originals = snapshot(&device.state_dir().join("originals"));
        Self { files: snapshot(&device.root()), originals, inventory, steps }
    }
}

#[tokio::test]
async fn a_converted_document_takes_over_a_live_device_in_zero_steps_and_so_does_the_way_back() {
    let (site, mut device) = site_and_device().await;
    device.start();
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let manifest = Format::AgentManifest.authored(DEVICE, &resources());
    let ran = shell.apply(std::slice::from_ref(&manifest)).await;
    ran.assert_ended(0);
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let traces = Traces::on(&device);
    assert_eq!(traces.files[Path::new("opt/app/etc/key")].content, [0, 255, 16, 128]);
    let steps = resources().len() + 1;
    assert_eq!(traces.steps.len(), steps, "one for each file and one for an original: {:#?}", traces.steps);

    let file = shell.file(std::slice::from_ref(&manifest));
    let ran = shell.run(&["convert", "--to", "Score", "-f", &file, "-o", "json"]).await;
    ran.assert_ended(0);
    let converted: Value = serde_json::from_str(&ran.stdout).unwrap();
    for (generation, document) in [(2, &converted), (3, &manifest), (4, &converted)] {
        let ran = shell.apply(std::slice::from_ref(document)).await;
        ran.assert_ended(0);
        let status = site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
        let kind = document["kind"].as_str().unwrap();
        // Who names no version gets the newest that harmonyctl knows, as this agent does.
        assert_in_force(&status, kind, status.agent_info.formats[kind].last().unwrap());
        assert_eq!(status.resources, before.resources, "nothing about any resource changed");
        assert_eq!(Traces::on(&device), traces);
    }

    // What manifests put there, a Score document can take away.
    site.platform.put(DEVICE, &site.document(5, &[])).await;
    site.platform.status_where(DEVICE, "converged at 5", converged_at(5)).await;
    assert_eq!(device.read("/etc/motd"), "factory\n");
    assert!(!device.path("/opt").exists(), "folders made for a file go with it");
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_device_whose_bridge_is_switched_off_refuses_scores_by_name_and_goes_on_with_its_manifest() {
    let told = ["\"Score\" is switched off on this device", "formats.Score = \"Enabled\""];
    refuses_scores_and_goes_on(|device| device.with_bridge(Bridge::Disabled), &told).await;
}

#[tokio::test]
async fn a_device_whose_bridge_is_compiled_out_refuses_scores_by_name_and_goes_on_with_its_manifest() {
    let told = ["\"Score\"", "this agent reads AgentManifest"];
    refuses_scores_and_goes_on(|device| device.with_bridge(Bridge::CompiledOut), &told).await;
}

#[tokio::test]
async fn permission_alone_does_not_make_a_device_read_scores_and_its_log_says_so() {
    let told = ["\"Score\"", "this agent reads AgentManifest"];
    let only_permitted =
        |device: Agent| device.with_bridge(Bridge::CompiledOut).with_rule("formats.Score", "'Enabled'");
    let log = refuses_scores_and_goes_on(only_permitted, &told).await;
    let warned =
        log.lines().any(|line| line.contains("WARN") && line.contains("built without the Score bridge"));
    assert!(warned, "{log}");
}

/// A manifest is in force when the bridge goes and a Score document comes, which takes over when
/// the bridge is back. Returns the device's log.
async fn refuses_scores_and_goes_on(switch_off: impl Fn(Agent) -> Agent, told: &[&str]) -> String {
    let (site, mut device) = site_and_device().await;
    device.start();
    let before = converge(&site, Format::AgentManifest, 1).await;
    device.stop().await;
    let traces = Traces::on(&device);

    let mut device = switch_off(device);
    device.start();
    let revision = site.platform.put(DEVICE, &site.document(2, &resources())).await;
    let status = site.platform.status_where(DEVICE, "a refusal", refused(revision, "UnsupportedKind")).await;
    let message = &status.condition(ConditionType::Accepted).unwrap().message;
    assert!(told.iter().all(|word| message.contains(word)), "{message}");
    assert!(!status.agent_info.formats.contains_key("Score"), "{:?}", status.agent_info);
    assert!(status.agent_info.scores.is_empty(), "{:?}", status.agent_info);
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert!(is(&status, ConditionType::Converged, ConditionStatus::True, "AllReady"), "{status:#?}");
    assert_eq!(status.phase, Phase::Converged);
    assert_eq!(Traces::on(&device), traces);

    device.write_by_hand("/etc/motd", "by hand\n");
    device.eventually_holds("/etc/motd", "ours\n").await;
    let repaired = |status: &AgentStatus| resource(status, "motd").drift_corrections == 1;
    let before = site.platform.status_where(DEVICE, "one repair", repaired).await;
    assert_eq!(before.phase, Phase::Converged);

    device.stop().await;
    let traces = Traces::on(&device);
    let mut device = device.with_bridge(Bridge::Enabled);
    device.start();
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_in_force(&status, Format::Score.kind(), Format::Score.schema_version());
    assert_eq!(status.resources, before.resources, "nothing about any resource changed");
    assert_eq!(Traces::on(&device), traces);
    site.assert_nothing_was_forbidden();
    device.log()
}

#[tokio::test]
async fn a_device_with_scores_in_force_leaves_all_as_it_is_while_its_bridge_is_switched_off() {
    leaves_all_as_it_is(Bridge::Disabled, "\"Score\" is switched off on this device").await;
}

#[tokio::test]
async fn a_device_with_scores_in_force_leaves_all_as_it_is_while_its_bridge_is_compiled_out() {
    leaves_all_as_it_is(Bridge::CompiledOut, "no format reads the kind \"Score\"").await;
}

/// Scores are in force when the bridge goes. That ends with the bridge, or with a manifest.
async fn leaves_all_as_it_is(off: Bridge, told: &str) {
    let (site, mut device) = site_and_device().await;
    device.start();
    let before = converge(&site, Format::Score, 1).await;
    device.stop().await;
    let traces = Traces::on(&device);

    let mut device = device.with_bridge(off);
    device.start();
    assert_cannot_read_on(&site, &before, told).await;
    let revision = site.platform.put(DEVICE, &site.document(2, &[])).await;
    let status = site.platform.status_where(DEVICE, "a refusal", refused(revision, "UnsupportedKind")).await;
    assert_eq!((status.phase, &status.accepted), (Phase::Degraded, &before.accepted));
    assert_eq!(Traces::on(&device), traces);
    // The very entry that is in force.
    site.platform.put(DEVICE, &site.document(1, &resources())).await;

    device.stop().await;
    let mut device = device.with_bridge(Bridge::Enabled);
    device.start();
    let back = site.platform.status_where(DEVICE, "converged again", converged_at(1)).await;
    assert_eq!((&back.accepted, &back.applied), (&before.accepted, &before.applied));
    assert_eq!(Traces::on(&device), traces);

    device.stop().await;
    let mut device = device.with_bridge(off);
    device.start();
    assert_cannot_read_on(&site, &back, told).await;
    let status = converge(&site, Format::AgentManifest, 2).await;
    let counted = |status: &AgentStatus| -> Vec<(String, u64, u64)> {
        let counters = status.resources.iter();
        counters.map(|it| (it.name.clone(), it.changes, it.drift_corrections)).collect()
    };
    assert_eq!(counted(&status), counted(&before));
    assert_eq!(Traces::on(&device), traces);

    // What Scores put there, a manifest can take away.
    site.platform.put(DEVICE, &Format::AgentManifest.document(DEVICE, 3, &[])).await;
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert_eq!(device.read("/etc/motd"), "factory\n");
    assert!(!device.path("/opt").exists(), "folders made for a file go with it");
    site.assert_nothing_was_forbidden();
}

/// Waits until a new process says that it cannot read what is in force, and why.
async fn assert_cannot_read_on(site: &Site, before: &AgentStatus, told: &str) {
    let status = site
        .platform
        .status_where(DEVICE, "degraded", |status| {
            status.writer.epoch > before.writer.epoch && status.phase == Phase::Degraded
        })
        .await;
    assert!(is(&status, ConditionType::Converged, ConditionStatus::False, "Failing"), "{status:#?}");
    let message = &status.condition(ConditionType::Converged).unwrap().message;
    assert!(message.contains(told), "{message}");
    assert!(message.contains("leaves all as it is"), "{message}");
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
}

#[tokio::test]
async fn harmonyctl_writes_no_scores_for_a_device_that_does_not_read_them() {
    for bridge in [Bridge::Disabled, Bridge::CompiledOut] {
        let (site, device) = site_and_device().await;
        let mut device = device.with_bridge(bridge);
        device.start();
        site.device_was_seen().await;
        site.platform.status_where(DEVICE, "anything", |_| true).await;
        let shell = Harmonyctl::new(site.server.url_with_credentials());
        let ran = shell.apply(&[Format::Score.authored(DEVICE, &resources())]).await;
        assert_eq!(ran.code, Some(2), "{bridge:?}: {ran:#?}");
        assert!(ran.stderr.contains("the device reads no Score, only AgentManifest"), "{bridge:?}: {ran:#?}");
        let entry = site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap();
        assert!(entry.is_none(), "{bridge:?}: {entry:?}");
    }
}
