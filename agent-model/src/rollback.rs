//! What documents of every format say about going back to the last document that converged.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    quantity::{self, duration_text},
    reader::{Field, Findings},
};

/// The key of a spec under which it stands.
pub const ROLLBACK: &str = "rollback";

/// How long a document may take when it does not say; as a Deployment's `progressDeadlineSeconds` in Kubernetes.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(600);
/// A device that is not through by then will not be by waiting, and much less than a second nothing takes.
const DEADLINE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Where a device goes when not all of a document is ready in time.
#[derive(Clone, Copy)]
enum OnFailure {
    Previous,
    None,
}

impl OnFailure {
    const ALL: [Self; 2] = [Self::Previous, Self::None];

    fn as_str(self) -> &'static str {
        match self {
            Self::Previous => "Previous",
            Self::None => "None",
        }
    }
}

/// Reads by when all must be ready, else the device goes back; `None` where it is never to go back.
pub fn read_rollback(field: Field<'_>, findings: &mut Findings) -> Option<Duration> {
    field.object(findings, |fields| {
        let word = |field: Field<'_>, findings: &mut Findings| {
            field.word("way to go on", &OnFailure::ALL, OnFailure::as_str, findings)
        };
        let on_failure = fields.optional("onFailure", word).unwrap_or(OnFailure::Previous);
        let deadline = fields.optional("deadline", quantity::duration(DEADLINE)).unwrap_or(DEFAULT_DEADLINE);
        match on_failure {
            OnFailure::Previous => Some(deadline),
            OnFailure::None => None,
        }
    })
}

/// A deadline as documents write it.
pub fn written_deadline(deadline: Duration) -> String {
    duration_text(deadline)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::UnknownKeys;

    fn read(value: &Value) -> Result<Option<Duration>, Vec<String>> {
        let mut findings = Findings::new(UnknownKeys::AreProblems);
        let deadline = read_rollback(Field { value, pointer: String::new() }, &mut findings);
        let (problems, _) = findings.into_parts();
        if problems.is_empty() {
            Ok(deadline)
        } else {
            Err(problems.iter().map(ToString::to_string).collect())
        }
    }

    #[test]
    fn what_is_left_out_is_to_go_back_after_ten_minutes() {
        let after = |seconds| Ok(Some(Duration::from_secs(seconds)));
        assert_eq!(read(&json!({})), after(600));
        assert_eq!(read(&json!({"onFailure": null, "deadline": null})), after(600));
        assert_eq!(read(&json!({"onFailure": "Previous"})), after(600));
        assert_eq!(read(&json!({"deadline": "1m 30s"})), after(90));
    }

    #[test]
    fn none_is_never_to_go_back_whatever_the_deadline() {
        assert_eq!(read(&json!({"onFailure": "None"})), Ok(None));
        assert_eq!(read(&json!({"onFailure": "None", "deadline": "30s"})), Ok(None));
    }

    #[test]
    fn a_deadline_is_a_second_to_a_day() {
        for deadline in ["1s", "1000ms", "24h"] {
            assert!(read(&json!({"deadline": deadline})).is_ok(), "{deadline}");
        }
        for deadline in [json!("0s"), json!("999ms"), json!("24h 1ms"), json!("soon"), json!(30), json!("")] {
            let problems = read(&json!({"onFailure": "None", "deadline": deadline.clone()})).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].starts_with("/deadline: "),
                "{deadline}: {problems:?}"
            );
        }
    }

    #[test]
    fn what_it_does_not_know_is_told_with_what_it_knows() {
        assert_eq!(
            read(&json!({"onFailure": "previous", "dedline": "1m"})).unwrap_err(),
            [
                "/onFailure: \"previous\" is no way to go on; did you mean \"Previous\"?",
                "/dedline: unknown key \"dedline\"; did you mean \"deadline\"?"
            ]
        );
        assert_eq!(read(&json!("Previous")).unwrap_err(), ["/: expected an object, found a string"]);
    }

    #[test]
    fn a_deadline_is_written_so_that_it_is_read_as_the_same() {
        for seconds in [1, 59, 60, 90, 600, 3601, 86_400] {
            let deadline = Duration::from_secs(seconds);
            assert_eq!(read(&json!({"deadline": written_deadline(deadline)})), Ok(Some(deadline)));
        }
    }
}
