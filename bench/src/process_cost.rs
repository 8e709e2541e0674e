//! What a process takes of the machine, as the kernel counts it.

use std::{fs, time::Duration};

/// Processor time in user and system mode since it was started.
pub(crate) fn processor_time(pid: u32) -> Duration {
    Duration::from_secs(ticks(pid)) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap()
}

/// The same in ticks of the kernel. proc_pid_stat(5): `utime` and `stime`, the 14th and 15th field.
/// The second is the program's name in parentheses and may hold anything.
pub(crate) fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, from_third) = stat.rsplit_once(')').unwrap();
    from_third.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Proportional set size, in KiB.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Resident set size, in KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The largest that the resident set ever was, in KiB.
pub(crate) fn peak_rss_kib(pid: u32) -> u64 {
    kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

fn kib(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
