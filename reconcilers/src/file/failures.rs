//! The reasons and words of every failure of a `File`, in one place.

use std::{fmt::Display, io};

use agent_model::{Claim, Digest, Failure, TargetPath};
use rustix::io::Errno;

use super::{originals::MAX_ORIGINAL, record::Attributes};

/// The system refused: `doing` is a verb that `path` completes, as in "create".
pub(super) fn io(doing: &str, path: impl Display, error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    let (reason, advice) = match Errno::from_io_error(&error) {
        Some(Errno::ACCESS | Errno::PERM) => {
            ("PermissionDenied", "; give the agent's user the right to do so, or run the agent as root")
        }
        Some(Errno::NOSPC | Errno::DQUOT) => ("DiskFull", "; free some space there"),
        Some(Errno::ROFS) => ("ReadOnly", "; mount the file system writable"),
        _ => ("IoError", ""),
    };
    Failure::passing(reason, format!("cannot {doing} {path}: {error}{advice}"))
}

/// A target that is meant for another reconciler.
pub(super) fn wrong_kind(claim: &Claim) -> Failure {
    Failure::lasting("WrongKind", format!("{claim} is not the claim of a File; this is a defect"))
}

pub(super) fn not_regular_file(path: &TargetPath, what: &str) -> Failure {
    Failure::passing(
        "NotRegularFile",
        format!("{path} is {what} and is left alone; move it away, or declare another path"),
    )
}

/// The reason of [`not_a_directory`].
pub(super) const NOT_A_DIRECTORY: &str = "NotADirectory";

pub(super) fn not_a_directory(path: &str, what: &str) -> Failure {
    Failure::passing(
        NOT_A_DIRECTORY,
        format!("{path} is {what} where a folder is needed; move it away, or declare another path"),
    )
}

pub(super) fn unsafe_path(path: &str, why: &str) -> Failure {
    Failure::passing(
        "UnsafePath",
        format!(
            "{path} is a symbolic link that is not followed: {why}; replace it by a folder, or make link and \
             folder belong to root and writable by nobody else"
        ),
    )
}

pub(super) fn denied(path: impl Display) -> Failure {
    Failure::passing(
        "PolicyDenied",
        format!("{path} leads to the agent's own files, which no resource may alter; declare another path"),
    )
}

pub(super) fn same_file(path: &TargetPath, other: &TargetPath) -> Failure {
    Failure::passing(
        "Conflict",
        format!("{path} is the same file as {other} through a link; declare only one of them"),
    )
}

pub(super) fn in_the_way(path: &TargetPath) -> Failure {
    let temporary = path.temporary_name();
    Failure::passing(
        "InTheWay",
        format!(
            "the file for {path} is first written as {temporary} in the same folder, where something that is not \
             the agent's has that name; move it away"
        ),
    )
}

pub(super) fn original_too_large(path: &TargetPath, size: u64) -> Failure {
    Failure::passing(
        "OriginalTooLarge",
        format!(
            "{path} holds {size} bytes, and only {MAX_ORIGINAL} can be kept to be restored later, so it is left \
             alone; move it away first"
        ),
    )
}

pub(super) fn original_lost(path: &TargetPath, original: Digest) -> Failure {
    Failure::passing(
        "OriginalLost",
        format!(
            "what {path} replaced was kept as originals/{} in the agent's state folder and is missing or damaged \
             there, so the file is left alone; put the original back, or delete {path} to let go of it",
            original.hex()
        ),
    )
}

pub(super) fn sealing_key_lost(path: &TargetPath) -> Failure {
    Failure::passing(
        "SealingKeyLost",
        format!(
            "{path} is as large as the sealed content that was written there, and the key is not there by which it could \
             be told whether it is still the same, so it is left alone; put the device's former sealing.nk back, or \
             delete the file, or, where the device has another key by now, take all rights from group and others to \
             have it removed"
        ),
    )
}

/// Some file systems, and the kernel for some users, take away bits and say nothing.
pub(super) fn unless_held(path: &TargetPath, given: Attributes, held: Attributes) -> Result<(), Failure> {
    if given == held {
        return Ok(());
    }
    let words = |it: Attributes| format!("mode {} and owner {}:{}", it.mode, it.uid, it.gid);
    Err(Failure::passing(
        "AttributesNotHeld",
        format!(
            "this file system, or the agent's user, cannot give {path} {}: it became {}; declare that, run the \
             agent as root, or use another file system",
            words(given),
            words(held)
        ),
    ))
}

pub(super) fn unknown(kind: &'static str, name: &str) -> Failure {
    let reason = if kind == "user" { "UnknownUser" } else { "UnknownGroup" };
    Failure::passing(
        reason,
        format!("this device knows no {kind} {name:?}; create it, or declare another or a number"),
    )
}

pub(super) fn changed_meanwhile(path: &TargetPath) -> Failure {
    Failure::passing(
        "ChangedMeanwhile",
        format!("{path} was altered by someone else just now; it is looked at again before anything is done"),
    )
}

pub(super) fn parent_lost(path: &TargetPath) -> Failure {
    Failure::passing("ParentLost", format!("the folder of {path} vanished just now; it is looked at again"))
}

/// The thread that did the work is gone: the agent is stopping, or has a bug.
pub(super) fn interrupted(error: &tokio::task::JoinError) -> Failure {
    Failure::passing("Interrupted", format!("the work on files was interrupted: {error}; it is tried again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_model::{Mode, Retry};

    #[test]
    fn a_mode_or_owner_that_did_not_stay_is_named_with_what_became_of_it() {
        let of = |mode, uid| Attributes { mode: Mode::from_bits(mode), uid, gid: 0 };
        let path = "/f".parse().unwrap();
        assert_eq!(unless_held(&path, of(0o2755, 0), of(0o2755, 0)), Ok(()));
        for held in [of(0o755, 0), of(0o2755, 7)] {
            let failure = unless_held(&path, of(0o2755, 0), held).unwrap_err();
            assert_eq!(failure.reason, "AttributesNotHeld");
            let became = format!("it became mode {} and owner {}:0;", held.mode, held.uid);
            assert!(failure.message.contains(&became), "{}", failure.message);
        }
    }

    #[test]
    fn what_the_system_refused_has_a_reason_that_programs_can_tell_apart() {
        for (errno, reason) in [
            (Errno::ACCESS, "PermissionDenied"),
            (Errno::PERM, "PermissionDenied"),
            (Errno::NOSPC, "DiskFull"),
            (Errno::DQUOT, "DiskFull"),
            (Errno::ROFS, "ReadOnly"),
            (Errno::IO, "IoError"),
        ] {
            let failure = io("write", "/etc/app.conf", errno);
            assert_eq!((failure.reason.as_ref(), failure.retry), (reason, Retry::WithBackoff));
            assert!(failure.message.starts_with("cannot write /etc/app.conf: "), "{}", failure.message);
        }
    }
}
