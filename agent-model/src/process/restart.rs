//! When a workload is started again.

/// Whether a workload that ended by itself is started again. A new boot of the device and a change
/// of what is declared start it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// However it ended.
    #[default]
    Always,
    /// Unless it ended with 0.
    OnFailure,
    /// Never.
    Never,
}
