//! Looks at units: at their files, and at what systemd says of them.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use agent_model::{Digest, Failure, Goal, SystemdUnitSpec, Target, UnitName};
use process_shim::boot_id;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

use super::{
    Device, claimed_unit, failures, files,
    observation::{FoundUnit, SystemdUnitObservation},
    plan::PROOF,
    record::SystemdUnitRecord,
    systemd::{Properties, Systemd},
};

type UnitTarget = Target<SystemdUnitSpec, SystemdUnitRecord>;

/// Where it can be seen that a device was booted with systemd (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

pub(super) async fn observe(
    device: &Arc<Device>,
    targets: &[UnitTarget],
) -> Vec<Result<SystemdUnitObservation, Failure>> {
    let declared = targets.iter().filter_map(|target| match &target.goal {
        Goal::Present { spec, .. } => Some(Arc::clone(spec)),
        Goal::Absent => None,
    });
    *device.declared() = declared.collect();
    device.wakes.keep(targets.iter().filter_map(|target| claimed_unit(&target.claim).ok()));
    if targets.is_empty() {
        return Vec::new();
    }
    let all_failed = |failure: Failure| vec![Err(failure); targets.len()];
    if !is_booted() {
        return all_failed(failures::not_booted());
    }
    let (systemd, needed) = match device.listening.systemd(&device.wakes).await {
        Ok(live) => live,
        Err(failure) => return all_failed(failure),
    };
    let looked_at: Vec<UnitTarget> = targets.to_vec();
    let on_disk = Arc::clone(device);
    let found = tokio::task::spawn_blocking(move || {
        looked_at.iter().map(|target| look_at_files(&on_disk, target)).collect::<Vec<_>>()
    });
    let found = match found.await {
        Ok(found) => found,
        Err(error) => return all_failed(failures::interrupted(&error)),
    };
    let mut observed = Vec::with_capacity(targets.len());
    for (target, found) in targets.iter().zip(found) {
        let look = async { ask(device, &systemd, &needed, claimed_unit(&target.claim)?, found?).await };
        observed.push(look.await);
    }
    observed
}

/// Whether there is a systemd at all.
pub(super) fn is_booted() -> bool {
    Path::new(BOOTED).is_dir()
}

fn look_at_files(device: &Device, target: &UnitTarget) -> Result<SystemdUnitObservation, Failure> {
    let unit = claimed_unit(&target.claim)?;
    let mut observation = SystemdUnitObservation {
        boot: boot_id().unwrap_or_default(),
        has_folder: device.folder.has_drop_ins_folder(unit),
        ..SystemdUnitObservation::default()
    };
    if let Goal::Present { spec, .. } = &target.goal {
        let wanted = files::declared(spec).into_iter();
        observation.wanted = wanted
            .map(|(name, text)| (name, Digest::of_bytes(device.folder.marked(text).as_bytes())))
            .collect();
    }
    let recorded = target.record.iter().flat_map(|record| &record.files);
    let names: BTreeSet<&String> =
        observation.wanted.keys().chain(recorded.clone().map(|(name, _)| name)).collect();
    let mut files = Vec::new();
    for name in names {
        files.extend(device.folder.look(name)?.map(|found| (name.clone(), found)));
    }
    let originals = recorded.filter_map(|(_, file)| file.original).map(|original| original.content);
    observation.kept = originals.filter(|content| device.originals.has(*content)).collect();
    observation.files = files.into_iter().collect();
    Ok(observation)
}

async fn ask(
    device: &Arc<Device>,
    systemd: &Systemd,
    needed: &BTreeSet<String>,
    name: &UnitName,
    mut observation: SystemdUnitObservation,
) -> Result<SystemdUnitObservation, Failure> {
    let file_state = systemd.file_state(name).await?;
    if name.is_template() {
        // systemd loads none.
        observation.unit = FoundUnit { file_state, ..FoundUnit::default() };
        return Ok(observation);
    }
    let (properties, object) = systemd.unit(name.as_str()).await?;
    let job_result = device.wakes.found(name, object.as_str());
    let mut names = properties.texts("Names");
    names.extend(properties.text("Id"));
    observation.agents_own = names.iter().any(|name| needed.contains(name));
    observation.unit = found(&properties, file_state, job_result);
    let now = clock_gettime(ClockId::Monotonic);
    observation.now =
        Duration::new(now.tv_sec.try_into().unwrap_or_default(), now.tv_nsec.try_into().unwrap_or_default());
    let unit = &observation.unit;
    let proven = unit.active_since + PROOF;
    if let Some(left) =
        proven.checked_sub(observation.now).filter(|_| unit.proves_itself && unit.active == "active")
    {
        let (wakes, name) = (Arc::clone(&device.wakes), name.clone());
        tokio::spawn(async move {
            sleep(left).await;
            wakes.wake(&name);
        });
    }
    Ok(observation)
}

fn found(properties: &Properties, file_state: Option<String>, job_result: Option<String>) -> FoundUnit {
    let text = |name| properties.text(name).unwrap_or_default();
    let since = |name| Duration::from_micros(properties.number(name).unwrap_or_default());
    let service_type = text("Type");
    FoundUnit {
        load: text("LoadState"),
        load_error: properties.load_error(),
        active: text("ActiveState"),
        sub: text("SubState"),
        result: text("Result"),
        status: properties.number("ExecMainStatus").unwrap_or_default(),
        restarts: properties.number("NRestarts").unwrap_or_default(),
        file_state,
        has_job: properties.job() != 0,
        job_result,
        invocation: properties.hex("InvocationID"),
        runs_once: service_type == "oneshot" && !properties.flag("RemainAfterExit"),
        proves_itself: matches!(service_type.as_str(), "simple" | "exec" | "idle"),
        active_since: since("ActiveEnterTimestampMonotonic"),
        inactive_since: since("InactiveEnterTimestampMonotonic"),
    }
}
