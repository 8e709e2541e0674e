//! What a process printed is shown on the device.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use agent_model::status::ResourceState;
use serde_json::json;
use tests::{
    agent::Agent,
    document::{manifest, script},
    eventually::eventually,
    process::{Process, built},
    site::{Access, DEVICE, Site},
};

use crate::{
    processes::logged,
    status_words::{converged_at, stands},
};

/// Runs `logs` with these arguments on that device's state folder.
fn logs(device: &Agent, arguments: &[&str]) -> Output {
    let mut command = Command::new(built("harmony-agent"));
    command.arg("logs").args(arguments).arg("--state-dir").arg(device.state_dir()).output().unwrap()
}

/// The same where it must succeed: what came on both streams.
fn shown(device: &Agent, arguments: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = logs(device, arguments);
    assert!(status.success(), "{arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What was said instead of a log, and the exit code.
fn refused(device: &Agent, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = logs(device, arguments);
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Shows what the process `web` printed, for as long as that takes.
fn show(device: &Agent, options: &[&str], stdout: impl Into<Stdio>) -> Process {
    let (program, state_dir) = (built("harmony-agent"), device.state_dir());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut command = vec![text(&program)];
    command.extend(["logs", "web", "--state-dir"].map(str::to_owned));
    command.push(text(&state_dir));
    command.extend(options.iter().map(|&option| option.to_owned()));
    let messages = state_dir.with_file_name("messages");
    Process::start_with_stdout("logs", &command, &[], stdout, &messages).unwrap()
}

/// A device without an agent, with the log of a process.
fn device_with_log(text: &str) -> Agent {
    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    let folder = device.process_folder("web");
    fs::create_dir_all(folder.path()).unwrap();
    fs::write(folder.log(0), text).unwrap();
    device
}

#[tokio::test]
async fn each_stream_is_shown_on_its_own_and_as_much_as_is_asked_for() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let web = script("web", "echo one; echo two; echo three >&2; printf four; exec sleep 1000");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web])).await;
    site.platform.status_where(DEVICE, "running", converged_at(1)).await;
    let both = |stdout: &str, stderr: &str| (stdout.to_owned(), stderr.to_owned());
    assert_eq!(shown(&device, &["web"]), both("one\ntwo\n", "three\n"));

    // Offline as well, and what was begun when the process ended.
    let process = device.process("web");
    device.kill();
    process.signal(rustix::process::Signal::TERM).unwrap();
    eventually("it has ended", async || match logged(&device, "web").len() {
        4 => Ok(()),
        lines => Err(format!("{lines} lines")),
    })
    .await;
    assert_eq!(shown(&device, &["web"]), both("one\ntwo\nfour\n", "three\n"));
    assert_eq!(shown(&device, &["web", "--tail", "1"]), both("four\n", ""));
    assert_eq!(shown(&device, &["web", "-n2"]), both("four\n", "three\n"));
    assert_eq!(shown(&device, &["web", "-n", "0"]), both("", ""));
    assert_eq!(shown(&device, &["web", "--since", "1h"]), both("one\ntwo\nfour\n", "three\n"));
    assert_eq!(shown(&device, &["web", "--since", "0s"]), both("", ""));
    let (stdout, _) = shown(&device, &["-t", "web"]);
    for (line, content) in stdout.lines().zip(["one", "two", "four"]) {
        let (time, text) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.len() == "2026-11-25T18:45:44.123456Z".len(), "{line}");
        assert_eq!(text, content);
    }

    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
}

