//! What can go wrong with a process, in words for the status.

use std::time::Duration;

use agent_model::{Failure, Retry};

pub(super) use crate::held::failures::*;

pub(super) fn wrong_claim() -> Failure {
    Failure::lasting("WrongKind", "this claim is no process; this is a defect")
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
