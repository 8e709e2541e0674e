//! Devices at rest.

use agent_model::status::{ConditionStatus, Heartbeat};

use super::{super::rest::AtRest, *};

/// A device at rest: generation 1 is in force, of the documents 1 and, where it is given, 2.
struct Rest {
    second: Option<Document>,
    last: Document,
    floor: u64,
    status: AgentStatus,
    heartbeat: Option<Heartbeat>,
    contents: Contents,
}

impl Rest {
    fn good() -> Self {
        let one = document(1, "one");
        Self {
            second: None,
            floor: 1,
            status: status(&one, ("a", 1, 1)),
            heartbeat: Some(heartbeat(1, Some(1), Phase::Converged)),
            contents: holding(Some("one")),
            last: one,
        }
    }

    fn judged(&self) -> Result<(), Verdict> {
        let mut documents = Documents::default();
        documents.note(&wrote(1, "one"));
        self.second.iter().for_each(|second| documents.note(&Event::Wrote(0, second.clone())));
        let entry = Some(LastEntry { revision: 7, digest: self.last.digest });
        let Self { floor, status, heartbeat, contents, .. } = self;
        let (floor, status, heartbeat) = (*floor, Some(status), heartbeat.as_ref());
        AtRest { device: 0, entry, floor, status, heartbeat, contents }.judge(&documents)
    }
}

#[test]
fn a_device_at_rest_that_has_what_it_should_and_says_so_is_right() {
    assert_eq!(Rest::good().judged(), Ok(()));
}

#[test]
fn a_last_document_that_is_not_in_force_is_lost() {
    let two = document(2, "two");
    let lost = Rest { second: Some(two.clone()), last: two, ..Rest::good() };
    assert!(matches!(lost.judged(), Err(Verdict::LostDocument { .. })));
}

#[test]
fn a_last_entry_that_was_never_seen_is_lost_though_it_is_bad() {
    let mut unseen = Rest::good();
    unseen.status.desired.as_mut().unwrap().revision = 6;
    assert!(matches!(unseen.judged(), Err(Verdict::LostDocument { .. })));
}

#[test]
fn a_document_that_was_in_force_is_lost_with_it() {
    assert!(matches!(Rest { floor: 2, ..Rest::good() }.judged(), Err(Verdict::LostDocument { .. })));
}

#[test]
fn a_bad_last_document_must_be_refused_and_change_nothing() {
    let bad = Document { acceptable: false, ..document(2, "bad") };
    let mut refused = Rest { second: Some(bad.clone()), last: bad, ..Rest::good() };
    assert!(matches!(refused.judged(), Err(Verdict::FalseStatus { .. })), "it is said to be accepted");
    refused.status.conditions[0].status = ConditionStatus::False;
    assert_eq!(refused.judged(), Ok(()));
}

#[test]
fn a_file_that_differs_by_one_byte_makes_the_status_a_lie() {
    let contents = holding(Some("onE"));
    assert!(matches!(Rest { contents, ..Rest::good() }.judged(), Err(Verdict::FalseStatus { .. })));
}

#[test]
fn a_device_that_converged_and_does_not_say_so_is_found() {
    let mut silent = Rest::good();
    silent.status.phase = Phase::Converging;
    assert!(matches!(silent.judged(), Err(Verdict::FalseStatus { .. })));
}

#[test]
fn a_heartbeat_that_says_less_than_the_status_or_something_else_is_found() {
    for heartbeat in [
        None,
        Some(heartbeat(1, Some(1), Phase::Converging)),
        Some(heartbeat(1, None, Phase::Converged)),
        Some(heartbeat(2, Some(1), Phase::Converged)),
    ] {
        let found = Rest { heartbeat: heartbeat.clone(), ..Rest::good() }.judged();
        assert!(matches!(found, Err(Verdict::FalseStatus { .. })), "{heartbeat:?}: {found:?}");
    }
}
