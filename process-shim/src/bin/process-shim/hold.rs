//! Starts a process and holds it until nothing of it is left.
//!
//! Everything happens on one thread that waits for one of three things: a signal, something printed,
//! or the end of the time that stopping may take.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant, SystemTime},
};

use nix::sys::{
    signal::SigSet,
    signalfd::{SfdFlags, SignalFd},
};
use process_shim::{
    Answer, End, ExitRecord, Launch, ProcessFolder, ProcessIdentity, ShimRecord, StartFailure, StartStage,
    StopSettings, VERSION, boot_id, boot_time, descendants, log_line::Stream,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};

use crate::{
    control_socket,
    log_file::LogFile,
    output::{CHUNK, Output},
    reaping::{Reaped, reap},
};

/// How long those that were killed are waited for before we look for new ones.
const KILL_AGAIN: Duration = Duration::from_millis(50);
/// Reads for what is left in the pipes at the end: enough for as much as they can hold, 1 MiB each
/// (pipe(7)).
const MAX_LAST_READS: usize = 2 * (1 << 20) / CHUNK;

pub(crate) fn hold(folder: &ProcessFolder) -> ExitCode {
    let Ok(mut socket) = control_socket::take_stdin() else { return ExitCode::FAILURE };
    let started = control_socket::receive::<Launch>(&mut socket)
        .map_err(|error| StartFailure::new(StartStage::Shim, error))
        .and_then(|launch| Shim::start(folder, launch));
    let answer = match &started {
        Ok(_) => Answer::Started,
        Err(failure) => Answer::Failed(failure.clone()),
    };
    // The agent may be gone already; the next one finds the record.
    let _ = control_socket::send(&mut socket, &answer);
    drop(socket);
    match started {
        Ok(shim) => {
            shim.run();
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// A process and what is needed to hold it.
struct Shim {
    folder: ProcessFolder,
    stop: StopSettings,
    record: ShimRecord,
    process: ProcessIdentity,
    signals: SignalFd,
    outputs: [Output; 2],
    log: LogFile,
    /// Whether the process itself has ended.
    ended: bool,
    /// When all that is left is killed.
    kill_at: Option<Instant>,
}

impl Shim {
    fn start(folder: &ProcessFolder, launch: Launch) -> Result<Self, StartFailure> {
        let failed = |error: &dyn std::fmt::Display| StartFailure::new(StartStage::Shim, error);
        if launch.version != VERSION {
            return Err(failed(&format_args!(
                "it is asked in version {} and knows version {VERSION}: agent and shim do not belong together",
                launch.version
            )));
        }
        // Fails only for one that has a session of its own already.
        let _ = rustix::process::setsid();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| failed(&error))?;
        std::env::set_current_dir("/").map_err(|error| failed(&error))?;
        let signals = block_signals().map_err(|error| failed(&error))?;
        let log = LogFile::open(folder, launch.log)
            .map_err(|error| failed(&format_args!("{}: {error}", folder.log(0).display())))?;
        let mut record = new_record(&launch).map_err(|error| failed(&error))?;
        let written = |record: &ShimRecord| {
            let path = folder.shim_record();
            record.write(&path).map_err(|error| failed(&format_args!("{}: {error}", path.display())))
        };
        // Before anything runs, so that whoever finds this shim dead knows that something may.
        written(&record)?;
        let (process, outputs) = start_program(&launch).inspect_err(|_| {
            let _ = fs::remove_file(folder.shim_record());
        })?;
        record.process = Some(process);
        if let Err(failure) = written(&record) {
            let _ = process.signal(Signal::KILL);
            return Err(failure);
        }
        Ok(Self {
            folder: folder.clone(),
            stop: launch.stop,
            record,
            process,
            signals,
            outputs,
            log,
            ended: false,
            kill_at: None,
        })
    }

    fn run(mut self) {
        loop {
            self.wait();
            self.pump();
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if signal.ssi_signo == Signal::TERM.as_raw().unsigned_abs() {
                    self.stop();
                }
            }
            if self.reap_all() {
                break;
            }
            if self.kill_at.is_some_and(|at| at <= Instant::now()) {
                signal_all(Signal::KILL);
                self.kill_at = Some(Instant::now() + KILL_AGAIN);
            }
        }
        // Whoever was handed a pipe and is no descendant may go on printing: bounded.
        for _ in 0..MAX_LAST_READS {
            if !self.pump() {
                break;
            }
        }
        let mut rest = Vec::new();
        self.outputs.iter_mut().for_each(|output| output.finish(&mut rest));
        self.log.append(&rest);
        for group in &self.record.control_groups {
            let _ = fs::remove_dir(group);
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let timeout = self.kill_at.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let pipes: Vec<_> = self.outputs.iter().filter_map(Output::pipe).collect();
        let descriptors: Vec<BorrowedFd<'_>> =
            pipes.iter().map(AsFd::as_fd).chain([self.signals.as_fd()]).collect();
        let mut polled: Vec<PollFd<'_>> = descriptors
            .iter()
            .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
            .collect();
        // Whatever came of it, all are looked at, and none of that waits.
        let _ = poll(&mut polled, timeout.as_ref());
    }

    /// Moves what was printed into the log, once for each stream. Says whether there was anything.
    fn pump(&mut self) -> bool {
        let mut lines = Vec::new();
        let mut any = false;
        for output in &mut self.outputs {
            any |= output.read(&mut lines);
        }
        self.log.append(&lines);
        any
    }

    /// Asks the process to end, the first time that it is called.
    fn stop(&mut self) {
        if self.record.stopping {
            return;
        }
        self.kill_in_time();
        self.record.stopping = true;
        // Without it an agent asks once more, which changes nothing.
        let _ = self.record.write(&self.folder.shim_record());
        if !self.ended {
            let _ = self.process.signal(self.stop_signal());
        }
    }

    /// Takes note of all children that ended. Says whether none is left.
    fn reap_all(&mut self) -> bool {
        loop {
            match reap() {
                Reaped::Child(pid, end) if pid == self.process.pid && !self.ended => self.process_ended(end),
                Reaped::Child(..) => {}
                Reaped::NoneYet => return false,
                Reaped::NoChildren => return true,
            }
        }
    }

    /// The process is over. Whatever it left behind goes as well: it may end as the process may.
    fn process_ended(&mut self, end: End) {
        self.ended = true;
        let record = ExitRecord {
            run: self.record.run.clone(),
            boot_id: self.record.boot_id.clone(),
            end,
            stopped: self.record.stopping,
            out_of_memory: self.record.control_groups.iter().any(|group| ran_out_of_memory(group)),
            ended_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            ended_ms: millis(boot_time()),
        };
        // Without it the agent finds that nobody knows how it ended.
        let _ = record.write(&self.folder.exit_record());
        signal_all(self.stop_signal());
        self.kill_in_time();
    }

    fn stop_signal(&self) -> Signal {
        Signal::from_named_raw(self.stop.signal).unwrap_or(Signal::TERM)
    }

    fn kill_in_time(&mut self) {
        let timeout = Duration::from_millis(self.stop.timeout_ms);
        self.kill_at.get_or_insert(Instant::now() + timeout);
    }
}

fn block_signals() -> nix::Result<SignalFd> {
    use nix::sys::signal::Signal as Number;

    let mut mask = SigSet::empty();
    // The others are what a terminal sends, and what would end us behind the process's back.
    for signal in
        [Number::SIGTERM, Number::SIGCHLD, Number::SIGINT, Number::SIGHUP, Number::SIGQUIT, Number::SIGPIPE]
    {
        mask.add(signal);
    }
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn new_record(launch: &Launch) -> io::Result<ShimRecord> {
    Ok(ShimRecord {
        run: launch.run.clone(),
        digest: launch.digest.clone(),
        boot_id: boot_id()?,
        shim: ProcessIdentity::own()?,
        process: None,
        started_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        started_ms: millis(boot_time()),
        stopping: false,
        control_groups: launch.program.control_groups.clone(),
    })
}

/// Starts the program by way of `exec`, and waits until it is the program.
fn start_program(launch: &Launch) -> Result<(ProcessIdentity, [Output; 2]), StartFailure> {
    let failed = |error: io::Error| StartFailure::new(StartStage::Shim, error);
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut child = Command::new("/proc/self/exe")
        .arg("exec")
        .env_clear()
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let pid = child.id();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let answer = control_socket::send(&mut ours, &launch.program)
        .and_then(|()| io::read_to_string(&mut ours))
        .map_err(failed)?;
    if !answer.is_empty() {
        let _ = child.wait();
        return Err(serde_json::from_str(&answer).unwrap_or_else(|error| failed(error.into())));
    }
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(StartFailure::new(StartStage::Shim, "it has no pipes"));
    };
    let outputs = [
        Output::new(stdout, Stream::Stdout).map_err(failed)?,
        Output::new(stderr, Stream::Stderr).map_err(failed)?,
    ];
    Ok((ProcessIdentity::of_child(pid).map_err(failed)?, outputs))
}

/// Sends all that descends from this program a signal.
fn signal_all(signal: Signal) {
    for process in descendants(std::process::id()) {
        let _ = process.signal(signal);
    }
}

/// Both versions of the control groups count the processes that were killed for want of memory, in a
/// line `oom_kill N` (Linux, cgroup-v1/memory.rst and cgroup-v2.rst).
fn ran_out_of_memory(group: &std::path::Path) -> bool {
    ["memory.events", "memory.oom_control"].iter().any(|name| {
        let text = fs::read_to_string(group.join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    })
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
