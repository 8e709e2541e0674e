//! A process has what its document declares, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    process::Command,
};

use agent_model::{
    Timestamp,
    status::{AgentStatus, ResourceState},
};
use process_shim::MARKER;
use serde_json::json;
use tests::{
    document::{manifest, process, script},
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use super::logged;
use crate::status_words::{converged_at, listed, resource, stands};

in_each_format!(a_process_is_started_once_and_the_status_says_which_it_is);

/// A user of this machine, if possible one who is in more groups than their own.
fn some_user() -> (String, String) {
    let groups = fs::read_to_string("/etc/group").unwrap();
    let members = groups.lines().filter_map(|line| line.rsplit(':').next()).flat_map(|list| list.split(','));
    let name = members.filter(|name| !name.is_empty()).chain(["nobody"]).next().unwrap();
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let entry = users.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    (name.to_owned(), entry.to_owned())
}

fn id(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// A line of proc_pid_status(5).
fn status_of(pid: u32, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn a_process_is_started_once_and_the_status_says_which_it_is(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let before = Timestamp::now();
    site.platform.put(DEVICE, &site.document(1, &[process("web", &["sleep", "infinity"])])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let web = resource(&status, "web");
    assert_eq!(
        (web.kind.as_str(), web.state, web.reason.as_str()),
        ("Process", ResourceState::Ready, "Running")
    );
    assert_eq!((web.changes, web.drift_corrections, web.restarts, web.attempts), (1, 0, 0, 0));
    assert_eq!(web.details["pid"], device.process("web").pid);
    let started: Timestamp = serde_json::from_value(web.details["startedAt"].clone()).unwrap();
    assert!(before <= started && started <= Timestamp::now(), "{started}");
    assert_eq!(fs::metadata(device.process_folder("web").path()).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_process_has_its_user_groups_environment_folder_and_limits_and_nothing_of_its_agent() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let (name, entry) = some_user();
    let mut plain = process("plain", &["sleep", "infinity"]);
    plain["spec"]["user"] = json!(name);
    plain["spec"]["env"] = json!({"MODE": "a = b", "EMPTY": "", "HOME": "/nowhere"});
    plain["spec"]["workdir"] = json!("/usr");
    plain["spec"]["limits"] = json!({"openFiles": 77});
    let mut numbered = process("numbered", &["sleep", "infinity"]);
    numbered["spec"]["user"] = json!(4711);
    numbered["spec"]["group"] = json!("daemon");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[plain, numbered])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let pid = device.process("plain").pid;
    let own = |what: &str| id(&[what, &name]).into_iter().next().unwrap();
    assert_eq!(status_of(pid, "Uid"), [own("-u").as_str(); 4].join(" "));
    assert_eq!(status_of(pid, "Gid"), [own("-g").as_str(); 4].join(" "));
    let groups: BTreeSet<String> = status_of(pid, "Groups").split(' ').map(str::to_owned).collect();
    assert_eq!(groups, id(&["-G", &name]));
    let none = "0000000000000000".to_owned();
    assert_eq!(
        (status_of(pid, "Umask"), status_of(pid, "SigBlk"), status_of(pid, "CapEff")),
        ("0022".into(), none.clone(), none)
    );
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/usr"));
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(open_files.split_whitespace().skip(3).collect::<Vec<_>>(), ["77", "77", "files"]);
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut descriptors: Vec<_> = descriptors.map(|entry| entry.unwrap().file_name()).collect();
    descriptors.sort();
    assert_eq!(descriptors, ["0", "1", "2"]);

    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let environment: BTreeMap<&str, &str> =
        environment.split_terminator('\0').filter_map(|variable| variable.split_once('=')).collect();
    let folder = device.process_folder("plain");
    let shell = entry.rsplit(':').next().unwrap();
    let expected = BTreeMap::from([
        ("EMPTY", ""),
        ("HOME", "/nowhere"),
        (MARKER, folder.path().to_str().unwrap()),
        ("LOGNAME", &*name),
        ("MODE", "a = b"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("SHELL", shell),
        ("USER", &*name),
    ]);
    assert_eq!(environment, expected);

    let pid = device.process("numbered").pid;
    let group = id(&["-g", "daemon"]).into_iter().next().unwrap();
    let rights = ["Uid", "Gid", "Groups"].map(|key| status_of(pid, key));
    assert_eq!(rights, [["4711"; 4].join(" "), [group.as_str(); 4].join(" "), group]);
}

#[tokio::test]
async fn a_process_cannot_have_more_than_its_limits_and_an_end_for_want_of_memory_is_told() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let with_limit = |mut process: serde_json::Value, limit: &str, value: serde_json::Value| {
        process["spec"]["limits"] = json!({limit: value});
        process["spec"]["restart"] = json!("Never");
        process
    };
    let resources = [
        with_limit(script("many", "while sleep 1000 & do echo one more; done"), "pids", json!(5)),
        with_limit(process("large", &["tail", "/dev/zero"]), "memory", json!("16Mi")),
        with_limit(script("busy", "while :; do :; done"), "cpus", json!("0.1")),
    ];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let all_stand = |status: &AgentStatus| {
        stands("many", ResourceState::Failed, "Exited")(status)
            && stands("large", ResourceState::Failed, "Exited")(status)
            && stands("busy", ResourceState::Ready, "Running")(status)
    };
    let status = site.platform.status_where(DEVICE, "two that ended and one that runs", all_stand).await;
    let message = |name: &str| listed(&status, name).unwrap().message.clone();
    assert!(message("large").contains("was ended by SIGKILL, for want of memory"), "{}", message("large"));
    assert!(!message("many").contains("memory"), "{}", message("many"));
    let printed = logged(&device, "many");
    assert_eq!(printed.iter().filter(|line| *line == "one more").count(), 4, "{printed:?}");
    assert_eq!(message("busy"), "");

    let groups = device.shim_record("busy").control_groups;
    let statistics = groups.iter().map(|group| group.join("cpu.stat")).find(|path| path.exists()).unwrap();
    let throttled = || {
        let statistics = fs::read_to_string(&statistics).unwrap();
        let count = statistics.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        count.unwrap().parse::<u64>().unwrap()
    };
    eventually("it is throttled", async || match throttled() {
        0 => Err("it is not".to_owned()),
        _ => Ok(()),
    })
    .await;
}
