//! Control groups, by which the memory, processor time and number of processes of a workload are bound,
//! and by which all that descends from it is known.
//!
//! There are two versions of them. In version 1 each controller has a tree of its own, and a group may
//! be made anywhere in it. In version 2 there is one tree, in which a group that hands controllers down
//! holds no processes itself, so there groups can be made where the agent has a group of its own below
//! the one that was delegated to it (systemd's `DelegateSubgroup=`), or at the very top.

mod tree;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use agent_model::{Digest, Failure, Limits, ResourceName};

use super::failures;

use tree::{Controller, Tree, trees};

/// Length of the period over which processor time is counted, in microseconds: the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

/// How often a group is tried to be made whose surroundings are removed at that moment.
const MOST_TRIES: u32 = 10;

/// Where the control groups of this device's processes are made.
#[derive(Debug)]
pub(crate) struct ControlGroups {
    /// The name of the folders that hold a group for each process.
    name: String,
    /// Those folders by controller, or why there can be none. Found out when a process is first declared: a
    /// device without any is left as it is.
    parents: OnceLock<Parents>,
}

type Parents = BTreeMap<Controller, Result<Parent, String>>;

/// A folder in which groups can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parent {
    /// The folder above it.
    above: PathBuf,
    path: PathBuf,
    /// Which files the limits are written to.
    tree: Tree,
}

impl ControlGroups {
    /// The groups of the processes in that folder, which tells those of several agents of one device
    /// apart.
    pub(crate) fn of(processes: &Path) -> Self {
        let id = Digest::of_bytes(processes.as_os_str().as_encoded_bytes()).hex();
        Self { name: format!("harmony-{}", &id[..12]), parents: OnceLock::new() }
    }

    fn parents(&self) -> &Parents {
        self.parents.get_or_init(|| {
            let made = |(controller, found): (Controller, Result<(PathBuf, Tree), String>)| {
                let parent = found.and_then(|(above, tree)| {
                    let parent = Parent { path: above.join(&self.name), above, tree };
                    let made = parent.make(controller).map_err(|error| error.to_string());
                    // It was to be seen only whether that works.
                    let _ = fs::remove_dir(&parent.path);
                    made.map(|()| parent)
                });
                (controller, parent)
            };
            trees().into_iter().map(made).collect()
        })
    }

    /// The declared limits that no process can be held to here, each with why.
    pub(crate) fn unenforced(&self, limits: &Limits) -> Vec<String> {
        let why = |(controller, _): (Controller, u64)| match self.parents().get(&controller) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(format!("{} ({why})", controller.limit())),
            None => Some(format!("{} (this system has no such control groups)", controller.limit())),
        };
        declared(limits).into_iter().filter_map(why).collect()
    }

    /// Makes the groups of a process with its limits, as far as they can be enforced, and one that counts
    /// its processes where that is possible. Returns their folders. Blocking.
    pub(crate) fn prepare(&self, name: &ResourceName, limits: &Limits) -> Result<Vec<PathBuf>, Failure> {
        let mut folders = Vec::new();
        let counted = limits.pids.is_none().then_some((Controller::Pids, None));
        let declared = declared(limits).into_iter().map(|(controller, limit)| (controller, Some(limit)));
        for (controller, limit) in declared.chain(counted) {
            let Some(Ok(parent)) = self.parents().get(&controller) else { continue };
            let folder = parent.path.join(name.as_str());
            // In version 2 one group has all the limits, and is made once.
            let is_made = folders.contains(&folder);
            let made = if is_made { parent.make(controller) } else { parent.make_group(&folder, controller) };
            match made.and_then(|()| parent.set(&folder, controller, limit)) {
                Ok(()) if is_made => {}
                Ok(()) => folders.push(folder),
                // Nobody has asked for it.
                Err(_) if limit.is_none() => {}
                Err(error) => {
                    let failure = failures::control_group(&format!("{}: {error}", folder.display()));
                    // Half a set of groups would stay: nothing runs that could tell of them.
                    folders.push(folder);
                    remove(&folders);
                    return Err(failure);
                }
            }
        }
        Ok(folders)
    }
}

/// Removes the groups of a process of which nothing is left, and the folder that held the last of them.
/// Blocking.
pub(crate) fn remove(groups: &[PathBuf]) {
    for group in groups {
        let _ = fs::remove_dir(group);
        // Fails while it holds another.
        let _ = group.parent().map(fs::remove_dir);
    }
}

/// The declared limits that need a control group.
fn declared(limits: &Limits) -> Vec<(Controller, u64)> {
    let Limits { memory, cpu_millis, pids, open_files: _ } = limits;
    [(Controller::Memory, *memory), (Controller::Cpu, *cpu_millis), (Controller::Pids, *pids)]
        .into_iter()
        .filter_map(|(controller, limit)| Some((controller, limit?)))
        .collect()
}

