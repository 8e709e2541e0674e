use agent_core::{authoring::read_documents, envelope::Glance};
use agent_model::Timestamp;
use fleet::{DesiredEntry, registry::State, roster::Report};

use super::*;

fn entry(text: &str) -> DesiredEntry {
    let mut document = StoredDocument::read(text.to_owned().into());
    document.intent = None;
    DesiredEntry { revision: 1, written_at: Timestamp::UNIX_EPOCH, document: Some(document) }
}

fn v1(content: &str) -> Value {
    json!({
        "apiVersion": "harmony/v1", "kind": "AgentManifest", "schemaVersion": "1.0.0",
        "metadata": {"name": "a", "generation": 7},
        "spec": {"resources": [{"name": "f", "kind": "File", "spec": {"path": "/f", "content": content}}]},
    })
}

fn scores(entries: &Value) -> Manifest {
    let document = json!({
        "apiVersion": "harmony/v1", "kind": "Score", "metadata": {"name": "a"}, "spec": {"scores": entries},
    });
    Manifest::check(read_documents(&document.to_string(), "f").unwrap().remove(0)).unwrap()
}

fn file(name: &str, content: &str) -> Value {
    json!({"score": "File", "version": "0.1.0", "name": name, "with": {"path": "/f", "content": content}})
}

/// A device that reads these Scores, or none where there are none, and has accepted `entry`.
fn status(scores: &[&str], entry: &DesiredEntry) -> Value {
    let mut formats = json!({"AgentManifest": ["1.0.0"]});
    if !scores.is_empty() {
        formats["Score"] = json!(["0.1.0"]);
    }
    let digest = entry.document.as_ref().unwrap().digest;
    json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "a",
        "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Converged",
        "desired": {"revision": 1, "generation": 7, "digest": digest, "kind": null, "schemaVersion": null},
        "highestGeneration": 7, "applied": null, "conditions": [],
        "accepted": {"generation": 7, "digest": digest, "kind": "AgentManifest", "schemaVersion": "1.0.0",
                     "at": "2026-01-31T12:00:00Z"},
        "summary": {"total": 1, "ready": 1, "failed": 0, "pending": 0}, "resources": [],
        "agentInfo": {"version": "0.1.0", "formats": formats, "scores": scores, "reconcilers": ["File"],
                      "facts": {"arch": "riscv", "hostname": "h", "kernel": "k", "os": "o"},
                      "bootId": null, "startedAt": "2026-01-31T12:00:00Z"},
    })
}

fn agent(desired: Option<DesiredEntry>, status: Option<&Value>) -> Agent {
    let report = status.map(|status| Report::read(Timestamp::UNIX_EPOCH, status.to_string().into()));
    Agent {
        id: "a".parse().unwrap(),
        desired,
        report,
        last_heartbeat: None,
        registered: Some(State::Approved),
    }
}

fn judged(entry: DesiredEntry, scores: &[&str], given: Option<&Manifest>) -> Verdict {
    let status = status(scores, &entry);
    judge(&agent(Some(entry), Some(&status)), given, NOW)
}

fn v1_entry() -> DesiredEntry {
    entry(&v1("x").to_string())
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const BOTH: &[&str] = &["ConfigSet@0.1.0", "Container@0.1.0", "ContainerApp@0.1.0", "File@0.1.0"];

#[test]
fn a_document_and_its_conversion_are_identical() {
    let verdict = judged(v1_entry(), BOTH, None);
    assert_eq!(verdict.parity, Parity::Identical);
    assert_eq!((verdict.resources, verdict.reads_scores), (Some(1), Some(true)));
    assert_eq!(verdict.remarks, Vec::<String>::new());
    assert_eq!(verdict.outcome(), Outcome::Done);
}

#[test]
fn what_differs_is_named_with_both_values() {
    let given = scores(&json!([file("f", "y"), {"score": "File", "version": "0.1.0", "name": "g",
        "with": {"path": "/g", "content": ""}}]));
    let verdict = judged(v1_entry(), BOTH, Some(&given));
    let lines = verdict.differences();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("f: content is \"sha256:"), "{lines:?}");
    assert_eq!(lines[1], "g: only in the Scores");
    assert_eq!(verdict.outcome(), Outcome::Differs);
    let document = verdict.document();
    assert_eq!(document["parity"], "Different");
    assert_eq!(document["differences"][0]["field"], "content");
    assert_eq!(document["differences"][1], json!({"resource": "g", "onlyIn": "Scores"}));
}

