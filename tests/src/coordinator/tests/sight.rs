//! What the eyes saw.

use super::*;

/// All that is seen of a device that gets one document.
fn all_of_it() -> Vec<Event> {
    let one = document(1, "one");
    let heartbeat = heartbeat(1, Some(1), Phase::Converged);
    let contents = vec![(Body::original(0), holding(Some("one")))];
    vec![
        wrote(1, "one"),
        Event::Reads(0, DESIRED_STATE),
        saw(Some("one")),
        said(&one, 1, Some("one")),
        Event::Beat(Box::new(Beat { device: 0, heartbeat, contents })),
        Event::Writes(0, ACTUAL_STATE),
        Event::Writes(0, HEARTBEAT),
        told(&one, ("a", 1, 1)),
    ]
}

#[test]
fn eyes_that_saw_all_are_good_and_those_that_saw_nothing_are_blind() {
    assert_eq!(coordinator(all_of_it()).was_seen(1, 0), Ok(()));
    assert!(coordinator([]).was_seen(1, 0).is_err());
    assert!(coordinator(all_of_it()).was_seen(2, 0).is_err(), "of the second device nothing was seen");
}

#[test]
fn eyes_that_are_blind_to_one_thing_are_found() {
    for place in [1, 2, 3, 5, 6, 7] {
        let mut events = all_of_it();
        let missed = events.remove(place);
        assert!(coordinator(events).was_seen(1, 0).is_err(), "{missed}");
    }
}

#[test]
fn eyes_that_closed_before_the_end_are_found() {
    let twice = || all_of_it().into_iter().chain(all_of_it());
    let half = all_of_it().len();
    assert_eq!(coordinator(twice()).was_seen(1, half), Ok(()));
    assert!(coordinator(twice().take(half + 4)).was_seen(1, half).is_err());
}

#[test]
fn what_is_stored_and_was_never_seen_being_sent_is_found() {
    let unseen = told(&document(1, "one"), ("a", 1, 2));
    assert!(coordinator(all_of_it().into_iter().chain([unseen])).was_seen(1, 0).is_err());
}

#[test]
fn a_few_statuses_at_which_nobody_could_look_are_tolerated_and_many_are_not() {
    let unseen = |op| {
        let status = status(&document(1, "one"), ("a", 1, op));
        Event::Said(Box::new(Said { device: 0, about: None, status, contents: None }))
    };
    let seen = |op| said(&document(1, "one"), op, Some("one"));
    let with = |more: Vec<Event>| coordinator(all_of_it().into_iter().chain(more)).was_seen(1, 0);
    assert_eq!(with((2..20).map(seen).chain([unseen(20)]).collect()), Ok(()));
    assert!(with((2..20).map(seen).chain((20..26).map(unseen)).collect()).is_err());
}
