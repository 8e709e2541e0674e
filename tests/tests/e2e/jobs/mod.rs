//! Shell jobs: real ones, in real sandboxes, of a real agent.

mod full_disk;
mod history;
mod isolation;
mod legacy_command;
mod outcomes;
mod power_cut;

use std::{fs, os::unix::fs::PermissionsExt};

use agent_model::Digest;
use serde_json::Value;
use tempfile::TempDir;
use tests::agent::Agent;

/// A folder that every user can write in, and nobody but root can replace.
pub(super) fn open_folder() -> TempDir {
    let folder = TempDir::with_prefix("harmony-job-").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A device whose policy lists the scripts of these jobs.
pub(super) fn allowing(device: Agent, jobs: &[&Value]) -> Agent {
    let scripts = jobs.iter().flat_map(|job| [&job["spec"]["script"], &job["spec"]["unless"]]);
    let digests: Vec<String> = scripts
        .filter_map(Value::as_str)
        .map(|script| format!("'{}'", Digest::of_bytes(script.as_bytes())))
        .collect();
    device.with_rule("shellJobs", "'AllowListed'").with_rule("scripts", &format!("[{}]", digests.join(", ")))
}

/// The lines of that file, of which each run leaves one.
pub(super) fn lines(path: &std::path::Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}