#[tokio::test]
async fn following_goes_on_through_rotations_and_restarts_until_the_process_is_declared_no_longer() {
    const LINES: u32 = 300;
    const RUNS: usize = 3;
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    // Each run fills several files, and ends.
    let mut web = script("web", &format!("for i in $(seq {LINES}); do echo $$ $i; done; exit 1"));
    web["spec"]["log"] = json!({"maxSize": "4Ki", "keep": 100});
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web])).await;
    let backing_off = stands("web", ResourceState::Failed, "CrashLoopBackOff");
    site.platform.status_where(DEVICE, "ended for the first time", backing_off).await;

    let shown = device.state_dir().with_file_name("shown");
    let mut following = show(&device, &["-f"], File::create(&shown).unwrap());
    let lines_of_runs = || {
        let mut runs: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for line in fs::read_to_string(&shown).unwrap().lines() {
            // The last one may be in the middle of being printed.
            if let Some((run, number)) = line.split_once(' ') {
                runs.entry(run.to_owned()).or_default().extend(number.parse::<u32>());
            }
        }
        runs
    };
    eventually("all lines of several runs are shown", async || {
        let complete = lines_of_runs().values().filter(|lines| lines.last() == Some(&LINES)).count();
        if complete >= RUNS { Ok(()) } else { Err(format!("{complete} runs")) }
    })
    .await;
    assert!(following.ended().is_none());
    assert!(device.process_folder("web").log(RUNS as u32).exists());

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    assert_eq!(following.end().await.code(), Some(0));
    for (run, lines) in lines_of_runs() {
        let expected: Vec<u32> = (1..=LINES).take(lines.len()).collect();
        assert_eq!(lines, expected, "run {run}");
    }
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
}

#[tokio::test]
async fn whoever_closes_the_pipe_has_seen_enough() {
    const LINE: &str = "2026-11-25T18:45:44.123456Z stdout F one\n";
    // More than a pipe holds, so that it cannot all be printed; and so little that nothing is left to be
    // printed when the pipe is closed.
    for (log, options) in [(LINE.repeat(100_000), &[] as &[&str]), (LINE.to_owned(), &["--follow"])] {
        let device = device_with_log(&log);
        let (reader, writer) = std::io::pipe().unwrap();
        let mut showing = show(&device, options, writer);
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
        assert_eq!(showing.end().await.code(), Some(0), "{}", showing.log_tail());
    }
}

#[test]
fn what_is_no_line_of_a_log_is_shown_as_it_is() {
    let device = device_with_log(
        "2026-11-25T18:45:44.123456Z stdout P one li\n\
         2026-11-25T18:45:44.123457Z stdout F ne\n\
         2026-11-25T18:45:44.1234\n\
         somebody was here\n\
         2026-11-25T18:45:45.123456Z stderr F two\n\
         2026-11-25T18:45:46.123456Z std",
    );
    let stdout = "one line\n2026-11-25T18:45:44.1234\nsomebody was here\n2026-11-25T18:45:46.123456Z std\n";
    assert_eq!(shown(&device, &["web"]), (stdout.to_owned(), "two\n".to_owned()));
}

#[test]
fn whoever_asks_for_what_is_not_there_is_told_what_is() {
    let device = device_with_log("");
    assert_eq!(shown(&device, &["web"]), (String::new(), String::new()));
    let (code, message) = refused(&device, &["wbe"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("there are logs of web and none of \"wbe\""), "{message}");
    assert!(message.contains("; did you mean \"web\"?"), "{message}");
    // A name is no path.
    let (code, message) = refused(&device, &["../processes/web"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("is not a resource name"), "{message}");

    let device = Agent::new(DEVICE, "nats://127.0.0.1:1");
    let (code, message) = refused(&device, &["web"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("is this the agent's --state-dir?"), "{message}");
}

#[test]
fn whoever_may_not_read_it_is_told_who_may() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
    let device = device_with_log("");
    // Where everybody can run it, which is not so for what was built here.
    let open = tempfile::tempdir().unwrap();
    let program = open.path().join("harmony-agent");
    fs::copy(built("harmony-agent"), &program).unwrap();
    let state_dir = device.state_dir();
    for (path, mode) in [(open.path(), 0o755), (state_dir.parent().unwrap(), 0o755), (&state_dir, 0o700)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid", "54321", "--regid", "54321", "--clear-groups"])
        .arg(&program)
        .args(["logs", "web", "--state-dir"])
        .arg(&state_dir)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("Permission denied") && message.contains("run this as that user or as root"),
        "{message}"
    );
}
