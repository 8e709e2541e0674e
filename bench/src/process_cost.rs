//! What a process takes of the machine, as the kernel counts it.

use std::{fs, time::Duration};

use serde::{Deserialize, Serialize};

/// What a process takes that has nothing to do.
pub(crate) struct AtRest {
    /// For how long it was watched.
    watched: Duration,
    /// Processor time in user and system mode meanwhile, in ticks of the kernel.
    ticks: u64,
    /// How many ticks are a second.
    ticks_per_second: u64,
    /// At the end.
    memory: Memory,
}

/// What a process has in memory, by its part of what it shares with others (PSS).
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// All of it, in KiB.
    pub(crate) kib: u64,
    /// Of it what is no page of a file as it lies on the disk: heap and stacks above all. The rest the kernel takes back
    /// when it needs memory.
    pub(crate) anonymous_kib: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        Self { kib: kib(&rollup, "Pss:"), anonymous_kib: kib(&rollup, "Pss_Anon:") }
    }
}

impl AtRest {
    /// Watches a process for so long.
    pub(crate) async fn watch(pid: u32, duration: Duration) -> Self {
        let before = ticks(pid);
        tokio::time::sleep(duration).await;
        Self {
            watched: duration,
            ticks: ticks(pid) - before,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            memory: Memory::of(pid),
        }
    }

    /// Processor time in percent of one core.
    pub(crate) fn percent_of_a_core(&self) -> f64 {
        let seconds = self.ticks as f64 / self.ticks_per_second as f64;
        100.0 * seconds / self.watched.as_secs_f64()
    }

    /// All that it had in memory at the end, in MiB.
    pub(crate) fn pss_mib(&self) -> f64 {
        self.memory.kib as f64 / 1024.0
    }

    /// What of it is no page of a file, in words.
    pub(crate) fn anonymous(&self) -> String {
        format!(
            "{:.2} MiB of the agent's memory are anonymous, heap and stacks above all; the rest are pages of programs",
            self.memory.anonymous_kib as f64 / 1024.0
        )
    }

    /// How much was measured, and how finely.
    pub(crate) fn in_ticks(&self) -> String {
        let (seconds, ticks, length) = (self.watched.as_secs(), self.ticks, 1000 / self.ticks_per_second);
        format!("over {seconds} s, in which it used {ticks} ticks of {length} ms")
    }
}

/// Processor time in user and system mode since it was started.
pub(crate) fn processor_time(pid: u32) -> Duration {
    Duration::from_secs(ticks(pid)) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap()
}

/// The same in ticks of the kernel. proc_pid_stat(5): `utime` and `stime`, the 14th and 15th field.
/// The second is the program's name in parentheses and may hold anything.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, from_third) = stat.rsplit_once(')').unwrap();
    from_third.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Proportional set size, in KiB.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    Memory::of(pid).kib
}

/// Resident set size, in KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    kib(&status(pid), "VmRSS:")
}

/// The largest that the resident set ever was, in KiB.
pub(crate) fn peak_rss_kib(pid: u32) -> u64 {
    kib(&status(pid), "VmHWM:")
}

fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
