//! Decides what to do about a unit. Pure.
//!
//! ```text
//! declared:  keep originals? ─▶ judge ─▶ write files, enable | disable ─▶ (next pass)
//!            read again ─▶ start | restart | stop ─▶ (next passes) see how that comes out
//! dropped:   stop, where nothing stays ─▶ restore files, enable | disable ─▶ (next pass)
//!            read again ─▶ start | restart | stop, as it was found
//! ```
//!
//! Files are written in one pass and read by systemd in the next, so that one reading does for all units of a
//! document. What runs carries no mark of ours: it is known by the invocation that systemd numbers each start
//! with. Only what was started for something else than what is declared is restarted.

mod placing;
#[cfg(test)]
mod tests;
mod undoing;

use std::time::Duration;

use agent_model::{Digest, Failure, Plan, Standing, SystemdUnitSpec, UnitName, UnitState};
use serde_json::json;

use super::{
    failures, files,
    observation::{FoundFile, FoundUnit, SystemdUnitObservation},
    record::{AsFound, Run, Starting, SystemdUnitRecord, WrittenFile},
    step::{SystemdUnitStep, UnitAction},
};
use crate::workload::backoff;

pub(super) use undoing::undo;

type UnitPlan = Plan<SystemdUnitStep, SystemdUnitRecord>;

/// How long a service must have run that does not say itself when it is ready: what ends at once never was.
pub(super) const PROOF: Duration = Duration::from_secs(1);

/// Makes the unit as declared.
pub(super) fn establish(
    spec: &SystemdUnitSpec,
    digest: Digest,
    record: Option<&SystemdUnitRecord>,
    observed: &SystemdUnitObservation,
) -> UnitPlan {
    if let Some(failure) = obstacle(spec, observed) {
        return Plan::blocked(record.cloned(), failure);
    }
    let claim = taken(spec, digest, record, observed);
    match placing::placing(spec, &claim, observed) {
        Err(failure) => Plan::blocked(record.cloned(), failure),
        Ok(Some(plan)) => plan,
        Ok(None) => running(spec, digest, claim, observed),
    }
}

/// Why nothing can be done.
fn obstacle(spec: &SystemdUnitSpec, observed: &SystemdUnitObservation) -> Option<Failure> {
    let (name, unit) = (spec.unit.as_str(), &observed.unit);
    if observed.agents_own {
        return Some(failures::agents_own(name));
    }
    let masked = unit.file_state.as_deref().is_some_and(|state| state.starts_with("masked"));
    if masked || unit.load == "masked" {
        return Some(failures::masked(name));
    }
    let other = observed.files.iter().find_map(|(file, found)| match found {
        FoundFile::Other(what) if observed.wanted.contains_key(file) => {
            Some(failures::not_regular_file(&format!("{}/{file}", super::FOLDER), what))
        }
        _ => None,
    });
    let missing = spec.content.is_none() && !unit.exists() && !observed.files.contains_key(name);
    other.or_else(|| missing.then(|| failures::not_found(name)))
}

