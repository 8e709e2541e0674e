//! Histories that must be found guilty, and those next to them that must not.

use std::time::Duration;

use agent_model::{
    Digest,
    status::{AgentStatus, ConditionStatus, Phase},
};
use process_shim::ProcessIdentity;
use serde_json::json;

use super::{rest::AtRest, *};

const A: &str = "/etc/a";

fn document(generation: u64, content: &str) -> Document {
    let digest = Digest::of_bytes(format!("{generation} {content}").as_bytes());
    let declares = [(A.to_owned(), content.to_owned())].into();
    Document { generation, digest, acceptable: true, declares }
}

fn wrote(generation: u64, content: &str) -> Event {
    Event::Wrote(0, document(generation, content))
}

fn saw(content: Option<&str>) -> Event {
    Event::Saw { body: Body::original(0), claim: A.to_owned(), content: content.map(str::to_owned) }
}

/// The status of a device with that document in force, whose file holds that.
fn status(in_force: &Document, writer: (&str, u64, u64)) -> AgentStatus {
    let (instance, epoch, op) = writer;
    let document = json!({
        "generation": in_force.generation, "digest": in_force.digest, "kind": "AgentManifest",
        "schemaVersion": "1.0.0", "at": "2026-01-31T12:00:00Z", "revision": 7
    });
    let condition = |name: &str, reason: &str| {
        json!({
            "type": name, "status": "True", "reason": reason, "message": "", "observedGeneration": null,
            "lastTransitionTime": "2026-01-31T12:00:00Z"
        })
    };
    serde_json::from_value(json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "edge-0",
        "writer": {"instance": instance, "epoch": epoch, "op": op},
        "phase": "Converged", "desired": document, "highestGeneration": in_force.generation,
        "accepted": document, "applied": document,
        "conditions": [condition("Accepted", "Accepted"), condition("Converged", "AllReady")],
        "summary": {"total": 1, "ready": 1, "failed": 0, "pending": 0}, "resources": [],
        "agentInfo": {
            "version": "", "formats": {}, "scores": [], "reconcilers": [],
            "facts": {"os": "", "arch": "", "hostname": ""}, "bootId": null, "startedAt": "2026-01-31T12:00:00Z"
        }
    }))
    .unwrap()
}

fn told(in_force: &Document, writer: (&str, u64, u64), holds: Option<&str>) -> Event {
    Event::Told(Box::new(Told {
        device: 0,
        about: Some(Body::original(0)),
        revision: 1,
        status: status(in_force, writer),
        disk: [(A.to_owned(), holds.map(str::to_owned))].into(),
    }))
}

/// What the coordinator says of events that come one second after the other.
fn judged(events: impl IntoIterator<Item = Event>) -> Option<Verdict> {
    let mut coordinator = Coordinator::default();
    for (at, event) in (0..).map(Duration::from_secs).zip(events) {
        coordinator.take(Record { at, event });
    }
    coordinator.verdict
}

#[test]
fn a_newer_document_after_an_older_one_is_as_it_should_be() {
    let events = [wrote(1, "one"), saw(Some("one")), wrote(2, "two"), saw(None), saw(Some("two"))];
    assert_eq!(judged(events), None);
}

#[test]
fn an_older_document_over_a_newer_one_is_found_even_after_nothing_was_there() {
    let events = [wrote(1, "one"), wrote(2, "two"), saw(Some("two")), saw(None), saw(Some("one"))];
    assert!(matches!(judged(events), Some(Verdict::OlderOverNewer { .. })));
}

#[test]
fn the_second_of_two_documents_of_one_generation_is_found() {
    let events = [wrote(1, "one"), wrote(1, "other"), saw(Some("one")), saw(Some("other"))];
    assert!(matches!(judged(events), Some(Verdict::OlderOverNewer { .. })));
}

#[test]
fn a_generation_with_the_content_of_an_older_one_is_no_step_back() {
    let events = [wrote(1, "one"), wrote(2, "two"), saw(Some("one")), wrote(3, "two"), saw(Some("two"))];
    assert_eq!(judged(events), None);
}

#[test]
fn what_comes_of_a_bad_document_is_found() {
    let bad = Document { acceptable: false, ..document(2, "bad") };
    let events = [wrote(1, "one"), Event::Wrote(0, bad), saw(Some("bad"))];
    assert!(matches!(judged(events), Some(Verdict::NeverDeclared { .. })));
}

#[test]
fn half_a_file_is_found() {
    assert!(matches!(judged([wrote(1, "one"), saw(Some("on"))]), Some(Verdict::NeverDeclared { .. })));
}

#[test]
fn what_was_altered_by_hand_is_no_fault_of_the_device() {
    let altered = || Event::Altered(Body::original(0), A.to_owned());
    let converged = |op, holds| told(&document(1, "one"), ("a", 1, op), holds);
    let events = [
        wrote(1, "one"),
        saw(Some("one")),
        altered(),
        saw(Some("by hand 1")),
        converged(1, Some("by hand 1")),
        altered(),
        saw(None),
        converged(2, None),
    ];
    assert_eq!(judged(events), None);
}

#[test]
fn a_device_that_says_converged_and_holds_something_older_is_found() {
    let events = [wrote(1, "one"), wrote(2, "two"), told(&document(2, "two"), ("a", 1, 1), Some("one"))];
    assert!(matches!(judged(events), Some(Verdict::FalseStatus { .. })));
}

#[test]
fn a_device_that_says_converged_and_holds_nothing_is_found_once_a_repair_was_seen() {
    let one = document(1, "one");
    let events = [
        wrote(1, "one"),
        Event::Altered(Body::original(0), A.to_owned()),
        saw(None),
        saw(Some("one")),
        told(&one, ("a", 1, 1), None),
    ];
    assert!(matches!(judged(events), Some(Verdict::FalseStatus { .. })));
}

