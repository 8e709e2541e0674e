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

impl RestartPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::OnFailure, Self::Never];

    /// The policy as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::OnFailure => "OnFailure",
            Self::Never => "Never",
        }
    }
}