/// The claim as it stands before anything is done, with all that can be learnt from what is there.
fn taken(
    spec: &SystemdUnitSpec,
    digest: Digest,
    record: Option<&SystemdUnitRecord>,
    observed: &SystemdUnitObservation,
) -> SystemdUnitRecord {
    let unit = &observed.unit;
    let mut claim = record.cloned().unwrap_or_else(|| SystemdUnitRecord {
        found: AsFound { exists: unit.exists(), active: unit.runs(), enabled: unit.enabled() },
        ..SystemdUnitRecord::default()
    });
    // Files whose writing or restoring a crash kept from being recorded.
    let mut arrived = false;
    claim.files.retain(|name, file| {
        let found = match observed.files.get(name) {
            Some(FoundFile::Regular { file, .. }) => Some(file.content),
            _ => None,
        };
        let lost = !observed.wanted.contains_key(name) && !found.is_some_and(|found| file.holds(found));
        let intended = file.intended.take();
        if intended.is_some() && intended == found {
            arrived |= file.written != intended;
            file.written = intended;
        }
        arrived |= lost;
        !lost
    });
    claim.unread |= arrived;

    let bodies = files::declared(spec);
    let in_place = bodies.iter().all(|(name, text)| {
        let wanted = Digest::of_bytes(text.as_bytes());
        matches!(observed.files.get(name), Some(FoundFile::Regular { body, .. }) if *body == wanted)
    }) && claim.files.keys().all(|name| bodies.contains_key(name));
    let as_declared = (in_place && !claim.unread).then_some(digest);
    let current = |digest| Run { digest, boot: observed.boot.clone(), invocation: unit.invocation.clone() };
    if let Some(run) = claim.run.as_mut().filter(|run| run.boot != observed.boot) {
        // What runs was started by systemd at boot, from the files that lay there.
        (run.digest, claim.starting, claim.tries) = (None, None, 0);
        if unit.runs() {
            *run = current(as_declared);
        }
    }
    if let Some(starting) = claim.starting.take_if(|_| !unit.has_job)
        && unit.invocation.is_some()
        && unit.invocation != starting.before
    {
        claim.run = Some(current(Some(starting.digest)));
    }
    match &mut claim.run {
        None if unit.runs() && claim.starting.is_none() => claim.run = Some(current(as_declared)),
        Some(run) if unit.runs() && run.digest == Some(digest) && !unit.has_job => {
            if run.invocation.is_none() || as_declared.is_some() {
                run.invocation.clone_from(&unit.invocation);
            } else if run.invocation != unit.invocation {
                // Started by somebody, with files that are not as declared.
                run.digest = None;
            }
        }
        _ => {}
    }
    claim
}

/// Has systemd read what was written, and the unit run or not.
fn running(
    spec: &SystemdUnitSpec,
    digest: Digest,
    mut claim: SystemdUnitRecord,
    observed: &SystemdUnitObservation,
) -> UnitPlan {
    let unit = &observed.unit;
    // Files that are as declared already are ours from now on as well.
    for (name, wanted) in &observed.wanted {
        let original = match observed.files.get(name) {
            Some(FoundFile::Regular { file, body, .. }) if file.content == *body => Some(*file),
            _ => None,
        };
        let file = claim
            .files
            .entry(name.clone())
            .or_insert_with(|| WrittenFile { original, ..WrittenFile::default() });
        file.written = Some(*wanted);
    }
    if !claim.unread && matches!(unit.load.as_str(), "bad-setting" | "error") {
        let said = unit.load_error.as_deref().unwrap_or("its file has a bad setting");
        return Plan::blocked(Some(claim), failures::refused(spec.unit.as_str(), said));
    }
    let next = if spec.unit.is_template() {
        Next::Nothing(written())
    } else {
        next(spec, digest, &mut claim, observed)
    };
    let mut actions: Vec<UnitAction> = claim.unread.then_some(UnitAction::Reload).into_iter().collect();
    let mut intent = claim.clone();
    let mut record = SystemdUnitRecord { unread: false, ..claim };
    let then = match next {
        Next::Nothing(then) => {
            let unable = spec.enabled == Some(true) && unit.enabled().is_none() && actions.is_empty();
            match (&then, &unit.file_state) {
                (Standing::Ready { .. }, Some(state)) if unable => {
                    Standing::Failed(failures::nothing_to_enable(spec.unit.as_str(), state))
                }
                _ => then,
            }
        }
        Next::Do(action) => {
            let stopping = action == UnitAction::Stop;
            if !stopping {
                intent.starting = Some(Starting { digest, before: unit.invocation.clone() });
                record.run =
                    Some(Run { digest: Some(digest), boot: observed.boot.clone(), invocation: None });
                record.starting = None;
            }
            actions.push(action);
            on_its_way(if stopping { "Stopping" } else { "Starting" }, unit)
        }
    };
    if actions.is_empty() {
        return Plan::nothing(Some(record), then);
    }
    Plan { intent: Some(intent), steps: steps(&spec.unit, actions), record: Some(record), then }
}

/// What comes next for what runs.
enum Next {
    Do(UnitAction),
    Nothing(Standing),
}

