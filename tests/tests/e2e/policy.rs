//! What documents may do on a device is said on the device, and nothing that the platform sends changes it.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use agent_model::status::{AgentStatus, ConditionType, Phase, ResourceState};
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::{file, manifest, script},
    eventually::eventually,
    process::built,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{accepted, converged_at, refused, resource};

/// A user that every system has, is not root, and is in no group of consequence.
const SOMEBODY: &str = "nobody";

fn as_user(mut process: Value, user: &str) -> Value {
    process["spec"]["user"] = json!(user);
    process
}

fn unit(spec: Value) -> Value {
    json!({"kind": "SystemdUnit", "name": "x", "spec": spec})
}

fn with(mut resource: Value, key: &str, value: Value) -> Value {
    resource["spec"][key] = value;
    resource
}

#[tokio::test]
async fn a_document_that_asks_for_more_than_the_policy_allows_is_refused_by_resource_and_rule() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site
        .device()
        .with_rule("rootEquivalent", "false")
        .with_rule("paths", "['/srv', '/etc/app']")
        .with_rule("users", "['nobody', 'root']");
    device.start();
    let good = [file("page", "/srv/page", "1"), as_user(script("web", "sleep 100"), SOMEBODY)];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &good)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let runs = device.process("web");

    // Through every kind of resource, by every way to the same.
    let tries = [
        (file("x", "/opt/x", "x"), "paths = "),
        (file("x", "/srvx", "x"), "paths = "),
        (file("x", "/etc/cron.d/x", "x"), "paths = "),
        (with(file("x", "/srv/x", "x"), "mode", json!("4755")), "rootEquivalent = false"),
        (with(file("x", "/srv/x", "x"), "mode", json!("02755")), "rootEquivalent = false"),
        (script("x", "id"), "rootEquivalent = false"),
        (as_user(script("x", "id"), "root"), "rootEquivalent = false"),
        (as_user(script("x", "id"), "0"), "rootEquivalent = false"),
        (as_user(script("x", "id"), "daemon"), "users = "),
        (as_user(script("x", "id"), "1"), "users = "),
        (with(as_user(script("x", "id"), SOMEBODY), "group", json!("root")), "rootEquivalent = false"),
        (with(as_user(script("x", "id"), SOMEBODY), "group", json!("0")), "rootEquivalent = false"),
        (with(as_user(script("x", "id"), SOMEBODY), "group", json!("shadow")), "rootEquivalent = false"),
        (
            unit(json!({"unit": "x.service", "content": "[Service]\nExecStart=/bin/true\n"})),
            "rootEquivalent = false",
        ),
        (unit(json!({"unit": "cron.service"})), "rootEquivalent = false"),
        (unit(json!({"unit": "cron.service", "state": "Stopped"})), "rootEquivalent = false"),
    ];
    for (generation, (asking, rule)) in (2..).zip(&tries) {
        let resources = [good.as_slice(), std::slice::from_ref(asking)].concat();
        let revision = site.platform.put(DEVICE, &manifest(DEVICE, generation, &resources)).await;
        let status = site.platform.status_where(DEVICE, "refused", refused(revision, "PolicyDenied")).await;
        let message = &status.condition(ConditionType::Accepted).unwrap().message;
        assert!(message.contains("\"x\"") && message.contains(rule), "{asking}: {message}");
        assert!(!message.contains("\"page\"") && !message.contains("\"web\""), "{message}");
        assert_eq!(status.phase, Phase::Converged);
    }
    assert_eq!(device.process("web"), runs, "what was accepted runs on");
    assert_eq!(device.read("/srv/page"), "1");
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn no_policy_lets_a_document_touch_what_is_the_agents_own() {
    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    device.check().await;
    for path in [
        "/etc/harmony-agent",
        "/etc/harmony-agent/policy.toml",
        "/etc/systemd/system/harmony-agent.service",
        "/run/systemd/system/harmony-agent.service.d/x.conf",
        "/usr/lib/systemd/system/service.d/x.conf",
        device.policy_file().to_str().unwrap(),
        device.state_dir().join("ledger.json").to_str().unwrap(),
    ] {
        let explained = policy_explain(&device, &file("x", path, "rootEquivalent = true"), &["--root", "/"]);
        assert_eq!(explained.status.code(), Some(3), "{path}: {explained:?}");
        let printed = String::from_utf8(explained.stdout).unwrap();
        assert!(printed.contains("belongs to the agent itself"), "{path}: {printed}");
    }

    // So says the agent itself, below its root.
    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    let state_dir = device.path("/var/state");
    let device = device.with_state_dir(state_dir);
    device.check().await;
    let ran = with_document(
        &device,
        &["once"],
        &file("x", "/var/state/ledger.json", ""),
        &["--root", device.root().to_str().unwrap()],
    );
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(told.contains("PolicyDenied") && told.contains("belongs to the agent itself"), "{told}");
}

