//! What a device's agent has started: it outlives the agent, and must not outlive the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use agent_model::Digest;
use process_shim::{MARKER, ProcessFolder, ProcessIdentity, ShimRecord, left_behind};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open},
};

/// How long what was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How long each is waited for before all that is left is looked for again.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What holds a folder for each thing that runs.
const KINDS: [&str; 2] = ["processes", "jobs"];

/// The folders of all processes and jobs that a device with that state folder keeps.
pub(crate) fn folders(state_dir: &Path) -> Vec<ProcessFolder> {
    let entries = KINDS.iter().filter_map(|kind| fs::read_dir(state_dir.join(kind)).ok()).flatten().flatten();
    entries.map(|entry| ProcessFolder::of(entry.path())).collect()
}

/// Everything that runs because of a device with that state folder: the shims, and whatever has their
/// mark, whether or not a folder still tells of it.
pub(crate) fn running(state_dir: &Path) -> Vec<ProcessIdentity> {
    let of_kind = |kind: &str| {
        let folder = state_dir.join(kind);
        let folder = folder.to_str().expect("temporary folders have plain names").to_owned();
        (format!("{MARKER}={folder}/"), format!("{folder}/"))
    };
    let ours: Vec<(String, String)> = KINDS.iter().map(|kind| of_kind(kind)).collect();
    let is_ours = |pid: u32| {
        let words = |file: &str| {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            text.split('\0').map(str::to_owned).collect::<Vec<_>>()
        };
        let command = words("cmdline");
        let environment = words("environ");
        ours.iter().any(|(marked, held)| {
            let is_shim = command.len() > 2 && command[1] == "hold" && command[2].starts_with(held);
            is_shim || environment.iter().any(|variable| variable.starts_with(marked))
        })
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_ours(*pid))
        .filter_map(|pid| ProcessIdentity::of(pid).ok().flatten())
        .collect()
}

/// Ends all that runs because of a device with that state folder, and what it has started.
///
/// # Panics
/// When something does not end, unless a test is failing already.
pub fn end_all(state_dir: &Path) {
    let records: Vec<_> = folders(state_dir)
        .into_iter()
        .map(|folder| {
            let record = ShimRecord::read(&folder.shim_record()).ok().flatten();
            (folder, record)
        })
        .collect();
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let mut left = running(state_dir);
        left.extend(records.iter().flat_map(|(folder, record)| left_behind(folder, record.as_ref())));
        if left.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            assert!(std::thread::panicking(), "these do not end: {left:?}");
            break;
        }
        left.iter().for_each(kill);
    }
    let groups = records.iter().flat_map(|(_, record)| record).flat_map(|record| &record.control_groups);
    for group in groups {
        // They are there only where no agent has removed them.
        let _ = fs::remove_dir(group);
        let _ = group.parent().map(fs::remove_dir);
    }
}

/// The control groups that hold those of the processes of a device with that state folder.
pub(crate) fn control_groups(state_dir: &Path) -> Vec<PathBuf> {
    let id = Digest::of_bytes(state_dir.join("processes").as_os_str().as_encoded_bytes()).hex();
    let name = format!("harmony-{}", &id[..12]);
    let found = Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", &name]).output();
    let found = found.expect("find runs").stdout;
    String::from_utf8(found).unwrap().lines().map(PathBuf::from).collect()
}

/// Kills it and waits for its end. Whatever fails, the next look finds it again.
fn kill(process: &ProcessIdentity) {
    let pid = Pid::from_raw(process.pid.cast_signed()).expect("a process has a number");
    let end = pidfd_open(pid, PidfdFlags::empty());
    let _ = process.signal(Signal::KILL);
    if let Ok(end) = end {
        let _ = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&LOOK_AGAIN));
    }
}
