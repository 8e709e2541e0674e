//! Decides what to do about a job. Pure.
//!
//! ```text
//! something of that name runs:    as declared ─▶ wait          otherwise, or declared no longer ─▶ stop
//! nothing runs, and the history:  has a run without its end ─▶ note the end
//!                                 has the end ─▶ ready | failed | once more, as far as `retry` goes
//!                                 does not know ─▶ HistoryUnknown
//!                                 has nothing ─▶ skip it | start it
//! ```
//!
//! Nothing is started on the strength of what is not there, but for a history that is whole and has nothing of it.

#[cfg(test)]
mod tests;

use std::time::Duration;

use agent_model::{Conclusion, Digest, Plan, ShellJobSpec, Standing};
use process_shim::ProcessIdentity;
use serde_json::{Value, json};

use super::{
    failures,
    history::{JobRun, Known, Outcome},
    observation::ShellJobObservation,
    record::ShellJobRecord,
    step::ShellJobStep,
};
use crate::{
    held::{Found, Running},
    workload::backoff,
};

/// So long a shim may take to start a job. It waits for nothing but the file system, which may hang.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

type JobPlan = Plan<ShellJobStep, ShellJobRecord>;

/// Has the job run, unless it did.
pub(super) fn establish(
    spec: &ShellJobSpec,
    key: &Digest,
    record: Option<&ShellJobRecord>,
    observed: &ShellJobObservation,
) -> JobPlan {
    if let Some(plan) = wait_for_shim(record, observed) {
        return plan;
    }
    match &observed.found {
        Found::Running(running) if running.digest == key.to_string() => {
            let message = format!("it runs since {}", running.started_at);
            return wait(ran(key), "Running", &message);
        }
        Found::Running(running) => {
            return stop(
                running,
                record,
                "it is declared otherwise now",
                "it is stopped, to be run as declared now",
            );
        }
        _ => {}
    }
    match (&observed.open, &observed.known) {
        // Noted first, so that no other run of that name begins before.
        (Some((of, run)), _) => {
            let outcome = outcome_of(run, observed);
            let then = if of == key {
                settled(spec, run, &outcome, observed)
            } else {
                Standing::pending("Starting", "it is run next")
            };
            conclude(*of, run, outcome, if of == key { ran(key) } else { held(record) }, then)
        }
        (None, None) if record.is_some_and(|record| record.ran == Some(*key)) => {
            Plan::blocked(held(record), failures::history_unknown())
        }
        (None, None) => start(spec, key, record, observed, 1),
        (None, Some(Known::Unknown)) => Plan::blocked(held(record), failures::history_unknown()),
        (None, Some(Known::Run(run))) => match &run.outcome {
            None => wait(held(record), "Running", &format!("the same runs as {:?}", run.name.as_str())),
            Some(outcome) => match again(spec, run, outcome, observed) {
                Again::Now => start(spec, key, record, observed, run.attempt.saturating_add(1)),
                Again::In(_) | Again::Never => Plan::nothing(ran(key), settled(spec, run, outcome, observed)),
            },
        },
    }
}

/// Ends the job and removes what is kept of it but for that it ran.
pub(super) fn undo(record: Option<&ShellJobRecord>, observed: &ShellJobObservation) -> JobPlan {
    if let Some(plan) = wait_for_shim(record, observed) {
        return plan;
    }
    match (&observed.found, &observed.open) {
        (Found::Running(running), _) => {
            stop(running, record, "it is declared no longer", "it is being stopped")
        }
        (_, Some((of, run))) => {
            let then = Standing::pending("Stopping", "what is kept of it is removed next");
            conclude(*of, run, outcome_of(run, observed), held(record), then)
        }
        (_, None) => Plan {
            intent: record.cloned(),
            steps: vec![ShellJobStep::Clear],
            record: None,
            then: Standing::Gone,
        },
    }
}

/// What its shim is at, or has left; `None` where that keeps nobody from anything.
fn wait_for_shim(record: Option<&ShellJobRecord>, observed: &ShellJobObservation) -> Option<JobPlan> {
    match &observed.found {
        Found::Starting { shim, since } => Some(await_start(*shim, *since, record)),
        Found::Stopping { .. } => Some(wait(held(record), "Stopping", "it has ended, or is being stopped")),
        Found::Lost { run } => Some(Plan {
            intent: held(record),
            steps: vec![ShellJobStep::Sweep { run: run.clone() }],
            record: held(record),
            then: Standing::pending("ShimLost", "its shim was ended, and so what it held is ended as well"),
        }),
        Found::Running(_) | Found::Nothing | Found::Ended(_) => None,
    }
}

