//! Decides what to do about a process. Pure.
//!
//! ```text
//! declared: nothing ─▶ start          running, as declared ─▶ by its health: pending | ready | stop
//!           ended ─▶ start | wait | leave it so       running, otherwise declared ─▶ stop
//! dropped:  running ─▶ stop           ended ─▶ clear
//! both:     lost ─▶ sweep             stopping ─▶ wait
//! ```
//!
//! Nothing is stopped and started in one plan: stopping takes its time, and a later pass finds the end.

#[cfg(test)]
mod tests;

use std::time::Duration;

use agent_model::{Digest, Plan, ProcessSpec, RestartPolicy, Standing};
use process_shim::{End, ProcessIdentity};
use serde_json::json;

use super::{
    observation::{Ended, Found, ProcessObservation, Running},
    record::ProcessRecord,
    step::ProcessStep,
};
use crate::workload::{backoff, health::Health, words};

/// So long a shim may take to start its process. It waits for nothing but the file system, which may hang.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// Where there is what it printed.
const OUTPUT: &str = "`harmony-agent logs` shows what it printed";

type ProcessPlan = Plan<ProcessStep, ProcessRecord>;

/// Makes the process run as declared.
pub(super) fn establish(
    spec: &ProcessSpec,
    digest: &Digest,
    record: Option<&ProcessRecord>,
    observed: &ProcessObservation,
) -> ProcessPlan {
    let wanted = digest.to_string();
    match &observed.found {
        Found::Nothing => start(record, observed, 0, record.is_some_and(|record| record.run.is_some())),
        Found::Starting { shim, since } => await_start(*shim, *since, record),
        Found::Running(running) if running.digest == wanted => judge(running, record, observed),
        Found::Running(running) => {
            let record = of_run(&running.run, record);
            stop(
                running,
                record,
                "it is declared otherwise now",
                "Stopping",
                "it is stopped, to be started as declared now",
            )
        }
        Found::Stopping { .. } => wait(held(record), "Stopping", "it is being stopped"),
        Found::Lost { run } => sweep(run, record),
        Found::Ended(ended) if ended.digest == wanted => start_again(spec, ended, record, observed),
        Found::Ended(_) => start(record, observed, 0, true),
    }
}

/// Ends the process and removes what is kept of it.
pub(super) fn undo(record: Option<&ProcessRecord>, observed: &ProcessObservation) -> ProcessPlan {
    match &observed.found {
        Found::Starting { shim, since } => await_start(*shim, *since, record),
        Found::Running(running) => {
            let record = of_run(&running.run, record);
            stop(running, record, "it is declared no longer", "Stopping", "it is being stopped")
        }
        Found::Stopping { .. } => wait(held(record), "Stopping", "it is being stopped"),
        Found::Lost { run } => sweep(run, record),
        Found::Nothing | Found::Ended(_) => Plan {
            intent: record.cloned(),
            steps: vec![ProcessStep::Clear],
            record: None,
            then: Standing::Gone,
        },
    }
}

/// A shim is about to start it: until it has, or does not get there, nothing else can be done.
fn await_start(
    shim: Option<ProcessIdentity>,
    since: Duration,
    record: Option<&ProcessRecord>,
) -> ProcessPlan {
    match shim.filter(|_| since >= STARTS_WITHIN) {
        None => wait(held(record), "Starting", "its shim is about to start it"),
        Some(shim) => Plan {
            intent: held(record),
            steps: vec![ProcessStep::Kill { shim }],
            record: held(record),
            then: Standing::pending("ShimLost", "its shim did not get to start it, and was killed"),
        },
    }
}

/// What is declared runs: how is it?
fn judge(running: &Running, record: Option<&ProcessRecord>, observed: &ProcessObservation) -> ProcessPlan {
    let unenforced = match record.filter(|record| record.run.as_ref() == Some(&running.run)) {
        Some(record) => record.unenforced.clone(),
        None => observed.unenforced.clone(),
    };
    let has_started = matches!(running.health, Health::Ready | Health::NotReady { .. });
    let record = of_run(&running.run, record);
    let started = record.started || has_started;
    let record = ProcessRecord { started, stopping: false, unenforced, ..record };
    let not_ready = || Some(ProcessRecord { ready: false, ..record.clone() });
    match &running.health {
        Health::Starting { message } => wait(not_ready(), "Starting", message),
        Health::NotReady { message } => wait(not_ready(), "NotReady", message),
        Health::Ready => Plan::nothing(
            // Had an agent given it up and ended before it could stop it, then it has recovered since.
            Some(ProcessRecord { ready: true, given_up: None, ..record.clone() }),
            Standing::Ready {
                reason: "Running".into(),
                message: words::not_enforced(&record.unenforced),
                details: json!({"pid": running.process.pid, "startedAt": running.started_at}),
            },
        ),
        Health::GivenUp { reason, message } => {
            let given_up = Some(format!("{reason}: {message}"));
            let record = ProcessRecord { given_up, ..record };
            stop(running, record, "a probe gave it up", reason, message)
        }
    }
}

