//! What was sealed is with what it is for, and nowhere else, in no form; and what the agent writes is for its user alone.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use agent_model::status::{AgentStatus, Event, ResourceState};
use async_nats::Subscriber;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use futures_util::StreamExt as _;
use serde_json::json;
use tests::{
    container_runtime::{BOX, ContainerRuntime},
    document::{authored, container, container_script, job, process, script},
    harmonyctl::Harmonyctl,
    platform::{ACTUAL_STATE, HEARTBEAT},
    site::{Access, DEVICE, Site},
};

use super::{SECRET, key_of, sealed, sealed_file, with_variable};
use crate::{
    jobs::allowing,
    status_words::{converged_at, refused, resource, stands},
};

/// The secret as it is, in hexadecimal, its SHA-256, and what is sure to be in base64 of any text that has it.
fn forms() -> Vec<Vec<u8>> {
    let in_base64 = (0..3).map(|shift| {
        let text = STANDARD_NO_PAD.encode([&b"xxx"[..shift], SECRET.as_bytes()].concat());
        // What its neighbours have a say in is left out at both ends.
        let begin = if shift == 0 { 0 } else { shift + 1 };
        text.as_bytes()[begin..text.len() - 2].to_vec()
    });
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let digest = agent_model::Digest::of_bytes(SECRET.as_bytes()).hex();
    [SECRET.as_bytes().to_vec(), hex.into_bytes(), digest.into_bytes()].into_iter().chain(in_base64).collect()
}

fn assert_nothing_in(what: &str, bytes: &[u8]) {
    for form in forms() {
        assert!(!contains(bytes, &form), "{} is in {what}", String::from_utf8_lossy(&form));
    }
}

fn contains(bytes: &[u8], form: &[u8]) -> bool {
    bytes.windows(form.len()).any(|window| window == form)
}

/// All that is below a folder, folders too.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let with_content = |path: PathBuf| {
        let below = if path.is_dir() { all_below(&path) } else { Vec::new() };
        [path].into_iter().chain(below)
    };
    entries.flat_map(with_content).collect()
}

/// All that devices tell.
struct Overheard([Subscriber; 2]);

impl Overheard {
    async fn begin(site: &Site) -> Self {
        let client = &site.platform.client;
        let (told, events) = tokio::join!(client.subscribe("$KV.>"), client.subscribe("agent-events.>"));
        Self([told.unwrap(), events.unwrap()])
    }

    async fn assert_nothing(self, site: &Site) {
        site.platform.client.flush().await.unwrap();
        let mut seen = BTreeMap::<String, u32>::new();
        for mut subscriber in self.0 {
            subscriber.unsubscribe().await.unwrap();
            while let Some(message) = subscriber.next().await {
                assert_nothing_in(&message.subject, &message.payload);
                *seen.entry(message.subject.to_string()).or_default() += 1;
            }
        }
        for subject in [
            format!("$KV.{ACTUAL_STATE}.{DEVICE}"),
            format!("$KV.{HEARTBEAT}.{DEVICE}"),
            format!("agent-events.{DEVICE}"),
        ] {
            assert!(seen.contains_key(&subject), "{subject} was not among {seen:?}");
        }
    }
}

fn assert_nothing_on_disk(folder: &Path) {
    for path in all_below(folder).iter().filter(|path| path.is_file()) {
        assert_nothing_in(&path.display().to_string(), &fs::read(path).unwrap());
    }
}

#[test]
fn each_form_of_the_secret_is_found_where_it_is() {
    use base64::engine::general_purpose::STANDARD;

    for before in ["", "a", "ab", "abc"] {
        let text = STANDARD.encode(format!("{before}{SECRET}, and so on"));
        assert!(forms().iter().any(|form| contains(text.as_bytes(), form)), "{text}");
    }
}

