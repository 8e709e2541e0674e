//! What a job is isolated by: the arguments of bubblewrap, and finding out whether it can do all that.
//!
//! ```text
//! process-shim hold ─▶ bwrap ─▶ bwrap, process 1 of its own namespace ─▶ process-shim inside ─▶ the interpreter
//!  (the shim)          namespaces, mounts, no new privileges              takes the user's rights
//! ```
//!
//! bubblewrap begins as the agent's user: as root it needs no user namespace, which many devices forbid. The user's
//! rights are taken within, as the last thing, with what can no longer be got back (no_new_privs). If the shim dies, the
//! kernel kills bubblewrap, and with it process 1 and all that is in its namespace.
//!
//! Nothing of a job stands on a command line: scripts come in files, arguments and environment by standard input.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use agent_model::Failure;
use process_shim::Inside;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use super::failures;

/// Where the job's own files are within.
const WITHIN: &str = "/run/harmony-job";
/// Size of its /tmp, in bytes. It counts against its limit on memory.
const TMP_SIZE: u64 = 64 << 20;
/// How long it may take to find out whether all can be set up. Nothing in that waits for anything.
const TRIED_WITHIN: Duration = Duration::from_secs(10);
/// As much of what bubblewrap says is shown, in bytes.
const SHOWN: usize = 400;
/// What resolv.conf may lead to below /run, which is hidden otherwise.
const RESOLVERS: [&str; 3] = ["/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"];
/// Folders that a job has anew and empty: hiding something in them would make it appear.
const EMPTY: [&str; 2] = ["/tmp", "/run"];

/// A sandbox for one job.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    /// The program bwrap.
    pub(super) bubblewrap: PathBuf,
    /// The program process-shim.
    pub(super) shim: PathBuf,
    /// The script, the one that is run before, and the file that notes what came of that: by their names within.
    pub(super) files: Vec<(PathBuf, &'static str, Access)>,
    /// What nobody within may see: the agent's own.
    pub(super) hidden: Vec<PathBuf>,
    /// What can be written.
    pub(super) writable: Vec<PathBuf>,
    /// Whether it has the device's network.
    pub(super) network: bool,
    /// Whether it takes another user's rights within.
    pub(super) changes_user: bool,
}

/// What can be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// By its owner, as which the job does not run.
    Write,
}

/// Where one of the job's own files is within.
pub(super) fn within(name: &str) -> PathBuf {
    Path::new(WITHIN).join(name)
}

/// The program bwrap, where the agent's own PATH has it.
pub(super) fn find_bubblewrap() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let is_program =
        |path: &PathBuf| path.is_absolute() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    std::env::split_paths(&path).map(|folder| folder.join("bwrap")).find(is_program)
}

impl Sandbox {
    /// The command that runs the job.
    pub(super) fn command(&self) -> Vec<OsString> {
        self.command_for("inside")
    }

    /// Finds out whether all this can be set up, and the user's rights be taken for what is to be started.
    ///
    /// # Errors
    /// When it cannot: what bubblewrap said.
    pub(super) async fn try_out(&self, inside: &Inside) -> Result<(), Failure> {
        let inside = serde_json::to_vec(inside).map_err(|error| failures::no_sandbox(&error.to_string()))?;
        try_out(&self.bubblewrap, &self.command_for("try-inside")[1..], &inside).await
    }

    fn command_for(&self, what: &str) -> Vec<OsString> {
        let mut command = Words(vec![self.bubblewrap.clone().into()]);
        command.isolate(self.network);
        for place in &self.writable {
            command.say_folders_above(place);
            command.say(&[&"--bind", place, place]);
        }
        // After what can be written, so that nothing is seen through it.
        for hidden in self.hidden.iter().filter(|hidden| !EMPTY.iter().any(|empty| hidden.starts_with(empty)))
        {
            match std::fs::metadata(hidden) {
                Ok(metadata) if metadata.is_dir() => command.say(&[&"--perms", &"0700", &"--tmpfs", hidden]),
                Ok(_) => command.say(&[&"--ro-bind", &"/dev/null", hidden]),
                Err(_) => {}
            }
        }
        command.say_folders_above(&within("process-shim"));
        command.say(&[&"--ro-bind", &self.shim, &within("process-shim")]);
        for (file, name, access) in &self.files {
            let bind = if *access == Access::Read { "--ro-bind" } else { "--bind" };
            command.say(&[&bind, file, &within(name)]);
        }
        if self.changes_user {
            command.say(&[&"--cap-add", &"CAP_SETUID", &"--cap-add", &"CAP_SETGID"]);
        }
        command.say(&[&"--", &within("process-shim"), &what]);
        command.0
    }
}

/// Where bubblewrap is, on a device on which it can isolate a job.
///
/// # Errors
/// When there is none, or it cannot.
pub async fn check_sandbox() -> Result<PathBuf, Failure> {
    let bubblewrap = find_bubblewrap().ok_or_else(failures::no_bubblewrap)?;
    let mut command = Words(Vec::new());
    command.isolate(false);
    command.say(&[&"--", &"/bin/sh", &"-c", &":"]);
    try_out(&bubblewrap, &command.0, b"").await?;
    Ok(bubblewrap)
}

async fn try_out(bubblewrap: &Path, arguments: &[OsString], input: &[u8]) -> Result<(), Failure> {
    let tried = Command::new(bubblewrap)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let ended = async {
        let mut tried = tried?;
        if let Some(mut stdin) = tried.stdin.take() {
            // Who ends without reading it says why. It is less than a pipe holds.
            let _ = stdin.write_all(input).await;
        }
        tried.wait_with_output().await
    };
    let said = match timeout(TRIED_WITHIN, ended).await {
        Ok(Ok(output)) if output.status.success() => return Ok(()),
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Err(failures::no_bubblewrap()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it did not answer within {}", humantime::format_duration(TRIED_WITHIN)),
    };
    let said = said.trim();
    Err(failures::no_sandbox(&said[..said.floor_char_boundary(SHOWN)]))
}

/// The words of a command line.
struct Words(Vec<OsString>);

impl Words {
    fn say(&mut self, words: &[&dyn AsRef<OsStr>]) {
        self.0.extend(words.iter().map(|word| word.as_ref().to_owned()));
    }

    /// The folders above a path in what a job has anew: bubblewrap would make them for root alone.
    fn say_folders_above(&mut self, path: &Path) {
        let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
        folders.reverse();
        let is_new = |folder: &&Path| {
            EMPTY.iter().any(|empty| folder.starts_with(empty) && *folder != Path::new(empty))
        };
        for folder in folders.into_iter().filter(is_new) {
            self.say(&[&"--perms", &"0755", &"--dir", &folder]);
        }
    }

    /// What every job is isolated by.
    fn isolate(&mut self, network: bool) {
        self.say(&[&"--unshare-pid", &"--unshare-ipc", &"--unshare-uts", &"--unshare-cgroup"]);
        if !network {
            self.say(&[&"--unshare-net"]);
        }
        self.say(&[&"--die-with-parent", &"--new-session", &"--hostname", &"job", &"--chdir", &"/"]);
        self.say(&[&"--cap-drop", &"ALL"]);
        self.say(&[&"--ro-bind", &"/", &"/", &"--dev", &"/dev", &"--proc", &"/proc"]);
        self.say(&[&"--size", &TMP_SIZE.to_string(), &"--perms", &"1777", &"--tmpfs", &"/tmp"]);
        self.say(&[&"--tmpfs", &"/run"]);
        for resolver in RESOLVERS.iter().filter(|_| network) {
            self.say(&[&"--ro-bind-try", resolver, resolver]);
        }
    }
}
