//! A podman that has everything to itself: storage, locks, settings. The machine's own containers are
//! neither seen nor touched.
//!
//! Containers are no children of the test that starts them, so they do not end with it. A janitor sees to
//! that: a process that waits for the end of the test, however that comes about, and clears everything away.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::process::{Finished, finish};

/// Whatever the machine's own settings are. `runc` runs wherever systemd mounts control groups of the old kind,
/// the new kind or both; the limits are those that a container may ask for which is in a container itself.
/// Podman keeps the monitor of a command that was run through its socket for so many seconds, five minutes by default.
const SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 2
lock_type = "file"
runtime = "runc"
tmp_dir = "{folder}/libpod"
"#;

/// In the place of the package manager, which podman asks for the origin of each of its helpers whenever it says what it
/// is. On a busy machine that takes seconds.
const NO_PACKAGES: &str = "#!/bin/sh\nexit 1\n";

/// There are no images, and what a container writes lies in an overlay that podman makes whatever the driver.
const STORAGE: &str = r#"
[storage]
driver = "vfs"
graphroot = "{storage}"
runroot = "{folder}/run"
"#;

/// The folder of programs that stand before those of the machine.
const PROGRAMS: &str = "programs";

/// Clears away when its input ends. What a container leaves running for a moment, podman's own clean-up among it,
/// would put files back: it is known by the name of the folder, which is why this has it from its environment.
const JANITOR: &str = r#"
    read -r _ || :
    podman rm --all --force --time 0 >/dev/null
    tries=0
    while printf %s "$FOLDER" | grep -qsFf - /proc/[0-9]*/cmdline && [ "$((tries += 1))" -lt 600 ]; do
        sleep 0.05
    done
    find /sys/fs/cgroup -depth -type d -path "*/${FOLDER##*/}*" -exec rmdir {} + 2>/dev/null
    rm -rf --one-file-system -- "$FOLDER"
"#;

/// A private podman, and a folder for what belongs to its containers. All of it goes when this value does, and
/// when the test is killed.
#[derive(Debug)]
pub struct Podman {
    folder: PathBuf,
    janitor: Child,
}

impl Podman {
    /// One that has no containers yet.
    ///
    /// # Panics
    /// When this machine or this user cannot run containers; the message says what to do.
    pub fn new() -> Self {
        Self::with_storage(None)
    }

    /// The same, with its images and containers in that folder.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_storage(storage: Option<&Path>) -> Self {
        assert_prerequisites();
        let folder = TempDir::with_prefix("harmony-podman-").unwrap().keep();
        let storage = storage.map_or_else(|| folder.join("storage"), Path::to_owned);
        for (name, settings) in [("containers.conf", SETTINGS), ("storage.conf", STORAGE)] {
            let text = |path: &Path| path.to_str().expect("a plain name").to_owned();
            let settings = settings.replace("{folder}", &text(&folder)).replace("{storage}", &text(&storage));
            fs::write(folder.join(name), settings).unwrap();
        }
        let package_manager = folder.join(PROGRAMS).join("dpkg-query");
        fs::create_dir(folder.join(PROGRAMS)).unwrap();
        fs::write(&package_manager, NO_PACKAGES).unwrap();
        fs::set_permissions(&package_manager, Permissions::from_mode(0o755)).unwrap();
        // In a session of its own, where no Ctrl-C reaches it.
        let janitor = Command::new("setsid")
            .args(["sh", "-uc", JANITOR])
            .envs(environment(&folder))
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("util-linux has a setsid");
        Self { folder, janitor }
    }

    /// The folder that goes with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The control group that its containers are to be made in (`--cgroup-parent`), so that none is left behind.
    pub fn cgroup(&self) -> String {
        let name = self.folder.file_name().expect("a temporary folder has a name");
        format!("/{}", name.to_string_lossy())
    }

    /// What makes a podman this one: variables of its environment.
    pub fn environment(&self) -> [(String, String); 3] {
        environment(&self.folder)
    }

    /// Runs podman with these arguments, to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        let command: Vec<String> = ["podman"].iter().chain(arguments).map(|&word| word.to_owned()).collect();
        finish(&command, &self.environment()).await
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        // It fails only when somebody else has ended it, and then has the rest to answer for.
        let _ = self.janitor.wait();
    }
}

/// What makes podman private to that folder.
fn environment(folder: &Path) -> [(String, String); 3] {
    let within = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    [
        ("CONTAINERS_CONF".to_owned(), within("containers.conf")),
        ("CONTAINERS_STORAGE_CONF".to_owned(), within("storage.conf")),
        ("PATH".to_owned(), format!("{}:{path}", within(PROGRAMS))),
    ]
}

fn assert_prerequisites() {
    const REMEDY: &str = "CONTRIBUTING.md says what the tests need";
    assert!(geteuid().is_root(), "containers of a test's own take root: run this test as root; {REMEDY}");
    for name in ["podman", "runc", "setsid"] {
        let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(found.is_ok(), "{name} is missing: apt-get install podman runc util-linux; {REMEDY}");
    }
}
