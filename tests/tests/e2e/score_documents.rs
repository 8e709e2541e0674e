//! What only Scores have: types with versions of their own, and files that the device renders with
//! what it knows about itself.

use std::{collections::BTreeSet, fs, path::Path};

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase};
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::{Format, score, scores},
    harmonyctl::Harmonyctl,
    platform::{ACTUAL_STATE, DESIRED_STATE},
    site::{Access, DEVICE, Site},
    snapshot::snapshot,
};

use crate::status_words::{converged_at, is, refused, resource};

/// A device that can interpret Scores, running.
async fn site_and_device() -> (Site, Agent) {
    let site = Site::start(Access::Restricted).await.with_format(Format::Score);
    let mut device = site.device();
    device.start();
    (site, device)
}

/// Puts a document in force and waits until it is fully applied.
async fn converge(site: &Site, generation: u64, entries: &[Value]) -> AgentStatus {
    site.platform.put(DEVICE, &scores(DEVICE, generation, entries)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(generation)).await
}

/// The Score `File` of a document.
fn file(name: &str, path: &str, content: &str) -> Value {
    score("File", name, &json!({"path": path, "content": content}))
}

/// The Score `ConfigSet` of a document, in `/etc/collector`: `(name, path below it, template)`.
fn config_set(values: &Value, files: &[(&str, &str, &str)]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|(name, path, template)| json!({"name": name, "path": path, "template": template}))
        .collect();
    score("ConfigSet", "collector", &json!({"folder": "/etc/collector", "values": values, "files": files}))
}

const MAIN: (&str, &str, &str) = ("main", "main.toml", "host = \"{{ facts.hostname }}\"\n");
const INPUTS: (&str, &str, &str) =
    ("inputs", "conf.d/inputs.toml", "{% for port in values.ports %}port = {{ port }}\n{% endfor %}");
const OUTPUT: (&str, &str, &str) = ("output", "conf.d/output.toml", "server = \"{{ values.server }}\"\n");

