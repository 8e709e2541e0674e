use std::collections::BTreeMap;

use super::*;

const VALID: &str = "\
apiVersion: harmony/v1
kind: AgentManifest
metadata: {name: edge-1}
spec:
  resources:
    - {name: a, kind: File, spec: {path: /etc/a, content: x}}
";

fn reading(text: &str) -> Reading {
    let mut reading = Reading::default();
    match read_documents(text, "f.yaml") {
        Ok(documents) => reading.documents.extend(documents.into_iter().map(Manifest::check)),
        Err(error) => reading.unreadable.push(error),
    }
    reading.refuse_repeated_agents();
    reading
}

fn manifest(text: &str) -> Manifest {
    reading(text).into_manifests().unwrap().pop().unwrap()
}

#[test]
fn a_document_as_authors_write_it_is_valid_and_is_completed() {
    let manifest = manifest(VALID);
    let bytes = manifest.complete(Generation::try_from(7).unwrap(), Timestamp::UNIX_EPOCH);
    let written: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(written["schemaVersion"], "1.0.0");
    assert_eq!(written["metadata"]["generation"], 7);
    assert_eq!(written["metadata"]["issuedAt"], "1970-01-01T00:00:00Z");
    assert_eq!(agent_core::authoring::intent_digest(&bytes), Some(manifest.intent()));
}

#[test]
fn all_problems_of_all_documents_are_told_with_file_number_and_place() {
    let text = "\
apiVersion: harmony/v1
kind: AgentManifest
metadata: {name: edge-1}
spec:
  resources:
    - {name: a, kind: File, spec: {pth: /etc/a, content: x}}
    - {name: b, kind: Flie, spec: {}}
---
apiVersion: harmony/v1
kind: AgentManifset
metadata: {name: edge-2}
spec: {}
---
apiVersion: harmony/v1
kind: AgentManifest
metadata: {name: a.b, lables: {}}
spec: {resorces: []}
";
    let problems = reading(text).problems();
    let holds = |parts: &[&str]| problems.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(holds(&["f.yaml, document 1 (agent/edge-1): /spec/resources/0", "path"]), "{problems:#?}");
    assert!(holds(&["f.yaml, document 1 (agent/edge-1): /spec/resources/1", "File"]), "{problems:#?}");
    assert!(holds(&["f.yaml, document 2 (agent/edge-2): /kind: ", "AgentManifset"]), "{problems:#?}");
    assert!(holds(&["f.yaml, document 3: /metadata/name: ", "a.b"]), "{problems:#?}");
    assert!(holds(&["f.yaml, document 3: /metadata/lables: ", "did you mean \"labels\"?"]), "{problems:#?}");
    assert!(holds(&["f.yaml, document 3: /spec/resorces: ", "resources"]), "{problems:#?}");
}

#[test]
fn one_invalid_document_keeps_all_from_being_written() {
    let text =
        format!("{VALID}---\napiVersion: harmony/v1\nkind: AgentManifest\nmetadata: {{name: edge-2}}\n");
    let reading = reading(&text);
    assert!(!reading.is_valid());
    let failure = reading.into_manifests().unwrap_err();
    assert_eq!(failure.outcome(), crate::outcome::Outcome::Usage);
    assert!(failure.to_string().contains("1 invalid, 1 valid"), "{failure}");
}

#[test]
fn two_documents_for_one_device_are_refused() {
    let problems = reading(&format!("{VALID}---\n{VALID}")).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("document 2 (agent/edge-1): /metadata/name: "), "{problems:?}");
    assert!(problems[0].contains("f.yaml, document 1"), "{problems:?}");
}

#[test]
fn what_the_device_advertises_decides_whether_it_can_read_a_document() {
    let advertised = |kind: &str, versions: &[&str]| {
        BTreeMap::from([(kind.to_owned(), versions.iter().map(|version| (*version).to_owned()).collect())])
    };
    let mut manifest = manifest(VALID);
    let mut supported = |formats, written: &str, needed: &str| {
        manifest.envelope.schema_version = written.parse().unwrap();
        manifest.envelope.min_schema_version = needed.parse().unwrap();
        let status = status(formats);
        manifest.not_supported_by(&status).is_none()
    };
    assert!(supported(advertised("AgentManifest", &["1.0.0"]), "1.0.0", "1.0.0"));
    assert!(supported(advertised("AgentManifest", &["1.0.0"]), "1.4.0", "1.0.0"));
    assert!(!supported(advertised("AgentManifest", &["1.0.0"]), "1.4.0", "1.1.0"));
    assert!(!supported(advertised("AgentManifest", &["2.0.0"]), "1.0.0", "1.0.0"));
    assert!(supported(advertised("AgentManifest", &["2.0.0", "1.2.0"]), "1.1.0", "1.1.0"));
    assert!(!supported(advertised("Score", &["1.0.0"]), "1.0.0", "1.0.0"));
    assert!(!supported(advertised("AgentManifest", &["0.2.0"]), "0.1.0", "0.1.0"));
}

fn status(formats: BTreeMap<String, Vec<String>>) -> AgentStatus {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "edge-1",
        "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Unassigned", "desired": null,
        "highestGeneration": null, "accepted": null, "applied": null, "conditions": [],
        "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0}, "resources": [],
        "agentInfo": {"version": "0.1.0", "formats": formats, "scores": [], "reconcilers": [], "facts": {},
                      "bootId": null, "startedAt": "2026-01-31T12:00:00Z"},
    }))
    .unwrap()
}
