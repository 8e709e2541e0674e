use super::*;

const ME: &str = "me";

fn writer(instance: &str, epoch: u64, op: u64) -> Author {
    Author::Writer(Writer { instance: instance.to_owned(), epoch, op })
}

fn found(revision: u64, author: Author) -> Fact {
    Fact::Found(Found { revision, author })
}

/// A process that read `author` at `revision` at its start, and has nothing to say yet.
fn started(revision: u64, author: Author) -> Protocol<&'static str> {
    let mut protocol = Protocol::new(ME.to_owned(), 0);
    assert_eq!(protocol.next(), Move::Read);
    protocol.note(found(revision, author));
    assert_eq!(protocol.next(), Move::Free);
    protocol
}

/// A process whose claim, epoch 3 and op 1, is entry 10.
fn claimed() -> Protocol<&'static str> {
    let mut protocol = started(9, writer("before", 2, 40));
    protocol.begin("claim");
    protocol.note(Fact::Acked { revision: 10 });
    assert_eq!((protocol.next(), protocol.standing()), (Move::Free, Some(&"claim")));
    protocol
}

/// The same, with op 2 sent against 10 and not acknowledged.
fn in_doubt() -> Protocol<&'static str> {
    let mut protocol = claimed();
    protocol.begin("news");
    assert_eq!(protocol.next(), Move::Send { expected: 10, document: &"news" });
    protocol.note(Fact::NotAcked);
    assert_eq!((protocol.next(), protocol.pause()), (Move::Read, Pause::Backoff(1)));
    protocol
}

/// Expects that the entry is this process's to write anew against `revision`.
#[track_caller]
fn assert_rewrites(protocol: &mut Protocol<&'static str>, revision: u64, epoch: u64) {
    assert_eq!((protocol.next(), protocol.standing(), protocol.pause()), (Move::Free, None, Pause::None));
    assert_eq!(protocol.epoch(), epoch);
    protocol.begin("rewrite");
    assert_eq!(protocol.next(), Move::Send { expected: revision, document: &"rewrite" });
}

#[test]
fn the_first_claim_is_one_epoch_above_what_the_start_read_found() {
    for (author, epoch) in [
        (writer("before", 11, 340), 12),
        (writer("absurd", u64::MAX, u64::MAX), u64::MAX),
        (Author::Stranger, 1),
        (Author::Nobody, 1),
    ] {
        let mut protocol = started(7, author);
        assert_eq!(protocol.next_writer(), Writer { instance: ME.to_owned(), epoch, op: 1 });
        assert_rewrites(&mut protocol, 7, epoch);
    }
}

#[test]
fn a_claim_is_above_those_of_earlier_processes_though_the_store_lost_them_and_stays_when_they_are_back() {
    let mut protocol = Protocol::new(ME.to_owned(), 5);
    protocol.note(found(0, Author::Nobody));
    protocol.begin("claim");
    assert_eq!(protocol.epoch(), 6);
    protocol.note(Fact::Acked { revision: 1 });
    protocol.reconnected();
    protocol.note(found(40, writer("before", 5, 3)));
    assert_rewrites(&mut protocol, 40, 6);

    let mut protocol = Protocol::new(ME.to_owned(), 5);
    protocol.note(found(7, writer("a clone", 9, 1)));
    assert_rewrites(&mut protocol, 7, 10);
}

#[test]
fn a_deletion_marker_is_what_the_next_write_is_made_against() {
    assert_rewrites(&mut started(8, Author::Nobody), 8, 1);
    assert_rewrites(&mut started(0, Author::Nobody), 0, 1);
}

#[test]
fn while_nothing_is_claimed_every_read_is_a_start_read() {
    let mut protocol = started(0, Author::Nobody);
    protocol.reconnected();
    protocol.note(found(5, writer("restored", 30, 1)));
    protocol.reconnected();
    protocol.note(found(3, Author::Nobody));
    assert_rewrites(&mut protocol, 3, 31);
}