#[tokio::test]
async fn what_was_sealed_is_with_what_it_is_for_and_nowhere_else_in_no_form() {
    let site = Site::start(Access::Open).await;
    let overheard = Overheard::begin(&site).await;
    let mut sleeping = job("sleeping", ": \"$TOKEN\"; sleep infinity");
    sleeping["spec"]["timeout"] = json!("1h");
    let mut failing_job = job("printing", "echo \"$TOKEN\" >&2; exit 3");
    failing_job["spec"]["unless"] = json!("test -z \"$TOKEN\"");
    let mut device = allowing(site.device().with("log_level", "debug"), &[&sleeping, &failing_job]);
    device.start();
    let to = key_of(&device).await;
    let token = |resource| with_variable(resource, "TOKEN", &sealed(SECRET, &to));
    let mut web = token(process("web", &["sleep", "infinity"]));
    web["spec"]["probes"] =
        json!({"readiness": {"exec": {"command": ["sh", "-c", "test -n \"$TOKEN\""]}, "interval": "100ms"}});
    let mut unready = token(process("unready", &["sleep", "infinity"]));
    unready["spec"]["probes"] =
        json!({"readiness": {"exec": {"command": ["no-such-probe"]}, "interval": "100ms"}});
    fs::create_dir_all(device.path("/etc/folder")).unwrap();
    let resources = [
        web,
        unready,
        token(script("failing", "exit 1")),
        token(process("missing", &["no-such-program"])),
        token(sleeping),
        sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to)),
        sealed_file("folder", "/etc/folder", &sealed(SECRET, &to)),
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    let all = |status: &AgentStatus| {
        stands("web", ResourceState::Ready, "Running")(status)
            && stands("unready", ResourceState::Pending, "NotReady")(status)
            && stands("failing", ResourceState::Failed, "CrashLoopBackOff")(status)
            && stands("missing", ResourceState::Failed, "CommandNotFound")(status)
            && stands("sleeping", ResourceState::Pending, "Running")(status)
            && resource(status, "conf").reason == "InSync"
            && resource(status, "folder").reason == "NotRegularFile"
    };
    site.platform.status_where(DEVICE, "all that runs and fails", all).await;

    // While everything is under way, and after a drift, a refusal, a removal and a restart.
    assert_nothing_on_disk(&device.state_dir());
    device.write_by_hand("/etc/app.conf", "by hand");
    device.eventually_holds("/etc/app.conf", SECRET).await;
    let is_told = |event_type: &'static str| {
        move |events: &[Event]| events.iter().any(|event| event.event_type == event_type)
    };
    site.platform.events_where(DEVICE, "the repair", is_told("Drift")).await;
    let foreign = "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7".parse().unwrap();
    let wrong = with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &sealed(SECRET, &foreign));
    let revision = site.platform.put(DEVICE, &site.document(2, std::slice::from_ref(&wrong))).await;
    site.platform.status_where(DEVICE, "refused", refused(revision, "Invalid")).await;
    site.platform.events_where(DEVICE, "the refusal", is_told("Rejected")).await;

    let shell = Harmonyctl::new(site.server.url());
    let document = shell.file(&[authored(DEVICE, &[resources[5].clone(), wrong])]);
    for arguments in [
        &["describe", "agent", DEVICE][..],
        &["get", "agent", DEVICE, "-o", "yaml"],
        &["events", DEVICE, "-o", "yaml"],
        &["validate", "-f", &document],
        &["diff", "-f", &document],
    ] {
        let ran = shell.run(arguments).await;
        assert_nothing_in(&format!("{arguments:?}"), (ran.stdout + &ran.stderr).as_bytes());
    }
    for arguments in
        [&["status"][..], &["status", "-o", "json"], &["audit", "show"], &["audit", "show", "-o", "json"]]
    {
        let (_, printed) = device.command(arguments).await;
        assert_nothing_in(&format!("{arguments:?}"), printed.as_bytes());
    }
    device.stop().await;
    device.start();
    // What a job prints lies in its log, which is its own; the status has it masked.
    site.platform.put(DEVICE, &site.document(3, &[token(failing_job)])).await;
    let over = stands("printing", ResourceState::Failed, "Failed");
    let status = site.platform.status_where(DEVICE, "the job is over", over).await;
    assert!(resource(&status, "printing").details.to_string().contains("***"), "{status:#?}");
    site.platform.put(DEVICE, &site.document(4, &[])).await;
    let empty = |status: &AgentStatus| {
        status.applied.as_ref().is_some_and(|applied| u64::from(applied.generation) == 4)
    };
    site.platform.status_where(DEVICE, "removed", empty).await;
    device.stop().await;
    assert_nothing_on_disk(&device.state_dir());
    assert_nothing_in("the log", device.log().as_bytes());
    assert!(device.log().contains("DEBUG"), "it logged less than it can");
    overheard.assert_nothing(&site).await;
}

