//! Finding all that descends from a process, whatever it did to get away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::{
    MARKER, ProcessFolder, ProcessIdentity, ShimRecord,
    identity::{self, Stat},
};

impl ProcessIdentity {
    /// Sends it a signal, unless it has ended. Whoever has its number by then gets none.
    ///
    /// # Errors
    /// When the system forbids it.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        let sent = pidfd_open(pid, PidfdFlags::empty()).and_then(|process| {
            // Looked at while held, so that it cannot be another one afterwards.
            if self.is_alive() { pidfd_send_signal(&process, signal) } else { Ok(()) }
        });
        match sent {
            Err(Errno::SRCH) => Ok(()),
            sent => sent,
        }
    }
}

/// All that descends from `root` and runs. Complete where `root` is a subreaper (prctl(2)): whatever
/// loses its parent becomes its child.
pub fn descendants(root: u32) -> Vec<ProcessIdentity> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in all_pids() {
        if let Some(stat) = Stat::of(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut unseen = vec![root];
    while let Some(parent) = unseen.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            unseen.push(child);
            found.extend(ProcessIdentity::of(child).ok().flatten());
        }
    }
    found
}

/// What still runs of a process whose shim is no more: whatever has its marker, is in its session or in
/// its control groups.
pub fn left_behind(folder: &ProcessFolder, record: Option<&ShimRecord>) -> Vec<ProcessIdentity> {
    let this_boot = identity::boot_id().ok();
    let record = record.filter(|record| Some(&record.boot_id) == this_boot.as_ref());
    let session = record.and_then(|record| record.process).map(|process| process.pid);
    let grouped: BTreeSet<u32> = record
        .iter()
        .flat_map(|record| &record.control_groups)
        .filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok())
        .flat_map(|pids| pids.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    let marker = format!("{MARKER}={}", folder.path().display()).into_bytes();
    all_pids()
        .filter(|pid| {
            grouped.contains(pid)
                || has_variable(*pid, &marker)
                || (session.is_some() && Stat::of(*pid).map(|stat| stat.session) == session)
        })
        .filter_map(|pid| ProcessIdentity::of(pid).ok().flatten())
        .collect()
}

fn has_variable(pid: u32, variable: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == variable))
}

fn all_pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
