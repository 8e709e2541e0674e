//! What a workload may use.

/// Bounds on what a workload uses; `None` is no bound of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Memory, in bytes. Needs a control group.
    pub memory: Option<u64>,
    /// Processor time, in thousandths of one processor. Needs a control group.
    pub cpu_millis: Option<u64>,
    /// Processes and threads. Needs a control group.
    pub pids: Option<u64>,
    /// Open files of each process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
}

/// How much of what a workload prints is kept on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// Size at which the file is rotated, in bytes.
    pub max_size: u64,
    /// How many rotated files are kept beside the current one.
    pub keep: u32,
}

impl Default for LogBounds {
    /// 10 MiB, and three older files of that size.
    fn default() -> Self {
        Self { max_size: 10 << 20, keep: 3 }
    }
}
