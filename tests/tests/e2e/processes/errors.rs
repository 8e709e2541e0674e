//! What keeps a process from running is said in words that help, and costs nothing else.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    document::{authored, manifest, process, script},
    process::{Process, built},
    site::{Access, DEVICE, Site},
};

use crate::status_words::{Counts, converged_at, counts, is, listed, resource, stands};

fn with(mut process: Value, key: &str, value: Value) -> Value {
    process["spec"][key] = value;
    process
}

fn sleeper(name: &str) -> Value {
    process(name, &["sleep", "infinity"])
}

/// A file that may be executed.
fn executable(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_thing_that_keeps_a_process_from_starting_is_said_and_tried_again_and_holds_up_nobody_else() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let folder = TempDir::with_prefix("harmony-programs-").unwrap();
    let later = folder.path().join("later");
    let no_interpreter = executable(folder.path(), "no-interpreter", "#!/nowhere/sh\n");
    let expected = [
        (with(sleeper("user"), "user", json!("nobody-by-this-name")), "UnknownUser", "nobody-by-this-name"),
        (with(sleeper("group"), "group", json!("no-such-group")), "UnknownGroup", "no-such-group"),
        (process("name", &["no-such-program", "x"]), "CommandNotFound", "no-such-program"),
        (process("path", &["/nowhere/program"]), "CommandNotFound", "/nowhere/program"),
        (process("relative", &["./nowhere"]), "CommandNotFound", "./nowhere"),
        (process("mode", &["/etc/passwd"]), "CommandNotStarted", "Permission denied"),
        (process("folder", &["/etc"]), "CommandNotStarted", "/etc"),
        (process("interpreter", &[&no_interpreter]), "CommandNotStarted", "interpreter"),
        (with(sleeper("workdir"), "workdir", json!(later)), "WorkdirUnusable", "create the folder"),
        (
            with(sleeper("limit"), "limits", json!({"openFiles": 1 << 30})),
            "LimitNotPermitted",
            "openFiles 1073741824",
        ),
        // The program is there, and the PATH that is declared does not lead to it.
        (with(sleeper("lost"), "env", json!({"PATH": "/nowhere"})), "CommandNotFound", "PATH"),
    ];
    let mut resources: Vec<Value> = expected.iter().map(|(process, ..)| process.clone()).collect();
    resources.push(sleeper("good"));
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let tried_again = |status: &AgentStatus| {
        let mut failing = status.resources.iter().filter(|resource| resource.name != "good");
        // Counts alone are published every 30 s only, by when each was tried a second time for certain.
        stands("good", ResourceState::Ready, "Running")(status)
            && failing.all(|resource| resource.state == ResourceState::Failed && resource.attempts >= 2)
    };
    let status = site.platform.status_where(DEVICE, "all of them tried again", tried_again).await;
    assert_eq!(status.phase, Phase::Degraded);
    for (process, reason, words) in &expected {
        let failed = resource(&status, process["name"].as_str().unwrap());
        assert_eq!(failed.reason, *reason, "{failed:?}");
        assert!(failed.message.contains(words), "{failed:?}");
        assert!(failed.next_retry.is_some(), "{failed:?}");
        assert_eq!((failed.changes, failed.restarts, failed.drift_corrections), (0, 0, 0), "{failed:?}");
    }
    assert_eq!(resource(&status, "good").changes, 1);
    let good = device.shim_record("good");
    let mut all = vec![good.shim, good.process.unwrap()];
    all.sort_unstable();
    let mut running = device.workloads();
    running.sort_unstable();
    assert_eq!(running, all, "something is left of those that could not start");

    fs::create_dir(&later).unwrap();
    let mended = stands("workdir", ResourceState::Ready, "Running");
    let status = site.platform.status_where(DEVICE, "started when it can be", mended).await;
    let mended = resource(&status, "workdir");
    assert_eq!((mended.changes, mended.restarts, mended.attempts), (1, 0, 0));
}

/// A folder with the agent's program in it, and that of the shim if that is `complete`, which everybody may use.
fn installed(complete: bool) -> TempDir {
    let folder = TempDir::with_prefix("harmony-installed-").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for program in ["harmony-agent", "process-shim"].iter().take(if complete { 2 } else { 1 }) {
        let (from, to) = (built(program), folder.path().join(program));
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).unwrap();
        }
    }
    folder
}

/// Runs `once` of that program with these processes to its end, by way of a command, on a device of its
/// own; returns the exit code and the status.
struct Once {
    folder: TempDir,
    device: tests::agent::Agent,
}

impl Once {
    fn new() -> Self {
        let folder = TempDir::with_prefix("harmony-once-").unwrap();
        let device = tests::agent::Agent::new(DEVICE, "").with_state_dir(folder.path().join("state"));
        Self { folder, device }
    }

    async fn run(
        &self,
        through: &[&str],
        program: PathBuf,
        resources: &[Value],
    ) -> (Option<i32>, AgentStatus) {
        let document = self.folder.path().join("document.json");
        fs::write(&document, authored(DEVICE, resources).to_string()).unwrap();
        let printed = self.folder.path().join("printed");
        let mut command: Vec<String> = through.iter().map(|word| (*word).to_owned()).collect();
        let words = [
            program.to_str().unwrap(),
            "once",
            "-f",
            document.to_str().unwrap(),
            "--state-dir",
            self.device.state_dir().to_str().unwrap(),
            "--root",
            self.folder.path().join("root").to_str().unwrap(),
        ]
        .map(str::to_owned);
        command.extend(words);
        let log = self.folder.path().join("log");
        let stdout = fs::File::create(&printed).unwrap();
        let process = Process::start_with_stdout("once", &command, &[], stdout, &log).unwrap();
        let status = { process }.end().await;
        let printed = fs::read(&printed).unwrap();
        (
            status.code(),
            serde_json::from_slice(&printed)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&printed))),
        )
    }
}

