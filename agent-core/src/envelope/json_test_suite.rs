//! A public suite of cases for parsers of JSON, read as documents: `json_test_suite/SOURCE.md`.

use std::{fs, path::Path};

use agent_model::RefusalReason;

use super::*;

/// What the suite wants accepted and a document may not hold, with why.
const REFUSED_BEYOND_JSON: &[(&str, &str)] = &[
    ("y_object_duplicated_key.json", "given twice"),
    ("y_object_duplicated_key_and_value.json", "given twice"),
];

/// What the suite leaves open and is read: numbers that become the nearest double. All other such cases are refused.
const ACCEPTED_AT_WILL: &[&str] = &[
    "i_number_double_huge_neg_exp.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
];

/// The file names and contents of all cases, by name.
fn cases() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/envelope/json_test_suite/cases");
    let case = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    let mut cases: Vec<(String, Vec<u8>)> = fs::read_dir(folder).unwrap().map(case).collect();
    cases.sort_unstable();
    assert_eq!(cases.len(), 318, "cases are missing");
    cases
}

/// A document whose `spec` is the case.
fn holding(case: &[u8]) -> Vec<u8> {
    let begin = br#"{"apiVersion":"harmony/v1","kind":"AgentManifest","schemaVersion":"1.0.0",
        "metadata":{"name":"edge-1","generation":1},"spec":"#;
    [begin, case, b"}"].concat()
}

#[test]
fn every_case_of_the_suite_is_accepted_or_refused_as_it_says() {
    let mut accepted_at_will = Vec::new();
    for (name, case) in cases() {
        let alone = strict_json::parse(&case).map_err(|error| error.to_string());
        let opened = Envelope::open(Received::read(&holding(&case)));
        assert_eq!(alone.is_ok(), opened.is_ok(), "{name}: {alone:?}, but in a document {opened:?}");
        let beyond_json = REFUSED_BEYOND_JSON.iter().find(|(refused, _)| *refused == name);
        match (&name[..2], beyond_json, &alone, &opened) {
            ("y_", Some((_, why)), Err(problem), _) => assert!(problem.contains(why), "{name}: {problem}"),
            ("y_", None, Ok(_), _) => {}
            ("n_", None, _, Err(refusal)) => assert_eq!(refusal.reason, RefusalReason::Malformed, "{name}"),
            ("i_", None, Ok(_), _) => accepted_at_will.push(name),
            ("i_", None, Err(_), _) => {}
            _ => panic!("{name}: {alone:?}"),
        }
    }
    assert_eq!(accepted_at_will, ACCEPTED_AT_WILL);
}
