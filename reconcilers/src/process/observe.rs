//! Looks at what there is of a process.

use std::{fs, path::Path, sync::Arc, time::Duration};

use agent_model::{Failure, Goal, ProcessSpec, ResourceName, Target};
use process_shim::{ExitRecord, ProcessFolder, ShimRecord, boot_id, boot_time};
use rustix::fs::{FlockOperation, flock};

use super::{
    Device, failures,
    observation::{Ended, Found, ProcessObservation, Running},
    record::ProcessRecord,
    supervision::Subject,
};
use crate::workload::{health::Health, probing::Known};

/// The processes that there is a folder for.
pub(super) fn names(processes: &Path) -> Vec<ResourceName> {
    let entries = fs::read_dir(processes).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// What a process's folder and the system say. Blocking.
pub(super) fn look(folder: &ProcessFolder) -> Result<Found, Failure> {
    // Asked first: a shim that ends afterwards has written all that it had to say.
    let held = is_held(folder)?;
    let boot =
        boot_id().map_err(|error| failures::io("read the id of this boot for", folder.path(), &error))?;
    let record = match ShimRecord::read(&folder.shim_record()) {
        Ok(record) => record.filter(|record| record.boot_id == boot),
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
            health: Health::Starting { message: String::new() },
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
        Err(error) => Err(failures::io("lock", &path, &error)),
    }
}

/// Completes a look with what has been learnt of the process since it runs, and sees to it that more is
/// learnt and wakes us.
pub(super) fn observe(
    device: &Device,
    target: &Target<ProcessSpec, ProcessRecord>,
    name: &ResourceName,
    mut found: Found,
) -> Result<ProcessObservation, Failure> {
    let declared = match &target.goal {
        Goal::Present { spec, digest } => Some((spec, digest.to_string())),
        Goal::Absent => None,
    };
    let unenforced =
        declared.as_ref().map(|(spec, _)| device.control_groups.unenforced(&spec.limits)).unwrap_or_default();
    if !unenforced.is_empty() && !device.tolerates_unenforceable_limits {
        device.supervision.forget(name);
        return Err(failures::limits_refused(&unenforced));
    }
    if let Found::Running(running) = &mut found {
        // Of what runs for another declaration nobody asks how it is.
        let spec = declared.as_ref().filter(|(_, digest)| running.digest == *digest).map(|(spec, _)| *spec);
        let known = target.record.as_ref().filter(|record| record.run.as_ref() == Some(&running.run));
        let known =
            known.map_or(Known::default(), |record| Known { started: record.started, ready: record.ready });
        running.health = attend(device, name, running, spec, known);
    } else {
        let supervise = |subject| {
            drop(device.supervision.supervise(name, &device.folder(name), subject, Known::default()))
        };
        match &found {
            Found::Stopping { shim, .. } => supervise(Subject::Shim(*shim)),
            Found::Starting { .. } => supervise(Subject::Unknown),
            Found::Running(_) | Found::Nothing | Found::Ended(_) | Found::Lost { .. } => {
                device.supervision.forget(name);
            }
        }
    }
    Ok(ProcessObservation { found, next_run: super::launching::new_run(), unenforced })
}

/// Has a process that runs supervised. Returns how it is, as far as is known.
pub(super) fn attend(
    device: &Device,
    name: &ResourceName,
    running: &Running,
    spec: Option<&Arc<ProcessSpec>>,
    known: Known,
) -> Health {
    let subject = Subject::Process {
        run: running.run.clone(),
        shim: running.shim,
        process: running.process,
        started: running.started,
        control_groups: running.control_groups.clone(),
        probed: spec.map(Arc::clone),
    };
    device.supervision.supervise(name, &device.folder(name), subject, known)
}
