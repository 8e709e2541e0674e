//! Which process a number means: numbers are used again, and by the next boot all of them.

use std::{fs, io, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A process of the present boot, told from every other that had or will have its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it started, in ticks of the kernel since boot: field 22 of proc_pid_stat(5).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The process that has this number now; `None` when there is none, or none that still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn of(pid: u32) -> io::Result<Option<Self>> {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => Ok(Stat::parse(&stat).filter(Stat::runs).map(|stat| stat.identity(pid))),
            // ESRCH: it went while we were reading.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A child of ours that nobody has reaped yet, so that its number is its own though it may have ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn of_child(pid: u32) -> io::Result<Self> {
        Ok(Stat::of(pid).ok_or(io::ErrorKind::NotFound)?.identity(pid))
    }

    /// This very program.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether it still runs. One that has ended and waits to be reaped does not.
    pub fn is_alive(&self) -> bool {
        matches!(Self::of(self.pid), Ok(Some(found)) if found == *self)
    }
}

/// What proc_pid_stat(5) says of a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    state: char,
    /// The process that has it for a child.
    pub(crate) parent: u32,
    /// Its session.
    pub(crate) session: u32,
    threads: u32,
    /// When it started: see [`ProcessIdentity`].
    pub(crate) start_time: u64,
}

impl Stat {
    /// Of that process, if it is there.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses and may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let (_, from_third) = stat.rsplit_once(')')?;
        let mut fields = from_third.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let threads = fields.nth(13)?.parse().ok()?;
        let start_time = fields.nth(1)?.parse().ok()?;
        Some(Self { state, parent, session, threads, start_time })
    }

    /// Whether it has not ended. The state is that of its first thread, which may end before the others.
    pub(crate) fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }

    /// Which process it is, whose number it was found under.
    pub(crate) fn identity(&self, pid: u32) -> ProcessIdentity {
        ProcessIdentity { pid, start_time: self.start_time }
    }
}

/// Within what numbers of processes mean anything: changes with each boot of the device (random(4)) and,
/// where this runs in a container, with each start of that, which counts processes anew.
///
/// # Errors
/// When the system does not say.
pub fn boot_id() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    // The first process is there from the beginning to the end. Where it is hidden (proc(5), hidepid),
    // there is one container less to tell apart.
    let first = Stat::of(1).map_or(0, |first| first.start_time);
    Ok(format!("{}:{first}", boot.trim()))
}

/// The time since boot, time asleep included. The same for all programs of one boot, and no setting of
/// the clock moves it.
pub fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own }.is_alive());
    }

    #[test]
    fn a_name_full_of_parentheses_and_blanks_does_not_confuse_the_fields() {
        let stat = "7 (a) b) (c d) S 3 7 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 4711 1 2 3";
        let expected = Stat { state: 'S', parent: 3, session: 5, threads: 2, start_time: 4711 };
        assert_eq!(Stat::parse(stat), Some(expected));
        assert_eq!(Stat::parse("7 (cut"), None);
    }

    #[test]
    fn one_whose_first_thread_has_ended_runs_while_there_are_others() {
        let of = |state, threads| Stat { state, parent: 1, session: 1, threads, start_time: 1 };
        assert!(of('S', 1).runs() && of('Z', 2).runs());
        assert!(!of('Z', 1).runs() && !of('X', 1).runs());
    }

    #[test]
    fn one_that_has_ended_is_not_alive_though_nobody_has_reaped_it() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let mut line = String::new();
        // Nothing to wait on that does not reap: look until it is a zombie.
        while !line.contains(") Z ") {
            line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        }
        assert_eq!(ProcessIdentity::of(pid).unwrap(), None);
        child.wait().unwrap();
        assert_eq!(ProcessIdentity::of(pid).unwrap(), None);
    }
}