#[test]
fn a_status_may_be_heard_after_the_next_document_was_applied() {
    let events = [wrote(1, "one"), wrote(2, "two"), told(&document(1, "one"), ("a", 1, 1), Some("two"))];
    assert_eq!(judged(events), None);
}

#[test]
fn a_device_that_says_to_have_gone_back_is_found() {
    let (one, two) = (document(1, "one"), document(2, "two"));
    let events = |between| {
        [
            wrote(1, "one"),
            wrote(2, "two"),
            told(&two, ("a", 1, 1), Some("two")),
            between,
            told(&one, ("a", 1, 2), Some("two")),
        ]
    };
    assert!(matches!(judged(events(saw(Some("two")))), Some(Verdict::FalseStatus { .. })));
    assert_eq!(judged(events(Event::StoreReplaced)), None, "the store had an older status");
}

/// What is said of writers that follow one another: instance, epoch, op.
fn succession(writers: &[(&str, u64, u64)], before: Option<Event>) -> Option<Verdict> {
    let one = document(1, "one");
    let told = writers.iter().map(|writer| told(&one, *writer, Some("one")));
    judged([wrote(1, "one")].into_iter().chain(before).chain(told))
}

#[test]
fn each_writer_may_be_followed_by_one_of_a_higher_epoch() {
    assert_eq!(succession(&[("a", 1, 1), ("a", 1, 2), ("b", 2, 1), ("c", 4, 1)], None), None);
}

#[test]
fn a_second_writer_is_found() {
    for writers in [
        // Its epoch is over.
        [("a", 1, 1), ("b", 2, 1), ("a", 1, 2)],
        // It comes back with another one.
        [("a", 1, 1), ("b", 2, 1), ("a", 3, 2)],
        // It has the same.
        [("a", 1, 1), ("a", 1, 2), ("b", 1, 1)],
        // The same write is stored twice.
        [("a", 1, 1), ("a", 1, 2), ("a", 1, 2)],
    ] {
        let found = succession(&writers, None);
        assert!(matches!(found, Some(Verdict::SecondWriter { .. })), "{writers:?}: {found:?}");
    }
}

#[test]
fn two_that_claimed_the_same_may_follow_one_another_once_after_the_store_lost_a_claim() {
    let lost = || Some(Event::StoreReplaced);
    assert_eq!(succession(&[("a", 2, 1), ("b", 2, 1)], lost()), None);
    let taking_turns = succession(&[("a", 2, 1), ("b", 2, 1), ("a", 2, 2)], lost());
    assert!(matches!(taking_turns, Some(Verdict::SecondWriter { .. })));
}

/// What is said of so many requests a second, over a minute.
fn asking(per_second: u32, request: &Event, agents: usize) -> Option<Verdict> {
    let mut coordinator = Coordinator::default();
    let started = (0..agents).map(|copy| Event::Started(Body { device: 0, copy }));
    let asked = (0..per_second * 60).map(|_| request.clone());
    for (n, event) in (0..).zip(started.chain(asked)) {
        coordinator.take(Record { at: Duration::from_secs(1) * n / per_second, event });
    }
    coordinator.verdict
}

#[test]
fn a_device_that_goes_on_reading_or_writing_too_often_is_found() {
    for (request, bound) in [(Event::Reads(0, "desired-state"), 10), (Event::Writes(0), 4)] {
        assert_eq!(asking(bound, &request, 1), None, "{request}");
        assert_eq!(asking(bound * 2, &request, 2), None, "{request} of two");
        let found = asking(bound * 2, &request, 1);
        assert!(matches!(found, Some(Verdict::Unbounded { .. })), "{request}: {found:?}");
    }
}

#[test]
fn a_process_that_is_started_again_is_found_unless_it_was_declared_anew() {
    let holds = |content: &str, pid| Event::Holds {
        body: Body::original(0),
        claim: "Process held".to_owned(),
        content: content.to_owned(),
        process: ProcessIdentity { pid, start_time: 1 },
    };
    assert_eq!(judged([holds("1", 10), holds("1", 10), holds("2", 11)]), None);
    assert!(matches!(judged([holds("1", 10), holds("1", 11)]), Some(Verdict::Restarted { .. })));
}

/// A device at rest: generation 1 is in force, of the documents 1 and, where it is given, 2.
struct Rest {
    second: Option<Document>,
    last: Document,
    floor: u64,
    status: AgentStatus,
    contents: Contents,
}

impl Rest {
    fn good() -> Self {
        let one = document(1, "one");
        Self {
            second: None,
            floor: 1,
            status: status(&one, ("a", 1, 1)),
            contents: [(A.to_owned(), Some("one".to_owned()))].into(),
            last: one,
        }
    }

    fn judged(&self) -> Result<(), Verdict> {
        let mut documents = Documents::default();
        documents.note(&wrote(1, "one"));
        self.second.iter().for_each(|second| documents.note(&Event::Wrote(0, second.clone())));
        let entry = Some(LastEntry { revision: 7, digest: self.last.digest });
        let Self { floor, status, contents, .. } = self;
        AtRest { device: 0, entry, floor: *floor, status: Some(status), contents }.judge(&documents)
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
    let contents: Contents = [(A.to_owned(), Some("onE".to_owned()))].into();
    assert!(matches!(Rest { contents, ..Rest::good() }.judged(), Err(Verdict::FalseStatus { .. })));
}

#[test]
fn a_device_that_converged_and_does_not_say_so_is_found() {
    let mut silent = Rest::good();
    silent.status.phase = Phase::Converging;
    assert!(matches!(silent.judged(), Err(Verdict::FalseStatus { .. })));
}
