//! What can go wrong with a job, in words for the status.

use std::{fmt::Display, io, time::Duration};

use agent_model::{Failure, Retry, TargetPath};
use serde_json::Value;

use super::history::Outcome;
pub(super) use crate::held::failures::*;
use crate::mounted_path::Unmountable;

pub(super) fn wrong_claim() -> Failure {
    Failure::lasting("WrongKind", "this claim is no job; this is a defect")
}

pub(super) fn no_bubblewrap() -> Failure {
    Failure::passing(
        "SandboxUnavailable",
        "no program bwrap is in the agent's PATH: install bubblewrap; no job runs without it",
    )
}

/// What bubblewrap or the program within it said.
pub(super) fn no_sandbox(said: &str) -> Failure {
    Failure::passing(
        "SandboxUnavailable",
        format!("bubblewrap cannot isolate it on this device, so it does not run: {said}"),
    )
}

pub(super) fn limits_unenforceable(limits: &[String]) -> Failure {
    Failure::lasting(
        "LimitUnenforceable",
        format!(
            "it does not run, because it could not be held to its limits here: {}; declare it without, or mend the device",
            limits.join(", ")
        ),
    )
}

/// What it is to write in cannot be in its sandbox.
pub(super) fn unmountable(path: &TargetPath, why: Unmountable) -> Failure {
    match why {
        Unmountable::Unreachable(at, error) if error.kind() == io::ErrorKind::NotFound => Failure::passing(
            "WritablePathMissing",
            format!("{path} is to be written in and {} is not there: create it first", at.display()),
        ),
        Unmountable::Unreachable(at, error) => Failure::passing(
            "InputOutput",
            format!("{} on the way to {path} cannot be looked at: {error}", at.display()),
        ),
        Unmountable::Replaceable(at) => Failure::passing(
            "UnsafePath",
            format!(
                "{path} is to be written in, and others than root and the agent's user could lead it elsewhere at {}: declare \
                 the folder that is theirs, or change its owner and mode",
                at.display()
            ),
        ),
        Unmountable::TooManyLinks => Failure::passing(
            "UnsafePath",
            format!(
                "{path} is to be written in, and its links do not come to an end: declare the folder itself"
            ),
        ),
        Unmountable::Own(own) => Failure::lasting(
            "PolicyDenied",
            format!("{path} is to be written in, and {} belongs to the agent itself", own.display()),
        ),
    }
}

pub(super) fn history_unwritable(error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space there",
        _ => "",
    };
    Failure::passing(
        "HistoryUnwritable",
        format!(
            "it does not go on, because that cannot be noted in jobs.jsonl in the state folder: {error}{advice}"
        ),
    )
}

pub(super) fn history_unreadable(error: &impl Display) -> Failure {
    Failure::passing("HistoryUnreadable", format!("jobs.jsonl cannot be read, so nothing runs: {error}"))
}

pub(super) fn history_unknown() -> Failure {
    Failure::lasting(
        "HistoryUnknown",
        "this device's history of jobs was lost, so nobody knows whether this one ran already; it does not run: look, and \
         give it a new runId to have it run",
    )
}

/// It is over, did not do what it was for, and is not run again.
pub(super) fn concluded(outcome: &Outcome, attempts: u64, details: Value) -> Failure {
    let message =
        format!("it {outcome}{}; it is not run again: change it, or give it a new runId", times(attempts));
    Failure::lasting(outcome.conclusion.as_str(), message).with_details(details)
}

/// It is over, did not do what it was for, and is run again in a while.
pub(super) fn run_again(outcome: &Outcome, attempts: u64, left: Duration, details: Value) -> Failure {
    Failure {
        reason: outcome.conclusion.as_str().into(),
        message: format!("it {outcome}{}; it is run again after a pause", times(attempts)),
        retry: Retry::After { delay: left, attempts },
        details,
    }
}

fn times(attempts: u64) -> String {
    if attempts > 1 { format!(", at attempt {attempts}") } else { String::new() }
}
