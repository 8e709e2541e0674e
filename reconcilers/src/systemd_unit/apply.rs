//! Does one step. Decides nothing.

use std::sync::{Arc, atomic::Ordering};

use agent_model::{Failure, Goal, SystemdUnitSpec, Target, UnitName};
use crash_point::crash_point;

use super::{
    Device, failures, files, judging,
    record::SystemdUnitRecord,
    step::{SystemdUnitStep, UnitAction},
    systemd::Job,
};

pub(super) async fn apply(
    device: &Arc<Device>,
    target: &Target<SystemdUnitSpec, SystemdUnitRecord>,
    step: &SystemdUnitStep,
) -> Result<(), Failure> {
    let unit = &step.unit;
    let spec = match &target.goal {
        Goal::Present { spec, .. } => Some(spec),
        Goal::Absent => None,
    };
    match &step.action {
        UnitAction::KeepOriginal { .. }
        | UnitAction::Write { .. }
        | UnitAction::Restore { .. }
        | UnitAction::RemoveFolder => {
            let (device, step, spec) = (Arc::clone(device), step.clone(), spec.cloned());
            tokio::task::spawn_blocking(move || on_disk(&device, &step, spec.as_deref()))
                .await
                .unwrap_or_else(|error| Err(failures::interrupted(&error)))
        }
        UnitAction::Verify => match spec {
            Some(spec) => {
                let _one_at_a_time = device.judging.lock().await;
                let all = device.declared().clone();
                judging::judge(&device.staging, spec, &all).await
            }
            None => Ok(()),
        },
        UnitAction::Enable(enabled) => {
            let (systemd, _) = device.listening.systemd(&device.wakes).await?;
            systemd.enable(unit, *enabled).await?;
            crash_point();
            written(device, unit);
            Ok(())
        }
        UnitAction::Reload => reload(device, unit).await,
        UnitAction::Start { .. } => {
            let (systemd, _) = device.listening.systemd(&device.wakes).await?;
            // Otherwise one that was started too often would not be started.
            systemd.reset_failed(unit).await;
            begin(device, Job::Start, unit).await
        }
        UnitAction::Restart => begin(device, Job::Restart, unit).await,
        UnitAction::Stop => begin(device, Job::Stop, unit).await,
    }
}

async fn begin(device: &Arc<Device>, job: Job, unit: &UnitName) -> Result<(), Failure> {
    let (systemd, _) = device.listening.systemd(&device.wakes).await?;
    device.wakes.begins_anew(unit);
    crash_point();
    systemd.begin(job, unit).await?;
    crash_point();
    // It may have been over before it was listened for.
    device.wakes.wake(unit);
    Ok(())
}

/// Has systemd read its units again, unless it has since the last of them was written.
async fn reload(device: &Arc<Device>, unit: &UnitName) -> Result<(), Failure> {
    let (systemd, _) = device.listening.systemd(&device.wakes).await?;
    let mut read = device.read.lock().await;
    let written = device.written.load(Ordering::Acquire);
    if *read != Some(written) {
        crash_point();
        systemd.reload().await?;
        crash_point();
        *read = Some(written);
    }
    drop(read);
    if unit.is_template() {
        return Ok(());
    }
    let (properties, _) = systemd.unit(unit.as_str()).await?;
    match properties.text("LoadState").as_deref() {
        Some("bad-setting" | "error") => {
            let said = properties.load_error();
            Err(failures::refused(unit.as_str(), said.as_deref().unwrap_or("its file has a bad setting")))
        }
        _ => Ok(()),
    }
}

fn on_disk(device: &Device, step: &SystemdUnitStep, spec: Option<&SystemdUnitSpec>) -> Result<(), Failure> {
    let folder = &device.folder;
    match &step.action {
        UnitAction::KeepOriginal { file, original } => {
            return folder.keep(file, *original, &device.originals);
        }
        UnitAction::Write { file, over } => {
            let texts = spec.map(files::declared).unwrap_or_default();
            // Only ever planned for a declared file.
            let text = texts.get(file).ok_or_else(failures::wrong_claim)?;
            folder.put(file, folder.marked(text).as_bytes(), None, *over)?;
        }
        UnitAction::Restore { file, original: Some(original), over } => {
            let text =
                device.originals.read(original.content).ok_or_else(|| failures::original_lost(file))?;
            folder.put(file, &text, Some(*original), Some(*over))?;
        }
        UnitAction::Restore { file, original: None, over } => {
            folder.sweep(file);
            folder.remove(file, *over)?;
        }
        UnitAction::RemoveFolder => folder.remove_folder(&step.unit)?,
        _ => {}
    }
    written(device, &step.unit);
    Ok(())
}

/// Notes that there is something for systemd to read, which the next pass sees to.
fn written(device: &Device, unit: &UnitName) {
    device.written.fetch_add(1, Ordering::AcqRel);
    device.wakes.wake(unit);
}
