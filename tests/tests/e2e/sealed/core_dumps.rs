//! The agent opens secrets and `harmonyctl` seals them: no core of either is written. What it starts has the limit on cores that the device gives it.

use std::{
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tests::{
    document::process,
    process::built,
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

/// What that process may write of itself.
fn may_leave_cores(pid: u32) -> Pid {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    prlimit(Some(pid), Resource::Core, Rlimit { current: None, maximum: None }).unwrap();
    pid
}

fn limit_on_cores(pid: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned()
}

/// Without which a test shows nothing.
fn assert_that_others_leave_cores() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Command::new("sleep").arg("infinity").current_dir(&folder).spawn().unwrap();
    kill_process(may_leave_cores(other.id()), Signal::ABORT).unwrap();
    let status = other.wait().unwrap();
    assert!(status.core_dumped(), "no program leaves a core here, so this shows nothing: see core_pattern");
}

#[test]
fn a_harmonyctl_that_crashes_while_it_reads_a_secret_leaves_no_core_where_another_program_does() {
    assert_that_others_leave_cores();
    let folder = tempfile::tempdir().unwrap();
    let key = "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7";
    let mut sealing = Command::new(built("harmonyctl"))
        .args(["secret", "seal", "--to", key])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // More than a pipe holds: once it is written, most of it was read.
    sealing.stdin.as_mut().unwrap().write_all(&[b'x'; 2 * 65536]).unwrap();
    kill_process(may_leave_cores(sealing.id()), Signal::ABORT).unwrap();
    let status = sealing.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}

#[tokio::test]
async fn an_agent_that_crashes_leaves_no_core_where_another_program_does() {
    assert_that_others_leave_cores();
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.device_was_seen().await;
    kill_process(may_leave_cores(device.pid()), Signal::ABORT).unwrap();
    let status = device.end().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}

#[tokio::test]
async fn what_the_agent_starts_has_the_limit_on_cores_that_the_agent_was_given() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    site.device_was_seen().await;
    may_leave_cores(device.pid());
    site.platform.put(DEVICE, &site.document(1, &[process("web", &["sleep", "infinity"])])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(limit_on_cores(device.process("web").pid), limit_on_cores(device.pid()));
    assert!(limit_on_cores(device.pid()).contains("unlimited"));
}
