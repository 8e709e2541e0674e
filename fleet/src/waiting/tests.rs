use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{desired_state::StoredDocument, roster::Report};

const LONG_AGO: Timestamp = Timestamp::UNIX_EPOCH;
const OFFLINE_AFTER: Duration = Duration::from_secs(300);

fn now() -> Timestamp {
    LONG_AGO.saturating_add(Duration::from_secs(86_400))
}

fn clock() -> Clock {
    Clock { now: now(), offline_after: OFFLINE_AFTER }
}

fn digest(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

/// A status of a device that has fully applied a document `ours` of generation 7.
fn document() -> Value {
    let time = "2026-01-31T12:00:00Z";
    let ours = digest("ours").to_string();
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": "",
               "lastTransitionTime": time, "observedGeneration": 7})
    };
    json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "a",
        "writer": {"instance": "i", "epoch": 1, "op": 1},
        "phase": "Converged",
        "desired": {"revision": 40, "generation": 7, "digest": ours, "kind": "AgentManifest", "schemaVersion": "1.0.0"},
        "highestGeneration": 7,
        "accepted": {"generation": 7, "digest": ours, "kind": "AgentManifest", "schemaVersion": "1.0.0", "at": time},
        "applied": {"generation": 7, "digest": ours, "at": time},
        "conditions": [condition("Accepted", "True", "Accepted"), condition("Converged", "True", "AllReady")],
        "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0},
        "resources": [],
        "agentInfo": {"version": "0.1.0", "formats": {"AgentManifest": ["1.0.0"]}, "scores": [],
                      "reconcilers": ["File"], "facts": {}, "bootId": null, "startedAt": time},
    })
}

pub(crate) fn status() -> AgentStatus {
    serde_json::from_value(document()).unwrap()
}

fn resource(name: &str, state: &str, reason: &str) -> Value {
    json!({"kind": "File", "name": name, "state": state, "reason": reason, "message": "it is a folder",
           "since": "2026-01-31T12:00:00Z", "specDigest": null, "changes": 0, "driftCorrections": 0,
           "restarts": 0, "attempts": 0, "nextRetry": null, "details": {}})
}

fn agent(status: Option<Value>) -> Agent {
    Agent {
        id: "a".parse().unwrap(),
        desired: None,
        report: status.map(|document| Report::read(LONG_AGO, document.to_string().into())),
        last_heartbeat: Some(now()),
        registered: None,
    }
}

fn goal() -> Goal {
    Goal::Converged(Target { revision: 40, digest: digest("ours"), generation: None, goes_back: false })
}

fn verdict(status: Value) -> Verdict {
    judge(&goal(), Some(&agent(Some(status))), clock())
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut status = document();
    change(&mut status);
    status
}

/// The device accepted the document and works on these resources.
fn working(phase: &str, resources: Vec<Value>) -> Value {
    with(|status| {
        status["phase"] = phase.into();
        status["applied"] = Value::Null;
        status["conditions"][1]["status"] = "False".into();
        status["resources"] = resources.into();
    })
}

#[test]
fn a_document_is_reached_when_it_is_in_force_applied_and_still_converged() {
    assert_eq!(verdict(document()), Verdict::Reached);
    let other = digest("other").to_string();
    for changed in [
        with(|status| status["accepted"]["digest"] = other.clone().into()),
        with(|status| status["applied"]["digest"] = other.clone().into()),
        with(|status| status["applied"] = Value::Null),
        with(|status| status["conditions"][1]["status"] = "False".into()),
        with(|status| status["conditions"] = json!([])),
    ] {
        assert_eq!(verdict(changed.clone()), Verdict::InProgress, "{changed}");
    }
}

