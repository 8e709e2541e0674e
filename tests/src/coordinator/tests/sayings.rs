//! What statuses and heartbeats say.

use agent_model::status::{ConditionStatus, ResourceState, Summary};

use super::*;

fn is_false(verdict: Option<Verdict>) -> bool {
    matches!(verdict, Some(Verdict::FalseStatus { .. }))
}

/// What is said of a status that differs like this from a right one, of a device that has what it should.
fn misworded(change: impl FnOnce(&mut AgentStatus)) -> Option<Verdict> {
    let mut status = status(&document(1, "one"), ("a", 1, 1));
    change(&mut status);
    judged([wrote(1, "one"), says(status, Some("one"))])
}

#[test]
fn what_was_altered_by_hand_is_no_fault_of_the_device() {
    let one = document(1, "one");
    let events = [
        wrote(1, "one"),
        saw(Some("one")),
        altered(),
        saw(Some("by hand 1")),
        said(&one, 1, Some("by hand 1")),
        altered(),
        saw(None),
        said(&one, 2, None),
    ];
    assert_eq!(judged(events), None);
}

#[test]
fn what_was_altered_by_hand_is_no_excuse_once_a_repair_was_seen() {
    let again = |holds| {
        [wrote(1, "one"), altered(), saw(None), saw(Some("one")), said(&document(1, "one"), 1, holds)]
    };
    assert_eq!(judged(again(Some("one"))), None);
    for holds in [None, Some("by hand 1")] {
        assert!(is_false(judged(again(holds))), "{holds:?}");
    }
}

#[test]
fn what_somebody_left_there_may_come_back_when_it_is_declared_no_longer() {
    let nothing = Document { declares: [].into(), names: [].into(), ..document(2, "") };
    let mut status = status(&nothing, ("a", 1, 1));
    (status.summary, status.resources) = (Summary::default(), Vec::new());
    let events =
        |holds| [wrote(1, "one"), Event::Wrote(0, nothing.clone()), says(status.clone(), Some(holds))];
    assert_eq!(judged(events("by hand 1")), None);
    assert!(is_false(judged(events("one"))), "it is not removed yet");
}

#[test]
fn a_status_that_is_sent_before_its_file_is_written_is_found_however_soon_that_is_there() {
    let two = document(2, "two");
    let events = |holds| {
        let stored = told(&two, ("a", 1, 1));
        [wrote(1, "one"), wrote(2, "two"), saw(Some("one")), said(&two, 1, holds), saw(Some("two")), stored]
    };
    assert_eq!(judged(events(Some("two"))), None);
    for holds in [Some("one"), None] {
        assert!(is_false(judged(events(holds))), "{holds:?}");
    }
}

#[test]
fn a_status_may_be_sent_after_the_next_document_was_applied() {
    assert_eq!(judged([wrote(1, "one"), wrote(2, "two"), said(&document(1, "one"), 1, Some("two"))]), None);
}

#[test]
fn a_resource_that_is_ready_must_be_there_though_the_device_has_not_converged() {
    let two = document(2, "two");
    let mut converging = status(&two, ("a", 1, 1));
    converging.phase = Phase::Converging;
    converging.conditions[1].status = ConditionStatus::False;
    let events =
        |status: &AgentStatus, holds| [wrote(1, "one"), wrote(2, "two"), says(status.clone(), Some(holds))];
    assert_eq!(judged(events(&converging, "two")), None);
    assert!(is_false(judged(events(&converging, "one"))));

    converging.resources[0].state = ResourceState::Applying;
    converging.summary = Summary { total: 1, ready: 0, failed: 0, pending: 1 };
    assert_eq!(judged(events(&converging, "one")), None);
}

#[test]
fn a_process_that_is_ready_must_run_unless_a_newer_document_has_another_one() {
    const P: &str = "Process p";
    let of = |generation, content: &str| Document {
        declares: [(P.to_owned(), content.to_owned())].into(),
        names: [("a".to_owned(), P.to_owned())].into(),
        ..document(generation, content)
    };
    let converged = |newer: &Document, runs: Option<&str>| {
        let contents = Some([(P.to_owned(), runs.map(str::to_owned))].into());
        let (about, status) = (Some(Body::original(0)), status(&of(1, "one"), ("a", 1, 1)));
        let said = Event::Said(Box::new(Said { device: 0, about, status, contents }));
        judged([Event::Wrote(0, of(1, "one")), Event::Wrote(0, newer.clone()), said])
    };
    assert_eq!(converged(&of(2, "one"), Some("one")), None);
    assert_eq!(converged(&of(2, "two"), None), None, "the one stops before the other starts");
    assert!(is_false(converged(&of(2, "one"), None)));
    assert!(is_false(converged(&of(2, "two"), Some("none of them"))));
}

