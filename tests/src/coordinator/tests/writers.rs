//! Who writes.

use super::*;

fn is_second(verdict: &Option<Verdict>) -> bool {
    matches!(verdict, Some(Verdict::SecondWriter { .. }))
}

/// What is said of writers that follow one another: instance, epoch, op. `None`: the store is replaced.
fn succession(writers: &[Option<(&str, u64, u64)>]) -> Option<Verdict> {
    let one = document(1, "one");
    let told = writers.iter().map(|writer| writer.map_or(Event::StoreReplaced, |writer| told(&one, writer)));
    judged([wrote(1, "one")].into_iter().chain(told))
}

#[test]
fn each_writer_may_be_followed_by_one_of_a_higher_epoch() {
    assert_eq!(succession(&[("a", 1, 1), ("a", 1, 2), ("b", 2, 1), ("c", 4, 1)].map(Some)), None);
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
        let found = succession(&writers.map(Some));
        assert!(is_second(&found), "{writers:?}: {found:?}");
    }
}

#[test]
fn two_that_claimed_the_same_may_follow_one_another_once_after_the_store_lost_that_claim() {
    let lost = [Some(("a", 2, 1)), None];
    let then = |writers: &[(&str, u64, u64)]| {
        succession(&lost.into_iter().chain(writers.iter().copied().map(Some)).collect::<Vec<_>>())
    };
    assert_eq!(then(&[("b", 2, 1), ("a", 2, 2)]), None);
    assert_eq!(then(&[("a", 2, 2), ("b", 2, 1)]), None, "it had read before the first wrote again");
    assert!(is_second(&then(&[("b", 2, 1), ("a", 2, 2), ("b", 2, 2)])), "they take turns");
    assert!(is_second(&then(&[("b", 2, 1), ("a", 2, 2), ("c", 2, 1)])), "one claim was lost, not two");
    assert!(is_second(&then(&[("b", 3, 1), ("c", 3, 1)])), "it was another claim that was lost");
}

#[test]
fn a_claim_that_is_lost_of_one_device_excuses_no_other() {
    let of = |device, event| match event {
        Event::Told(told) => Event::Told(Box::new(Told { device, about: None, ..*told })),
        event => event,
    };
    let one = document(1, "one");
    let events = |device| {
        let wrote = [wrote(1, "one"), Event::Wrote(1, one.clone())];
        let claimed = [told(&one, ("a", 2, 1)), Event::StoreReplaced];
        let same = [told(&one, ("b", 2, 1)), told(&one, ("a", 2, 2))].map(|event| of(device, event));
        wrote.into_iter().chain(claimed).chain(same)
    };
    assert_eq!(judged(events(0)), None);
    assert!(is_second(&judged(events(1))));
}

#[test]
fn a_claim_that_was_only_sent_may_be_lost_too() {
    let one = document(1, "one");
    let sent = || says(status(&one, ("a", 2, 1)), Some("one"));
    let same = || [told(&one, ("b", 2, 1)), told(&one, ("a", 2, 2))];
    let start = || [wrote(1, "one"), sent()];
    assert_eq!(judged(start().into_iter().chain([Event::StoreReplaced]).chain(same())), None);
    assert!(is_second(&judged(start().into_iter().chain(same()))), "no store was lost");
}

#[test]
fn two_documents_of_one_number_are_found() {
    let sends = |second: AgentStatus| {
        let first = status(&document(1, "one"), ("a", 1, 1));
        judged([wrote(1, "one"), says(first, Some("one")), says(second, Some("one"))])
    };
    let same = status(&document(1, "one"), ("a", 1, 1));
    assert_eq!(sends(same.clone()), None, "it is sent again");
    let mut other = same;
    other.resources[0].changes = 2;
    assert!(is_second(&sends(other)));
}
