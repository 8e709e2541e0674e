//! A process is stopped as it declares, and all that it started goes with it.

use std::fs;

use agent_model::status::{AgentStatus, ResourceState};
use process_shim::{End, ExitRecord, ProcessIdentity};
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::{file, manifest, process, script},
    eventually::eventually,
    nats_server::free_ports,
    site::{Access, DEVICE, Site},
};

use super::{logged, python};
use crate::status_words::{accepted, converged_at, listed, resource, stands};

/// Does not heed what asks it to stop but says that it was asked, and neither do those that it starts to
/// get away: a child, one with a session of its own, a daemon, and one that has nothing of its
/// environment any more.
const STUBBORN: &str = r#"
import os, signal, sys, time

def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)

def told(number, frame):
    print("asked by", number, flush=True)

def stay(name):
    deaf()
    print(name, os.getpid(), flush=True)
    while True:
        time.sleep(1000)

def begin(name, *ways):
    if os.fork() == 0:
        for way in ways:
            way()
        stay(name)

def daemonise():
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")

def forget():
    deaf()
    os.setsid()
    os.execve(sys.executable, [sys.executable, "-c", "import os, time; print('forgetful', os.getpid(), flush=True); time.sleep(1000)"], {})

deaf()
signal.signal(signal.SIGUSR1, told)
begin("child")
begin("leader", os.setsid)
begin("daemon", daemonise)
begin("forgetful", forget)
print("main", os.getpid(), flush=True)
while True:
    time.sleep(1000)
"#;

/// Who [`STUBBORN`] consists of.
const ALL: [&str; 5] = ["main", "child", "leader", "daemon", "forgetful"];

fn stubborn(name: &str, stop_timeout: &str) -> Value {
    let mut stubborn = python(name, STUBBORN);
    stubborn["spec"]["stopSignal"] = json!("SIGUSR1");
    stubborn["spec"]["stopTimeout"] = json!(stop_timeout);
    stubborn
}

/// Waits until all of it runs.
async fn all_of(device: &Agent, name: &str) -> Vec<ProcessIdentity> {
    eventually("all of it runs", async || {
        let printed = logged(device, name);
        let pid_of = |who: &str| printed.iter().find_map(|line| line.strip_prefix(who)?.trim().parse().ok());
        let of = |who: &&str| ProcessIdentity::of(pid_of(who)?).unwrap();
        let found: Vec<ProcessIdentity> = ALL.iter().filter_map(of).collect();
        if found.len() == ALL.len() { Ok(found) } else { Err(format!("{printed:?}")) }
    })
    .await
}

fn still_there(processes: &[ProcessIdentity]) -> Vec<ProcessIdentity> {
    processes.iter().copied().filter(ProcessIdentity::is_alive).collect()
}

fn is_stopping(name: &'static str) -> impl Fn(&AgentStatus) -> bool {
    stands(name, ResourceState::Pending, "Stopping")
}

#[tokio::test]
async fn what_does_not_stop_when_it_is_asked_is_killed_with_all_that_it_started() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut limited = stubborn("limited", "500ms");
    limited["spec"]["limits"] = json!({"memory": "256Mi", "pids": 50});
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[stubborn("plain", "1s"), limited])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let (plain, limited) = (all_of(&device, "plain").await, all_of(&device, "limited").await);
    let groups = device.shim_record("limited").control_groups;
    assert!(!groups.is_empty() && groups.iter().all(|group| group.exists()));

    // One is declared otherwise, and the other no longer.
    let mut other = process("plain", &["sleep", "infinity"]);
    other["spec"]["stopTimeout"] = json!("1h");
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[other])).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(still_there(&plain), []);
    assert_eq!(still_there(&limited), []);
    let printed = logged(&device, "plain");
    assert_eq!(printed.iter().filter(|line| line.starts_with("asked by 10")).count(), 1, "{printed:?}");
    let resource = resource(&status, "plain");
    assert_eq!((resource.changes, resource.restarts, resource.drift_corrections), (2, 1, 0));
    assert!(!device.process_folder("limited").path().exists());
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");

    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[])).await;
    let status = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert_eq!(status.summary.total, 0);
    assert_eq!(device.workloads(), []);
    assert_eq!(fs::read_dir(device.state_dir().join("processes")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_stops_when_it_is_asked_is_not_killed_and_says_its_last_words() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut polite = script(
        "polite",
        "trap 'sleep 1; echo good bye; exit 5' INT; echo ready; while :; do sleep 0.1; done",
    );
    polite["spec"]["stopSignal"] = json!("SIGINT");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[polite.clone()])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let exit = device.process_folder("polite").exit_record();

    polite["spec"]["env"] = json!({"SECOND": "yes"});
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[polite])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(logged(&device, "polite"), ["ready", "good bye", "ready"]);
    let record = ExitRecord::read(&exit).unwrap().unwrap();
    assert_eq!((record.end, record.stopped), (End::Code(5), true));
}