#[test]
fn when_the_device_goes_back_is_carried_over_and_differs_where_it_is_not_the_same() {
    let mut document = v1("x");
    document["schemaVersion"] = json!("1.1.0");
    document["spec"]["rollback"] = json!({"deadline": "1m 30s"});
    let entry = || entry(&document.to_string());
    assert_eq!(judged(entry(), BOTH, None).parity, Parity::Identical);
    let verdict = judged(entry(), BOTH, Some(&scores(&json!([file("f", "x")]))));
    assert_eq!(verdict.differences(), ["rollback: after 90s in the entry, never in the Scores"]);
    assert_eq!(
        verdict.document()["differences"],
        json!([{"field": "rollback", "entry": "90s", "scores": null}])
    );
}

#[test]
fn scores_are_rendered_with_the_facts_of_the_device() {
    let set = |template: &str| {
        let file = json!({"name": "m", "path": "f", "template": template});
        scores(&json!([{"score": "ConfigSet", "version": "0.1.0", "name": "f",
            "with": {"folder": "/etc/f", "values": {}, "files": [file]}}]))
    };
    let mut document = v1("riscv");
    document["spec"]["resources"][0]["name"] = json!("f-m");
    document["spec"]["resources"][0]["spec"]["path"] = json!("/etc/f/f");
    let entry = entry(&document.to_string());
    let parity = |template: &str| judged(entry.clone(), BOTH, Some(&set(template)));
    assert_eq!(parity("{{ facts.arch }}").parity, Parity::Identical);
    assert!(matches!(parity("{{ facts.os }}").parity, Parity::Different(_)));
}

#[test]
fn scores_that_are_not_known_here_and_entries_that_no_device_accepts_cannot_be_judged() {
    let tea = scores(&json!([{"score": "Tea", "version": "0.1.0", "name": "f", "with": {}}]));
    let mut unnumbered = v1("x");
    unnumbered["metadata"] = json!({"name": "a"});
    let mut foreign = v1("x");
    foreign["metadata"]["name"] = json!("b");
    for (entry, given, said) in [
        (v1_entry(), Some(&tea), "Tea ^0.1.0"),
        (entry("{\"command\": \"reboot\"}"), None, "the entry is invalid"),
        (entry("reboot"), None, "the entry is invalid"),
        (entry(&unnumbered.to_string()), None, "/metadata/generation: missing"),
        (entry(&(v1("x").to_string() + &" ".repeat(512 << 10))), None, "at most 524288"),
        (entry(&foreign.to_string()), None, "the document is for b"),
        (entry(&v1("x").to_string().replace("content", "cntent")), None, "/spec/resources/0/spec/cntent"),
    ] {
        let verdict = judged(entry, BOTH, given);
        assert_eq!(verdict.parity, Parity::Unknown, "{said}");
        assert_eq!(verdict.outcome(), Outcome::Error, "{said}");
        assert!(verdict.remarks.iter().any(|remark| remark.contains(said)), "{said}: {verdict:?}");
    }
}

#[test]
fn without_a_status_nothing_is_known_and_without_a_document_nothing_is_asked() {
    let unreadable = json!({"phase": "Levitating"});
    for (status, said) in [(None, "never published a status"), (Some(&unreadable), "cannot be read")] {
        let verdict = judge(&agent(Some(v1_entry()), status), None, NOW);
        assert_eq!((&verdict.parity, verdict.reads_scores), (&Parity::Unknown, None));
        assert!(verdict.remarks[0].contains(said), "{verdict:?}");
    }
    let verdict = judge(&agent(None, None), None, NOW);
    assert_eq!((verdict.word(), verdict.outcome()), (None, Outcome::Done));
    let status = status(&[], &v1_entry());
    let verdict = judge(&agent(None, Some(&status)), None, NOW);
    assert_eq!((verdict.word(), verdict.reads_scores), (None, Some(false)));
}

#[test]
fn what_the_device_lacks_to_read_the_scores_is_told() {
    let verdict = judged(v1_entry(), &[], None);
    assert_eq!((&verdict.parity, verdict.reads_scores), (&Parity::Identical, Some(false)));
    assert_eq!(verdict.remarks, ["the device reads no Score, only AgentManifest"]);
    let verdict = judged(v1_entry(), &["ConfigSet@0.1.0"], None);
    assert_eq!(verdict.reads_scores, Some(false));
    assert!(verdict.remarks[0].contains("\"File\""), "{verdict:?}");
}

#[test]
fn an_entry_of_scores_is_its_own_conversion_though_only_the_device_could_judge_them() {
    let mut document = v1("x");
    document["kind"] = json!("Score");
    document["schemaVersion"] = json!("0.1.0");
    document["spec"] = json!({"scores": [{"score": "Tea", "version": "0.1.0", "name": "f", "with": {}}]});
    for (has, reads) in [(BOTH, false), (&["Tea@0.1.2"] as &[&str], true)] {
        let verdict = judged(entry(&document.to_string()), has, None);
        assert_eq!((&verdict.parity, verdict.reads_scores), (&Parity::Identical, Some(reads)), "{verdict:?}");
    }
}

