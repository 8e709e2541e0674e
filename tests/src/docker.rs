//! A docker engine that has everything to itself: storage, processes, network. The machine's own is neither seen nor
//! touched.
//!
//! It runs as the first process of a namespace, so whatever it started ends with it: containers, their shims, containerd.
//! What it publishes can be reached from within its own network only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    eventually::eventually,
    process::{Finished, Process, built_in, finish},
};

const REMEDY: &str = "apt-get install docker.io";
/// Loopback has to be set up in a network that is new. Nothing is routed out of it, so no rules are needed for that.
const START: &str = r#"
    ip link set lo up
    exec dockerd --config-file "$1/daemon.json" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" \
        --host "unix://$1/docker.sock" --storage-driver vfs --cgroup-parent "/${1##*/}" --log-level warn \
        --iptables=false --ip6tables=false --ip-masq=false
"#;

/// Removes its control groups, once nothing is in them any more.
const REMOVE_GROUPS: &str = r#"
    groups() { find /sys/fs/cgroup -depth -type d -path "*/$0*" "$@" 2>/dev/null; }
    tries=0
    while groups -exec rmdir {} +; groups | grep -q . && [ "$((tries += 1))" -lt 200 ]; do sleep 0.05; done
"#;

/// The engine, and a folder for what belongs to its containers. All of it goes with this value.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Process>,
    folder: TempDir,
}

impl Docker {
    /// One that has no containers yet.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("harmony-docker-").unwrap();
        fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        built_in("dockerd", REMEDY);
        let place = folder.path().to_str().expect("a plain name");
        let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let command: Vec<String> = ["unshare"]
            .into_iter()
            .chain(namespaces)
            .chain(["sh", "-euc", START, "sh", place])
            .map(str::to_owned)
            .collect();
        let daemon = Process::start("docker", &command, &[], &folder.path().join("service.log")).unwrap();
        let docker = Self { daemon: Some(daemon), folder };
        eventually("the docker engine answers", async || match docker.run(&["version"]).await {
            Finished { code: Some(0), .. } => Ok(()),
            other => Err(other.stderr),
        })
        .await;
        docker
    }

    /// The folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder().join("docker.sock")
    }

    /// What makes the command line of docker ask this engine: variables of its environment.
    pub fn environment(&self) -> [(String, String); 1] {
        [("DOCKER_HOST".to_owned(), format!("unix://{}", self.socket().display()))]
    }

    /// Runs docker with these arguments, to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        let program = built_in("docker", REMEDY).display().to_string();
        let arguments = arguments.iter().map(|&word| word.to_owned());
        let command: Vec<String> = [program].into_iter().chain(arguments).collect();
        finish(&command, &self.environment()).await
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // All that it had started is killed with it, and is gone a moment later.
        self.daemon = None;
        let name =
            self.folder().file_name().expect("a temporary folder has a name").to_string_lossy().into_owned();
        let _ = Command::new("sh").args(["-uc", REMOVE_GROUPS, &name]).status();
    }
}
