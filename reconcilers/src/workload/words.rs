//! What is said alike of all that runs, for the status.

use std::time::Duration;

use agent_model::{Failure, Retry};
use serde_json::Value;

/// Limits that this device's policy does not let it run without.
pub(crate) fn limits_refused(unenforced: &[String]) -> Failure {
    Failure::lasting(
        "PolicyDenied",
        format!(
            "limits that cannot be enforced here: {}; unenforceableLimits = \"Refused\" in this device's policy forbids to \
             run it without them",
            unenforced.join(", ")
        ),
    )
}

/// It runs without these limits; empty where there are none.
pub(crate) fn not_enforced(limits: &[String]) -> String {
    match limits {
        [] => String::new(),
        limits => format!("not enforced on this device: {}", limits.join("; ")),
    }
}

/// It ended and is not to be started again.
pub(crate) fn ended(how: &str) -> Failure {
    Failure::lasting(
        "Exited",
        format!("{how}, and its restart policy is Never; change what is declared to start it again"),
    )
}

/// It ends again and again; `output` says where there is what it printed.
pub(crate) fn crash_loop(how: &str, crashes: u64, left: Duration, output: &str) -> Failure {
    let count = match crashes {
        1 => String::new(),
        crashes => format!(", {crashes} times in a row"),
    };
    Failure {
        reason: "CrashLoopBackOff".into(),
        message: format!("{how}{count}; it is started again after a pause; {output}"),
        retry: Retry::After { delay: left, attempts: crashes },
        details: Value::Null,
    }
}

/// How long it ran: milliseconds are enough, and beyond ten seconds seconds are.
pub(crate) fn rounded(duration: Duration) -> Duration {
    match duration.as_secs() {
        0..10 => Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX)),
        seconds => Duration::from_secs(seconds),
    }
}
