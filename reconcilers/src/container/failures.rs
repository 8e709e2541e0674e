//! What can go wrong with a container, in words for the status.

use std::fmt::Display;

use agent_model::{Failure, Retry, TargetPath};
use serde_json::Value;

use crate::mounted_path::Unmountable;

/// Longest text of others in a message, in characters: that of a runtime or a registry may be of any length.
const LONGEST: usize = 400;

/// The reason of all for which there is no space.
pub(super) const NO_SPACE: &str = "NoSpace";

/// The reason of all whose name something else has.
pub(super) const NAME_IS_TAKEN: &str = "NameTaken";

/// The text of others as one short line.
pub(super) fn quoted(text: &str) -> String {
    let printable = text.trim().chars().map(|character| if character.is_control() { ' ' } else { character });
    let mut quoted: String = printable.take(LONGEST).collect();
    if text.trim().chars().count() > LONGEST {
        quoted.push('…');
    }
    quoted
}

pub(super) fn wrong_claim() -> Failure {
    Failure::lasting("WrongKind", "this claim is no container; this is a defect")
}

pub(super) fn interrupted(error: &impl Display) -> Failure {
    Failure::passing("Interrupted", format!("the work on containers was interrupted: {error}"))
}

pub(super) fn no_runtime(tried: &[String]) -> Failure {
    Failure::passing(
        "RuntimeUnavailable",
        format!(
            "no container runtime is reached at {}; install podman or docker and start its socket \
             (systemctl enable --now podman.socket), or set container_socket",
            tried.join(", ")
        ),
    )
}

pub(super) fn unavailable(socket: &std::path::Display<'_>, error: &impl Display) -> Failure {
    Failure::passing(
        "RuntimeUnavailable",
        format!("the container runtime at {socket} gives no answer: {}", quoted(&error.to_string())),
    )
}

/// What the runtime answered instead of doing it.
pub(super) fn refused_by_runtime(what: &str, message: &str) -> Failure {
    Failure::passing("RuntimeFailed", format!("the runtime does not {what}: {}", quoted(message)))
}

pub(super) fn not_started(message: &str) -> Failure {
    Failure::passing("NotStarted", format!("it does not start: {}", quoted(message)))
}

pub(super) fn port_taken(message: &str) -> Failure {
    Failure::passing(
        "PortTaken",
        format!(
            "a port of the device that it is to have is taken: {}; free it, or declare another one",
            quoted(message)
        ),
    )
}

pub(super) fn not_created(message: &str) -> Failure {
    Failure::passing("NotCreated", format!("the runtime does not create it: {}", quoted(message)))
}

pub(super) fn name_taken(who: &str) -> Failure {
    Failure::passing(
        NAME_IS_TAKEN,
        format!(
            "its name is taken by {}, which this agent did not make and leaves alone; rename or remove that, or rename this resource",
            quoted(who)
        ),
    )
}

pub(super) fn image_not_present(reference: &str) -> Failure {
    Failure::passing(
        "ImageNotPresent",
        format!(
            "this device has no image {reference}, and pullPolicy Never forbids to pull it; load it, or declare another pullPolicy"
        ),
    )
}

pub(super) fn no_space(folder: &impl Display, free: u64, needed: u64) -> Failure {
    Failure::passing(
        NO_SPACE,
        format!(
            "{} MiB are free where the runtime keeps images and containers ({folder}), and {} MiB are needed; free some space",
            free >> 20,
            needed >> 20
        ),
    )
}

/// There was space when it was looked at, and then there was not enough.
pub(super) fn ran_out_of_space(what: &str, message: &str) -> Failure {
    Failure::passing(
        NO_SPACE,
        format!(
            "the runtime had no space left to {what} it: {}; free some space where it keeps containers",
            quoted(message)
        ),
    )
}

pub(super) fn unmountable(path: &TargetPath, why: Unmountable) -> Failure {
    match why {
        Unmountable::Unreachable(at, error) => Failure::passing(
            "MountMissing",
            format!(
                "{path} cannot be mounted: {}: {error}; it must exist, for example by a File that it depends on",
                at.display()
            ),
        ),
        Unmountable::Replaceable(at) => mount_unsafe(
            path,
            &format_args!(
                "others than root and the agent's user could lead it elsewhere at {}: name the folder that is theirs, or \
                 change its owner and mode",
                at.display()
            ),
        ),
        Unmountable::TooManyLinks => mount_unsafe(path, &"its links do not come to an end"),
        Unmountable::Own(own) => Failure::lasting(
            "PolicyDenied",
            format!("{path} leads to {}, which is the agent's own and can be in no container", own.display()),
        ),
    }
}

pub(super) fn mount_unsafe(path: &impl Display, why: &impl Display) -> Failure {
    Failure::passing("UnsafePath", format!("{path} is not mounted: {why}"))
}

pub(super) fn device_missing(path: &impl Display, why: &impl Display) -> Failure {
    Failure::passing("DeviceMissing", format!("{path} cannot be used: {why}"))
}

/// It replaced a working container and ended before it was ready.
pub(super) fn did_not_last(how: &str) -> Failure {
    Failure::lasting("NotStarted", format!("{how}, before it was ready"))
}

/// It replaced a working container, did not start, and is not tried again.
pub(super) fn refused(reason: &str, message: &str) -> Failure {
    Failure {
        reason: reason.to_owned().into(),
        message: format!(
            "{message}; the container before it was brought back, and this is not tried again until its declaration or its image changes"
        ),
        retry: Retry::WhenSomethingChanges,
        details: Value::Null,
    }
}
