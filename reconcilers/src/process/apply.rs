//! Does what was decided about a process.

use std::{path::PathBuf, sync::Arc};

use agent_model::{Failure, Goal, ProcessSpec, ResourceName, Target};
use crash_point::crash_point;
use process_shim::{Launch, LogSettings, ProcessFolder, StopSettings, VERSION};
use rustix::process::Signal;

use super::{Device, failures, launching, observe, record::ProcessRecord, step::ProcessStep};
use crate::held::{
    self, control_groups,
    ending::{blocking, clear, end_left_behind, sweep},
    launching::{launched, locked},
    look,
};
use crate::workload::probing::Known;

pub(super) async fn apply(
    device: &Arc<Device>,
    name: &ResourceName,
    target: &Target<ProcessSpec, ProcessRecord>,
    step: &ProcessStep,
) -> Result<(), Failure> {
    let folder = device.folder(name);
    match (step, &target.goal) {
        (ProcessStep::Start { run, .. }, Goal::Present { spec, digest }) => {
            start(device, name, &folder, spec, run, &digest.to_string()).await?;
            attend(device, name, &folder, spec).await;
            Ok(())
        }
        (ProcessStep::Start { .. }, Goal::Absent) => Err(failures::wrong_claim()),
        (ProcessStep::Stop { shim, .. }, _) => {
            shim.signal(Signal::TERM)
                .map_err(|error| failures::io("stop the shim of", folder.path(), &error.into()))?;
            crash_point();
            Ok(())
        }
        (ProcessStep::Kill { shim }, _) => {
            shim.signal(Signal::KILL)
                .map_err(|error| failures::io("kill the shim of", folder.path(), &error.into()))?;
            device.wakes.wake(name);
            Ok(())
        }
        (ProcessStep::Sweep { run }, _) => {
            let swept = sweep(&folder, run).await;
            device.wakes.wake(name);
            swept
        }
        (ProcessStep::Clear, _) => {
            // Its shim has ended all that descends from the process; what its probes have started does not.
            end_left_behind(&folder).await?;
            blocking(move || clear(&folder)).await
        }
    }
}

async fn start(
    device: &Arc<Device>,
    name: &ResourceName,
    folder: &ProcessFolder,
    spec: &Arc<ProcessSpec>,
    run: &str,
    digest: &str,
) -> Result<(), Failure> {
    // Of a run before whose folder somebody has removed, or of its probes.
    end_left_behind(folder).await?;
    let (launch, lock) = {
        let (device, name, folder, spec) =
            (Arc::clone(device), name.clone(), folder.clone(), Arc::clone(spec));
        let (run, digest) = (run.to_owned(), digest.to_owned());
        blocking(move || {
            let lock = locked(&device.processes, &folder)?;
            crash_point();
            let control_groups = device.control_groups.prepare(&name, &spec.limits)?;
            let launch = launch(&device, &spec, &folder, control_groups.clone(), run, digest);
            Ok((launch.inspect_err(|_| control_groups::remove(&control_groups))?, lock))
        })
        .await?
    };
    let groups = launch.program.control_groups.clone();
    let started = launched(&device.shim, folder, launch, lock).await;
    if started.is_err() {
        blocking(move || {
            control_groups::remove(&groups);
            Ok(())
        })
        .await?;
    }
    started
}

/// Begins to wait for what happens to what was just started: no later pass has to come for that.
async fn attend(device: &Device, name: &ResourceName, folder: &ProcessFolder, spec: &Arc<ProcessSpec>) {
    let looked_at = folder.clone();
    match blocking(move || look(&looked_at)).await {
        Ok(held::Found::Running(running)) => {
            drop(observe::attend(device, name, &running, Some(spec), Known::default()))
        }
        // Over already, or not to be seen: a pass will tell.
        Ok(_) | Err(_) => device.wakes.wake(name),
    }
}

fn launch(
    device: &Device,
    spec: &ProcessSpec,
    folder: &ProcessFolder,
    control_groups: Vec<PathBuf>,
    run: String,
    digest: String,
) -> Result<Launch, Failure> {
    Ok(Launch {
        version: VERSION,
        run,
        digest,
        program: launching::program(spec, folder, control_groups, &*device.unsealer)?,
        stop: StopSettings {
            signal: launching::number(spec.stop_signal),
            timeout_ms: spec.stop_timeout.as_millis().try_into().unwrap_or(u64::MAX),
            descendants: false,
        },
        log: LogSettings { max_size: spec.log.max_size, keep: spec.log.keep, head: 0 },
        deadline_ms: None,
    })
}