#[tokio::test]
async fn an_agent_without_its_shim_says_which_program_is_missing_and_where() {
    let installed = installed(false);
    let once = Once::new();
    let (code, status) = once.run(&[], installed.path().join("harmony-agent"), &[sleeper("web")]).await;
    assert_eq!(code, Some(3));
    let web = resource(&status, "web");
    assert_eq!(web.reason, "ShimMissing");
    assert!(web.message.contains(&format!("{}/process-shim", installed.path().display())), "{}", web.message);
}

#[tokio::test]
async fn an_agent_that_is_not_root_starts_what_it_may_and_says_what_it_may_not() {
    let installed = installed(true);
    let once = Once::new();
    chown(once.folder.path(), Some(65534), Some(65534)).unwrap();
    let nobody = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "sh",
        "-c",
        "ulimit -n 1000; exec \"$@\"",
        "sh",
    ];
    let resources = [
        sleeper("own"),
        with(sleeper("own-by-number"), "user", json!(65534)),
        with(sleeper("limited"), "limits", json!({"memory": "64Mi", "pids": 9, "openFiles": 500})),
        with(sleeper("root"), "user", json!("root")),
        with(sleeper("more-files"), "limits", json!({"openFiles": 1001})),
    ];
    let (code, status) = once.run(&nobody, installed.path().join("harmony-agent"), &resources).await;
    assert_eq!(code, Some(3));
    for name in ["own", "own-by-number", "limited"] {
        assert_eq!(resource(&status, name).reason, "Running", "{:?}", resource(&status, name));
        let pid = once.device.process(name).pid;
        let owner = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(owner.contains("Uid:\t65534\t65534\t65534\t65534"), "{owner}");
    }
    let message = &resource(&status, "limited").message;
    assert!(
        message.contains("not enforced") && message.contains("memory (") && message.contains("pids ("),
        "{message}"
    );
    assert_eq!(resource(&status, "own").message, "");
    let root = resource(&status, "root");
    assert_eq!(root.reason, "UserNotPermitted");
    assert!(root.message.contains("an agent that is not root"), "{}", root.message);
    let more = resource(&status, "more-files");
    assert_eq!(more.reason, "LimitNotPermitted");
    assert!(more.message.contains("openFiles 1001"), "{}", more.message);
}

#[tokio::test]
async fn what_ends_during_a_pause_is_started_again_after_it() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[sleeper("web"), sleeper("other")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(device.command(&["pause"]).await.0, Some(0));
    let (web, other) = (device.process("web"), device.process("other"));
    web.signal(Signal::KILL).unwrap();
    let ended = |status: &AgentStatus| {
        is(status, ConditionType::Paused, ConditionStatus::True, "Paused")
            && listed(status, "web").is_some_and(|web| web.state != ResourceState::Ready)
    };
    site.platform.status_where(DEVICE, "it has ended", ended).await;
    // Longer than the pause before it would be started again.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let status = site.platform.status_where(DEVICE, "it waits", ended).await;
    assert_eq!(resource(&status, "web").restarts, 0);
    assert_eq!(device.process("web"), web);
    assert!(other.is_alive());

    assert_eq!(device.command(&["resume"]).await.0, Some(0));
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(resource(&status, "web").restarts, 1);
    assert!(device.process("web").is_alive());
    assert_eq!(device.process("other"), other);
}

#[tokio::test]
async fn on_a_full_disk_what_runs_goes_on_and_what_ended_is_started_again_once_there_is_room() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device().with_small_disk("512k");
    device.start();
    let mut talkative = script("talkative", "while :; do echo and another one; sleep 0.01; done");
    talkative["spec"]["log"] = json!({"maxSize": "4Ki", "keep": 1});
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[sleeper("web"), talkative])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let (web, talkative) = (device.process("web"), device.process("talkative"));
    let ballast = device.state_dir().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 64]).is_ok() {}

    web.signal(Signal::KILL).unwrap();
    let full =
        |status: &AgentStatus| is(status, ConditionType::StateStore, ConditionStatus::False, "DiskFull");
    let status = site.platform.status_where(DEVICE, "a full disk", full).await;
    assert_eq!(resource(&status, "web").restarts, 0);
    assert!(talkative.is_alive());

    drop(file);
    fs::remove_file(&ballast).unwrap();
    let mended = |status: &AgentStatus| {
        converged_at(1)(status) && listed(status, "web").is_some_and(|web| web.restarts == 1)
    };
    let status = site.platform.status_where(DEVICE, "started again", mended).await;
    assert!(device.process("web").is_alive() && device.process("web") != web);
    assert_eq!(device.process("talkative"), talkative);
    assert_eq!(resource(&status, "talkative").restarts, 0);
}

#[tokio::test]
async fn what_never_started_counts_for_nothing_and_going_back_is_one_change_and_one_restart() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[sleeper("web")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[process("web", &["no-such-program"])])).await;
    let tried_again = |status: &AgentStatus| {
        stands("web", ResourceState::Failed, "CommandNotFound")(status)
            && resource(status, "web").attempts >= 2
    };
    let status = site.platform.status_where(DEVICE, "not found", tried_again).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[sleeper("web")])).await;
    let status = site.platform.status_where(DEVICE, "back", converged_at(3)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 2, restarts: 1, drift_corrections: 0 });
}
