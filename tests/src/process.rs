//! A program that a test runs: it never outlives the test, and its output is at hand.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::eventually::eventually;

/// How much of a log is shown when a test fails.
const TAIL: usize = 8 * 1024;

/// A running program.
///
/// It is started through `setpriv --pdeathsig KILL`: the kernel ends it when the *thread* that
/// started it ends, however that comes about. So start it on the test's own thread.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` (the program and its arguments; `environment` on top of the test's own,
    /// from which everything that starts with `HARMONY` or `NATS` is taken away). What it prints
    /// is appended to `log`.
    pub fn start(
        name: &str,
        command: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        Self::start_with_stdout(name, command, environment, output, log)
    }

    /// As [`start`](Self::start), with the data that it prints apart from its messages.
    pub fn start_with_stdout(
        name: &str,
        command: &[String],
        environment: &[(String, String)],
        stdout: impl Into<Stdio>,
        log: &Path,
    ) -> io::Result<Self> {
        let messages = OpenOptions::new().create(true).append(true).open(log)?;
        // `setpriv` replaces itself by the program, which thereby has the pid of our child.
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--pdeathsig", "KILL", "--"]).args(command);
        for (key, _) in std::env::vars_os() {
            let key = key.to_string_lossy();
            if key.starts_with("HARMONY") || key.starts_with("NATS") {
                setpriv.env_remove(key.as_ref());
            }
        }
        setpriv.envs(environment.iter().cloned());
        let child = setpriv.stdin(Stdio::null()).stdout(stdout).stderr(messages).spawn()?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child that we started can be waited for")
    }

    /// Waits until it ended.
    pub async fn end(&mut self) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} ended"), async || self.ended().ok_or_else(|| "it runs".to_owned())).await
    }

    /// Asks it to stop (SIGTERM) and waits until it did.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end().await
    }

    /// Does what Ctrl-C does (SIGINT) and waits until it ended.
    pub async fn interrupt(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.end().await
    }

    /// Lets it do nothing (SIGSTOP) until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Ends it without a word (SIGKILL), as a power cut would.
    pub fn kill(self) {
        drop(self);
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&mut self, signal: Signal) {
        // Only while it is ours: a child that was waited for may have passed its id on.
        if self.ended().is_none()
            && let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw)
        {
            kill_process(pid, signal).expect("a child that runs can be sent a signal");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it is gone already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- end of the log of {} ----\n{}", self.name, self.log_tail());
        }
    }
}

/// What became of a command.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Finished {
    /// What it printed.
    ///
    /// # Panics
    /// When it did not end with exit code 0.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a command to its end. Both of its outputs are kept apart.
///
/// # Panics
/// When the program cannot be started, or does not end.
pub async fn finish(command: &[String], environment: &[(String, String)]) -> Finished {
    let folder = TempDir::with_prefix("harmony-command-").unwrap();
    let (stdout, stderr) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let output = fs::File::create(&stdout).unwrap();
    let name = command.join(" ");
    let mut process = Process::start_with_stdout(&name, command, environment, output, &stderr).unwrap();
    let code = process.end().await.code();
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    Finished { code, stdout: read(&stdout), stderr: read(&stderr) }
}

/// The end of a log file; empty when there is none.
pub fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

/// Whether the program was ended by SIGKILL.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// A program of this workspace, which lies beside the folder of the running test; one that is given by its path lies
/// there.
pub fn built(name: impl AsRef<Path>) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{} is missing: run the tests with `make test`, which builds it", path.display());
    path
}

/// A program of the machine.
///
/// # Panics
/// When it is not there; `remedy` says what to do.
pub fn built_in(name: &str, remedy: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: {remedy}; CONTRIBUTING.md says what the tests need"))
}
