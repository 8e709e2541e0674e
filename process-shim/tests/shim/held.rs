//! A process that a test has a shim hold: it never outlives the test.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::killpg,
    unistd::{getpgid, getpgrp},
};
use process_shim::{
    Answer, ExitRecord, Launch, LogSettings, MARKER, ProcessFolder, ProcessIdentity, Program, ShimRecord,
    StartFailure, StopSettings, VERSION, for_each_descendant, left_behind,
    log_line::{LogLine, Stream},
};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use tempfile::TempDir;

/// How long something may take before a test gives up: no requirement, only the line between slow and
/// never on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// Looks at `condition` until it holds, and returns what it found.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        pause(PERIOD);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has a thread of its own")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// For tests that need what only root may do.
pub(crate) fn assert_root() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
}

/// A launch of this command, with time enough for everything and a log that holds all.
pub(crate) fn launch(command: &[&str]) -> Launch {
    Launch {
        version: VERSION,
        run: "run-1".to_owned(),
        digest: "sha256:0".to_owned(),
        program: Program {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            workdir: "/".into(),
            credentials: None,
            open_files: None,
            control_groups: Vec::new(),
            inside: None,
        },
        stop: StopSettings { signal: Signal::TERM.as_raw(), timeout_ms: 60_000, descendants: false },
        log: LogSettings { max_size: 1 << 20, keep: 1, head: 0 },
        deadline_ms: None,
    }
}

/// A launch of a shell with this script.
pub(crate) fn script(script: &str) -> Launch {
    launch(&["sh", "-c", script])
}

/// The folder of a process, and all that a test has started in it.
pub(crate) struct Held {
    pub(crate) folder: ProcessFolder,
    shim: Option<Child>,
    /// Where the folder is seen from inside.
    temporary: TempDir,
}

impl Held {
    /// A folder without a shim.
    pub(crate) fn nothing() -> Self {
        let temporary = TempDir::with_prefix("harmony-process-").unwrap();
        Self { folder: ProcessFolder::of(temporary.path().join("web")), shim: None, temporary }.made()
    }

    fn made(self) -> Self {
        fs::create_dir(self.folder.path()).unwrap();
        self
    }

    /// Has a new shim start this.
    pub(crate) fn started(launch: &Launch) -> Self {
        let mut held = Self::nothing();
        held.start(launch);
        held
    }

    /// Has a shim start this, which must work.
    pub(crate) fn start(&mut self, launch: &Launch) {
        let answer = self.ask(launch);
        assert_eq!(answer, Answer::Started);
    }

    /// Has a shim try to start this, which must not work; what it did must be undone.
    pub(crate) fn fails(&mut self, launch: &Launch) -> StartFailure {
        let Answer::Failed(failure) = self.ask(launch) else { panic!("{:?} was started", launch.program) };
        self.assert_nothing_is_left();
        failure
    }

    pub(crate) fn ask(&mut self, launch: &Launch) -> Answer {
        self.ask_through(&[], launch)
    }

    /// The same with the shim started by way of another program.
    pub(crate) fn ask_through(&mut self, starter: &[&str], launch: &Launch) -> Answer {
        let mut launch = launch.clone();
        let marker = self.folder.path().display().to_string();
        launch.program.environment.insert(MARKER.to_owned(), marker);
        let mut socket = self.spawn(starter);
        serde_json::to_writer(&socket, &launch).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = std::io::read_to_string(&mut socket).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    /// The same with the folder on a disk of its own of that size, which ends with the shim.
    pub(crate) fn ask_on_small_disk(&mut self, size: &str, launch: &Launch) -> Answer {
        let folder = self.folder.path().display();
        let mount = format!("mount -t tmpfs -o size={size} tmpfs '{folder}'; exec \"$@\"");
        self.ask_through(&["unshare", "-rm", "sh", "-euc", &mount, "sh"], launch)
    }

    /// Starts a shim and says nothing to it yet.
    pub(crate) fn spawn(&mut self, starter: &[&str]) -> UnixStream {
        assert!(self.shim.is_none(), "there is a shim already");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let lock = File::create(self.folder.lock()).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        let shim = [env!("CARGO_BIN_EXE_process-shim"), "hold", self.folder.path().to_str().unwrap()];
        let words: Vec<&str> = starter.iter().copied().chain(shim).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(lock)
            .stderr(Stdio::null())
            .spawn();
        self.shim = Some(child.unwrap());
        ours
    }

    /// Whether somebody holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        let lock = File::open(self.folder.lock()).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
    }

    pub(crate) fn record(&self) -> ShimRecord {
        self.record_in(&self.folder)
    }

    /// The folder as the shim sees it, where it has a disk of its own.
    pub(crate) fn folder_inside(&self) -> ProcessFolder {
        let root = PathBuf::from(format!("/proc/{}/root", self.shim_id()));
        ProcessFolder::of(root.join(self.folder.path().strip_prefix("/").unwrap()))
    }