/// The price of the rule that a higher epoch ends it for good: where the entry that held the
/// epochs was deleted or overwritten, or a replica far behind answered the start read, a late
/// write of a process that is gone and that the device does not know of any more cannot be told from a clone.
/// The next start claims above it.
#[test]
fn a_late_write_from_above_an_epoch_that_the_start_read_did_not_show_ends_it_too() {
    for (revision, author) in [(8, Author::Stranger), (8, Author::Nobody), (7, writer("before", 1, 9))] {
        let mut protocol = started(revision, author);
        protocol.begin("claim");
        protocol.note(Fact::NotAcked);
        protocol.note(found(9, writer("before", 3, 2)));
        assert_eq!(protocol.next(), Move::Superseded);
    }
    assert_eq!(started(9, writer("before", 3, 2)).epoch(), 4);
}

#[test]
fn an_ack_gives_the_revision_for_the_next_write() {
    let mut protocol = claimed();
    protocol.begin("news");
    protocol.note(Fact::Acked { revision: 14 });
    assert_eq!(protocol.standing(), Some(&"news"));
    protocol.begin("more");
    assert_eq!(protocol.next(), Move::Send { expected: 14, document: &"more" });
}

#[test]
fn an_entry_with_the_own_instance_and_op_is_the_write_that_was_in_doubt() {
    let mut protocol = in_doubt();
    protocol.note(found(12, writer(ME, 3, 2)));
    assert_eq!((protocol.next(), protocol.standing(), protocol.revision()), (Move::Free, Some(&"news"), 12));
}

#[test]
fn an_unchanged_entry_means_the_same_write_against_the_same_revision_again() {
    let mut protocol = in_doubt();
    for failures in 2..5 {
        protocol.note(found(10, writer(ME, 3, 1)));
        assert_eq!(protocol.pause(), Pause::None);
        assert_eq!(protocol.next(), Move::Send { expected: 10, document: &"news" });
        protocol.note(Fact::NotAcked);
        assert_eq!((protocol.next(), protocol.pause()), (Move::Read, Pause::Backoff(failures)));
    }
    protocol.note(found(11, writer(ME, 3, 2)));
    assert_eq!((protocol.next(), protocol.pause()), (Move::Free, Pause::None));
}

#[test]
fn an_older_or_missing_entry_is_believed_at_the_second_read_after_the_lag_bound() {
    for (revision, author) in [(0, Author::Nobody), (4, Author::Nobody), (9, writer("before", 2, 40))] {
        for mut protocol in [in_doubt(), {
            let mut idle = claimed();
            idle.check();
            idle
        }] {
            protocol.note(found(revision, author.clone()));
            assert_eq!((protocol.next(), protocol.pause()), (Move::Read, Pause::LagBound));
            protocol.note(found(revision, author.clone()));
            assert_rewrites(&mut protocol, revision, 3);
        }
    }
}

#[test]
fn a_replica_that_lagged_once_causes_no_rewrite() {
    let mut protocol = claimed();
    protocol.check();
    protocol.note(found(9, writer("before", 2, 40)));
    protocol.note(Fact::ReadFailed);
    assert_eq!(protocol.next(), Move::Read);
    protocol.note(found(10, writer(ME, 3, 1)));
    assert_eq!((protocol.next(), protocol.standing()), (Move::Free, Some(&"claim")));
}

#[test]
fn a_late_write_of_a_predecessor_garbage_and_a_deletion_are_written_over() {
    for author in [
        writer("before", 2, 41),
        writer(ME, 3, 1),
        Author::Stranger,
        Author::Nobody,
        writer("x", 0, u64::MAX),
    ] {
        let mut protocol = in_doubt();
        protocol.note(found(12, author));
        assert_rewrites(&mut protocol, 12, 3);
    }
}