#[test]
fn counts_that_are_not_those_of_the_resources_are_found() {
    assert_eq!(misworded(|_| ()), None);
    let counts = |total, ready, failed, pending| Summary { total, ready, failed, pending };
    for summary in [counts(2, 2, 0, 0), counts(1, 0, 1, 0), counts(1, 1, 1, 0), counts(0, 0, 0, 0)] {
        assert!(is_false(misworded(|status| status.summary = summary)), "{summary:?}");
    }
    let cut = |status: &mut AgentStatus| (status.truncated, status.resources) = (true, Vec::new());
    assert_eq!(misworded(cut), None, "only the summary tells of all");
}

#[test]
fn converged_with_less_than_what_is_declared_is_found() {
    let with_nothing = |status: &mut AgentStatus| {
        (status.summary, status.resources) = (Summary::default(), Vec::new());
    };
    assert!(is_false(misworded(with_nothing)));
    let with_a_failure = |status: &mut AgentStatus| {
        status.summary = Summary { total: 1, ready: 0, failed: 1, pending: 0 };
        status.resources[0].state = ResourceState::Failed;
    };
    assert!(is_false(misworded(with_a_failure)));
    assert!(is_false(misworded(|status| status.conditions[1].status = ConditionStatus::False)));
    assert!(is_false(misworded(|status| status.applied = None)));
    assert!(is_false(misworded(|status| status.accepted = None)));
    assert!(is_false(misworded(|status| status.resources[0].name = "b".to_owned())));
}

#[test]
fn a_bad_document_in_force_is_found_though_nothing_more_is_claimed() {
    let mut converging = status(&document(2, "bad"), ("a", 1, 1));
    converging.phase = Phase::Converging;
    converging.conditions[1].status = ConditionStatus::False;
    (converging.summary, converging.resources) = (Summary::default(), Vec::new());
    let wrote_it = |acceptable| Event::Wrote(0, Document { acceptable, ..document(2, "bad") });
    let events = |acceptable| [wrote(1, "one"), wrote_it(acceptable), says(converging.clone(), Some("one"))];
    assert_eq!(judged(events(true)), None);
    assert!(is_false(judged(events(false))));
}

#[test]
fn a_device_that_says_to_have_gone_back_is_found() {
    let (one, two) = (document(1, "one"), document(2, "two"));
    let events = |between| {
        [wrote(1, "one"), wrote(2, "two"), told(&two, ("a", 1, 1)), between, told(&one, ("a", 1, 2))]
    };
    assert!(is_false(judged(events(saw(Some("two"))))));
    assert_eq!(judged(events(Event::StoreReplaced)), None, "the store had an older status");
}

#[test]
fn a_heartbeat_that_says_converged_must_be_true_of_one_who_has_the_name() {
    let beats = |heartbeat: Heartbeat, contents: &[Option<&str>]| {
        let contents = contents.iter().enumerate();
        let contents =
            contents.map(|(copy, content)| (Body { device: 0, copy }, holding(*content))).collect();
        let beat = Event::Beat(Box::new(Beat { device: 0, heartbeat, contents }));
        judged([wrote(1, "one"), wrote(2, "two"), altered(), saw(Some("one")), beat])
    };
    let converged = |generation| heartbeat(1, generation, Phase::Converged);
    assert_eq!(beats(converged(Some(1)), &[Some("one")]), None);
    assert_eq!(beats(converged(Some(1)), &[Some("two")]), None, "the next document is there already");
    assert_eq!(beats(converged(Some(2)), &[Some("one"), Some("two")]), None, "it is the clone's");
    assert_eq!(beats(heartbeat(1, Some(2), Phase::Converging), &[Some("one")]), None);
    assert_eq!(beats(heartbeat(1, None, Phase::Unassigned), &[None]), None);
    assert!(is_false(beats(converged(Some(2)), &[Some("one"), None])));
    assert!(is_false(beats(converged(None), &[None])));
    assert!(is_false(beats(heartbeat(1, Some(3), Phase::Converging), &[None])), "nobody wrote that");
}
