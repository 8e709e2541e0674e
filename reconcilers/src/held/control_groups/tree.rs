//! Where this program stands in the trees of control groups.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What binds a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// Its name in the kernel.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// The limit that a document declares for it.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpus",
            Self::Pids => "pids",
        }
    }
}

/// The version of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    V1,
    V2,
}

/// The name of the group that the unit of the agent puts it in (`DelegateSubgroup=`).
const OWN_SUBGROUP: &str = "agent";

/// By controller the folder in which this program may make groups; or why there is none.
pub(super) fn trees() -> BTreeMap<Controller, Result<(PathBuf, Tree), String>> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (mounts, groups) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    let handed_down =
        |folder: &Path| fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    Controller::ALL
        .into_iter()
        .map(|controller| (controller, find(controller, &mounts, &groups, handed_down)))
        .collect()
}

/// `mounts` is proc_pid_mountinfo(5), `groups` proc_pid_cgroup(5); `controllers` reads what a group of
/// version 2 has.
fn find(
    controller: Controller,
    mounts: &str,
    groups: &str,
    controllers: impl Fn(&Path) -> String,
) -> Result<(PathBuf, Tree), String> {
    let has = |list: &str, separator: char| list.split(separator).any(|one| one.trim() == controller.name());
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(list), Some(own)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if has(list, ',') {
            let is_mount = |mount: &Mount<'_>| mount.kind == "cgroup" && has(mount.options, ',');
            let folder = Mount::all(mounts).find(is_mount).and_then(|mount| mount.folder_of(own));
            return folder
                .map(|folder| (folder, Tree::V1))
                .ok_or_else(|| "its control groups are not mounted".to_owned());
        }
    }
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let mount = Mount::all(mounts).find(|mount| mount.kind == "cgroup2");
    let (Some(own), Some(mount)) = (own, mount) else {
        return Err("there are no such control groups".to_owned());
    };
    let folder = mount.folder_of(own).ok_or("its own control group is not to be seen")?;
    let parent = match (own, own.strip_suffix(OWN_SUBGROUP).and_then(|above| above.strip_suffix('/'))) {
        ("/", _) => folder,
        (_, Some(_)) => {
            folder.parent().map(Path::to_owned).ok_or("its own control group is not to be seen")?
        }
        _ => {
            return Err(format!(
                "the agent's control group {own} is not one named {OWN_SUBGROUP:?} below a delegated one: \
                 see DelegateSubgroup= of systemd 254"
            ));
        }
    };
    if has(&controllers(&parent), ' ') {
        Ok((parent, Tree::V2))
    } else {
        Err(format!("{} has no such controller", parent.display()))
    }
}

/// A line of proc_pid_mountinfo(5).
struct Mount<'a> {
    /// What of the file system is mounted.
    root: &'a str,
    /// Where.
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn all(mounts: &'a str) -> impl Iterator<Item = Self> {
        mounts.lines().filter_map(Self::parse)
    }

    fn parse(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let (kind, _source, options) = (system.next()?, system.next()?, system.next()?);
        Some(Self { root, point, kind, options })
    }

    /// Where the group `own` is to be seen in this mount, if it is.
    fn folder_of(&self, own: &str) -> Option<PathBuf> {
        let below = if self.root == "/" {
            own
        } else {
            own.strip_prefix(self.root).or(Some("").filter(|_| own == "/"))?
        };
        Some(Path::new(self.point).join(below.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:7 - cgroup cgroup rw,cpu
35 31 0:32 /docker/7 /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
43 31 0:40 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const V2: &str = "26 23 0:24 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    fn found(controller: Controller, mounts: &str, groups: &str) -> Result<(PathBuf, Tree), String> {
        find(controller, mounts, groups, |_| "cpuset cpu memory\n".to_owned())
    }

    #[test]
    fn in_version_1_a_group_is_made_in_that_of_the_agent() {
        let groups = "9:memory:/docker/7/a\n3:cpuset:/x\n2:cpu,cpuacct:/\n0::/\n";
        let path = |path: &str, tree| Ok((PathBuf::from(path), tree));
        assert_eq!(found(Controller::Memory, V1, groups), path("/sys/fs/cgroup/memory/a", Tree::V1));
        assert_eq!(found(Controller::Cpu, V1, groups), path("/sys/fs/cgroup/cpu/", Tree::V1));
    }

    #[test]
    fn in_version_2_a_group_is_made_beside_that_of_the_agent_or_at_the_top() {
        let path = |path: &str| Ok((PathBuf::from(path), Tree::V2));
        let unit = "0::/system.slice/harmony-agent.service/agent\n";
        let expected = path("/sys/fs/cgroup/system.slice/harmony-agent.service");
        assert_eq!(found(Controller::Memory, V2, unit), expected);
        assert_eq!(found(Controller::Memory, V2, "0::/\n"), path("/sys/fs/cgroup/"));
        for (controller, groups, part) in [
            (Controller::Memory, "0::/system.slice/harmony-agent.service\n", "DelegateSubgroup"),
            (Controller::Pids, unit, "no such controller"),
            (Controller::Pids, "", "no such control groups"),
        ] {
            let error = found(controller, V2, groups).unwrap_err();
            assert!(error.contains(part), "{error:?} does not contain {part:?}");
        }
    }
}