#[test]
fn of_two_claims_of_one_epoch_the_one_never_acked_claims_again_and_only_once() {
    let mut protocol = started(9, writer("before", 2, 40));
    protocol.begin("claim");
    protocol.note(Fact::NotAcked);
    protocol.note(found(10, writer("zz", 3, 1)));
    assert_rewrites(&mut protocol, 10, 4);
    protocol.note(Fact::NotAcked);
    protocol.note(found(11, writer("zz", 4, 2)));
    assert_eq!(protocol.next(), Move::Superseded);
}

#[test]
fn where_a_lost_claim_left_two_acked_writers_of_one_epoch_exactly_one_goes_on() {
    let mut greater = claimed();
    greater.check();
    greater.note(found(11, writer("lesser", 3, 1)));
    assert_rewrites(&mut greater, 11, 3);

    let mut lesser = claimed();
    lesser.check();
    lesser.note(found(11, writer("more", 3, 1)));
    assert_eq!(lesser.next(), Move::Superseded);
}

#[test]
fn a_revision_that_came_back_with_a_foreign_entry_is_not_taken_for_the_own() {
    let mut protocol = claimed();
    protocol.check();
    protocol.note(found(10, writer("other", 4, 1)));
    assert_eq!(protocol.next(), Move::Superseded);
    let mut protocol = in_doubt();
    protocol.note(found(10, writer("before", 2, 41)));
    assert_rewrites(&mut protocol, 10, 3);
}

#[test]
fn a_restored_bucket_that_holds_the_last_write_needs_no_other() {
    let mut protocol = claimed();
    protocol.check();
    protocol.note(found(2, writer(ME, 3, 1)));
    assert_eq!((protocol.next(), protocol.standing(), protocol.revision()), (Move::Free, Some(&"claim"), 2));
}

#[test]
fn a_higher_epoch_ends_it_for_good_whatever_comes_afterwards() {
    let mut protocol = in_doubt();
    protocol.note(found(12, writer("clone", 4, 1)));
    let by = Writer { instance: "clone".to_owned(), epoch: 4, op: 1 };
    for fact in [
        found(12, writer(ME, 3, 2)),
        found(0, Author::Nobody),
        Fact::Acked { revision: 13 },
        Fact::NotAcked,
        Fact::Refused,
        Fact::ReadFailed,
    ] {
        protocol.note(fact);
        protocol.reconnected();
        protocol.begin("no");
        assert_eq!((protocol.next(), protocol.superseded_by()), (Move::Superseded, Some(&by)));
    }
}

#[test]
fn a_refused_document_gives_way_to_the_next_after_a_pause() {
    let mut protocol = claimed();
    protocol.begin("too large");
    protocol.note(Fact::Refused);
    assert_eq!((protocol.next(), protocol.pause()), (Move::Free, Pause::Backoff(1)));
    protocol.begin("smaller");
    assert_eq!(protocol.next(), Move::Send { expected: 10, document: &"smaller" });
    protocol.note(Fact::Refused);
    assert_eq!(protocol.pause(), Pause::Backoff(2));
}

#[test]
fn reads_that_say_nothing_are_repeated_ever_more_slowly_until_there_is_a_new_link() {
    let mut protocol = Protocol::<()>::new(ME.to_owned(), 0);
    for failures in 1..5 {
        protocol.note(Fact::ReadFailed);
        assert_eq!((protocol.next(), protocol.pause()), (Move::Read, Pause::Backoff(failures)));
    }
    protocol.reconnected();
    assert_eq!((protocol.next(), protocol.pause()), (Move::Read, Pause::None));
}

#[test]
fn a_new_link_does_not_shorten_the_wait_for_a_lagging_replica() {
    let mut protocol = claimed();
    protocol.check();
    protocol.note(found(0, Author::Nobody));
    protocol.reconnected();
    assert_eq!((protocol.next(), protocol.pause()), (Move::Read, Pause::LagBound));
}