    /// The record in its folder as that is seen from elsewhere.
    pub(crate) fn record_in(&self, folder: &ProcessFolder) -> ShimRecord {
        ShimRecord::read(&folder.shim_record()).unwrap().expect("a shim has written its record")
    }

    /// The process itself.
    pub(crate) fn process(&self) -> ProcessIdentity {
        self.record().process.expect("it is started")
    }

    pub(crate) fn exit_record(&self) -> ExitRecord {
        ExitRecord::read(&self.folder.exit_record()).unwrap().expect("a shim has written how it ended")
    }

    /// Process id of the shim.
    pub(crate) fn shim_id(&self) -> u32 {
        self.shim.as_ref().expect("there is a shim").id()
    }

    pub(crate) fn signal_shim(&self, signal: Signal) {
        let pid = Pid::from_raw(self.shim_id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Asks the shim for the end.
    pub(crate) fn stop(&self) {
        self.signal_shim(Signal::TERM);
    }

    /// Waits for the end of the shim.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let shim = self.shim.as_mut().expect("there is a shim");
        let status = eventually("the shim has ended", || shim.try_wait().unwrap());
        self.shim = None;
        status
    }

    pub(crate) fn kill_shim(&mut self) {
        self.shim.as_mut().expect("there is a shim").kill().unwrap();
        self.end();
    }

    /// Whether the shim has ended; it is not waited for.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.shim.as_mut().is_none_or(|shim| shim.try_wait().unwrap().is_some())
    }

    /// All that runs of the process, and whatever was started with a path of this test's own.
    pub(crate) fn alive(&self) -> BTreeSet<ProcessIdentity> {
        let record = ShimRecord::read(&self.folder.shim_record()).ok().flatten();
        let mut alive = BTreeSet::from_iter(left_behind(&self.folder, record.as_ref()));
        alive.extend(self.named());
        let shim = self.shim.as_ref().map(Child::id);
        if let Some(shim) = shim {
            for_each_descendant(shim, |process| alive.extend([process]));
        }
        alive.retain(|process| Some(process.pid) != shim);
        alive
    }

    fn named(&self) -> impl Iterator<Item = ProcessIdentity> {
        let own = self.temporary.path().to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(move |entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&command)
                .contains(own)
                .then(|| ProcessIdentity::of(pid).ok().flatten())?
        })
    }

    /// After a start that failed: no shim, no process, no record.
    pub(crate) fn assert_nothing_is_left(&mut self) {
        self.end();
        assert!(!self.is_locked());
        assert_eq!(self.alive(), BTreeSet::new());
        assert!(!self.folder.shim_record().exists());
    }

    /// All that the process printed to that stream, as far as it is kept.
    pub(crate) fn printed(&self, stream: Stream) -> String {
        let mut printed = Vec::new();
        let rotated = (0..9).rev().filter_map(|number| fs::read(self.folder.log(number)).ok());
        for line in rotated.flat_map(|file| lines(&file)) {
            let line = LogLine::parse(&line).expect("the log has lines only");
            if line.stream == stream {
                printed.extend_from_slice(line.content);
                printed.extend((!line.partial).then_some(b'\n'));
            }
        }
        String::from_utf8(printed).unwrap()
    }

    /// Waits until the process has printed a line, and returns it.
    pub(crate) fn line(&self, prefix: &str) -> String {
        eventually(&format!("{prefix:?} is printed"), || {
            let printed = self.printed(Stream::Stdout);
            printed.lines().find_map(|line| Some(line.strip_prefix(prefix)?.to_owned()))
        })
    }

    /// A path of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut shim) = self.shim.take() {
            // Both fail only when it is gone already.
            let _ = shim.kill();
            let _ = shim.wait();
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let alive = self.alive();
            if alive.is_empty() {
                break;
            }
            // By groups, which nobody gets out of by starting itself anew.
            for group in alive.iter().filter_map(group_of).collect::<HashSet<_>>() {
                let _ = killpg(group, nix::sys::signal::SIGKILL);
            }
        }
    }
}

/// The process group of one that runs: never the group that this test is in, nor one from outside our
/// namespace of process ids, which is 0.
fn group_of(process: &ProcessIdentity) -> Option<nix::unistd::Pid> {
    let pid = nix::unistd::Pid::from_raw(process.pid.try_into().ok()?);
    let group = getpgid(Some(pid)).ok()?;
    // Looked at afterwards, so that it is the group of no other.
    (process.is_alive() && group.as_raw() != 0 && group != getpgrp()).then_some(group)
}

/// The lines of a file that are complete: the last one may be in the middle of being written.
pub(crate) fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| Some(line.strip_suffix(b"\n")?.to_vec()))
        .collect()
}

/// What proc(5) says in this file of a process.
pub(crate) fn proc_file(process: ProcessIdentity, name: &str) -> String {
    fs::read_to_string(Path::new("/proc").join(process.pid.to_string()).join(name)).unwrap()
}
