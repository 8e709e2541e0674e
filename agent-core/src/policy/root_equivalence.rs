//! What is as good as root: whoever may have it can have anything else on the device by it.
//!
//! One rule, `rootEquivalent`, for all of it. Otherwise a document that may not run a process as root would
//! write a unit file that does.

use agent_model::{Ask, TargetPath};

use super::{Policy, lookups::Lookups};

/// Folders that nothing on a device runs or trusts of itself, so that a file there gives nobody any rights. All
/// others are taken for system folders: `/etc` and `/usr` as well as those that some distribution or
/// administrator made up. (Filesystem Hierarchy Standard 3.0 for what each is for.)
const HARMLESS_FOLDERS: [&str; 8] =
    ["/data", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var/opt", "/var/tmp"];

/// Why what is asked is as good as root, in words that follow "because"; `None` where it is not.
pub(super) fn why(ask: &Ask<'_>, policy: &Policy, lookups: &Lookups<'_>) -> Option<String> {
    match ask {
        Ask::WriteFile(path) | Ask::WriteBelow(path) => system_folder(path, policy),
        Ask::BindMount(path) => system_folder(path, policy),
        Ask::GrantRights(_) => Some("the file gives whoever runs it the rights of its owner or group".into()),
        Ask::RunAs { user, group } => lookups.root_equivalence(*user, *group),
        Ask::RuleDevice(_) => Some("it rules the device".into()),
        Ask::PullImage(_)
        | Ask::UseHostNetwork
        | Ask::UseDevice(_)
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