fn next(
    spec: &SystemdUnitSpec,
    digest: Digest,
    claim: &mut SystemdUnitRecord,
    observed: &SystemdUnitObservation,
) -> Next {
    let unit = &observed.unit;
    if spec.state == UnitState::Stopped {
        claim.tries = 0;
        return match unit.active.as_str() {
            _ if unit.runs() => Next::Do(UnitAction::Stop),
            "deactivating" => Next::Nothing(on_its_way("Stopping", unit)),
            _ => Next::Nothing(ready("Stopped", unit)),
        };
    }
    let as_declared = claim.run.as_ref().is_some_and(|run| run.digest == Some(digest));
    let asked = claim.starting.as_ref().is_some_and(|starting| starting.digest == digest);
    // At boot systemd starts it by itself.
    if unit.has_job && (as_declared || asked || !unit.runs()) {
        return Next::Nothing(on_its_way("Starting", unit));
    }
    if unit.runs() {
        if !as_declared {
            claim.tries = 0;
            return Next::Do(UnitAction::Restart);
        }
        return Next::Nothing(standing(spec.unit.as_str(), observed));
    }
    if unit.active == "deactivating" {
        return Next::Nothing(on_its_way("Stopping", unit));
    }
    let failed = unit.active == "failed";
    if as_declared && unit.runs_once && !failed && unit.job_result.is_none() {
        return Next::Nothing(ready("Completed", unit));
    }
    if !as_declared {
        claim.tries = 0;
        let again = claim.run.as_ref().is_some_and(|run| run.boot != observed.boot);
        return Next::Do(UnitAction::Start { again });
    }
    if unit.inactive_since.saturating_sub(unit.active_since) >= backoff::HEALTHY
        && unit.active_since > Duration::ZERO
    {
        claim.tries = 0;
    }
    let failed = failed || unit.job_result.is_some();
    let due = unit.inactive_since + pause(claim.tries, failed);
    match due.checked_sub(observed.now) {
        Some(left) if !left.is_zero() => {
            let how = how_it_ended(unit);
            Next::Nothing(Standing::Failed(failures::ended(spec.unit.as_str(), &how, claim.tries + 1, left)))
        }
        _ => {
            claim.tries += 1;
            Next::Do(UnitAction::Start { again: false })
        }
    }
}

/// The pause after a unit ended when it had been started so often for having ended. What went well, or was
/// stopped by somebody, is started at once the first time; what failed never is.
fn pause(tries: u64, failed: bool) -> Duration {
    match tries.saturating_add(u64::from(failed)) {
        0 => Duration::ZERO,
        ends => backoff::delay(ends),
    }
}

/// How what runs as declared stands.
fn standing(name: &str, observed: &SystemdUnitObservation) -> Standing {
    let unit = &observed.unit;
    match unit.active.as_str() {
        "activating" if unit.sub.starts_with("auto-restart") => {
            Standing::Failed(failures::restarting(name, &unit.result, unit.restarts))
        }
        "activating" => on_its_way("Starting", unit),
        _ if unit.proves_itself && observed.now.saturating_sub(unit.active_since) < PROOF => {
            on_its_way("Starting", unit)
        }
        _ => ready("Running", unit),
    }
}

fn how_it_ended(unit: &FoundUnit) -> String {
    match (&unit.job_result, unit.active.as_str(), unit.status) {
        (Some(result), "inactive", _) => format!("was not started: its job ended with {result}"),
        (_, _, 0) if unit.result == "success" => "ended though it should run".to_owned(),
        (_, _, 0) => format!("failed with the result {}", unit.result),
        (_, _, status) => format!("failed with the result {} (status {status})", unit.result),
    }
}

fn on_its_way(reason: &'static str, unit: &FoundUnit) -> Standing {
    let message = match unit.active.as_str() {
        "" => String::new(),
        active => format!("it was {active} ({}) when it was looked at", unit.sub),
    };
    Standing::pending(reason, message)
}

fn written() -> Standing {
    Standing::Ready { reason: "Written".into(), message: String::new(), details: serde_json::Value::Null }
}

fn ready(reason: &'static str, unit: &FoundUnit) -> Standing {
    let details = json!({
        "activeState": unit.active,
        "subState": unit.sub,
        "result": unit.result,
        "nRestarts": unit.restarts,
        "unitFileState": unit.file_state,
    });
    Standing::Ready { reason: reason.into(), message: String::new(), details }
}

fn steps(unit: &UnitName, actions: Vec<UnitAction>) -> Vec<SystemdUnitStep> {
    actions.into_iter().map(|action| SystemdUnitStep { unit: unit.clone(), action }).collect()
}