impl Parent {
    fn make(&self, controller: Controller) -> io::Result<()> {
        let hand_down = |folder: &Path| match self.tree {
            Tree::V1 => Ok(()),
            Tree::V2 => fs::write(folder.join("cgroup.subtree_control"), format!("+{}", controller.name())),
        };
        let made = hand_down(&self.above)
            .and_then(|()| match fs::create_dir(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            })
            .and_then(|()| hand_down(&self.path));
        let above = self.above.display();
        made.map_err(|error| {
            io::Error::new(error.kind(), format!("no control group can be made in {above}: {error}"))
        })
    }

    /// Makes a group anew, so that no limit of an earlier declaration is left in it.
    fn make_group(&self, folder: &Path, controller: Controller) -> io::Result<()> {
        let mut tries = 0..MOST_TRIES;
        loop {
            let made = self.make(controller).and_then(|()| {
                let _ = fs::remove_dir(folder);
                fs::create_dir(folder)
            });
            match made {
                // Whoever removes the last group of another process removes the folder that holds them as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => return Ok(()),
            }
        }
    }

    fn set(&self, folder: &Path, controller: Controller, limit: Option<u64>) -> io::Result<()> {
        let Some(limit) = limit else { return Ok(()) };
        let write = |file: &str, value: String| fs::write(folder.join(file), value);
        match (controller, self.tree) {
            (Controller::Memory, Tree::V1) => write("memory.limit_in_bytes", limit.to_string()),
            (Controller::Memory, Tree::V2) => write("memory.max", limit.to_string()),
            (Controller::Cpu, Tree::V1) => write("cpu.cfs_period_us", CPU_PERIOD.to_string())
                .and_then(|()| write("cpu.cfs_quota_us", cpu_quota(limit).to_string())),
            (Controller::Cpu, Tree::V2) => write("cpu.max", format!("{} {CPU_PERIOD}", cpu_quota(limit))),
            (Controller::Pids, Tree::V1 | Tree::V2) => write("pids.max", limit.to_string()),
        }
    }
}

/// The processor time that so many thousandths of a processor are in a period, in microseconds; the
/// kernel takes no less than a thousand.
fn cpu_quota(millis: u64) -> u64 {
    (millis.saturating_mul(CPU_PERIOD) / 1000).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { memory: Some(1 << 20), cpu_millis: Some(500), pids: Some(7), open_files: Some(9) }
    }

    fn groups(folder: &Path, tree: Tree) -> ControlGroups {
        let parent = Ok(Parent { above: folder.to_owned(), path: folder.join("ours"), tree });
        let parents = BTreeMap::from([
            (Controller::Memory, parent.clone()),
            (Controller::Cpu, parent),
            (Controller::Pids, Err("it is somebody else's".to_owned())),
        ]);
        ControlGroups { name: "ours".to_owned(), parents: OnceLock::from(parents) }
    }

    #[test]
    fn limits_are_written_as_each_version_wants_them_and_what_cannot_be_is_told() {
        for (tree, files) in [
            (
                Tree::V1,
                &[
                    ("memory.limit_in_bytes", "1048576"),
                    ("cpu.cfs_period_us", "100000"),
                    ("cpu.cfs_quota_us", "50000"),
                ][..],
            ),
            (Tree::V2, &[("memory.max", "1048576"), ("cpu.max", "50000 100000")]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let groups = groups(folder.path(), tree);
            let made = groups.prepare(&"web".parse().unwrap(), &limits()).unwrap();
            assert_eq!(made, [folder.path().join("ours/web")]);
            for (file, content) in files {
                assert_eq!(fs::read_to_string(made[0].join(file)).unwrap(), *content, "{file}");
            }
            assert_eq!(groups.unenforced(&limits()), ["pids (it is somebody else's)"]);
        }
    }

    #[test]
    fn a_group_that_nobody_asked_for_keeps_nothing_from_starting_when_it_cannot_be_made() {
        let nowhere = Path::new("/nonexistent");
        let parent = Parent { above: nowhere.to_owned(), path: nowhere.join("ours"), tree: Tree::V1 };
        let parents = OnceLock::from(BTreeMap::from([(Controller::Pids, Ok(parent))]));
        let groups = ControlGroups { name: "ours".to_owned(), parents };
        let prepare = |pids| groups.prepare(&"web".parse().unwrap(), &Limits { pids, ..Limits::default() });
        assert_eq!(prepare(None), Ok(Vec::new()));
        assert_eq!(prepare(Some(7)).unwrap_err().reason, "ControlGroupUnusable");
    }

    #[test]
    fn without_limits_there_is_one_group_that_counts_and_nothing_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let parent =
            Parent { above: folder.path().to_owned(), path: folder.path().join("ours"), tree: Tree::V1 };
        let parents = OnceLock::from(BTreeMap::from([(Controller::Pids, Ok(parent))]));
        let groups = ControlGroups { name: "ours".to_owned(), parents };
        let unlimited = Limits { open_files: Some(9), ..Limits::default() };
        let made = groups.prepare(&"web".parse().unwrap(), &unlimited).unwrap();
        assert_eq!(made, [folder.path().join("ours/web")]);
        assert_eq!(fs::read_dir(&made[0]).unwrap().count(), 0, "no limit is written");
        assert_eq!(groups.unenforced(&unlimited), [""; 0]);
        remove(&made);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