/// A status with words and keys of a version that is not known here.
fn newer(status: Value) -> Value {
    let mut status = status;
    let condition = json!({"type": "Levitating", "status": "True", "reason": "NotReady", "message": "",
                           "lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 7});
    status["schemaVersion"] = "1.9.0".into();
    status["phase"] = "Levitating".into();
    status["levitation"] = json!({"generation": 7});
    status["conditions"].as_array_mut().unwrap().insert(0, condition);
    status
}

#[test]
fn words_and_keys_of_a_newer_agent_keep_nobody_from_judging_what_is_known() {
    assert_eq!(
        verdict(newer(document())),
        Verdict::Reached,
        "what 1.x promises of `Converged` holds in any phase"
    );
    let refused = with(|status| {
        status["accepted"] = Value::Null;
        status["conditions"][0]["status"] = "False".into();
        status["conditions"][0]["reason"] = "Invalid".into();
    });
    assert!(matches!(verdict(newer(refused)), Verdict::Refused { reason, .. } if reason == "Invalid"));
    let quarantined = working("Degraded", vec![resource("a", "Quarantined", "NotReady")]);
    assert_eq!(verdict(newer(quarantined)), Verdict::InProgress);
    let failing = vec![resource("a", "Failed", "NotRegularFile"), resource("b", "Quarantined", "R")];
    assert_eq!(verdict(working("Degraded", failing)), Verdict::InProgress);
}

#[test]
fn a_refusal_counts_for_the_document_that_was_refused_and_no_other() {
    let refused = with(|status| {
        let other = digest("before").to_string();
        status["accepted"]["digest"] = other.clone().into();
        status["applied"]["digest"] = other.into();
        status["conditions"][0]["status"] = "False".into();
        status["conditions"][0]["reason"] = "StaleGeneration".into();
        status["conditions"][0]["message"] = "older than 9".into();
    });
    let verdict_on_refused = verdict(refused.clone());
    assert_eq!(
        verdict_on_refused,
        Verdict::Refused { reason: "StaleGeneration".into(), message: "older than 9".into() }
    );
    assert!(verdict_on_refused.asks_for_higher_generation());
    let mut of_another = refused.clone();
    of_another["desired"]["digest"] = digest("before").to_string().into();
    assert_eq!(verdict(of_another), Verdict::InProgress);
    // The same in an earlier entry, where nobody had signed it.
    let mut before = refused;
    before["desired"]["revision"] = 39.into();
    assert_eq!(verdict(before), Verdict::InProgress);
}

#[test]
fn only_refusals_for_the_generation_ask_for_a_higher_one() {
    let refused = |reason: &str| Verdict::Refused { reason: reason.into(), message: String::new() };
    assert!(refused("GenerationConflict").asks_for_higher_generation());
    assert!(!refused("PolicyDenied").asks_for_higher_generation());
    assert!(!Verdict::Superseded.asks_for_higher_generation());
}

#[test]
fn degraded_is_failed_only_when_nothing_else_is_under_way() {
    let failed = || resource("broken", "Failed", "NotRegularFile");
    let waiting = resource("waits", "Pending", "DependencyNotReady");
    assert_eq!(
        verdict(working("Degraded", vec![failed(), waiting])),
        Verdict::Failed { message: "File/broken NotRegularFile: it is a folder".into() }
    );
    for (state, reason) in [("Applying", "Applying"), ("Removing", "Removing"), ("Pending", "Queued")] {
        let status = working("Degraded", vec![failed(), resource("other", state, reason)]);
        assert_eq!(verdict(status), Verdict::InProgress, "{state}");
    }
    assert_eq!(verdict(working("Converging", vec![failed()])), Verdict::InProgress);
}

#[test]
fn what_fails_before_a_device_goes_back_has_not_failed_yet() {
    let target = Target { revision: 40, digest: digest("ours"), generation: None, goes_back: true };
    let judged = |status| judge(&Goal::Converged(target.clone()), Some(&agent(Some(status))), clock());
    let failing = |applied: Value| {
        let mut status = working("Degraded", vec![resource("broken", "Failed", "NotRegularFile")]);
        status["applied"] = applied;
        status
    };
    let applied = |text: &str| json!({"generation": 6, "digest": digest(text), "at": "2026-01-31T12:00:00Z"});
    assert_eq!(judged(failing(applied("before"))), Verdict::InProgress);
    assert!(matches!(judged(rolled_back("ours")), Verdict::RolledBack { .. }));
    assert_eq!(judged(document()), Verdict::Reached);
    // It has nothing to go back to, or does not any more.
    for never in [Value::Null, applied("ours")] {
        assert!(matches!(judged(failing(never)), Verdict::Failed { .. }));
    }
}

#[test]
fn what_a_document_says_of_going_back_is_read_sealed_or_not() {
    let document =
        |spec: &str| StoredDocument::read(Bytes::from(format!(r#"{{"spec":{spec}}}"#))).goes_back();
    for spec in [r#"{"rollback":{}}"#, r#"{"rollback":{"deadline":"2m"}}"#] {
        assert!(document(spec), "{spec}");
    }
    for spec in ["{}", r#"{"rollback":null}"#, r#"{"rollback":{"onFailure":"None"}}"#, "7"] {
        assert!(!document(spec), "{spec}");
    }
    assert!(!StoredDocument::read(Bytes::from_static(b"not json")).goes_back());
    let key = agent_core::signing::SecretKey::generate().unwrap();
    let sealed = agent_core::signing::Sealed::seal(br#"{"spec":{"rollback":{}}}"#, &key);
    assert!(StoredDocument::read(Bytes::from(sealed)).goes_back());
}

#[test]
fn degraded_under_another_document_says_nothing_about_this_one() {
    let mut status = working("Degraded", vec![resource("broken", "Failed", "NotRegularFile")]);
    status["accepted"]["digest"] = digest("before").to_string().into();
    assert_eq!(verdict(status), Verdict::InProgress);
}

/// The device went back from this document to the one before.
fn rolled_back(from: &str) -> Value {
    with(|status| {
        let before = digest("before").to_string();
        status["phase"] = "RolledBack".into();
        status["accepted"]["digest"] = before.clone().into();
        status["applied"]["digest"] = before.into();
        status["rolledBack"] = json!({
            "generation": 7, "digest": digest(from), "at": "2026-01-31T12:10:00Z", "reason": "DeadlineExceeded",
            "message": "File/a was not ready within 10m",
            "resources": [{"kind": "File", "name": "a", "state": "Failed", "reason": "NotRegularFile",
                           "message": "it is a folder", "logTail": null}],
        });
    })
}

#[test]
fn a_document_from_which_the_device_went_back_has_failed_at_once_and_for_good() {
    let told = Verdict::RolledBack {
        reason: "DeadlineExceeded".into(),
        message: "File/a was not ready within 10m".into(),
    };
    assert_eq!(verdict(rolled_back("ours")), told);
    // Also while what it went back to is not well, and whatever was written since.
    let mut degraded = rolled_back("ours");
    degraded["conditions"][1]["status"] = "False".into();
    assert_eq!(verdict(degraded), told);
    let entry = DesiredEntry { revision: 41, written_at: now(), document: None };
    let superseded = Agent { desired: Some(entry), ..agent(Some(rolled_back("ours"))) };
    assert_eq!(judge(&goal(), Some(&superseded), clock()), told);
    let silent = Agent { last_heartbeat: None, ..agent(Some(rolled_back("ours"))) };
    assert_eq!(judge(&goal(), Some(&silent), clock()), told);
}

#[test]
fn that_the_device_went_back_from_an_earlier_document_says_nothing_about_this_one() {
    assert_eq!(verdict(rolled_back("an earlier one")), Verdict::InProgress);
    // In the same status that says that this one is there.
    let mut reached = document();
    reached["rolledBack"] = rolled_back("an earlier one")["rolledBack"].clone();
    assert_eq!(verdict(reached), Verdict::Reached);
    // It went back to this one.
    let mut to_ours = rolled_back("a later one");
    to_ours["accepted"]["digest"] = digest("ours").to_string().into();
    to_ours["applied"]["digest"] = digest("ours").to_string().into();
    assert_eq!(verdict(to_ours), Verdict::Reached);
}

#[test]
fn safe_mode_is_told_at_once_whether_or_not_the_document_was_put_in_force_but_not_for_one_that_was_not_seen()
{
    let in_safe_mode = |change: &dyn Fn(&mut Value)| {
        let mut status = working("Degraded", vec![resource("left-alone", "Pending", "SafeMode")]);
        let safe_mode = json!({"type": "SafeMode", "status": "True", "reason": "RepeatedCrashes", "message": "it crashes",
                               "lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 7});
        status["conditions"].as_array_mut().unwrap().push(safe_mode);
        change(&mut status);
        status
    };
    let other = digest("before").to_string();
    let told = Verdict::InSafeMode { message: "it crashes".into() };
    assert_eq!(verdict(in_safe_mode(&|_| {})), told);
    assert_eq!(verdict(in_safe_mode(&|status| status["accepted"]["digest"] = other.clone().into())), told);
    assert_eq!(verdict(in_safe_mode(&|status| status["accepted"] = Value::Null)), told);
    let unseen = in_safe_mode(&|status| {
        status["accepted"]["digest"] = other.clone().into();
        status["desired"]["digest"] = other.clone().into();
    });
    assert_eq!(verdict(unseen), Verdict::InProgress);
}

#[test]
fn an_entry_that_someone_else_wrote_later_supersedes_what_has_not_converged() {
    let entry = |revision, document: Option<&'static [u8]>| DesiredEntry {
        revision,
        written_at: now(),
        document: document.map(|bytes| StoredDocument::read(Bytes::from_static(bytes))),
    };
    let judged =
        |status, entry| judge(&goal(), Some(&Agent { desired: Some(entry), ..agent(status) }), clock());
    let busy = || Some(working("Converging", vec![]));
    assert_eq!(judged(busy(), entry(41, Some(b"theirs"))), Verdict::Superseded);
    assert_eq!(judged(busy(), entry(41, None)), Verdict::Superseded);
    assert_eq!(judged(busy(), entry(40, Some(b"ours"))), Verdict::InProgress);
    assert_eq!(judged(busy(), entry(41, Some(b"ours"))), Verdict::InProgress);
    assert_eq!(judged(Some(document()), entry(41, Some(b"theirs"))), Verdict::Reached);
}

#[test]
fn a_silent_device_is_offline_unless_it_got_there_before() {
    let silent = |status| Agent { last_heartbeat: None, ..agent(status) };
    let offline = |last_seen| Verdict::Offline { last_seen };
    assert_eq!(judge(&goal(), None, clock()), offline(None));
    assert_eq!(judge(&goal(), Some(&silent(None)), clock()), offline(None));
    let busy = || silent(Some(working("Converging", vec![])));
    assert_eq!(judge(&goal(), Some(&busy()), clock()), offline(Some(LONG_AGO)));
    assert_eq!(judge(&goal(), Some(&silent(Some(document()))), clock()), Verdict::Reached);
    let late = Clock { now: now().saturating_add(Duration::from_secs(301)), ..clock() };
    assert_eq!(judge(&goal(), Some(&agent(None)), late), offline(Some(now())));
    assert_eq!(judge(&goal(), Some(&agent(None)), clock()), Verdict::InProgress);
}

#[test]
fn unassigned_is_what_the_device_says_and_not_the_missing_entry() {
    let judged = |status| judge(&Goal::Unassigned, Some(&agent(status)), clock());
    assert_eq!(judged(None), Verdict::InProgress);
    assert_eq!(judged(Some(document())), Verdict::InProgress);
    assert_eq!(judged(Some(with(|status| status["phase"] = "Unassigned".into()))), Verdict::Reached);
}
