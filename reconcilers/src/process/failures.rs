//! What can go wrong with a process, in words for the status.

use std::{fmt::Display, time::Duration};

use agent_model::{Failure, Retry};
use process_shim::{StartFailure, StartStage};

pub(super) fn wrong_claim() -> Failure {
    Failure::lasting("WrongKind", "this claim is no process; this is a defect")
}

pub(super) fn interrupted(error: &impl Display) -> Failure {
    Failure::passing("Interrupted", format!("the work on processes was interrupted: {error}"))
}

pub(super) fn unreadable(error: &dyn std::error::Error) -> Failure {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::lasting(
        "RecordUnreadable",
        format!("{error}{cause}; what it holds is left alone: stop its shim by hand and remove the file"),
    )
}

pub(super) fn io(what: &str, path: &std::path::Path, error: &impl Display) -> Failure {
    Failure::passing("InputOutput", format!("cannot {what} {}: {error}", path.display()))
}

pub(super) fn unknown(what: &str, name: &str) -> Failure {
    let reason = if what == "user" { "UnknownUser" } else { "UnknownGroup" };
    Failure::passing(reason, format!("this device has no {what} {name:?}; create it, or declare another one"))
}

pub(super) fn lookup(what: &str, name: &str, error: &impl Display) -> Failure {
    Failure::passing("LookupFailed", format!("cannot look up the {what} {name:?}: {error}"))
}

pub(super) fn not_spawned(shim: &std::path::Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;

    let shim = shim.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => Failure::passing(
            "ShimMissing",
            format!("cannot start {shim}: {error}; install process-shim beside harmony-agent"),
        ),
        _ => Failure::passing("ShimFailed", format!("cannot start {shim}: {error}")),
    }
}

pub(super) fn shim_silent(error: &impl Display) -> Failure {
    Failure::passing("ShimFailed", format!("its shim gave no answer: {error}"))
}

pub(super) fn held() -> Failure {
    Failure::passing("ShimHeld", "a shim holds its folder already")
}

pub(super) fn limits_refused(unenforced: &[String]) -> Failure {
    Failure::lasting(
        "PolicyDenied",
        format!(
            "limits that cannot be enforced here: {}; unenforceableLimits = \"Refused\" in this device's policy forbids to \
             run it without them",
            unenforced.join(", ")
        ),
    )
}

pub(super) fn control_group(error: &impl Display) -> Failure {
    Failure::passing("ControlGroupUnusable", format!("its limits cannot be set: {error}"))
}

pub(super) fn left_behind(count: usize) -> Failure {
    Failure::passing("LeftBehind", format!("{count} processes that it left behind do not end"))
}

/// What a shim answered instead of starting it.
pub(super) fn not_started(failure: StartFailure) -> Failure {
    let StartFailure { stage, message } = failure;
    let (reason, remedy) = match stage {
        StartStage::Shim => ("ShimFailed", ""),
        StartStage::ControlGroup => ("ControlGroupUnusable", ""),
        StartStage::Limit => (
            "LimitNotPermitted",
            "; declare a lower limit: root may go as far as the kernel's fs.nr_open, and others as far as their own",
        ),
        StartStage::User => {
            ("UserNotPermitted", "; an agent that is not root can start processes of its own user only")
        }
        StartStage::Workdir => ("WorkdirUnusable", "; create the folder, or declare another workdir"),
        StartStage::NoCommand => {
            ("CommandNotFound", "; install it, or name it by its path: only the PATH of its env is searched")
        }
        StartStage::Command => {
            ("CommandNotStarted", "; is it a program for this device, and may its user run it?")
        }
    };
    Failure::passing(reason, format!("{message}{remedy}"))
}

/// It ended and is not to be started again.
pub(super) fn ended(how: &str) -> Failure {
    Failure::lasting(
        "Exited",
        format!("{how}, and its restart policy is Never; change what is declared to start it again"),
    )
}

/// It ends again and again.
pub(super) fn crash_loop(how: &str, crashes: u64, left: Duration) -> Failure {
    let count = match crashes {
        1 => String::new(),
        crashes => format!(", for the {} time in a row", ordinal(crashes)),
    };
    Failure {
        reason: "CrashLoopBackOff".into(),
        message: format!(
            "{how}{count}; it is started again after a pause; `harmony-agent logs` shows what it printed"
        ),
        retry: Retry::After { delay: left, attempts: crashes },
        details: serde_json::Value::Null,
    }
}

fn ordinal(number: u64) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}
