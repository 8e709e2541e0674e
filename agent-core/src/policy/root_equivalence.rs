//! What is as good as root: whoever may have it can have anything else on the device by it.
//!
//! One rule, `rootEquivalent`, for all of it. Otherwise a document that may not run a process as root would
//! write a unit file that does.

use agent_model::{Ask, Capability, TargetPath};

use super::{Policy, lookups::Lookups};

/// Folders that nothing on a device runs or trusts of itself, so that a file there gives nobody any rights. All
/// others are taken for system folders: `/etc` and `/usr` as well as those that some distribution or
/// administrator made up. (Filesystem Hierarchy Standard 3.0 for what each is for.)
const HARMLESS_FOLDERS: [&str; 8] =
    ["/data", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var/opt", "/var/tmp"];

/// Capabilities that rule nothing but the container: what Docker or Podman gives to each, and what works only on its
/// own memory, processes and network. All others are taken for root, those that a newer kernel has included.
const HARMLESS_CAPABILITIES: [&str; 20] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
];
/// Of those, what rules the network that it is in.
const NETWORK_CAPABILITIES: [&str; 3] = ["NET_ADMIN", "NET_BROADCAST", "NET_RAW"];

/// Why what is asked is as good as root, in words that follow "because"; `None` where it is not.
pub(super) fn why(ask: &Ask<'_>, policy: &Policy, lookups: &Lookups<'_>) -> Option<String> {
    match ask {
        Ask::WriteFile(path) | Ask::WriteBelow(path) => system_folder(path, policy),
        Ask::BindMount { path, writable } => system_folder(path, policy).or_else(|| {
            // Whom a container runs as is between it and its image, and an image may hold a program that makes
            // anybody root.
            let why = "root in the container could leave a program there that makes whoever runs it root on the device";
            writable.then(|| why.to_owned())
        }),
        Ask::UseDevice(path) => device(path, policy),
        Ask::AddCapability { capability, host_network } => rules_more(*capability, *host_network),
        Ask::GrantRights(_) => Some("the file gives whoever runs it the rights of its owner or group".into()),
        Ask::RunAs { user, group } => lookups.root_equivalence(*user, *group),
        Ask::ManageUnit(_) => Some("systemd does with root's rights what units say".into()),
        Ask::RuleDevice(_) => Some("it rules the device".into()),
        Ask::PullImage(_)
        | Ask::UseHostNetwork
        | Ask::PublishPort(_)
        | Ask::RunScript(_)
        | Ask::SteerScript(_) => None,
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

/// Whoever lists a device, or a folder of some, has looked at it and answers for it; `/dev` is all of them.
fn device(path: &TargetPath, policy: &Policy) -> Option<String> {
    let answered_for = policy.devices.iter().any(|listed| {
        let inside = listed.components().count() > 1;
        inside && (listed == path || path.is_below(listed))
    });
    (!answered_for).then(|| "devices lists neither it nor a folder below /dev that it is in".to_owned())
}

/// Why a capability rules more than the container that has it.
fn rules_more(capability: Capability, host_network: bool) -> Option<String> {
    let name = capability.as_str();
    if host_network && NETWORK_CAPABILITIES.contains(&name) {
        return Some("it rules the device's network".to_owned());
    }
    (!HARMLESS_CAPABILITIES.contains(&name)).then(|| "it rules more than the container".to_owned())
}
