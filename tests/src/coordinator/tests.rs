//! Histories that must be found guilty, and those next to them that must not.

mod asking;
mod rest;
mod sayings;
mod sight;
mod writers;

use std::time::Duration;

use agent_model::{
    Digest,
    status::{AgentStatus, Heartbeat, Phase},
};
use process_shim::ProcessIdentity;
use serde_json::json;

use super::*;
use crate::platform::{ACTUAL_STATE, DESIRED_STATE, EVENTS, HEARTBEAT};

const A: &str = "/etc/a";

fn document(generation: u64, content: &str) -> Document {
    let digest = Digest::of_bytes(format!("{generation} {content}").as_bytes());
    let declares = [(A.to_owned(), content.to_owned())].into();
    Document {
        generation,
        digest,
        acceptable: true,
        declares,
        names: [("a".to_owned(), A.to_owned())].into(),
    }
}

fn wrote(generation: u64, content: &str) -> Event {
    Event::Wrote(0, document(generation, content))
}

fn saw(content: Option<&str>) -> Event {
    Event::Saw { body: Body::original(0), claim: A.to_owned(), content: content.map(str::to_owned) }
}

fn altered() -> Event {
    Event::Altered(Body::original(0), A.to_owned())
}

/// The status of a device with that document in force, all of which is there.
fn status(in_force: &Document, writer: (&str, u64, u64)) -> AgentStatus {
    let (instance, epoch, op) = writer;
    let document = json!({
        "generation": in_force.generation, "digest": in_force.digest, "kind": "AgentManifest",
        "schemaVersion": "1.0.0", "at": "2026-01-31T12:00:00Z", "revision": 7
    });
    let condition = |name: &str, reason: &str| {
        json!({
            "type": name, "status": "True", "reason": reason, "message": "", "observedGeneration": null,
            "lastTransitionTime": "2026-01-31T12:00:00Z"
        })
    };
    let resource = json!({
        "kind": "File", "name": "a", "state": "Ready", "reason": "InSync", "message": "",
        "since": "2026-01-31T12:00:00Z", "specDigest": null, "changes": 1, "driftCorrections": 0, "restarts": 0,
        "attempts": 0, "nextRetry": null, "details": {}
    });
    serde_json::from_value(json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "edge-0",
        "writer": {"instance": instance, "epoch": epoch, "op": op},
        "phase": "Converged", "desired": document, "highestGeneration": in_force.generation,
        "accepted": document, "applied": document,
        "conditions": [condition("Accepted", "Accepted"), condition("Converged", "AllReady")],
        "summary": {"total": 1, "ready": 1, "failed": 0, "pending": 0}, "resources": [resource],
        "agentInfo": {
            "version": "", "formats": {}, "scores": [], "reconcilers": [],
            "facts": {"os": "", "arch": "", "hostname": ""}, "bootId": null, "startedAt": "2026-01-31T12:00:00Z"
        }
    }))
    .unwrap()
}

fn holding(content: Option<&str>) -> Contents {
    [(A.to_owned(), content.map(str::to_owned))].into()
}

/// That status is sent by a device that has this.
fn says(status: AgentStatus, holds: Option<&str>) -> Event {
    let (about, contents) = (Some(Body::original(0)), Some(holding(holds)));
    Event::Said(Box::new(Said { device: 0, about, status, contents }))
}

fn said(in_force: &Document, op: u64, holds: Option<&str>) -> Event {
    says(status(in_force, ("a", 1, op)), holds)
}

fn told(in_force: &Document, writer: (&str, u64, u64)) -> Event {
    let status = status(in_force, writer);
    Event::Told(Box::new(Told { device: 0, about: Some(Body::original(0)), revision: 1, status }))
}

fn heartbeat(epoch: u64, generation: Option<u64>, phase: Phase) -> Heartbeat {
    serde_json::from_value(json!({"epoch": epoch, "acceptedGeneration": generation, "phase": phase})).unwrap()
}

/// A coordinator to which these happened, one second after the other.
fn coordinator(events: impl IntoIterator<Item = Event>) -> Coordinator {
    let mut coordinator = Coordinator::default();
    for (at, event) in (0..).map(Duration::from_secs).zip(events) {
        coordinator.take(Record { at, event });
    }
    coordinator
}

/// What the coordinator says of them.
fn judged(events: impl IntoIterator<Item = Event>) -> Option<Verdict> {
    coordinator(events).verdict
}

#[test]
fn a_newer_document_after_an_older_one_is_as_it_should_be() {
    let events = [wrote(1, "one"), saw(Some("one")), wrote(2, "two"), saw(None), saw(Some("two"))];
    assert_eq!(judged(events), None);
}

#[test]
fn an_older_document_over_a_newer_one_is_found_even_after_nothing_was_there() {
    let events = [wrote(1, "one"), wrote(2, "two"), saw(Some("two")), saw(None), saw(Some("one"))];
    assert!(matches!(judged(events), Some(Verdict::OlderOverNewer { .. })));
}

#[test]
fn the_second_of_two_documents_of_one_generation_is_found() {
    let events = [wrote(1, "one"), wrote(1, "other"), saw(Some("one")), saw(Some("other"))];
    assert!(matches!(judged(events), Some(Verdict::OlderOverNewer { .. })));
}

#[test]
fn a_generation_with_the_content_of_an_older_one_is_no_step_back() {
    let events = [wrote(1, "one"), wrote(2, "two"), saw(Some("one")), wrote(3, "two"), saw(Some("two"))];
    assert_eq!(judged(events), None);
}

#[test]
fn what_comes_of_a_bad_document_is_found() {
    let bad = Document { acceptable: false, ..document(2, "bad") };
    let events = [wrote(1, "one"), Event::Wrote(0, bad), saw(Some("bad"))];
    assert!(matches!(judged(events), Some(Verdict::NeverDeclared { .. })));
}

#[test]
fn half_a_file_is_found() {
    assert!(matches!(judged([wrote(1, "one"), saw(Some("on"))]), Some(Verdict::NeverDeclared { .. })));
}

#[test]
fn a_process_that_is_started_again_is_found_unless_it_was_declared_anew() {
    let holds = |content: &str, pid| Event::Holds {
        body: Body::original(0),
        claim: "Process held".to_owned(),
        content: content.to_owned(),
        process: ProcessIdentity { pid, start_time: 1 },
    };
    assert_eq!(judged([holds("1", 10), holds("1", 10), holds("2", 11)]), None);
    assert!(matches!(judged([holds("1", 10), holds("1", 11)]), Some(Verdict::Restarted { .. })));
}
