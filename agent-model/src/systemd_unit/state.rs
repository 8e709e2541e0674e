//! Whether a unit runs.

/// Whether a unit runs. A timer, a path or a socket runs while it waits for what it is there for, and a
/// service that does its work once has run when that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnitState {
    /// It is started, and started again when it has stopped.
    #[default]
    Running,
    /// It is stopped, and stopped again when it was started.
    Stopped,
}

impl UnitState {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Running, Self::Stopped];

    /// The state as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Stopped => "Stopped",
        }
    }
}
