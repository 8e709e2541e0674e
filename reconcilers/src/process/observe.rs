//! Looks at what there is of a process.

use std::sync::Arc;

use agent_model::{Failure, Goal, ProcessSpec, ResourceName, Target};

use super::{Device, observation::ProcessObservation, record::ProcessRecord, supervision::Subject};
use crate::{
    held::{Found, Running, launching::new_run},
    workload::{health::Health, probing::Known, words},
};

/// Completes a look with what has been learnt of the process since it runs, and sees to it that more is
/// learnt and wakes us.
pub(super) fn observe(
    device: &Device,
    target: &Target<ProcessSpec, ProcessRecord>,
    name: &ResourceName,
    found: Found,
) -> Result<ProcessObservation, Failure> {
    let declared = match &target.goal {
        Goal::Present { spec, digest } => Some((spec, digest.to_string())),
        Goal::Absent => None,
    };
    let unenforced =
        declared.as_ref().map(|(spec, _)| device.control_groups.unenforced(&spec.limits)).unwrap_or_default();
    if !unenforced.is_empty() && !device.tolerates_unenforceable_limits {
        device.supervision.forget(name);
        return Err(words::limits_refused(&unenforced));
    }
    let supervise = |subject| {
        drop(device.supervision.supervise(name, &device.folder(name), subject, Known::default()));
    };
    match &found {
        Found::Stopping { shim, .. } => supervise(Subject::Shim(*shim)),
        Found::Starting { .. } => supervise(Subject::Unknown),
        Found::Nothing | Found::Ended(_) | Found::Lost { .. } => device.supervision.forget(name),
        Found::Running(_) => {}
    }
    let found = found.with_health(|running| {
        // Of what runs for another declaration nobody asks how it is.
        let spec = declared.as_ref().filter(|(_, digest)| running.digest == *digest).map(|(spec, _)| *spec);
        let known = target.record.as_ref().filter(|record| record.run.as_ref() == Some(&running.run));
        let known =
            known.map_or(Known::default(), |record| Known { started: record.started, ready: record.ready });
        attend(device, name, running, spec, known)
    });
    Ok(ProcessObservation { found, next_run: new_run(), unenforced })
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
