//! The agent's folder on the device: what lies where, and the lock that keeps a second agent out.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::time::sleep;

/// How often, and how far apart, the lock is asked for before the folder counts as in use.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Where things lie in a state folder. Making one reads and writes nothing.
#[derive(Debug, Clone)]
pub struct StateLayout(PathBuf);

impl StateLayout {
    /// The layout of the folder `path`.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the agent must not forget.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.json")
    }

    /// The ledger as it was one write before.
    pub fn previous_ledger(&self) -> PathBuf {
        self.0.join("ledger.previous.json")
    }

    /// What declared files have replaced, by the digest of the content.
    pub fn originals(&self) -> PathBuf {
        self.0.join("originals")
    }

    /// The newest status, for people on the device. A view: nothing depends on it.
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// Holds changes back for as long as it is there: [`Pause`](crate::pause::Pause).
    pub fn pause(&self) -> PathBuf {
        self.0.join("pause.json")
    }

    /// Which images were pulled for containers.
    pub fn pulled_images(&self) -> PathBuf {
        self.0.join("images.json")
    }

    /// A folder for each process: its records and its log.
    pub fn processes(&self) -> PathBuf {
        self.0.join("processes")
    }

    /// The folder for what the files of systemd's units replaced.
    pub fn units(&self) -> PathBuf {
        self.0.join("units")
    }

    /// A folder for each job: its records and its output.
    pub fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// Which jobs ran.
    pub fn job_history(&self) -> PathBuf {
        self.0.join("jobs.jsonl")
    }

    /// What the agent is at for the first time, and how often it crashed there:
    /// [`SafeMode`](crate::safe_mode::SafeMode).
    pub fn unfinished(&self) -> PathBuf {
        self.0.join("unfinished.json")
    }

    /// What was done on this device: [`AuditLog`](crate::audit::AuditLog).
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    /// How far the platform was told of it: [`EventCursor`](crate::audit::EventCursor).
    pub fn events_cursor(&self) -> PathBuf {
        self.0.join("events.cursor")
    }

    /// The seed of the key with which this device asks for credentials, until it has them:
    /// [`DeviceKey`](crate::enrollment::DeviceKey).
    pub fn enrollment_seed(&self) -> PathBuf {
        self.0.join("enrollment.seed")
    }

    /// The key with which this device opens what is sealed to it:
    /// [`DeviceSecrets`](crate::secrets::DeviceSecrets).
    pub fn sealing_key(&self) -> PathBuf {
        self.0.join("sealing.nk")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Whether an agent holds the lock at this moment.
    ///
    /// # Errors
    /// When the folder cannot be read; a folder that does not exist is locked by nobody.
    pub fn is_locked(&self) -> io::Result<bool> {
        match OpenOptions::new().read(true).open(self.lock()) {
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
                Err(errno) => Err(errno.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A state folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    layout: StateLayout,
    /// The lock is held by the open file and ends with the process, however that ends.
    _lock: File,
}

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process holds the lock.
    #[error(
        "the state folder {path} is in use by another agent; stop that one, or give this one another --state-dir"
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made or its lock file cannot be opened.
    #[error(
        "cannot use {path} as state folder; make it a folder that this user may write, or give another --state-dir"
    )]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StateDir {
    /// Makes the folder where it is missing (for its owner alone) and takes its lock.
    ///
    /// # Errors
    /// See [`StateDirError`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StateDirError> {
        let layout = StateLayout::of(path);
        let unusable = |source| StateDirError::Unusable { path: layout.path().to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(layout.path()).map_err(unusable)?;
        let lock = open_lock(&layout.lock()).map_err(unusable)?;
        for attempt in 1.. {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                // Whoever merely looks whether there is an agent holds the lock for a moment.
                Err(rustix::io::Errno::WOULDBLOCK) if attempt < LOCK_ATTEMPTS => sleep(LOCK_PAUSE).await,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(StateDirError::Locked { path: layout.path().to_owned() });
                }
                Err(errno) => return Err(unusable(errno.into())),
            }
        }
        Ok(Self { layout, _lock: lock })
    }

    /// What lies where.
    pub fn layout(&self) -> &StateLayout {
        &self.layout
    }
}

/// A read-only or full disk must not keep the agent from enforcing what it accepted, so an
/// existing lock file is enough and need not be writable.
fn open_lock(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            // Held open for reading only, so that the file system can be remounted read-only.
            File::open(path)
        }
        opened => opened,
    }
}

/// Removes what a crash left of a replacement of the agent's own files.
pub(crate) fn sweep_temporaries(layout: &StateLayout) {
    let replaced = [
        layout.ledger(),
        layout.status(),
        layout.pause(),
        layout.unfinished(),
        layout.events_cursor(),
        layout.sealing_key(),
    ];
    for path in replaced {
        let _ = fs::remove_file(path.with_extension("tmp"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_folder_serves_one_agent_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state");
        assert!(!StateLayout::of(&path).is_locked().unwrap());
        let first = StateDir::open(&path).await.unwrap();
        assert!(first.layout().is_locked().unwrap());
        let second = StateDir::open(&path).await.unwrap_err();
        assert!(matches!(second, StateDirError::Locked { .. }), "{second}");
        drop(first);
        assert!(StateDir::open(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_folder_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = StateDir::open(file.path()).await.unwrap_err();
        assert!(error.to_string().contains("--state-dir"), "{error}");
    }
}
