//! What a job can see and do, and that none runs otherwise.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
};

use agent_model::status::{
    AgentStatus,
    ResourceState::{Failed, Ready},
};
use serde_json::{Value, json};
use tests::{
    document::{file, job, manifest},
    process::built_in,
    site::{Access, DEVICE, Site},
};

use super::{allowing, lines, open_folder};
use crate::status_words::{converged_at, listed, stands};

/// Prints a line for each thing that it could do. Written so that each try may fail.
const PROBE: &str = r#"#!/bin/bash
tried() { if "$@" 2>/dev/null; then echo "DID $*"; else echo "could not $*"; fi; }
tried touch /etc/x
tried touch /usr/x
tried touch /run/x
tried touch /var/x
tried ls "$STATE"/jobs.jsonl
tried cat "$POLICY"
tried cat /etc/shadow
tried cat /run/harmony-job/job.json
tried mount -t tmpfs none /mnt
tried bash -c 'echo > /dev/tcp/127.0.0.1/'"$PORT"
tried su -c id root
tried kill -0 "$AGENT_PID"
tried dmesg
touch /tmp/mine && echo "/tmp is mine: $(ls -A /tmp | head -n 3)"
echo "processes: $(ls /proc | grep -c '^[0-9]')"
echo "privileges: $(grep NoNewPrivs /proc/self/status | tr -d '[:space:]') $(grep CapEff /proc/self/status | tr -d '[:space:]')"
echo "terminal: $(cut -d ' ' -f 7 /proc/self/stat)"
echo "interfaces: $(ls /sys/class/net 2>/dev/null | wc -l) $(grep -c : /proc/net/dev)"
(setsid sleep 12345 >/dev/null 2>&1 &)
"#;

fn probe(variables: Value) -> Value {
    let mut probe = job("probe", PROBE);
    probe["spec"]["interpreter"] = json!(["/bin/bash"]);
    probe["spec"]["env"] = variables;
    probe
}

#[tokio::test]
async fn a_job_sees_no_more_and_does_no_more_than_is_declared() {
    let site = Site::start(Access::Restricted).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // Not below /tmp, which is hidden in any case.
    let state = tempfile::TempDir::with_prefix_in("harmony-state-", "/var/lib").unwrap();
    let device = site.device().with_state_dir(state.path().join("state"));
    let variables = json!({
        "STATE": device.state_dir(), "POLICY": device.policy_file(), "PORT": port,
        "AGENT_PID": std::process::id().to_string(),
    });
    let probe = probe(variables);
    let mut device = allowing(device, &[&probe]);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[probe])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let output = listed(&status, "probe").unwrap().details["output"]["first"].as_str().unwrap().to_owned();
    assert!(!output.contains("DID "), "{output}");
    assert_eq!(output.matches("could not ").count(), 13, "{output}");
    for expected in
        ["/tmp is mine: mine\n", "privileges: NoNewPrivs:1 CapEff:0000000000000000\n", "terminal: 0\n"]
    {
        assert!(output.contains(expected), "no {expected:?} in {output}");
    }
    let processes = output.split("processes: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(processes.parse::<u32>().unwrap() < 10, "{output}");
    assert!(listener.accept().is_err(), "somebody reached us from within");
    assert_eq!(device.workloads(), []);
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|command| command.starts_with(b"sleep\x0012345"))
    });
    assert_eq!(left.count(), 0, "a daemon of the job is left");
    device.stop().await;
}

#[tokio::test]
async fn the_network_is_there_where_it_is_asked_for_and_allowed() {
    let site = Site::start(Access::Restricted).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut asks = job("asks", &format!("#!/bin/bash\necho > /dev/tcp/127.0.0.1/{port}"));
    asks["spec"]["interpreter"] = json!(["/bin/bash"]);
    asks["spec"]["network"] = json!(true);
    let mut device = allowing(site.device(), &[&asks]).with_rule("hostNetwork", "true");
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[asks])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_ok());
}

#[tokio::test]
async fn without_the_means_to_isolate_or_limit_it_a_job_does_not_run() {
    let site = Site::start(Access::Restricted).await;
    let folder = open_folder();
    let mut limited = job("limited", &format!("echo run >> {}/runs", folder.path().display()));
    limited["spec"]["writablePaths"] = json!([folder.path()]);
    limited["spec"]["limits"] = json!({"memory": "64Mi"});
    let mut misplaced = job("misplaced", "true");
    misplaced["spec"]["writablePaths"] = json!(["/opt/nonexistent"]);
    let mut device = allowing(site.device(), &[&limited, &misplaced]).without_control_groups();
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[limited, misplaced])).await;
    site.platform.status_where(DEVICE, "refused", stands("limited", Failed, "LimitUnenforceable")).await;
    site.platform.status_where(DEVICE, "refused", stands("misplaced", Failed, "WritablePathMissing")).await;
    assert!(!folder.path().join("runs").exists());
}

#[tokio::test]
async fn without_bubblewrap_or_with_one_that_does_not_isolate_a_job_waits_for_it() {
    let site = Site::start(Access::Restricted).await;
    let (folder, programs) = (open_folder(), tempfile::TempDir::new().unwrap());
    let runs = folder.path().join("runs");
    let mut once = job("once", &format!("echo run >> {}", runs.display()));
    once["spec"]["writablePaths"] = json!([folder.path()]);
    let mut device = allowing(site.device(), &[&once]).with_programs_in(programs.path());
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[once, file("config", "/etc/config", "1")])).await;
    let says = |words: &'static str| {
        move |status: &AgentStatus| {
            stands("once", Failed, "SandboxUnavailable")(status)
                && listed(status, "once").is_some_and(|once| once.message.contains(words))
                && status.resources.iter().any(|it| it.name == "config" && it.state == Ready)
        }
    };
    let status = site.platform.status_where(DEVICE, "there is none", says("install bubblewrap")).await;
    assert!(listed(&status, "once").unwrap().next_retry.is_some(), "{status:#?}");

    let bubblewrap = programs.path().join("bwrap");
    let staged = programs.path().join("staged");
    fs::write(&staged, "#!/bin/sh\necho 'bwrap: no namespaces here' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&staged, &bubblewrap).unwrap();
    site.platform.status_where(DEVICE, "it cannot isolate", says("no namespaces here")).await;
    assert_eq!((lines(&runs), device.workloads()), (0, vec![]));

    symlink(built_in("bwrap", "apt-get install bubblewrap"), &staged).unwrap();
    fs::rename(&staged, &bubblewrap).unwrap();
    // That it tries again by itself is seen above; by now the next try may be minutes away.
    device.stop().await;
    device.start();
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(lines(&runs), 1);
}

#[tokio::test]
async fn a_secret_in_the_environment_shows_nowhere_though_the_script_prints_it() {
    let site = Site::start(Access::Restricted).await;
    let mut secret = job("secret", "echo \"$TOKEN\"; sleep 0.3");
    secret["spec"]["env"] = json!({"TOKEN": "hunter2-planted"});
    let mut device = allowing(site.device(), &[&secret]);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[secret])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(listed(&status, "secret").unwrap().details["output"]["first"], json!("***\n"));
    let audit = fs::read_to_string(device.state_dir().join("audit.jsonl")).unwrap();
    let history = fs::read_to_string(device.state_dir().join("jobs.jsonl")).unwrap();
    for text in [serde_json::to_string(&status).unwrap(), audit, history, device.log()] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains("sleep 0.3"), "the script itself is told: {text}");
    }
    assert!(!device.state_dir().join("jobs/secret/job.json").exists());
}
