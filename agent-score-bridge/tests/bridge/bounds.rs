//! A document cannot make a device do more than it should, however few words it takes.

use serde_json::{Value, json};

use super::{bundle, entry, file, lower, spec};

fn nested(depth: u64) -> Value {
    entry("Nested", "n", json!({"depth": depth}), json!({}))
}

fn greedy(name: &str, with: Value) -> Value {
    entry("Greedy", name, with, json!({}))
}

#[test]
fn at_most_eight_scores_lie_within_one_another() {
    assert_eq!(lower(&spec(&[nested(7)])).unwrap().resources().len(), 1);
    for depth in [8, 1_000_000] {
        assert_eq!(
            lower(&spec(&[nested(depth)])).unwrap_err(),
            [
                "/spec/scores/0/with/depth: Nested would be a Score within 8 others; at most 8 may lie within one another"
            ]
        );
    }
}

#[test]
fn the_children_of_a_document_are_counted_altogether() {
    let half = |name| greedy(name, json!({"children": 2048}));
    assert!(lower(&spec(&[half("a"), half("b")])).is_ok());
    assert_eq!(
        lower(&spec(&[half("a"), half("b"), greedy("c", json!({"children": 1})), half("d")])).unwrap_err(),
        ["/spec/scores/2/with/children: the document's Scores have more than 4096 children altogether"]
    );
}

#[test]
fn the_work_of_a_document_is_counted_altogether() {
    let half = |name| greedy(name, json!({"work": 125_000}));
    assert!(lower(&spec(&[half("a"), half("b")])).is_ok());
    for third in [1, u64::MAX] {
        assert_eq!(
            lower(&spec(&[half("a"), half("b"), greedy("c", json!({"work": third})), half("d")]))
                .unwrap_err(),
            ["/spec/scores/2/with: to interpret the document's Scores takes more than 250000 steps"]
        );
    }
}

#[test]
fn the_content_of_a_document_is_counted_altogether() {
    let of = |name, content: u64| greedy(name, json!({"content": content}));
    let (one, two) = (of("a", (2 << 20) - 1), of("b", (2 << 20) + 1));
    assert!(lower(&spec(&[one.clone(), two.clone()])).is_ok());
    assert_eq!(
        lower(&spec(&[one, two, of("c", 1)])).unwrap_err(),
        [
            "/spec/scores/2/with: the contents, commands and variables that the document's Scores declare have more than 4194304 bytes altogether"
        ]
    );
}

#[test]
fn references_that_a_score_makes_are_counted() {
    let of = |references: u64| spec(&[greedy("g", json!({"references": references}))]);
    assert!(lower(&of(131_072)).is_ok());
    assert_eq!(
        lower(&of(131_073)).unwrap_err(),
        [
            "/spec/scores/0/with/references: the document's Scores have more than 131072 dependencies on one another altogether"
        ]
    );
}

#[test]
fn to_hand_references_to_children_that_declare_nothing_is_work() {
    assert_eq!(
        lower(&spec(&[greedy("g", json!({"references": 100_000, "children": 4000}))])).unwrap_err(),
        ["/spec/scores/0/with/children: to interpret the document's Scores takes more than 250000 steps"]
    );
}

#[test]
fn composites_that_name_composites_are_refused_before_they_take_memory() {
    let files: Vec<String> = (0..500).map(|i| format!("f{i}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let namer = |times: usize| bundle("b", &files, json!({"dependsOn": vec!["a"; times]}));
    let few = bundle("b", &files[..262], json!({"dependsOn": ["a"]}));
    assert!(lower(&spec(&[bundle("a", &files, json!({})), few])).is_ok());
    // Each of them would be 250,000 names; all of them several hundred gigabytes.
    for times in [1, 100_000] {
        assert_eq!(
            lower(&spec(&[bundle("a", &files, json!({})), namer(times)])).unwrap_err(),
            [
                "/spec/scores/1: the document's Scores have more than 131072 dependencies on one another altogether"
            ]
        );
    }
}

#[test]
fn more_than_1024_entries_are_one_problem_and_so_are_more_than_1024_resources() {
    let files =
        |n: usize| -> Vec<Value> { (0..n).map(|i| file(&format!("f{i}"), &format!("/x/{i}"))).collect() };
    assert_eq!(lower(&spec(&files(1024))).unwrap().resources().len(), 1024);
    assert_eq!(
        lower(&spec(&files(1025))).unwrap_err(),
        ["/spec/scores/1024: 1025 Scores are more than the 1024 a document may have"]
    );
    let composite = bundle("b", &["x", "y"], json!({}));
    assert_eq!(
        lower(&spec(&[files(1023), vec![composite]].concat())).unwrap_err(),
        ["/spec/scores/1023: 1025 resources are more than the 1024 a document may have"]
    );
}
