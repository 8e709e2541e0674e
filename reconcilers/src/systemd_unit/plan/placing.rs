//! Which files are written, kept and given back, and whether systemd starts the unit at boot. Pure.

use agent_model::{Failure, Plan, Standing, SystemdUnitSpec};

use super::{
    super::{
        FOLDER, failures,
        files::{MAX_ORIGINAL, MODE},
        observation::{FoundFile, SystemdUnitObservation},
        record::{SystemdUnitRecord, WrittenFile},
        step::UnitAction,
    },
    UnitPlan, steps,
};

/// Puts the files in place, and has it started at boot or not; `None` where all that is done.
pub(super) fn placing(
    spec: &SystemdUnitSpec,
    claim: &SystemdUnitRecord,
    observed: &SystemdUnitObservation,
) -> Result<Option<UnitPlan>, Failure> {
    let (mut intent, mut record) = (claim.clone(), claim.clone());
    let (mut keeping, mut writing) = (Vec::new(), Vec::new());
    for (name, wanted) in &observed.wanted {
        let found = match observed.files.get(name) {
            Some(FoundFile::Regular { file, size, body }) => Some((*file, *size, *body)),
            _ => None,
        };
        let in_sync = found.is_some_and(|(file, ..)| file.content == *wanted && file.mode == MODE);
        let mut file = claim.files.get(name).cloned().unwrap_or_else(|| WrittenFile {
            // With a mark it is ours, whatever the ledger says.
            original: found.filter(|(file, _, body)| file.content == *body).map(|(file, ..)| file),
            ..WrittenFile::default()
        });
        if in_sync {
            file.written = Some(*wanted);
            intent.files.insert(name.clone(), file.clone());
            record.files.insert(name.clone(), file);
            continue;
        }
        if let (Some((found, size, _)), Some(original)) = (found, file.original)
            && found.content == original.content
            && !observed.kept.contains(&original.content)
        {
            if size > MAX_ORIGINAL {
                return Err(failures::original_too_large(&format!("{}/{name}", FOLDER), size));
            }
            keeping.push(UnitAction::KeepOriginal { file: name.clone(), original });
        }
        writing.push(UnitAction::Write { file: name.clone(), over: found.map(|(file, ..)| file.content) });
        intent.files.insert(name.clone(), WrittenFile { intended: Some(*wanted), ..file.clone() });
        record.files.insert(name.clone(), WrittenFile { written: Some(*wanted), intended: None, ..file });
    }
    let own_file_changes = writing
        .iter()
        .any(|action| matches!(action, UnitAction::Write { file, .. } if *file == spec.unit.as_str()));
    let makes_folder = !spec.drop_ins.is_empty() && !observed.has_folder;
    intent.made_folder |= makes_folder;
    let dropped: Vec<String> =
        claim.files.keys().filter(|name| !observed.wanted.contains_key(*name)).cloned().collect();
    for name in dropped {
        writing.extend(given_back(&name, &claim.files[&name], observed)?);
        record.files.remove(&name);
    }
    let mut actions = keeping;
    if !writing.is_empty() {
        actions.push(UnitAction::Verify);
    }
    let removes_folder = intent.made_folder && spec.drop_ins.is_empty();
    actions.extend(writing);
    actions.extend(removes_folder.then_some(UnitAction::RemoveFolder));
    if let Some(wanted) = spec.enabled {
        let differs = observed.unit.enabled().is_some_and(|is| is != wanted);
        // What it will be like is seen once its file is there.
        let unknown = own_file_changes && observed.unit.enabled().is_none() && wanted;
        if differs || unknown {
            actions.push(UnitAction::Enable(wanted));
            intent.set_enabled = true;
        }
    }
    record.set_enabled = intent.set_enabled;
    record.made_folder = intent.made_folder && !removes_folder;
    if actions.is_empty() {
        return Ok(None);
    }
    record.unread = true;
    let then = Standing::pending("Loading", "systemd is about to read its files");
    Ok(Some(Plan { intent: Some(intent), steps: steps(&spec.unit, actions), record: Some(record), then }))
}

/// Puts back what a file replaced, if it is still ours.
pub(super) fn given_back(
    name: &str,
    file: &WrittenFile,
    observed: &SystemdUnitObservation,
) -> Result<Option<UnitAction>, Failure> {
    let Some(FoundFile::Regular { file: found, .. }) = observed.files.get(name) else { return Ok(None) };
    if !file.holds(found.content) {
        return Ok(None);
    }
    match file.original {
        Some(original) if !observed.kept.contains(&original.content) && found.content != original.content => {
            Err(failures::original_lost(&format!("{}/{name}", FOLDER)))
        }
        original => Ok(Some(UnitAction::Restore { file: name.to_owned(), original, over: found.content })),
    }
}