#[tokio::test]
async fn a_device_tells_which_scores_it_has_and_a_document_of_them_by_its_kind() {
    let (site, _device) = site_and_device().await;
    converge(&site, 1, &[file("a", "/etc/a", "1")]).await;
    let entry = site.platform.entry(ACTUAL_STATE, DEVICE).await.unwrap().unwrap();
    let status: Value = serde_json::from_slice(&entry.value).unwrap();
    assert_eq!(
        status["agentInfo"]["formats"],
        json!({"AgentManifest": ["1.0.0", "1.1.0"], "Score": ["0.1.0", "0.1.1"]})
    );
    assert_eq!(
        status["agentInfo"]["scores"],
        json!([
            "ConfigSet@0.1.0",
            "Container@0.1.0",
            "ContainerApp@0.1.0",
            "File@0.1.0",
            "Process@0.1.0",
            "ServiceApp@0.1.0",
            "ShellJob@0.1.0",
            "SystemdUnit@0.1.0"
        ])
    );
    for place in ["desired", "accepted"] {
        let (kind, version) = (&status[place]["kind"], &status[place]["schemaVersion"]);
        assert_eq!((kind, version), (&json!("Score"), &json!("0.1.0")), "{place}");
    }
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn all_that_is_wrong_with_a_document_is_told_with_its_places_and_disturbs_nothing() {
    let (site, device) = site_and_device().await;
    let before = converge(&site, 1, &[file("a", "/etc/a", "in force")]).await;
    let files = snapshot(&device.root());

    let mut of_version = file("other-version", "/etc/b", "");
    of_version["version"] = json!("7.0.0");
    let mut no_range = file("no-range", "/etc/c", "");
    no_range["version"] = json!("newest");
    let mut lonely = file("lonely", "/etc/d", "");
    lonely["dependsOn"] = json!(["nobody"]);
    let unreadable = json!({"path": "etc/e", "content": "", "mode": 644, "contents": ""});
    let entries = [
        score("Fil", "misspelt", &json!({})),
        of_version,
        no_range,
        lonely,
        score("File", "unreadable", &unreadable),
        score("File", "empty", &json!({})),
        config_set(&json!({"server": "a"}), &[("main", "main.toml", "{{ values.sever }}\n")]),
    ];
    let revision = site.platform.put(DEVICE, &scores(DEVICE, 2, &entries)).await;
    let status = site.platform.status_where(DEVICE, "a refusal", refused(revision, "Invalid")).await;
    let message = &status.condition(ConditionType::Accepted).unwrap().message;
    for told in [
        "/spec/scores/0/score: no Score is named \"Fil\"; this device has ConfigSet@0.1.0, Container@0.1.0, ContainerApp@0.1.0, File@0.1.0, Process@0.1.0, ServiceApp@0.1.0, ShellJob@0.1.0, SystemdUnit@0.1.0; \
         did you mean \"File\"?",
        "/spec/scores/1/version: no version of File is ^7.0.0; this device has File@0.1.0",
        "/spec/scores/2/version: ",
        "/spec/scores/3/dependsOn/0: ",
        "/spec/scores/4/with/path: ",
        "/spec/scores/4/with/mode: ",
        "/spec/scores/4/with/contents: ",
        "/spec/scores/5/with: ",
        "/spec/scores/6/with/files/0/template: ",
    ] {
        assert!(message.contains(told), "no word of {told:?}: {message}");
    }

    assert_eq!(status.phase, Phase::Converged);
    assert!(is(&status, ConditionType::Converged, ConditionStatus::True, "AllReady"), "{status:#?}");
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert_eq!(status.resources, before.resources);
    assert_eq!(snapshot(&device.root()), files);
    converge(&site, 3, &[file("a", "/etc/a", "again")]).await;
    assert_eq!(device.read("/etc/a"), "again");
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_folder_of_configuration_is_rendered_with_the_devices_own_facts_and_kept_so() {
    let (site, device) = site_and_device().await;
    let values = json!({"ports": [80, 443], "server": "one"});
    let status = converge(&site, 1, &[config_set(&values, &[MAIN, INPUTS, OUTPUT])]).await;
    let main = rendered_main();
    assert_eq!(device.read("/etc/collector/main.toml"), main);
    assert_eq!(device.read("/etc/collector/conf.d/inputs.toml"), "port = 80\nport = 443\n");
    assert_eq!(device.read("/etc/collector/conf.d/output.toml"), "server = \"one\"\n");
    let names: Vec<&str> = status.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["collector-main", "collector-inputs", "collector-output"]);

    device.write_by_hand("/etc/collector/main.toml", "by hand");
    device.eventually_holds("/etc/collector/main.toml", &main).await;
    let repaired = |status: &AgentStatus| resource(status, "collector-main").drift_corrections == 1;
    site.platform.status_where(DEVICE, "one repair", repaired).await;
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn harmonyctl_judges_templates_with_the_facts_of_the_very_device() {
    let (site, device) = site_and_device().await;
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let rendering = |template: &str| {
        let spec = json!({"scores": [config_set(&json!({}), &[("main", "main.toml", template)])]});
        json!({"apiVersion": "harmony/v1", "kind": "Score", "metadata": {"name": DEVICE}, "spec": spec})
    };
    let ran = shell.apply(&[rendering("{{ facts.hostnam }}\n")]).await;
    ran.assert_ended(2);
    assert!(ran.stderr.contains("/spec/scores/0/with/files/0/template: "), "{ran:#?}");
    let entry = site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap();
    assert!(entry.is_none(), "{entry:?}");

    let ran = shell.apply(&[rendering(MAIN.2)]).await;
    ran.assert_ended(0);
    assert_eq!(device.read("/etc/collector/main.toml"), rendered_main());
    site.assert_nothing_was_forbidden();
}

/// What the template of [`MAIN`] becomes on this machine.
fn rendered_main() -> String {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    format!("host = \"{}\"\n", hostname.trim_end())
}

#[tokio::test]
async fn a_changed_value_alters_only_the_files_that_use_it() {
    let (site, device) = site_and_device().await;
    let set =
        |server: &str| config_set(&json!({"ports": [80, 443], "server": server}), &[MAIN, INPUTS, OUTPUT]);
    converge(&site, 1, &[set("one")]).await;
    let before = snapshot(&device.root());

    let status = converge(&site, 2, &[set("two")]).await;
    assert_eq!(device.read("/etc/collector/conf.d/output.toml"), "server = \"two\"\n");
    let after = snapshot(&device.root());
    let altered: BTreeSet<&Path> = before
        .keys()
        .chain(after.keys())
        .filter(|path| before.get(*path) != after.get(*path))
        .map(AsRef::as_ref)
        .collect();
    assert_eq!(altered, BTreeSet::from([Path::new("etc/collector/conf.d/output.toml")]));
    let changes =
        ["main", "inputs", "output"].map(|name| resource(&status, &format!("collector-{name}")).changes);
    assert_eq!(changes, [1, 1, 2]);
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_file_that_leaves_its_set_goes_and_what_was_there_before_comes_back() {
    let site = Site::start(Access::Restricted).await.with_format(Format::Score);
    let mut device = site.device();
    device.write_by_hand("/etc/collector/main.toml", "factory");
    device.write_by_hand("/etc/collector/foreign.toml", "foreign");
    device.start();
    let values = json!({"ports": [80], "server": "one"});
    converge(&site, 1, &[config_set(&values, &[MAIN, INPUTS, OUTPUT])]).await;
    assert_ne!(device.read("/etc/collector/main.toml"), "factory");

    let status = converge(&site, 2, &[config_set(&values, &[OUTPUT])]).await;
    assert_eq!(status.summary.total, 1);
    assert_eq!(device.read("/etc/collector/main.toml"), "factory");
    assert!(!device.path("/etc/collector/conf.d/inputs.toml").exists());
    assert_eq!(device.read("/etc/collector/conf.d/output.toml"), "server = \"one\"\n");

    converge(&site, 3, &[]).await;
    assert!(!device.path("/etc/collector/conf.d").exists(), "folders made for a file go with it");
    assert_eq!(device.read("/etc/collector/foreign.toml"), "foreign");
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn what_depends_on_a_set_is_written_after_all_of_its_files_and_goes_before_them() {
    let (site, device) = site_and_device().await;
    let mut service = file("service", "/etc/service", "start\n");
    service["dependsOn"] = json!(["collector"]);
    let values = json!({"ports": [80], "server": "one"});
    let mut set = config_set(&values, &[MAIN, INPUTS, OUTPUT]);
    set["dependsOn"] = json!(["key"]);
    // Named against the order in which they must be written.
    converge(&site, 1, &[service, set, file("key", "/etc/key", "key")]).await;
    let log = device.log();
    assert_eq!(turns(&log), ["key", "collector", "service"], "{log}");

    converge(&site, 2, &[]).await;
    let log = device.log().split_off(log.len());
    assert_eq!(turns(&log), ["service", "collector", "key"], "{log}");
    site.assert_nothing_was_forbidden();
}

/// What in `/etc` the steps in a log are about, one entry for each time that it has its turn.
fn turns(log: &str) -> Vec<&str> {
    let steps = log.lines().filter(|line| line.contains("applying"));
    let mut turns: Vec<&str> =
        steps.filter_map(|step| step.split_once("claim=File:/etc/")?.1.split(['/', ' ']).next()).collect();
    turns.dedup();
    turns
}
