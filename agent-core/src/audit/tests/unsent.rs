use serde_json::{Value, json};

use super::*;
use crate::audit::unsent;

fn seqs(unsent: &Unsent) -> Vec<u64> {
    unsent.events.iter().map(|event| event.seq).collect()
}

#[test]
fn events_are_those_beyond_the_cursor_and_what_is_of_no_interest_moves_it_on() {
    let bench = Bench::with_lines(9);
    let found = unsent(&bench.layout(), Some(4), 9).unwrap();
    assert_eq!((seqs(&found), found.up_to), (vec![6, 8], 9));
    let found = unsent(&bench.layout(), Some(4), 7).unwrap();
    assert_eq!((seqs(&found), found.up_to), (vec![6], 7));
    let found = unsent(&bench.layout(), Some(9), 9).unwrap();
    assert_eq!((seqs(&found), found.up_to), (vec![], 9));
}

#[test]
fn of_what_only_a_newer_agent_can_read_in_full_the_rest_is_told_by_its_outcome() {
    let bench = Bench::with_lines(3);
    let mut newer: Vec<Value> =
        bench.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    newer[1]["effect"] = json!("Levitated");
    newer[2]["outcome"] = json!("Levitating");
    let lines: String = newer.iter().map(|line| format!("{line}\n")).collect();
    fs::write(bench.path("audit.jsonl"), lines).unwrap();

    let found = unsent(&bench.layout(), Some(1), 3).unwrap();
    let told: Vec<_> =
        found.events.iter().map(|it| (it.seq, &*it.event_type, &*it.reason, &*it.message)).collect();
    assert_eq!(told, [(2, "Done", "Levitated", "write"), (3, "Levitating", "Levitating", "write")]);
    assert_eq!(found.events[0].time, NOW);
}

#[test]
fn only_so_many_are_read_at_once_and_none_is_left_out() {
    let bench = Bench::with_lines(400);
    let (mut cursor, mut all) = (None, Vec::new());
    loop {
        let found = unsent(&bench.layout(), cursor, 400).unwrap();
        assert!(found.events.len() <= 65);
        if found.events.is_empty() && Some(found.up_to) == cursor {
            break;
        }
        all.extend(seqs(&found));
        cursor = Some(found.up_to);
    }
    assert_eq!(all, (1..=200).map(|pair| pair * 2).collect::<Vec<u64>>());
}

#[test]
fn where_rotation_overtook_the_cursor_a_gap_says_from_where_to_where() {
    let mut bench = Bench { full: 1000, ..Bench::new() };
    let log = bench.open();
    bench.write(&log, 100);
    let oldest = bench.verify().oldest.unwrap();
    let found = unsent(&bench.layout(), Some(4), 100).unwrap();
    let gap = &found.events[0];
    assert_eq!((gap.event_type.as_str(), gap.seq), ("Gap", oldest - 1));
    assert!(gap.message.contains(&format!("5 to {}", oldest - 1)), "{}", gap.message);
    assert!(seqs(&found).windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(found.events.iter().filter(|event| event.event_type == "Gap").count(), 1);
    // A device that never told anything has no gap before its oldest record.
    assert_eq!(seqs(&unsent(&bench.layout(), None, 100).unwrap())[0], oldest.next_multiple_of(2));
}
