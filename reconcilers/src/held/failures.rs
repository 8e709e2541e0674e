//! What can go wrong with anything that a shim holds, in words for the status.

use std::fmt::Display;

use agent_model::{Failure, with_causes};
use process_shim::{StartFailure, StartStage};

pub(crate) fn interrupted(error: &impl Display) -> Failure {
    Failure::passing("Interrupted", format!("the work on processes was interrupted: {error}"))
}

pub(crate) fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::lasting(
        "RecordUnreadable",
        format!(
            "{}; what it holds is left alone: stop its shim by hand and remove the file",
            with_causes(error)
        ),
    )
}

pub(crate) use crate::refused_by_disk::failure as io;

pub(crate) fn unknown(what: &str, name: &str) -> Failure {
    let reason = if what == "user" { "UnknownUser" } else { "UnknownGroup" };
    Failure::passing(reason, format!("this device has no {what} {name:?}; create it, or declare another one"))
}

pub(crate) fn lookup(what: &str, name: &str, error: &impl Display) -> Failure {
    Failure::passing("LookupFailed", format!("cannot look up the {what} {name:?}: {error}"))
}

pub(crate) fn not_spawned(shim: &std::path::Path, error: &std::io::Error) -> Failure {
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

/// The reason of a shim that did not answer: whether it has started anything is not known.
pub(crate) const SHIM_SILENT: &str = "ShimSilent";

pub(crate) fn shim_silent(error: &impl Display) -> Failure {
    Failure::passing(SHIM_SILENT, format!("its shim gave no answer: {error}"))
}

pub(crate) fn held() -> Failure {
    Failure::passing("ShimHeld", "a shim holds its folder already")
}

pub(crate) fn control_group(error: &impl Display) -> Failure {
    Failure::passing("ControlGroupUnusable", format!("its limits cannot be set: {error}"))
}

pub(crate) fn left_behind(count: usize) -> Failure {
    Failure::passing("LeftBehind", format!("{count} processes that it left behind do not end"))
}

/// What a shim answered instead of starting it.
pub(crate) fn not_started(failure: StartFailure) -> Failure {
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