/// What is declared has run and is over: is it started again, and when?
fn start_again(
    spec: &ProcessSpec,
    ended: &Ended,
    record: Option<&ProcessRecord>,
    observed: &ProcessObservation,
) -> ProcessPlan {
    let known = record.filter(|record| record.run.as_ref() == Some(&ended.run));
    let given_up = known.and_then(|record| record.given_up.as_deref());
    // It was stopped for a document that is no longer wanted: nothing is wrong with it. Where somebody
    // else had its shim stop it, that is an end like others.
    if ended.stopped && given_up.is_none() && known.is_some_and(|record| record.stopping) {
        return start(record, observed, known.map_or(0, |record| record.crashes), true);
    }
    let how = how_it_ended(ended, given_up);
    let succeeded = ended.end == End::Code(0) && given_up.is_none();
    match spec.restart {
        RestartPolicy::Never | RestartPolicy::OnFailure if succeeded => {
            let then = Standing::Ready { reason: "Completed".into(), message: how, details: json!({}) };
            Plan::nothing(held(record), then)
        }
        RestartPolicy::Never => Plan::blocked(held(record), words::ended(&how)),
        RestartPolicy::Always | RestartPolicy::OnFailure => {
            let crashes = match (record, known) {
                (_, Some(known)) => backoff::crashes(known.crashes, ended.ran_for),
                // The agent was ended between starting this run and noting that: the end before it counts too.
                (Some(ProcessRecord { run: Some(_), crashes, .. }), None) => {
                    backoff::crashes(crashes.saturating_add(1), ended.ran_for)
                }
                (_, None) => 1,
            };
            match backoff::delay(crashes).checked_sub(ended.ended_ago) {
                None => start(record, observed, crashes, true),
                Some(left) if left.is_zero() => start(record, observed, crashes, true),
                Some(left) => Plan::blocked(held(record), words::crash_loop(&how, crashes, left, OUTPUT)),
            }
        }
    }
}

fn how_it_ended(ended: &Ended, given_up: Option<&str>) -> String {
    let memory = if ended.out_of_memory { ", for want of memory" } else { "" };
    let ran_for = humantime::format_duration(words::rounded(ended.ran_for));
    match given_up {
        Some(why) => format!("it was stopped after {ran_for} because of its probe ({why})"),
        None => format!("it {}{memory} after {ran_for}", ended.end),
    }
}

fn start(
    record: Option<&ProcessRecord>,
    observed: &ProcessObservation,
    crashes: u64,
    again: bool,
) -> ProcessPlan {
    let unenforced = observed.unenforced.clone();
    let next = ProcessRecord { unenforced, ..ProcessRecord::of_run(&observed.next_run, crashes) };
    Plan {
        // Until it is started, what is known of the run before must not be forgotten.
        intent: held(record),
        steps: vec![ProcessStep::Start { run: observed.next_run.clone(), again }],
        record: Some(next),
        then: Standing::pending("Starting", "it has been started"),
    }
}

fn stop(
    running: &Running,
    record: ProcessRecord,
    cause: &'static str,
    reason: &'static str,
    message: &str,
) -> ProcessPlan {
    let record = ProcessRecord { ready: false, stopping: true, ..record };
    Plan {
        intent: Some(record.clone()),
        steps: vec![ProcessStep::Stop { shim: running.shim, cause }],
        record: Some(record),
        then: Standing::pending(reason, message),
    }
}

fn sweep(run: &str, record: Option<&ProcessRecord>) -> ProcessPlan {
    Plan {
        intent: held(record),
        steps: vec![ProcessStep::Sweep { run: run.to_owned() }],
        record: held(record),
        then: Standing::pending("ShimLost", "its shim was ended, and so what it held is ended as well"),
    }
}

fn wait(record: Option<ProcessRecord>, reason: &'static str, message: &str) -> ProcessPlan {
    Plan::nothing(record, Standing::pending(reason, message))
}

/// What is remembered stays so. What nothing was remembered of is ours from now on.
fn held(record: Option<&ProcessRecord>) -> Option<ProcessRecord> {
    Some(record.cloned().unwrap_or_default())
}

/// What is remembered of that run. Of one that the ledger does not know, only what can be seen.
fn of_run(run: &str, record: Option<&ProcessRecord>) -> ProcessRecord {
    let crashes = record.map_or(0, |record| record.crashes);
    match record {
        Some(record) if record.run.as_deref() == Some(run) => record.clone(),
        _ => ProcessRecord::of_run(run, crashes),
    }
}