#[tokio::test]
async fn a_long_stop_holds_up_neither_other_resources_nor_the_next_document() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let first = stubborn("slow", "1h");
    let second = process("slow", &["sleep", "infinity"]);
    let with = |slow: &Value, content: &str, more: &[Value]| {
        let mut resources = vec![slow.clone(), file("a", "/etc/a", content)];
        resources.extend(more.iter().cloned());
        resources
    };
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &with(&first, "1", &[]))).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = all_of(&device, "slow").await;

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &with(&second, "2", &[]))).await;
    device.eventually_holds("/etc/a", "2").await;
    site.platform.status_where(DEVICE, "stopping", is_stopping("slow")).await;
    // What is being stopped is wanted again, for all it knows; and somebody new is to run beside it.
    let next = manifest(DEVICE, 3, &with(&first, "3", &[process("new", &["sleep", "infinity"])]));
    site.platform.put(DEVICE, &next).await;
    let beside = |status: &AgentStatus| {
        accepted(status) == Some(3)
            && is_stopping("slow")(status)
            && stands("new", ResourceState::Ready, "Running")(status)
    };
    site.platform.status_where(DEVICE, "accepted beside the stop", beside).await;
    device.eventually_holds("/etc/a", "3").await;
    // Another agent knows of the stop as well, and asks for nothing twice.
    device.kill();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 4, &with(&first, "4", &[]))).await;
    let still = |status: &AgentStatus| {
        accepted(status) == Some(4) && is_stopping("slow")(status) && listed(status, "new").is_none()
    };
    site.platform.status_where(DEVICE, "still stopping", still).await;
    assert_eq!(still_there(&before), before);
    let asked = logged(&device, "slow").iter().filter(|line| line.starts_with("asked")).count();
    assert_eq!(asked, 1);

    for process in still_there(&before) {
        process.signal(Signal::KILL).unwrap();
    }
    let status = site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!(resource(&status, "slow").restarts, 1);
    assert_ne!(device.process("slow"), before[0]);
}

#[tokio::test]
async fn what_others_depend_on_is_started_before_them_and_stopped_after_them() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let notes = device.path("/notes");
    let noting = |name: &str, depends_on: &[&str]| {
        let program = format!(
            "trap 'sleep 0.5; echo {name} ends >> {0}; exit 0' TERM; echo {name} starts >> {0}; while :; do sleep 0.1; done",
            notes.display()
        );
        let mut noting = script(name, &program);
        noting["dependsOn"] = json!(depends_on);
        noting
    };
    let resources = [noting("web", &["cache"]), noting("cache", &["data"]), noting("data", &[])];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    let goes = |status: &AgentStatus| stands("web", ResourceState::Removing, "Stopping")(status);
    site.platform.status_where(DEVICE, "it is being removed", goes).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    let expected = ["data starts", "cache starts", "web starts", "web ends", "cache ends", "data ends"];
    assert_eq!(device.read("/notes").lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn under_another_name_it_is_another_process_and_gets_what_the_first_one_held() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let [port] = free_ports();
    let listener =
        format!("import signal, socket; held = socket.create_server(('127.0.0.1', {port})); signal.pause()");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[python("before", &listener)])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = device.process("before");
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[python("after", &listener)])).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert!(!before.is_alive() && device.process("after").is_alive());
    assert_eq!(resource(&status, "after").changes, 1);
    assert!(listed(&status, "before").is_none());
}