#[test]
fn where_there_is_no_entry_all_that_scores_declare_is_a_difference() {
    let scores = scores(&json!([
        {"score": "File", "version": "0.1.0", "name": "f", "with": {"path": "/etc/f", "content": "x"}}
    ]));
    let status = status(BOTH, &v1_entry());
    let verdict = judge(&agent(None, Some(&status)), Some(&scores), NOW);
    assert_eq!(verdict.differences(), ["f: only in the Scores"], "{verdict:?}");
    assert_eq!(verdict.outcome(), Outcome::Differs);
    assert_eq!(verdict.reads_scores, Some(true));
}

#[test]
fn a_conversion_that_would_be_refused_as_expired_is_told_of() {
    let mut document = v1("x");
    document["metadata"]["expiresAt"] = json!("1970-01-01T00:00:00Z");
    let verdict = judged(entry(&document.to_string()), BOTH, None);
    assert_eq!(verdict.parity, Parity::Identical);
    assert!(
        verdict.remarks[0].contains("as Expired: metadata.expiresAt is 1970-01-01T00:00:00Z"),
        "{verdict:?}"
    );
    document["metadata"]["expiresAt"] = json!("1970-01-01T00:00:01Z");
    assert!(judged(entry(&document.to_string()), BOTH, None).remarks.is_empty());
    // Nothing is written for an entry that is what it would be replaced by.
    document["kind"] = json!("Score");
    document["schemaVersion"] = json!("0.1.0");
    document["spec"] = json!({"scores": [file("f", "x")]});
    document["metadata"]["expiresAt"] = json!("1970-01-01T00:00:00Z");
    assert!(judged(entry(&document.to_string()), BOTH, None).remarks.is_empty());
}

#[test]
fn a_device_that_does_not_enforce_the_entry_is_told_of() {
    let older = status(BOTH, &entry("older"));
    let verdict = judge(&agent(Some(v1_entry()), Some(&older)), None, NOW);
    assert_eq!(verdict.remarks, ["the device has not accepted generation 7 yet"]);
    assert_eq!(verdict.parity, Parity::Identical);
    let mut rolled_back = older.clone();
    rolled_back["rolledBack"] = json!({
        "generation": 7, "digest": v1_entry().document.unwrap().digest, "at": "2026-01-31T12:00:00Z",
        "reason": "DeadlineExceeded", "message": "", "resources": []});
    let verdict = judge(&agent(Some(v1_entry()), Some(&rolled_back)), None, NOW);
    assert_eq!(verdict.remarks, ["the device went back from generation 7: DeadlineExceeded"]);
    let mut refused = older;
    refused["desired"]["digest"] = json!(v1_entry().document.unwrap().digest);
    refused["conditions"] = json!([{"type": "Accepted", "status": "False", "reason": "PolicyDenied",
        "message": "", "lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 7}]);
    let verdict = judge(&agent(Some(v1_entry()), Some(&refused)), None, NOW);
    assert_eq!(verdict.remarks, ["the device refuses generation 7: PolicyDenied"]);
    let mut unnumbered = v1_entry();
    unnumbered.document.as_mut().unwrap().glance = Glance::default();
    let older = status(BOTH, &entry("older"));
    let verdict = judge(&agent(Some(unnumbered), Some(&older)), None, NOW);
    assert_eq!(verdict.remarks, ["the device has not accepted generation - yet"]);
}

#[test]
fn a_difference_in_the_environment_shows_no_value_of_it() {
    let with = |token: &str| json!({"command": ["/bin/app"], "env": {"TOKEN": token}});
    let mut document = v1("x");
    document["spec"]["resources"] = json!([{"name": "p", "kind": "Process", "spec": with("hunter2")}]);
    let scores =
        scores(&json!([{"score": "Process", "version": "0.1.0", "name": "p", "with": with("hunter3")}]));
    let verdict = judged(entry(&document.to_string()), BOTH, Some(&scores));
    let shown = format!("{:?} {verdict:?} {}", verdict.differences(), verdict.document());
    assert!(verdict.differences()[0].starts_with("p: env is {\"TOKEN\":\"sha256:"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn long_values_are_cut_to_where_they_part() {
    let (one, two) =
        (json!(format!("{}1", "x".repeat(60))), json!(format!("{}2{}", "x".repeat(60), "y".repeat(60))));
    let (first, second) = shortened(Some(&one), Some(&two));
    assert_eq!(first, "…xxxxxxxx1\"");
    assert!(second.starts_with("…xxxxxxxx2yyy") && second.ends_with("y…"), "{second}");
    assert_eq!(shortened(Some(&json!("a")), None), ("\"a\"".to_owned(), "the default".to_owned()));
}