#[tokio::test]
async fn tightening_stops_enforcement_tears_nothing_down_and_loosening_goes_on() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let resources = [
        file("page", "/srv/page", "1"),
        file("motd", "/etc/motd", "1"),
        as_user(script("web", "sleep 100"), SOMEBODY),
        script("ruler", "sleep 100"),
    ];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let (web, ruler) = (device.process("web"), device.process("ruler"));

    device.stop().await;
    device = device.with_rule("rootEquivalent", "false");
    device.start();
    let denied = |status: &AgentStatus, name: &str| {
        let resource = resource(status, name);
        resource.state == ResourceState::Failed && resource.reason == "PolicyDenied"
    };
    let status = site.platform.status_where(DEVICE, "the process is denied", |it| denied(it, "ruler")).await;
    assert_eq!(status.phase, Phase::Degraded);
    assert!(denied(&status, "motd"), "{status:#?}");
    for allowed in ["page", "web"] {
        assert_eq!(resource(&status, allowed).state, ResourceState::Ready, "{status:#?}");
    }
    assert_eq!((device.process("web"), device.process("ruler")), (web, ruler));
    assert!(ruler.is_alive(), "it is nobody's to stop");

    // What is denied is repaired no longer, and what is allowed still is.
    device.write_by_hand("/etc/motd", "by hand");
    device.write_by_hand("/srv/page", "by hand");
    device.eventually_holds("/srv/page", "1").await;
    assert_eq!(device.read("/etc/motd"), "by hand");

    // What is denied and ends by itself stays ended.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(ruler.pid as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    eventually(
        "the process is gone",
        async || if ruler.is_alive() { Err("it runs".to_owned()) } else { Ok(()) },
    )
    .await;
    device.write_by_hand("/srv/page", "by hand again");
    device.eventually_holds("/srv/page", "1").await;
    assert_eq!(device.process("ruler"), ruler, "no other was started");

    // Whatever was made before may be given up.
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &resources[..1])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(2)).await;

    device.stop().await;
    device = device.with_rule("rootEquivalent", "true");
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(3)).await;
    assert!(device.process("ruler").is_alive());
}

#[tokio::test]
async fn a_limit_that_cannot_be_enforced_keeps_a_process_from_starting_where_the_policy_says_so() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device().without_control_groups();
    device.start();
    let limited = |content: &str| {
        [
            with(script("web", "sleep 100"), "limits", json!({"memory": "64Mi"})),
            file("page", "/srv/page", content),
        ]
    };
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &limited("1"))).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert!(resource(&status, "web").message.contains("not enforced"), "{status:#?}");
    let web = device.process("web");

    device.stop().await;
    device = device.with_rule("unenforceableLimits", "'Refused'");
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &limited("2"))).await;
    let refused = |status: &AgentStatus| {
        let web = resource(status, "web");
        web.state == ResourceState::Failed && web.reason == "PolicyDenied" && accepted(status) == Some(2)
    };
    let status = site.platform.status_where(DEVICE, "refused", refused).await;
    for part in ["memory", "unenforceableLimits = \"Refused\""] {
        assert!(resource(&status, "web").message.contains(part), "{status:#?}");
    }
    device.eventually_holds("/srv/page", "2").await;
    assert!(web.is_alive(), "what runs is left alone");

    // What does not run yet does not come to run.
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[])).await;
    site.platform.status_where(DEVICE, "empty", converged_at(3)).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 4, &limited("4"))).await;
    device.eventually_holds("/srv/page", "4").await;
    site.platform
        .status_where(DEVICE, "refused again", |it| accepted(it) == Some(4) && it.summary.failed == 1)
        .await;
    assert!(device.workloads().is_empty());
}

