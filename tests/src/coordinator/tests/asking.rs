//! How much devices ask for.

use super::*;

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
fn a_device_that_goes_on_asking_too_often_is_found() {
    for (request, bound, too_many) in [
        (Event::Reads(0, DESIRED_STATE), 10, 20),
        (Event::Reads(0, ACTUAL_STATE), 10, 20),
        (Event::Writes(0, ACTUAL_STATE), 4, 8),
        (Event::Writes(0, HEARTBEAT), 1, 2),
        // Of which there may be 200 at once.
        (Event::Writes(0, EVENTS), 4, 8),
    ] {
        assert_eq!(asking(bound, &request, 1), None, "{request}");
        assert_eq!(asking(bound * 2, &request, 2), None, "{request} of two");
        let found = asking(too_many, &request, 1);
        assert!(matches!(found, Some(Verdict::Unbounded { .. })), "{request}: {found:?}");
    }
}

/// What is said of a device at rest from the tenth second on that did this, at these seconds.
fn at_rest(done: &[(u64, Event)]) -> Result<(), Verdict> {
    at_rest_with(0, done)
}

fn at_rest_with(resyncs: u32, done: &[(u64, Event)]) -> Result<(), Verdict> {
    let history: Vec<_> = done
        .iter()
        .map(|(at, event)| Record { at: Duration::from_secs(*at), event: event.clone() })
        .collect();
    quiet::judge(0, Duration::from_secs(10), resyncs, &history)
}

#[test]
fn a_device_at_rest_may_read_once_more_and_give_one_sign_of_life() {
    let (read, beat) = (Event::Reads(0, DESIRED_STATE), Event::Writes(0, HEARTBEAT));
    assert_eq!(at_rest(&[]), Ok(()));
    assert_eq!(at_rest(&[(11, read), (12, beat), (13, saw(Some("one")))]), Ok(()));
}

#[test]
fn a_device_that_asks_for_anything_else_at_rest_is_found() {
    for request in [Event::Reads(0, ACTUAL_STATE), Event::Writes(0, ACTUAL_STATE), Event::Writes(0, EVENTS)] {
        let found = at_rest(&[(15, request.clone())]);
        assert!(matches!(found, Err(Verdict::Unbounded { device: 0, .. })), "{request}: {found:?}");
        assert_eq!(at_rest(&[(9, request)]), Ok(()), "it was not at rest yet");
    }
    for twice in [Event::Reads(0, DESIRED_STATE), Event::Writes(0, HEARTBEAT)] {
        assert!(at_rest(&[(11, twice.clone()), (12, twice)]).is_err());
    }
}

#[test]
fn a_device_at_rest_may_look_so_often_for_what_nobody_hinted_at_and_no_more() {
    let looks: Vec<_> = (11..13)
        .flat_map(|at| [(at, Event::Reads(0, DESIRED_STATE)), (at, Event::Reads(0, ACTUAL_STATE))])
        .collect();
    assert_eq!(at_rest_with(2, &looks), Ok(()));
    assert!(at_rest_with(1, &looks).is_err());
}

#[test]
fn one_device_is_quiet_while_another_is_not() {
    assert_eq!(at_rest(&[(11, Event::Writes(1, ACTUAL_STATE)), (12, Event::Reads(1, ACTUAL_STATE))]), Ok(()));
}
