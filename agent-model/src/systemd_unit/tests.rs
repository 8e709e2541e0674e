use proptest::{collection, option, prelude::*, sample};
use serde_json::{Value, json};

use super::*;
use crate::{
    UnknownKeys,
    reader::{Field, Findings},
};

fn read(value: &Value) -> (Option<SystemdUnitSpec>, Vec<String>) {
    let mut findings = Findings::new(UnknownKeys::AreProblems);
    let spec = SystemdUnitSpec::read(Field { value, pointer: String::new() }, &mut findings);
    (spec, findings.into_parts().0.iter().map(ToString::to_string).collect())
}

fn text() -> impl Strategy<Value = UnitText> {
    "[^\0]{0,20}[a-z]\n?".prop_map(|text| text.parse().unwrap())
}

fn spec() -> impl Strategy<Value = SystemdUnitSpec> {
    let types = sample::select(vec!["service", "socket", "timer", "path", "mount", "target", "slice"]);
    let name = (r"[a-zA-Z0-9:_.\\-]{1,8}(@[a-z0-9]{1,3})?", types);
    let unit = name.prop_map(|(prefix, suffix)| format!("{prefix}.{suffix}").parse().unwrap());
    let drop_ins =
        collection::btree_map("[a-z0-9][a-z0-9_.-]{0,8}[.]conf", text(), 0..4).prop_map(|drop_ins| {
            drop_ins.into_iter().map(|(name, text)| (name.parse().unwrap(), text)).collect()
        });
    let state = sample::select(UnitState::ALL.to_vec());
    (unit, option::of(text()), drop_ins, option::of(any::<bool>()), state).prop_map(
        |(unit, content, drop_ins, enabled, state)| SystemdUnitSpec {
            unit,
            content,
            drop_ins,
            enabled,
            state,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(spec in spec()) {
        let (read, problems) = read(&json!(spec));
        prop_assert_eq!(problems, Vec::<String>::new());
        prop_assert_eq!(read, Some(spec));
    }
}

#[test]
fn a_unit_that_is_only_named_has_to_be_there_and_to_run() {
    let plain = json!({"unit": "cron.service"});
    let spec = SystemdUnitSpec::new("cron.service".parse().unwrap());
    assert_eq!(read(&plain), (Some(spec.clone()), vec![]));
    assert_eq!(json!(spec), plain);
    assert_eq!((spec.enabled, spec.state), (None, UnitState::Running));
    let explicit =
        json!({"unit": "cron.service", "content": null, "dropIns": {}, "enabled": null, "state": "Running"});
    assert_eq!(read(&explicit), (Some(spec), vec![]));
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let spec = json!({
        "unit": "app", "content": "[Service]\0", "enabled": "true", "state": "running", "dropins": {},
        "dropIns": {"override": "x", "10.conf": 7, "20.conf": "", "s.conf": {"sealed": {}}},
    });
    let (read, problems) = read(&spec);
    assert_eq!(read, None);
    let expected = [
        "/unit: \"app\" is not the name of a unit: it must end with the unit's type, for example .service",
        "/content: it has a NUL character, which systemd reads in no unit",
        "/dropIns/10.conf: expected a string, found a number",
        "/dropIns/20.conf: it is empty, by which systemd would take the unit for masked; leave it out, or give what belongs there",
        "/dropIns/override: \"override\" is not the name of a drop-in: it must end with .conf, or systemd does not read it; use 6 to 200 of the characters A-Z a-z 0-9 : - _ . @, the first of them a letter or digit, for example \"10-limits.conf\"",
        "/dropIns/s.conf: only the value of a variable and the \"content\" of a File can be sealed; give a string",
        "/enabled: expected true or false without quotes, found a string",
        "/state: \"running\" is no state; did you mean \"Running\"?",
        "/dropins: unknown key \"dropins\"; did you mean \"dropIns\"?",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_template_neither_runs_nor_is_enabled() {
    let plain = json!({"unit": "a@.service", "content": "[Service]\n"});
    assert_eq!(read(&plain).1, Vec::<String>::new());
    let (_, problems) = read(&json!({"unit": "a@.service", "enabled": true, "state": "Stopped"}));
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, place) in problems.iter().zip(["/enabled", "/state"]) {
        assert!(problem.starts_with(place) && problem.contains("is a template"), "{problem}");
    }
}

#[test]
fn texts_and_the_number_of_drop_ins_are_bounded() {
    let with = |content: String, count: usize| {
        let drop_ins: serde_json::Map<_, _> = (0..count).map(|i| (format!("{i}.conf"), json!("x"))).collect();
        read(&json!({"unit": "a.service", "content": content, "dropIns": drop_ins})).1
    };
    assert_eq!(with("x".repeat(128 << 10), MAX_DROP_INS), Vec::<String>::new());
    let problems = with("x".repeat((128 << 10) + 1), MAX_DROP_INS + 1);
    assert!(problems[0].starts_with("/content: it has 131073 bytes"), "{problems:?}");
    assert_eq!(problems[1], "/dropIns: 65 drop-ins are more than the 64 that a unit may have");
}

#[test]
fn no_text_shows_in_debug_output_or_in_what_two_documents_differ_in() {
    let text = |text: &str| text.parse().unwrap();
    let spec = SystemdUnitSpec {
        content: Some(text("hunter2")),
        drop_ins: [("a.conf".parse().unwrap(), text("hunter3"))].into(),
        ..SystemdUnitSpec::new("a.service".parse().unwrap())
    };
    let shown = format!("{spec:?} {}", spec.canonical());
    assert!(!shown.contains("hunter"), "{shown}");
}