fn await_start(shim: Option<ProcessIdentity>, since: Duration, record: Option<&ShellJobRecord>) -> JobPlan {
    match shim.filter(|_| since >= STARTS_WITHIN) {
        None => wait(held(record), "Starting", "its shim is about to start it"),
        Some(shim) => Plan {
            intent: held(record),
            steps: vec![ShellJobStep::Kill { shim }],
            record: held(record),
            then: Standing::pending("ShimLost", "its shim did not get to start it, and was killed"),
        },
    }
}

/// How a run ended of which nothing runs any more: as its shim noted, and if it did not, nobody knows how.
fn outcome_of(run: &JobRun, observed: &ShellJobObservation) -> Outcome {
    let noted = observed.ended.as_ref().filter(|(of, _)| *of == run.run);
    noted.map_or_else(Outcome::interrupted, |(_, outcome)| outcome.clone())
}

/// Whether a job that is over is run once more.
enum Again {
    Now,
    In(Duration),
    Never,
}

fn again(spec: &ShellJobSpec, run: &JobRun, outcome: &Outcome, observed: &ShellJobObservation) -> Again {
    if outcome.conclusion.is_done() || run.attempt > spec.retry {
        return Again::Never;
    }
    let pause = backoff::delay(run.attempt);
    // Whatever was in an earlier boot is long ago.
    match observed.ended_ago.map_or(Some(Duration::ZERO), |ago| pause.checked_sub(ago)) {
        Some(left) if !left.is_zero() => Again::In(left),
        _ => Again::Now,
    }
}

/// How a job stands that is over.
fn settled(spec: &ShellJobSpec, run: &JobRun, outcome: &Outcome, observed: &ShellJobObservation) -> Standing {
    let details = details(run, outcome, &observed.output);
    let message = format!("it {outcome}");
    match outcome.conclusion {
        Conclusion::Succeeded => Standing::Ready { reason: "Succeeded".into(), message, details },
        Conclusion::Skipped => Standing::Skipped { reason: "Unless".into(), message, details },
        _ => Standing::Failed(match again(spec, run, outcome, observed) {
            Again::Never => failures::concluded(outcome, run.attempt, details),
            Again::In(left) => failures::run_again(outcome, run.attempt, left, details),
            Again::Now => failures::run_again(outcome, run.attempt, Duration::ZERO, details),
        }),
    }
}

fn details(run: &JobRun, outcome: &Outcome, output: &Value) -> Value {
    json!({
        "runId": run.run_id,
        "attempt": run.attempt,
        "startedAt": run.at,
        "endedAt": outcome.ended_at,
        "durationMs": outcome.duration_ms,
        "exitCode": outcome.exit_code,
        "output": output,
    })
}

fn start(
    spec: &ShellJobSpec,
    key: &Digest,
    record: Option<&ShellJobRecord>,
    observed: &ShellJobObservation,
    attempt: u64,
) -> JobPlan {
    if observed.creates_exists {
        let path = spec.creates.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = format!("{path} is there already");
        let then = Standing::Skipped { reason: "Creates".into(), message, details: Value::Null };
        return Plan::nothing(held(record), then);
    }
    if let Some(obstacle) = &observed.obstacle {
        return Plan::blocked(held(record), obstacle.clone());
    }
    Plan {
        // That it ran is remembered once it does. Until then the history knows better.
        intent: held(record),
        steps: vec![ShellJobStep::Start {
            run: observed.next_run.clone(),
            attempt,
            script: spec.script_digest(),
            run_id: spec.run_id.clone(),
        }],
        record: ran(key),
        then: Standing::pending("Running", "it has been started"),
    }
}

fn stop(running: &Running, record: Option<&ShellJobRecord>, cause: &'static str, message: &str) -> JobPlan {
    Plan {
        intent: held(record),
        steps: vec![ShellJobStep::Stop { shim: running.shim, cause }],
        record: held(record),
        then: Standing::pending("Stopping", message),
    }
}

fn conclude(
    key: Digest,
    run: &JobRun,
    outcome: Outcome,
    record: Option<ShellJobRecord>,
    then: Standing,
) -> JobPlan {
    let step = ShellJobStep::Conclude {
        key,
        run: run.run.clone(),
        script: run.script,
        run_id: run.run_id.clone(),
        outcome,
    };
    Plan { intent: record.clone(), steps: vec![step], record, then }
}

fn wait(record: Option<ShellJobRecord>, reason: &'static str, message: &str) -> JobPlan {
    Plan::nothing(record, Standing::pending(reason, message))
}

/// What is remembered stays so. What nothing was remembered of is ours from now on.
fn held(record: Option<&ShellJobRecord>) -> Option<ShellJobRecord> {
    Some(record.cloned().unwrap_or_default())
}

fn ran(key: &Digest) -> Option<ShellJobRecord> {
    Some(ShellJobRecord { ran: Some(*key) })
}
