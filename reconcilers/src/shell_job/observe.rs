//! Looks at what there is of a job. Blocking.

use std::{fs, path::PathBuf, time::Duration};

use agent_model::{Conclusion, Digest, Failure, Goal, ResourceName, ShellJobSpec, Target};
use process_shim::{End, ExitRecord, ProcessFolder, ShimRecord, boot_id, boot_time};
use serde_json::Value;

use super::{
    Device, failures,
    history::{Known, Outcome},
    observation::ShellJobObservation,
    output,
    record::ShellJobRecord,
    sandbox,
};
use crate::{
    held::{Found, launching::new_run, look},
    mounted_path,
};

pub(super) fn observe(
    device: &Device,
    target: &Target<ShellJobSpec, ShellJobRecord>,
    name: &ResourceName,
) -> Result<ShellJobObservation, Failure> {
    let folder = device.folder(name);
    let found = look(&folder)?;
    let open = device.history.open_run_of(name);
    let declared = match &target.goal {
        Goal::Present { spec, digest } => Some((spec.as_ref(), digest)),
        Goal::Absent => None,
    };
    let known = declared.and_then(|(_, key)| device.history.of_key(key));
    let is_over = !matches!(found, Found::Starting { .. } | Found::Running(_) | Found::Stopping { .. });
    let ended = if is_over { ended(&folder) } else { None };
    let output = match declared {
        Some((spec, _)) if is_over => output_of(
            device,
            name,
            &folder,
            spec,
            known.as_ref(),
            ended.as_ref().map(|(run, _)| run.as_str()),
        ),
        _ => Value::Null,
    };
    let may_start = is_over && !matches!(&known, Some(Known::Unknown)) && !is_done(known.as_ref());
    let (creates_exists, obstacle) = match declared.filter(|_| may_start) {
        Some((spec, _)) => (creates_exists(spec)?, obstacle(device, spec)),
        None => (false, None),
    };
    let ended_ago = ended_ago(known.as_ref());
    Ok(ShellJobObservation {
        found,
        ended,
        open,
        known,
        ended_ago,
        creates_exists,
        obstacle,
        output,
        next_run: new_run(),
    })
}

/// How the run ended that its folder is of, if its shim noted that.
fn ended(folder: &ProcessFolder) -> Option<(String, Outcome)> {
    // What cannot be read tells nothing: then the run was interrupted.
    let exit = ExitRecord::read(&folder.exit_record()).ok().flatten()?;
    let shim = ShimRecord::read(&folder.shim_record()).ok().flatten();
    let started = shim.filter(|shim| shim.run == exit.run && shim.boot_id == exit.boot_id);
    let skipped = fs::read(super::skipped(folder)).is_ok_and(|note| !note.is_empty());
    let (conclusion, exit_code) = match exit.end {
        _ if exit.timed_out => (Conclusion::TimedOut, None),
        _ if exit.stopped => (Conclusion::Cancelled, None),
        End::Unknown => (Conclusion::Interrupted, None),
        End::Code(0) if skipped => (Conclusion::Skipped, Some(0)),
        End::Code(0) => (Conclusion::Succeeded, Some(0)),
        End::Code(code) => (Conclusion::Failed, Some(code)),
        End::Signal(signal) => (Conclusion::Failed, Some(128 + signal)),
    };
    let outcome = Outcome {
        conclusion,
        exit_code,
        out_of_memory: exit.out_of_memory,
        duration_ms: started.map(|shim| exit.ended_ms.saturating_sub(shim.started_ms)),
        ended_at: exit.ended_at,
        ended: Some((exit.boot_id, exit.ended_ms)),
    };
    Some((exit.run, outcome))
}

fn is_done(known: Option<&Known>) -> bool {
    matches!(known, Some(Known::Run(run)) if run.outcome.as_ref().is_some_and(|outcome| outcome.conclusion.is_done()))
}

fn ended_ago(known: Option<&Known>) -> Option<Duration> {
    let Some(Known::Run(run)) = known else { return None };
    let (boot, millis) = run.outcome.as_ref()?.ended.as_ref()?;
    (boot_id().ok().as_ref() == Some(boot))
        .then(|| boot_time().saturating_sub(Duration::from_millis(*millis)))
}

/// What the last run printed, if it was one of this declaration, and it was not read before.
fn output_of(
    device: &Device,
    name: &ResourceName,
    folder: &ProcessFolder,
    spec: &ShellJobSpec,
    known: Option<&Known>,
    in_folder: Option<&str>,
) -> Value {
    let Some(Known::Run(run)) = known else { return Value::Null };
    // Under another name it printed into another folder.
    let (folder, is_there) = if run.name == *name {
        (folder.clone(), in_folder == Some(run.run.as_str()))
    } else {
        let folder = device.folder(&run.name);
        let is_there = ended(&folder).is_some_and(|(of, _)| of == run.run);
        (folder, is_there)
    };
    if !is_there {
        return Value::Null;
    }
    device.output_of(name, &run.run, || output::read(&folder, &spec.env, &*device.unsealer))
}

fn creates_exists(spec: &ShellJobSpec) -> Result<bool, Failure> {
    let Some(path) = &spec.creates else { return Ok(false) };
    let path = std::path::Path::new(path.as_str());
    path.try_exists().map_err(|error| failures::io("look for", path, &error))
}

/// What keeps the job from being run as it has to be, as far as that is to be seen before it is tried.
fn obstacle(device: &Device, spec: &ShellJobSpec) -> Option<Failure> {
    let unenforced = device.control_groups.unenforced(&spec.limits);
    if !unenforced.is_empty() {
        return Some(failures::limits_unenforceable(&unenforced));
    }
    if sandbox::find_bubblewrap().is_none() {
        return Some(failures::no_bubblewrap());
    }
    writable(device, spec).err()
}

/// Where all that the job may write in really is. Blocking.
pub(super) fn writable(device: &Device, spec: &ShellJobSpec) -> Result<Vec<PathBuf>, Failure> {
    let find = |path| mounted_path::find(path, &device.own).map_err(|why| failures::unmountable(path, why));
    spec.writable_paths.iter().map(find).collect()
}

/// All that is declared.
pub(super) fn keys(targets: &[Target<ShellJobSpec, ShellJobRecord>]) -> impl Iterator<Item = Digest> {
    targets.iter().filter_map(|target| match &target.goal {
        Goal::Present { digest, .. } => Some(*digest),
        Goal::Absent => None,
    })
}
