//! Gives a unit back. Pure.

use agent_model::{Failure, Plan, Standing, UnitName};

use super::{
    super::{
        failures,
        observation::{FoundFile, SystemdUnitObservation},
        record::SystemdUnitRecord,
        step::UnitAction,
    },
    UnitPlan, on_its_way,
    placing::given_back,
    steps,
};

/// Gives the unit back as it was found.
pub(in super::super) fn undo(
    name: &UnitName,
    record: Option<&SystemdUnitRecord>,
    observed: &SystemdUnitObservation,
) -> UnitPlan {
    let Some(record) = record else { return Plan::nothing(None, Standing::Gone) };
    if observed.agents_own {
        return Plan::blocked(Some(record.clone()), failures::agents_own(name.as_str()));
    }
    let unit = &observed.unit;
    if !stays(name, record, observed) && !name.is_template() {
        if unit.runs() {
            let plan = Plan::nothing(Some(record.clone()), on_its_way("Stopping", unit));
            return Plan { steps: steps(name, vec![UnitAction::Stop]), ..plan };
        }
        if unit.active == "deactivating" || unit.has_job {
            return Plan::nothing(Some(record.clone()), on_its_way("Stopping", unit));
        }
    }
    match returning(name, record, observed) {
        Err(failure) => Plan::blocked(Some(record.clone()), failure),
        Ok(Some(plan)) => plan,
        Ok(None) => as_found(name, record, observed),
    }
}

/// Whether there is a unit of that name when our files are gone.
fn stays(name: &UnitName, record: &SystemdUnitRecord, observed: &SystemdUnitObservation) -> bool {
    let Some(file) = record.files.get(name.as_str()) else {
        return record.found.exists || observed.unit.file_state.is_some();
    };
    let ours = match observed.files.get(name.as_str()) {
        Some(FoundFile::Regular { file: found, .. }) => file.holds(found.content),
        Some(FoundFile::Other(_)) => false,
        None => true,
    };
    record.found.exists || file.original.is_some() || !ours
}

/// Puts files back, and whether it is started at boot; `None` where all that is done.
fn returning(
    name: &UnitName,
    record: &SystemdUnitRecord,
    observed: &SystemdUnitObservation,
) -> Result<Option<UnitPlan>, Failure> {
    let unit = &observed.unit;
    let mut restoring = Vec::new();
    for (file, written) in &record.files {
        restoring.extend(given_back(file, written, observed)?);
    }
    let changes = !restoring.is_empty();
    let mut actions = Vec::new();
    if stays(name, record, observed) {
        actions.extend(restoring);
        let before =
            record.found.enabled.filter(|before| record.set_enabled && unit.enabled() != Some(*before));
        actions.extend(before.map(UnitAction::Enable));
    } else {
        // While its file is there, which says what there is to be undone.
        actions.extend((unit.enabled() == Some(true)).then_some(UnitAction::Enable(false)));
        actions.extend(restoring);
    }
    actions.extend((record.made_folder && observed.has_folder).then_some(UnitAction::RemoveFolder));
    if actions.is_empty() {
        return Ok(None);
    }
    let mut done =
        SystemdUnitRecord { unread: true, made_folder: false, set_enabled: false, ..record.clone() };
    done.files.clear();
    if let Some(run) = done.run.as_mut().filter(|_| changes) {
        run.digest = None;
    }
    let then = Standing::pending("Loading", "systemd is about to read its files");
    let intent = SystemdUnitRecord { unread: true, run: done.run.clone(), ..record.clone() };
    Ok(Some(Plan { intent: Some(intent), steps: steps(name, actions), record: Some(done), then }))
}

/// Has systemd read what is left, and the unit run as before.
fn as_found(name: &UnitName, record: &SystemdUnitRecord, observed: &SystemdUnitObservation) -> UnitPlan {
    let unit = &observed.unit;
    let mut actions: Vec<UnitAction> = record.unread.then_some(UnitAction::Reload).into_iter().collect();
    let before = record.found;
    if before.exists && !name.is_template() {
        let is_changed = record.unread && record.run.as_ref().is_some_and(|run| run.digest.is_none());
        actions.extend(match (before.active, unit.runs()) {
            (true, true) => is_changed.then_some(UnitAction::Restart),
            (true, false) => (!unit.runs_once).then_some(UnitAction::Start { again: false }),
            (false, true) => Some(UnitAction::Stop),
            (false, false) => None,
        });
    }
    let plan = Plan::nothing(None, Standing::Gone);
    if actions.is_empty() {
        return plan;
    }
    Plan { intent: Some(record.clone()), steps: steps(name, actions), ..plan }
}
