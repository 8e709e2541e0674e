//! What a document declares as environment or content is known where it was declared for, and nowhere else.

use std::fs;

use agent_model::status::{AgentStatus, Event, ResourceState};
use futures_util::StreamExt as _;
use serde_json::json;
use tests::{
    document::{file, manifest, process, script},
    harmonyctl::Harmonyctl,
    platform::ACTUAL_STATE,
    site::{Access, DEVICE, Site},
    snapshot::files,
};

use crate::status_words::{refused, resource, stands};

const SECRET: &str = "planted-6f1c2a";

fn contains(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// The processes of this machine in whose file of that name it is to be found.
fn processes_with_it_in(file: &str) -> Vec<u32> {
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|bytes| contains(&bytes))).collect()
}

#[tokio::test]
async fn what_is_declared_as_environment_or_content_is_nowhere_but_with_its_process_and_in_its_file() {
    let site = Site::start(Access::Open).await;
    let mut told = site.platform.client.subscribe(format!("$KV.{ACTUAL_STATE}.>")).await.unwrap();
    let mut events = site.platform.client.subscribe("agent-events.>").await.unwrap();
    let mut device = site.device().with("log_level", "debug");
    device.start();
    let with_secret = |mut process: serde_json::Value| {
        process["spec"]["env"] = json!({"TOKEN": SECRET});
        process
    };
    let mut web = with_secret(process("web", &["sleep", "infinity"]));
    web["spec"]["probes"] =
        json!({"readiness": {"exec": {"command": ["sh", "-c", "test -n \"$TOKEN\""]}, "interval": "100ms"}});
    let mut unready = with_secret(process("unready", &["sleep", "infinity"]));
    unready["spec"]["probes"] =
        json!({"readiness": {"exec": {"command": ["no-such-probe"]}, "interval": "100ms"}});
    let resources = [
        web,
        unready,
        with_secret(script("failing", "exit 1")),
        with_secret(process("missing", &["no-such-program"])),
        file("conf", "/etc/app.conf", SECRET),
        file("folder", "/etc/folder", SECRET),
    ];
    fs::create_dir_all(device.path("/etc/folder")).unwrap();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let all = |status: &AgentStatus| {
        stands("web", ResourceState::Ready, "Running")(status)
            && stands("unready", ResourceState::Pending, "NotReady")(status)
            && stands("failing", ResourceState::Failed, "CrashLoopBackOff")(status)
            && stands("missing", ResourceState::Failed, "CommandNotFound")(status)
            && resource(status, "conf").reason == "InSync"
            && resource(status, "folder").reason == "NotRegularFile"
    };
    site.platform.status_where(DEVICE, "one that runs and what does not", all).await;

    let own = [device.process("web").pid, device.process("unready").pid];
    let with_it = processes_with_it_in("environ");
    assert!(own.iter().all(|pid| with_it.contains(pid)), "{with_it:?}");
    let shims = ["web", "unready"].map(|name| device.shim_record(name).shim.pid);
    assert!(!with_it.iter().any(|pid| shims.contains(pid) || *pid == device.pid()), "{with_it:?}");
    assert_eq!(processes_with_it_in("cmdline"), [0; 0]);

    // What was altered by hand is said without what it should be, or was.
    device.write_by_hand("/etc/app.conf", &format!("by hand {SECRET}"));
    device.eventually_holds("/etc/app.conf", SECRET).await;
    let is_repaired = |events: &[Event]| events.iter().any(|event| event.event_type == "Drift");
    site.platform.events_where(DEVICE, "the repair", is_repaired).await;

    // What is wrong with a document is said without quoting what is right in it, or nearly so.
    let mut wrong = process("web", &["sleep", "infinity"]);
    wrong["spec"]["env"] = json!({"TOKEN": {"value": SECRET}, "OTHER": format!("{SECRET}\0")});
    let revision = site.platform.put(DEVICE, &manifest(DEVICE, 2, &[wrong.clone()])).await;
    site.platform.status_where(DEVICE, "refused", refused(revision, "Invalid")).await;
    let shell = Harmonyctl::new(site.server.url());
    let document = shell.file(&[tests::document::authored(DEVICE, &[wrong])]);
    let validated = shell.run(&["validate", "-f", &document]).await;
    assert_eq!(validated.code, Some(2), "{validated:?}");
    let described = shell.run(&["describe", "agent", DEVICE]).await;
    let told_of = shell.run(&["events", DEVICE, "-o", "yaml"]).await;
    assert!(told_of.stdout.contains("/etc/app.conf"), "{told_of:?}");
    for ran in [validated, described, told_of] {
        assert!(!contains((ran.stdout + &ran.stderr).as_bytes()));
    }
    for command in
        [&["status"][..], &["status", "-o", "json"], &["audit", "show"], &["audit", "show", "-o", "json"]]
    {
        let (_, printed) = device.command(command).await;
        assert!(!contains(printed.as_bytes()), "{printed}");
    }
    let is_told = |events: &[Event]| events.iter().any(|event| event.event_type == "Rejected");
    site.platform.events_where(DEVICE, "the refusal", is_told).await;

    device.stop().await;
    assert!(!contains(device.log().as_bytes()), "{}", device.log());
    assert!(device.log().contains("DEBUG"), "it logged less than it can");
    let state = files(&device.state_dir());
    assert!(state.len() > 6, "{state:?}");
    for path in state {
        assert!(!contains(&fs::read(&path).unwrap()), "it is in {}", path.display());
    }
    site.platform.client.flush().await.unwrap();
    let mut statuses = 0;
    for subscriber in [&mut told, &mut events] {
        subscriber.unsubscribe().await.unwrap();
        while let Some(message) = subscriber.next().await {
            assert!(!contains(&message.payload), "{}", String::from_utf8_lossy(&message.payload));
            statuses += 1;
        }
    }
    assert!(statuses > 1);
}
