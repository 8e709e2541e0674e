//! What is as good as root: whoever may have it can have anything else on the device by it.
//!
//! One rule, `rootEquivalent`, for all of it. Otherwise a document that may not run a process as root would
//! write a unit file that does.

use agent_model::{Ask, TargetPath};

use super::{Accounts, Policy, Rights};

/// Folders that nothing on a device runs or trusts of itself, so that a file there gives nobody any rights. All
/// others are taken for system folders: `/etc` and `/usr` as well as those that some distribution or
/// administrator made up. (Filesystem Hierarchy Standard 3.0 for what each is for.)
const HARMLESS_FOLDERS: [&str; 8] =
    ["/data", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var/opt", "/var/tmp"];

/// Groups whose members can make themselves root where the group has its usual meaning: by asking (sudo,
/// wheel, admin), by a service that runs as root and obeys them (docker, incus, libvirt, lxd, podman), by raw
/// access to disks or memory (disk, kmem), by the password file (shadow), or by writing where root
/// looks for programs (staff).
const ROOT_EQUIVALENT_GROUPS: [&str; 13] = [
    "admin", "disk", "docker", "incus", "kmem", "libvirt", "lxd", "podman", "root", "shadow", "staff",
    "sudo", "wheel",
];

/// Why what is asked is as good as root, in words that follow "because"; `None` where it is not.
pub(super) fn why(ask: &Ask<'_>, policy: &Policy, accounts: &dyn Accounts) -> Option<String> {
    match ask {
        Ask::WriteFile(path) => system_folder(path, policy),
        Ask::BindMount(path) => system_folder(path, policy),
        Ask::GrantRights(_) => Some("the file gives whoever runs it the rights of its owner or group".into()),
        Ask::RunAs { user, group } => match accounts.rights_of(*user, *group) {
            Ok(rights) => of_rights(&rights, accounts.own_uid()),
            // Whoever cannot be looked up now may be root by the time it runs.
            Err(problem) => Some(format!("nobody can tell whose rights that is: {problem}")),
        },
        Ask::RuleDevice(_) => Some("it rules the device".into()),
        Ask::PullImage(_)
        | Ask::UseHostNetwork
        | Ask::UseDevice(_)
        | Ask::PublishPort(_)
        | Ask::RunScript(_) => None,
    }
}

/// Whoever lists a folder within a system folder has looked at it and answers for it.
fn system_folder(path: &TargetPath, policy: &Policy) -> Option<String> {
    let below = |folder: &str| path.as_str().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if HARMLESS_FOLDERS.iter().any(|folder| below(folder)) {
        return None;
    }
    let answered_for = policy.paths.iter().any(|prefix| {
        let inside = prefix.path().is_some_and(|prefix| prefix.components().count() > 1);
        inside && prefix.covers(path)
    });
    (!answered_for).then(|| "it lies in a system folder".to_owned())
}

fn of_rights(rights: &Rights, own_uid: u32) -> Option<String> {
    if rights.uid == 0 {
        return Some("that is root".to_owned());
    }
    if rights.uid == own_uid {
        return Some("the agent's own user can change this policy".to_owned());
    }
    let telling = rights.groups.iter().find(|group| {
        group.gid == 0 || group.name.as_deref().is_some_and(|name| ROOT_EQUIVALENT_GROUPS.contains(&name))
    })?;
    let name = telling.name.clone().unwrap_or_else(|| telling.gid.to_string());
    Some(format!("members of the group {name} can make themselves root"))
}
