//! What can go wrong with a unit, in words for the status.

use std::{fmt::Display, path::Path, time::Duration};

use agent_model::{Failure, Retry, UnitName};
use serde_json::Value;

use super::systemd::words;

/// Where there is nobody to ask.
const RUNTIME_UNAVAILABLE: &str = "RuntimeUnavailable";
/// Longest words of systemd that are told, in bytes.
const MAX_WORDS: usize = 1500;

pub(super) fn wrong_claim() -> Failure {
    Failure::lasting("WrongKind", "this claim is no unit; this is a defect")
}

pub(super) fn interrupted(error: &impl Display) -> Failure {
    Failure::passing("Interrupted", format!("the work on units was interrupted: {error}"))
}

pub(super) fn not_booted() -> Failure {
    Failure::passing(
        RUNTIME_UNAVAILABLE,
        "this device was not booted with systemd (there is no /run/systemd/system), so it has no units",
    )
}

pub(super) fn no_bus(error: &zbus::Error) -> Failure {
    let message =
        format!("systemd cannot be reached over the system bus: {}; is dbus running?", words(error));
    Failure::passing(RUNTIME_UNAVAILABLE, message)
}

pub(super) fn no_systemd(error: &zbus::Error) -> Failure {
    Failure::passing(
        RUNTIME_UNAVAILABLE,
        format!("systemd does not answer on the system bus: {}", words(error)),
    )
}

pub(super) fn call(what: &str, unit: &str, error: &zbus::Error) -> Failure {
    if super::systemd::is_lost(error) {
        return no_bus(error);
    }
    Failure::passing(
        "SystemdRefused",
        format!("systemd does not {what} {unit}: {}", shortened(&words(error))),
    )
}

pub(super) fn job_refused(unit: &UnitName, error: &zbus::Error) -> Failure {
    call("do what it was asked about", unit.as_str(), error)
}

pub(super) fn not_reloaded(error: &zbus::Error) -> Failure {
    call("read its units again, among them", "those of this document", error)
}

pub(super) use crate::refused_by_disk::failure as io;

pub(super) fn not_regular_file(path: &str, what: &str) -> Failure {
    Failure::lasting(
        "NotRegularFile",
        format!("{path} is {what} and is left alone; remove it on the device, or declare another unit"),
    )
}

pub(super) fn original_too_large(path: &str, size: u64) -> Failure {
    Failure::lasting(
        "OriginalTooLarge",
        format!(
            "{path} has {size} bytes, which is too much to be kept until it comes back; remove it on the device"
        ),
    )
}

pub(super) fn original_lost(path: &str) -> Failure {
    Failure::lasting(
        "OriginalLost",
        format!(
            "what {path} was before is not kept any more; put there by hand what should be there, or remove it"
        ),
    )
}

pub(super) fn changed_meanwhile(path: &Path) -> Failure {
    Failure::passing("ChangedMeanwhile", format!("{} was changed while it was looked at", path.display()))
}

pub(super) fn masked(unit: &str) -> Failure {
    Failure::lasting(
        "UnitMasked",
        format!(
            "{unit} is masked on this device, so nothing may start it; `systemctl unmask {unit}` there allows it again"
        ),
    )
}

pub(super) fn not_found(unit: &str) -> Failure {
    Failure::passing(
        "UnitNotFound",
        format!("this device has no unit {unit}; install what brings it, or declare its content"),
    )
}

pub(super) fn agents_own(unit: &str) -> Failure {
    Failure::lasting(
        "PolicyDenied",
        format!("{unit} is the agent's own unit, or one that it cannot do without; no document can have it"),
    )
}

pub(super) fn nothing_to_enable(unit: &str, state: &str) -> Failure {
    Failure::lasting(
        "NothingToEnable",
        format!(
            "{unit} cannot be enabled: systemd calls it {state}; give it an [Install] section, for example with \
             WantedBy=multi-user.target, or leave \"enabled\" out"
        ),
    )
}

/// systemd reads the unit and refuses what it says.
pub(super) fn refused(unit: &str, said: &str) -> Failure {
    Failure::passing("UnitRefused", format!("systemd refuses {unit}: {}", shortened(said)))
}

/// It ended and is started again after a pause.
pub(super) fn ended(unit: &str, how: &str, tries: u64, left: Duration) -> Failure {
    Failure {
        reason: "UnitFailed".into(),
        message: format!(
            "{unit} {how}; it is started again after a pause; `journalctl -u {unit}` shows what it said"
        ),
        retry: Retry::After { delay: left, attempts: tries },
        details: Value::Null,
    }
}

/// systemd starts it again and again by itself.
pub(super) fn restarting(unit: &str, result: &str, restarts: u64) -> Failure {
    Failure::lasting(
        "UnitRestarting",
        format!(
            "{unit} ended with {result}, and systemd is about to start it again (NRestarts {restarts}); \
             `journalctl -u {unit}` shows what it said"
        ),
    )
}

fn shortened(said: &str) -> &str {
    &said[..said.floor_char_boundary(MAX_WORDS)]
}
