//! Looks at what there is of something that a shim holds.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_model::{Failure, ResourceName};
use process_shim::{
    End, ExitRecord, ProcessFolder, ProcessIdentity, RecordError, ShimRecord, boot_id, boot_time,
};
use rustix::fs::{FlockOperation, flock};

use super::failures;

/// What there is of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<H = ()> {
    /// Nothing, or what an earlier boot left.
    Nothing,
    /// A shim that has not started it yet.
    Starting {
        /// The shim; `None` until it has said who it is.
        shim: Option<ProcessIdentity>,
        /// For how long it has been at it.
        since: Duration,
    },
    /// It runs.
    Running(Running<H>),
    /// It has ended or is being stopped; its shim ends what is left of it.
    Stopping {
        /// The run.
        run: String,
        /// The shim.
        shim: ProcessIdentity,
    },
    /// It is over, and nothing of it is left.
    Ended(Ended),
    /// Its shim was ended and says no more; something of it may be left.
    Lost {
        /// The run.
        run: String,
    },
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running<H = ()> {
    /// Which run it is.
    pub run: String,
    /// The effective digest that it was started for.
    pub digest: String,
    /// Its shim.
    pub shim: ProcessIdentity,
    /// The process itself.
    pub process: ProcessIdentity,
    /// When it was started (RFC 3339).
    pub started_at: String,
    /// When that was, since boot.
    pub started: Duration,
    /// The folders of its control groups.
    pub control_groups: Vec<PathBuf>,
    /// How it is.
    pub health: H,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Which run it was.
    pub run: String,
    /// The effective digest that it was started for.
    pub digest: String,
    /// How it ended.
    pub end: End,
    /// Whether the agent had asked for it.
    pub stopped: bool,
    /// Whether there was too little memory for it.
    pub out_of_memory: bool,
    /// How long it ran.
    pub ran_for: Duration,
    /// How long that is ago.
    pub ended_ago: Duration,
}

impl<H> Found<H> {
    /// The same, with what `health` says of one that runs.
    pub(crate) fn with_health<N>(self, health: impl FnOnce(&Running<H>) -> N) -> Found<N> {
        match self {
            Self::Nothing => Found::Nothing,
            Self::Starting { shim, since } => Found::Starting { shim, since },
            Self::Running(running) => {
                let health = health(&running);
                let Running { run, digest, shim, process, started_at, started, control_groups, health: _ } =
                    running;
                Found::Running(Running {
                    run,
                    digest,
                    shim,
                    process,
                    started_at,
                    started,
                    control_groups,
                    health,
                })
            }
            Self::Stopping { run, shim } => Found::Stopping { run, shim },
            Self::Ended(ended) => Found::Ended(ended),
            Self::Lost { run } => Found::Lost { run },
        }
    }
}

