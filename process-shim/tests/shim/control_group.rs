//! Control groups that a process is put into.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use process_shim::{End, ProcessIdentity, left_behind};
use rustix::process::Signal;

use crate::held::{Held, assert_root, eventually, launch, script};

/// A group that goes with this value.
struct Group(PathBuf);

impl Group {
    /// A group in which this file bounds something; each version of the control groups has a file of its
    /// own for that.
    fn make(held: &Held, bounds: &[(&str, &str, &str)]) -> Self {
        assert_root();
        let name = held.path("").file_name().unwrap().to_str().unwrap().to_owned();
        for (tree, file, value) in bounds {
            let group = Self(Path::new("/sys/fs/cgroup").join(tree).join(&name));
            if fs::create_dir(&group.0).is_ok() && fs::write(group.0.join(file), value).is_ok() {
                return group;
            }
        }
        panic!("no control group can be made for {bounds:?}");
    }

    fn processes(&self) -> BTreeSet<u32> {
        let processes = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        processes.lines().map(|pid| pid.parse().unwrap()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Busy for as long as there is somebody in it.
        while fs::remove_dir(&self.0).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) {
            for pid in self.processes() {
                let process = ProcessIdentity::of(pid).ok().flatten();
                let _ = process.map(|process| process.signal(Signal::KILL));
            }
        }
    }
}

const FEW_PROCESSES: [(&str, &str, &str); 2] = [("pids", "pids.max", "30"), ("", "pids.max", "30")];
const LITTLE_MEMORY: [(&str, &str, &str); 2] =
    [("memory", "memory.limit_in_bytes", "64M"), ("", "memory.max", "64M")];
/// Version 2, beside the first one or alone.
const SECOND_VERSION: [(&str, &str, &str); 2] =
    [("unified", "cgroup.freeze", "0"), ("", "cgroup.freeze", "0")];

#[test]
fn a_process_is_in_its_group_and_the_group_goes_with_it() {
    let mut held = Held::nothing();
    let group = Group::make(&held, &FEW_PROCESSES);
    let mut asked = script("setsid sleep 1000 & echo ready; exec sleep 1000");
    asked.program.control_groups = vec![group.0.clone()];
    held.start(&asked);
    held.line("ready");
    let alive: BTreeSet<u32> = held.alive().iter().map(|process| process.pid).collect();
    assert_eq!((group.processes(), alive.len()), (alive, 2));
    assert_eq!(held.record().control_groups, [group.0.as_path()]);
    held.stop();
    held.end();
    assert!(!group.0.exists());
}

#[test]
fn a_group_goes_as_well_when_the_start_fails_in_it() {
    let mut held = Held::nothing();
    let group = Group::make(&held, &FEW_PROCESSES);
    let mut asked = launch(&["/no/such/program"]);
    asked.program.control_groups = vec![group.0.clone()];
    held.fails(&asked);
    assert!(!group.0.exists());
}

#[test]
fn what_forks_without_end_is_gone_after_a_stop() {
    for bounds in [FEW_PROCESSES, SECOND_VERSION] {
        let mut held = Held::nothing();
        let group = Group::make(&held, &bounds);
        // As many as may be at once: each ends soon, and others take its place.
        let text = "trap '' TERM; echo ready; while :; do sleep 0.05 & n=$((n + 1)); \
                    [ $((n % 20)) -ne 0 ] || wait; done 2>/dev/null";
        let mut asked = script(&format!("({text}) & ({text}) & wait"));
        asked.program.control_groups = vec![group.0.clone()];
        asked.stop.timeout_ms = 100;
        held.start(&asked);
        held.line("ready");
        held.stop();
        held.end();
        assert!(held.alive().is_empty());
        assert!(!group.0.exists());
    }
}

#[test]
fn what_a_killed_shim_left_behind_is_found_by_its_group() {
    let mut held = Held::nothing();
    let group = Group::make(&held, &FEW_PROCESSES);
    let file = held.path("file");
    fs::write(&file, "").unwrap();
    // Neither session nor marker.
    let mut asked = script("setsid env -i tail -f $1 >/dev/null & exec sleep 1000");
    asked.program.command.extend(["sh".to_owned(), file.to_str().unwrap().to_owned()]);
    asked.program.control_groups = vec![group.0.clone()];
    held.start(&asked);
    let orphan = eventually("it is away", || {
        let tail =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "tail\n");
        group.processes().into_iter().find(tail)
    });
    let process = held.process();
    held.kill_shim();
    eventually("the process has ended", || (!process.is_alive()).then_some(()));
    assert_eq!(left_behind(&held.folder, None), []);
    let found = left_behind(&held.folder, Some(&held.record()));
    assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [orphan]);
    for process in found {
        process.signal(Signal::KILL).unwrap();
    }
    eventually("the group is empty", || group.processes().is_empty().then_some(()));
}

#[test]
fn the_exit_record_says_when_memory_ran_out() {
    let mut held = Held::nothing();
    let group = Group::make(&held, &LITTLE_MEMORY);
    let mut asked = launch(&["python3", "-c", "x = bytearray(1 << 30)"]);
    asked.program.control_groups = vec![group.0.clone()];
    held.start(&asked);
    held.end();
    let exit = held.exit_record();
    assert_eq!((exit.end, exit.out_of_memory), (End::Signal(9), true));
}
