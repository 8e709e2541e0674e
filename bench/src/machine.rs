//! What the figures were measured on and with.

use std::{fs, path::Path, process::Command, thread::available_parallelism};

use tests::nats_server::{Version, program};

/// What does not come out of a measurement itself.
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// Of the folder for temporary files, where devices and servers are.
    pub(crate) file_system: String,
    pub(crate) rustc: String,
    /// The server of all parts that need one.
    pub(crate) server: String,
    /// Of this repository, and whether anything but results differs from it; empty outside of one.
    pub(crate) commit: String,
}

pub(crate) fn describe() -> Machine {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let memory_kib: f64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    let temporary = std::env::temp_dir();
    Machine {
        cores: available_parallelism().unwrap().get(),
        memory_gib: memory_kib / 1024.0 / 1024.0,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim().to_owned(),
        file_system: last_line("df", &["--output=fstype", temporary.to_str().unwrap()]),
        rustc: last_line("rustc", &["--version"]),
        server: last_line(program(Version::Pinned), &["--version"]).replace(": v", " "),
        commit: commit(),
    }
}

fn commit() -> String {
    let altered = ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":/!bench/RESULTS.md"];
    let dirty = if last_line("git", &altered).is_empty() { "" } else { "-dirty" };
    last_line("git", &["describe", "--always"]) + dirty
}

/// The end of what a program says; empty when it cannot be asked.
fn last_line(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(program.as_ref()).args(arguments).current_dir(folder).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.lines().last().unwrap_or_default().trim().to_owned()
}
