//! Finding all that descends from a process, whatever it did to get away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::{
    ExitRecord, MARKER, ProcessFolder, ProcessIdentity, ShimRecord,
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

/// Calls `visit` with all that descends from `root` and runs, each as soon as it is found: what starts
/// others and ends itself at once may be gone a moment later.
///
/// Nothing is out of reach where `root` is a subreaper (prctl(2)): whatever loses its parent becomes its
/// child. What changes places meanwhile may be missed, though, and is found by another look.
pub fn for_each_descendant(root: u32, mut visit: impl FnMut(ProcessIdentity)) {
    let mut family = Family::of(root);
    let mut seen = BTreeSet::from([root]);
    let mut unseen: Vec<_> = family.children(root);
    while let Some((pid, stat)) = unseen.pop() {
        if seen.insert(pid) {
            // Before it is visited, which may be its end.
            unseen.extend(family.children(pid));
            if stat.runs() {
                visit(stat.identity(pid));
            }
        }
    }
}

/// Who is whose child.
enum Family {
    /// The kernel lists children (`CONFIG_PROC_CHILDREN`), so that looking takes less time than starting a
    /// process does.
    Listed {
        /// Who adopts what loses its parent.
        root: u32,
    },
    /// It does not, and all processes were looked at.
    Scanned(BTreeMap<u32, Vec<(u32, Stat)>>),
}

impl Family {
    fn of(root: u32) -> Self {
        if Path::new("/proc/thread-self/children").exists() { Self::Listed { root } } else { Self::scanned() }
    }

    fn scanned() -> Self {
        let mut children: BTreeMap<u32, Vec<(u32, Stat)>> = BTreeMap::new();
        for (pid, stat) in all_processes() {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
        Self::Scanned(children)
    }

    /// The children of a process.
    fn children(&mut self, parent: u32) -> Vec<(u32, Stat)> {
        match self {
            Self::Listed { root } => {
                let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
                let lists =
                    threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
                let mut children = Vec::new();
                for list in lists {
                    let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
                    // By now the number may be that of another process.
                    let kin = |stat: &Stat| stat.parent == parent || stat.parent == *root;
                    children.extend(pids.filter_map(|pid| Some((pid, Stat::of(pid).filter(kin)?))));
                }
                children
            }
            Self::Scanned(children) => children.remove(&parent).unwrap_or_default(),
        }
    }
}

/// What still runs of a process whose shim is no more: whatever has its marker or is in its control
/// groups. Where it has no group, and nobody has noted how it ended, whatever is in its session as well:
/// later the number of that may be another's. Never the caller.
pub fn left_behind(folder: &ProcessFolder, record: Option<&ShimRecord>) -> Vec<ProcessIdentity> {
    // Before all that is asked of them, so that what takes over a number meanwhile is not mistaken.
    let all: BTreeMap<u32, Stat> = all_processes().filter(|(pid, _)| *pid != std::process::id()).collect();
    let this_boot = identity::boot_id().ok();
    let record = record.filter(|record| Some(&record.boot_id) == this_boot.as_ref());
    let is_lost = |record: &&ShimRecord| {
        let exit = ExitRecord::read(&folder.exit_record()).ok().flatten();
        record.control_groups.is_empty() && exit.is_none_or(|exit| exit.run != record.run)
    };
    let session = record.filter(is_lost).and_then(|record| record.process).filter(|process| {
        // The number of a session is not used again while anybody is in it. With another process for
        // its leader it is another session.
        all.get(&process.pid).is_none_or(|leader| leader.identity(process.pid) == *process)
    });
    let in_session = |stat: &Stat| {
        session.is_some_and(|leader| stat.session == leader.pid && stat.start_time >= leader.start_time)
    };
    let grouped: BTreeSet<u32> = record
        .iter()
        .flat_map(|record| &record.control_groups)
        .filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok())
        .flat_map(|pids| pids.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    let marker = format!("{MARKER}={}", folder.path().display()).into_bytes();
    let is_marked = |pid: u32| has_variable(pid, &marker) && shares_our_paths(pid);
    all.iter()
        .filter(|(_, stat)| stat.runs())
        .filter(|(pid, stat)| in_session(stat) || grouped.contains(pid) || is_marked(**pid))
        .map(|(pid, stat)| stat.identity(*pid))
        .collect()
}

/// Whether a path means the same to that process as to us. In a container or below another root an agent of
/// its own may have a folder of the same name.
fn shares_our_paths(pid: u32) -> bool {
    ["ns/mnt", "root"].iter().all(|link| {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/{link}")).ok();
        of(&pid.to_string()) == of("self")
    })
}

fn has_variable(pid: u32, variable: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == variable))
}

fn all_processes() -> impl Iterator<Item = (u32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, Stat::of(pid)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell and its two children, one of which is a shell with a child itself; all of it ends with
    /// this value.
    struct Tree(std::process::Child);

    impl Tree {
        fn start() -> Self {
            let script = "sleep 1000 & sh -c 'sleep 1000 & wait' & wait";
            Self(std::process::Command::new("setsid").args(["sh", "-c", script]).spawn().unwrap())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            for_each_descendant(self.0.id(), |process| process.signal(Signal::KILL).unwrap());
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn found(family: &mut Family, root: u32) -> BTreeSet<u32> {
        let children = family.children(root);
        let pids = children.iter().map(|(pid, _)| *pid);
        pids.clone().chain(pids.flat_map(|pid| found(family, pid))).collect()
    }

    #[test]
    fn listing_and_scanning_find_the_same_descendants() {
        let tree = Tree::start();
        let root = tree.0.id();
        loop {
            // Nothing tells when a shell has started all its children: look until they are there.
            let mut listed = BTreeSet::new();
            for_each_descendant(root, |process| assert!(listed.insert(process.pid)));
            if listed.len() == 3 {
                assert_eq!(found(&mut Family::Listed { root }, root), listed);
                assert_eq!(found(&mut Family::scanned(), root), listed);
                break;
            }
        }
    }
}
