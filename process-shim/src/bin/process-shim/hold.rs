//! Starts a process and holds it until nothing of it is left.
//!
//! Everything happens on one thread that waits for one of three things: a signal, something printed,
//! or the end of the time that stopping may take.

use std::{
    error::Error,
    fs, io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use nix::sys::{
    signal::SigSet,
    signalfd::{SfdFlags, SignalFd},
};
use process_shim::{
    Answer, End, ExitRecord, Launch, ProcessFolder, ProcessIdentity, ShimRecord, StartFailure, StartStage,
    StopSettings, boot_id, boot_time, for_each_descendant,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{DumpableBehavior, Signal, WaitOptions, set_dumpable_behavior},
};

use crate::{
    control_socket,
    log_file::LogFile,
    output::{CHUNK, Output},
    reaping::{Reaped, reap},
    starting::start_program,
};

/// So often all that is left is killed without a pause: what starts itself anew again and again is faster
/// than any.
const KILLS_AT_ONCE: u32 = 200;
/// How long those that were killed are waited for afterwards before we look for new ones.
const KILL_AGAIN: Duration = Duration::from_millis(50);
/// Reads for what is left in the pipes at an end: enough for as much as they can hold, 1 MiB each
/// (pipe(7)).
const MAX_LAST_READS: usize = 2 * (1 << 20) / CHUNK;

pub(crate) fn hold(folder: &ProcessFolder) -> ExitCode {
    // What it is told to start may have secrets in its environment: no core of this program is written. What it starts is
    // not affected. Linux refuses that to nobody.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let Ok(mut socket) = control_socket::take_stdin() else { return ExitCode::FAILURE };
    let started = control_socket::receive(&mut socket)
        .map_err(|error| failed(&error))
        .and_then(|message| Launch::from_json(&message).map_err(|error| failed(&error)))
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

fn failed(error: &dyn Error) -> StartFailure {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    StartFailure::new(StartStage::Shim, format!("{error}{cause}"))
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
    /// Whether its time was up before it had ended.
    timed_out: bool,
    /// When all that is left is killed.
    kill_at: Option<Instant>,
    /// How often it was.
    kills: u32,
}

impl Shim {
    fn start(folder: &ProcessFolder, launch: Launch) -> Result<Self, StartFailure> {
        let signals = detach().map_err(|error| failed(&error))?;
        let in_file = |path: &Path, error: io::Error| {
            StartFailure::new(StartStage::Shim, format!("{}: {error}", path.display()))
        };
        let log = LogFile::open(folder, launch.log).map_err(|error| in_file(&folder.log(0), error))?;
        let exit = folder.exit_record();
        ExitRecord::reserve(&exit).map_err(|error| in_file(&exit, error))?;
        let path = folder.shim_record();
        let before = ShimRecord::read(&path).ok().flatten();
        let mut record = new_record(&launch).map_err(|error| failed(&error))?;
        // Before anything runs, so that whoever finds this shim dead knows that something may.
        record.write(&path).map_err(|error| in_file(&path, error))?;
        let started = start_program(&launch.program).and_then(|(process, outputs)| {
            record.process = Some(process);
            record.write(&path).map_err(|error| in_file(&path, error))?;
            Ok((process, outputs))
        });
        let (process, outputs) = started.inspect_err(|_| {
            end_all();
            remove_groups(&record);
            // What ran last is what ran last still, and how often it has ended counts on.
            let _ = match &before {
                Some(before) => before.write(&path),
                None => fs::remove_file(&path),
            };
        })?;
        Ok(Self {
            folder: folder.clone(),
            stop: launch.stop,
            record,
            process,
            signals,
            outputs,
            log,
            ended: false,
            timed_out: false,
            kill_at: launch.deadline_ms.and_then(in_time),
            kills: 0,
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
                self.timed_out |= !self.ended && !self.record.stopping;
                self.kill_all();
            }
        }
        self.pump_what_is_left();
        let mut rest = Vec::new();
        self.outputs.iter_mut().for_each(|output| output.finish(&mut rest));
        self.log.append(&rest);
        remove_groups(&self.record);
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

    /// Moves what the pipes hold into the log. Bounded, because somebody may go on printing.
    fn pump_what_is_left(&mut self) {
        for _ in 0..MAX_LAST_READS {
            if !self.pump() {
                break;
            }
        }
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
            let signal = self.stop_signal();
            if self.stop.descendants {
                signal_all_below(self.process.pid, signal);
            } else {
                let _ = self.process.signal(signal);
            }
        }
    }

    /// Takes note of all children that ended. Says whether none is left.
    fn reap_all(&mut self) -> bool {
        loop {
            match reap(WaitOptions::NOHANG) {
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
        // Whoever learns that it ended finds in the log what it said last.
        self.pump_what_is_left();
        let record = ExitRecord {
            run: self.record.run.clone(),
            boot_id: self.record.boot_id.clone(),
            end,
            stopped: self.record.stopping,
            timed_out: self.timed_out,
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
        self.kill_at = [self.kill_at, in_time(self.stop.timeout_ms)].into_iter().flatten().min();
    }

    fn kill_all(&mut self) {
        for group in &self.record.control_groups {
            // In version 2 the kernel leaves nobody out (cgroup-v2.rst).
            let _ = fs::write(group.join("cgroup.kill"), "1");
        }
        signal_all(Signal::KILL);
        self.kills += 1;
        let pause = if self.kills < KILLS_AT_ONCE { Duration::ZERO } else { KILL_AGAIN };
        self.kill_at = Some(Instant::now() + pause);
    }
}

/// Takes this program out of the hands of whoever started it: a session of its own, in no folder that
/// could be unmounted, with all that it starts below it, and signals as something to wait for.
fn detach() -> io::Result<SignalFd> {
    // Who leads a session already cannot begin another, and need not. Asked through a library that can
    // tell the session 0: one whose leader is outside our namespace of process ids (pid_namespaces(7)).
    if nix::unistd::getsid(None)? != nix::unistd::getpid() {
        rustix::process::setsid()?;
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    std::env::set_current_dir("/")?;
    // Besides the two that are for us, whatever would end us behind the process's back.
    let mask = SigSet::all();
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
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

/// Sends all that descends from this program a signal.
fn signal_all(signal: Signal) {
    signal_all_below(std::process::id(), signal);
}

/// Sends all that descends from that process a signal.
fn signal_all_below(root: u32, signal: Signal) {
    for_each_descendant(root, |process| {
        // One that may not be is as one that does not heed it.
        let _ = process.signal(signal);
    });
}

/// Kills all that descends from this program, and waits until nothing is left.
fn end_all() {
    loop {
        signal_all(Signal::KILL);
        if matches!(reap(WaitOptions::empty()), Reaped::NoChildren) {
            break;
        }
    }
}

fn remove_groups(record: &ShimRecord) {
    for group in &record.control_groups {
        let _ = fs::remove_dir(group);
    }
}

/// Both versions of the control groups count the processes that were killed for want of memory, in a
/// line `oom_kill N` (Linux, cgroup-v1/memory.rst and cgroup-v2.rst).
fn ran_out_of_memory(group: &Path) -> bool {
    ["memory.events", "memory.oom_control"].iter().any(|name| {
        let text = fs::read_to_string(group.join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    })
}

/// In so many milliseconds; `None` for a time that no clock reaches.
fn in_time(millis: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(millis))
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