/// All that there is a folder for.
pub(crate) fn names(folder: &Path) -> Vec<ResourceName> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// What a process's folder and the system say. Blocking.
pub(crate) fn look(folder: &ProcessFolder) -> Result<Found, Failure> {
    // Asked first: a shim that ends afterwards has written all that it had to say.
    let held = is_held(folder)?;
    let boot =
        boot_id().map_err(|error| failures::io("read the id of this boot for", folder.path(), &error))?;
    let record = match ShimRecord::read(&folder.shim_record()) {
        Ok(record) => record.filter(|record| record.boot_id == boot),
        // A shim of another version said something here, as that it has ended and is not to be started again.
        Err(error @ RecordError::OtherVersion { .. }) => return Err(failures::unreadable(&error)),
        // Without a shim there is nothing that could be read wrongly; what may be left is swept.
        Err(error) if !held => {
            tracing::warn!(%error, "the record of a dead shim cannot be read");
            return Ok(Found::Lost { run: String::new() });
        }
        Err(error) => return Err(failures::unreadable(&error)),
    };
    let Some(record) = record else {
        let starting = Found::Starting { shim: None, since: Duration::ZERO };
        return Ok(if held { starting } else { Found::Nothing });
    };
    let exit = match ExitRecord::read(&folder.exit_record()) {
        Ok(exit) => exit.filter(|exit| exit.run == record.run && exit.boot_id == boot),
        Err(error @ RecordError::OtherVersion { .. }) => return Err(failures::unreadable(&error)),
        Err(error) => {
            tracing::warn!(%error, "how a process ended cannot be read");
            None
        }
    };
    Ok(match (held, record.process, exit) {
        (true, None, _) => Found::Starting {
            shim: Some(record.shim),
            since: boot_time().saturating_sub(Duration::from_millis(record.started_ms)),
        },
        // One that has ended without a record has a shim that is about to write it.
        (true, Some(process), exit) if exit.is_some() || record.stopping || !process.is_alive() => {
            Found::Stopping { run: record.run, shim: record.shim }
        }
        (true, Some(process), _) => Found::Running(Running {
            run: record.run,
            digest: record.digest,
            shim: record.shim,
            process,
            started_at: record.started_at,
            started: Duration::from_millis(record.started_ms),
            control_groups: record.control_groups,
            health: (),
        }),
        (false, _, None) => Found::Lost { run: record.run },
        (false, _, Some(exit)) => {
            let now = boot_time();
            let ended = Duration::from_millis(exit.ended_ms);
            Found::Ended(Ended {
                run: record.run,
                digest: record.digest,
                end: exit.end,
                stopped: exit.stopped,
                out_of_memory: exit.out_of_memory,
                ran_for: ended.saturating_sub(Duration::from_millis(record.started_ms)),
                ended_ago: now.saturating_sub(ended),
            })
        }
    })
}

/// Whether a shim holds the folder.
fn is_held(folder: &ProcessFolder) -> Result<bool, Failure> {
    let path = folder.lock();
    let lock = match fs::File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failures::io("open", &path, &error)),
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(failures::io("lock", &path, &error.into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The folder of a process that runs under a shim, which is this test, with what the shim says of it.
    fn held(record: &Value) -> (tempfile::TempDir, fs::File, ProcessFolder) {
        let parent = tempfile::tempdir().unwrap();
        let folder = ProcessFolder::of(parent.path());
        let lock = fs::File::create(folder.lock()).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        fs::write(folder.shim_record(), record.to_string()).unwrap();
        (parent, lock, folder)
    }

    fn record() -> Value {
        let own = ProcessIdentity::own().unwrap();
        json!({
            "version": 1, "run": "r", "digest": "d", "bootId": boot_id().unwrap(), "shim": own, "process": own,
            "startedAt": "2026-11-26T02:16:56.21Z", "startedMs": 1, "stopping": false, "controlGroups": [],
        })
    }

    #[test]
    fn what_runs_under_a_shim_of_a_newer_minor_version_runs_as_any_other() {
        let ours = record();
        let mut newer = record();
        newer["later"] = json!(true);
        newer["shim"]["later"] = json!(1);
        for record in [ours, newer] {
            let (_parent, _lock, folder) = held(&record);
            let Found::Running(running) = look(&folder).unwrap() else { panic!("{record} does not run") };
            assert_eq!((running.run.as_str(), running.digest.as_str()), ("r", "d"));
        }
    }

    #[test]
    fn a_record_of_another_version_is_a_failure_to_look_and_nothing_to_start_again_whether_its_shim_lives_or_not()
     {
        let exit = json!({
            "version": 1, "run": "r", "bootId": boot_id().unwrap(), "end": {"code": 0}, "stopped": false,
            "outOfMemory": false, "endedAt": "2026-11-26T02:16:57Z", "endedMs": 2,
        });
        for (later_record, later_exit) in [(true, false), (false, true), (true, true)] {
            for is_held in [true, false] {
                let (mut record, mut exit) = (record(), exit.clone());
                if later_record {
                    record["version"] = json!(2);
                }
                if later_exit {
                    exit["version"] = json!(2);
                }
                let (_parent, lock, folder) = held(&record);
                fs::write(folder.exit_record(), exit.to_string()).unwrap();
                let lock = is_held.then_some(lock);
                let failure = look(&folder).unwrap_err();
                assert_eq!(failure.reason, "RecordUnreadable");
                assert!(failure.message.contains("version 2"), "{}", failure.message);
                drop(lock);
            }
        }
    }
}