#[tokio::test]
async fn an_agent_whose_policy_others_could_write_does_not_start_and_says_why() {
    let mut device = Agent::new(DEVICE, "nats://127.0.0.1:1").with_rule("rootEquivalent", "false");
    let (_, printed) = device.check().await;
    assert!(printed.contains("which denies what is as good as root"), "{printed}");
    let policy = device.policy_file();
    for (mode, told) in [(0o666, "has mode 0666"), (0o664, "has mode 0664")] {
        fs::set_permissions(&policy, fs::Permissions::from_mode(mode)).unwrap();
        device.start();
        assert_eq!(device.end().await.code(), Some(2), "{}", device.log());
        assert!(device.log().contains(told) && device.log().contains("chmod go-w"), "{}", device.log());
    }
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o644)).unwrap();
    let mut device = device.with_rule("rootEquivalant", "true");
    device.start();
    assert_eq!(device.end().await.code(), Some(2), "{}", device.log());
    assert!(device.log().contains("unknown field `rootEquivalant`"), "{}", device.log());
    let mut device = Agent::new(DEVICE, "nats://127.0.0.1:1").with_rule("formats.Scores", "'Enabled'");
    device.start();
    assert_eq!(device.end().await.code(), Some(2), "{}", device.log());
    assert!(device.log().contains("did you mean \"Score\"?"), "{}", device.log());
}

#[test]
fn a_policy_is_shown_and_explained_line_by_line() {
    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    let explain = |rules: &str, resource: &Value| {
        fs::write(device.policy_file(), rules).unwrap();
        let root = device.root();
        let output = policy_explain(&device, resource, &["--root", root.to_str().unwrap()]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let line = |printed: &str, parts: &[&str]| {
        printed.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            parts.iter().all(|part| words.join(" ").contains(part))
        })
    };
    let (code, printed) = explain("", &file("conf", "/etc/app.conf", "hunter2"));
    assert_eq!(code, Some(0), "{printed}");
    assert!(line(&printed, &["allowed File conf write /etc/app.conf", "paths = [\"/\"]"]), "{printed}");
    assert!(!printed.contains("hunter2"));

    let rules = "rootEquivalent = false\nkinds = ['File']";
    let (code, printed) = explain(rules, &script("web", "echo hunter2"));
    assert_eq!(code, Some(3), "{printed}");
    assert!(line(&printed, &["DENIED Process web be a Process", "kinds = [\"File\"]"]), "{printed}");
    assert!(line(&printed, &["DENIED Process web run as the agent's own user", "that is root"]), "{printed}");
    assert!(!printed.contains("hunter2"));

    let shown = policy_show(&device);
    assert!(shown.contains("kinds = [\"File\"]\n") && shown.contains("rootEquivalent = false\n"), "{shown}");
    assert!(shown.contains("shellJobs = \"Disabled\"\n"), "what the file leaves out is shown too: {shown}");
}

#[test]
fn the_page_on_policies_gives_each_rule_with_its_default() {
    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    fs::write(device.policy_file(), "").unwrap();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy.md")).unwrap();
    let shown = policy_show(&device);
    let rules: Vec<&str> = shown.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rules.len() > 10, "{shown}");
    for rule in rules {
        assert!(page.contains(&format!("| `{rule}` |")), "the page does not have {rule}");
    }
}

fn policy_show(device: &Agent) -> String {
    let shown = std::process::Command::new(built("harmony-agent"))
        .args(["policy", "show", "--policy"])
        .arg(device.policy_file())
        .output()
        .unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

fn policy_explain(device: &Agent, resource: &Value, more: &[&str]) -> Output {
    with_document(device, &["policy", "explain"], resource, more)
}

fn with_document(device: &Agent, command: &[&str], resource: &Value, more: &[&str]) -> Output {
    let document = device.root().with_file_name("document.json");
    let content = manifest(DEVICE, 1, std::slice::from_ref(resource));
    fs::write(&document, content.to_string()).unwrap();
    std::process::Command::new(built("harmony-agent"))
        .args(command)
        .arg("--file")
        .arg(&document)
        .arg("--policy")
        .arg(device.policy_file())
        .arg("--state-dir")
        .arg(device.state_dir())
        .args(more)
        .output()
        .unwrap()
}
