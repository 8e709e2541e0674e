//! The daemon, as a process of its own on a device of its own.

mod commands;
mod disk;
mod lifetime;
mod processes;
mod setup;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

pub use self::{
    lifetime::{ENVIRONMENT, crashed},
    setup::Bridge,
};
use crate::process::Process;

/// The agent as it ships.
const PROGRAM: &str = "harmony-agent";

/// A device with one agent, running or not. Its folders and all that its agent started outlive the
/// agent's process and go with this value.
#[derive(Debug)]
pub struct Agent {
    // Before the folder, so that the process is gone when the folder goes.
    process: Option<Process>,
    id: String,
    url: String,
    state_dir: PathBuf,
    program: PathBuf,
    settings: BTreeMap<String, String>,
    policy: BTreeMap<String, String>,
    allows_unsigned: bool,
    small_disk: Option<&'static str>,
    boot_id: Option<&'static str>,
    has_control_groups: bool,
    network: Option<PathBuf>,
    programs: Option<PathBuf>,
    folder: TempDir,
}

impl Agent {
    /// A device whose agent does not run yet, and will look for a server at `url`.
    pub fn new(id: &str, url: &str) -> Self {
        let folder = TempDir::with_prefix("harmony-device-").unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self {
            process: None,
            id: id.to_owned(),
            url: url.to_owned(),
            state_dir: folder.path().join("state"),
            program: PROGRAM.into(),
            settings: BTreeMap::new(),
            policy: BTreeMap::new(),
            allows_unsigned: true,
            small_disk: None,
            boot_id: None,
            has_control_groups: true,
            network: None,
            programs: None,
            folder,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_owned()
}