#[tokio::test]
async fn what_a_container_has_sealed_is_in_its_runtimes_own_store_and_nowhere_else() {
    let (site, runtime) = tokio::join!(Site::start(Access::Open), ContainerRuntime::start());
    let overheard = Overheard::begin(&site).await;
    let mut device = runtime.on(site.device().with("log_level", "debug"));
    device.start();
    let to = key_of(&device).await;
    let token = |resource| with_variable(resource, "TOKEN", &sealed(SECRET, &to));
    let mut web = token(container_script("web", BOX, "exec sleep infinity"));
    web["spec"]["probes"] =
        json!({"readiness": {"exec": {"command": ["sh", "-c", "test -n \"$TOKEN\""]}, "interval": "100ms"}});
    let failing = token(container_script("failing", BOX, "exit 1"));
    let mut missing = token(container("missing", "localhost/none:1"));
    missing["spec"]["pullPolicy"] = json!("Never");
    site.platform.put(DEVICE, &site.document(1, &[web, failing, missing])).await;
    let all = |status: &AgentStatus| {
        stands("web", ResourceState::Ready, "Running")(status)
            && stands("failing", ResourceState::Failed, "CrashLoopBackOff")(status)
            && resource(status, "missing").state == ResourceState::Failed
    };
    site.platform.status_where(DEVICE, "all that runs and fails", all).await;

    assert_nothing_on_disk(&device.state_dir());
    let labels = runtime.inspect("web").await.unwrap()["Config"]["Labels"].to_string();
    assert!(labels.contains("sha256:"), "they say what it was made of: {labels}");
    assert_nothing_in("its labels", labels.as_bytes());
    // Podman's own store has the variables of each container and what it printed, as docs/security.md says.
    let stores = ["storage", "run"].map(|name| runtime.folder().join(name));
    let files = all_below(runtime.folder()).into_iter().filter(|path| path.is_file());
    let (stored, others): (Vec<_>, Vec<_>) =
        files.partition(|path| stores.iter().any(|store| path.starts_with(store)));
    let has_it = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| contains(&bytes, SECRET.as_bytes()));
    assert!(stored.iter().any(has_it), "the scan of podman's files finds nothing where there is something");
    for path in others {
        assert_nothing_in(&path.display().to_string(), &fs::read(&path).unwrap());
    }
    for arguments in [&["status"][..], &["status", "-o", "json"], &["audit", "show", "-o", "json"]] {
        let (_, printed) = device.command(arguments).await;
        assert_nothing_in(&format!("{arguments:?}"), printed.as_bytes());
    }
    site.platform.put(DEVICE, &site.document(2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    device.stop().await;
    assert_nothing_on_disk(&device.state_dir());
    assert_nothing_in("the log", device.log().as_bytes());
    overheard.assert_nothing(&site).await;
}

#[tokio::test]
async fn what_the_agent_writes_is_for_its_user_alone_and_it_listens_nowhere() {
    let site = Site::start(Access::Open).await;
    let mut spill = job("spill", "echo done");
    spill["spec"]["unless"] = json!("false");
    let mut device = allowing(site.device(), &[&spill]);
    fs::create_dir_all(device.path("/etc")).unwrap();
    device.write_by_hand("/etc/app.conf", "of before");
    device.start();
    let to = key_of(&device).await;
    let resources = [
        sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to)),
        with_variable(script("web", "echo started; exec sleep infinity"), "TOKEN", &sealed(SECRET, &to)),
        spill,
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", crate::status_words::converged_at(1)).await;
    device.command(&["pause", "--for", "1h"]).await;

    let state = device.state_dir();
    let found = all_below(&state);
    for expected in [
        "sealing.nk",
        "ledger.json",
        "audit.jsonl",
        "jobs.jsonl",
        "status.json",
        "originals",
        "processes/web",
        "pause.json",
    ] {
        assert!(found.contains(&state.join(expected)), "{expected} is not among {found:#?}");
    }
    assert!(
        found.iter().any(|path| path.starts_with(state.join("processes/web")) && path.is_file()),
        "no log"
    );
    assert_eq!(mode_of(&state), 0o700);
    for path in &found {
        let kind = fs::symlink_metadata(path).unwrap().file_type();
        assert!(!kind.is_socket() && !kind.is_symlink(), "{} is a {kind:?}", path.display());
        let mode = mode_of(path);
        // The scripts of a job are read by its user; nobody else gets through the folders above them.
        let is_script = path.starts_with(state.join("jobs")) && path.is_file() && mode == 0o444;
        assert!(mode & 0o077 == 0 || is_script, "{} has mode {mode:04o}", path.display());
    }
    // Nobody can ask it anything: it only asks.
    let listening = fs::read_to_string(format!("/proc/{}/net/unix", device.pid())).unwrap();
    let inodes: Vec<u64> = fs::read_dir(format!("/proc/{}/fd", device.pid()))
        .unwrap()
        .filter_map(|entry| fs::metadata(entry.unwrap().path()).ok())
        .filter(|found| found.file_type().is_socket())
        .map(|found| found.ino())
        .collect();
    for line in listening.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Flags with __SO_ACCEPTCON (proc_pid_net_unix): a socket that listens.
        let is_ours =
            words.get(6).and_then(|inode| inode.parse().ok()).is_some_and(|inode| inodes.contains(&inode));
        assert!(!(is_ours && words[3] == "00010000"), "{line}");
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}
