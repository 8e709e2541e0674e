//! What lies where in the folder of one process.

use std::path::{Path, PathBuf};

/// The folder of one process: `<state-dir>/processes/<name>`. Making one reads and writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFolder(PathBuf);

impl ProcessFolder {
    /// The layout of the folder `path`.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Locked (flock) for as long as a shim lives, from before it is started.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What the shim holds: [`ShimRecord`](crate::ShimRecord).
    pub fn shim_record(&self) -> PathBuf {
        self.0.join("shim.json")
    }

    /// How the process ended: [`ExitRecord`](crate::ExitRecord).
    pub fn exit_record(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// What the process printed first, where that is kept apart.
    pub fn head(&self) -> PathBuf {
        self.0.join("head")
    }

    /// What the process printed: in `log` the newest, in `log.1` what was rotated out last.
    pub fn log(&self, rotations: u32) -> PathBuf {
        match rotations {
            0 => self.0.join("log"),
            rotations => self.0.join(format!("log.{rotations}")),
        }
    }
}
