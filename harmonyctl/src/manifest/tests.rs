use std::collections::BTreeMap;

use super::*;
use crate::reading::Reading;

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
    reading.take_in(text, "f.yaml");
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
    assert_eq!(written["schemaVersion"], "1.1.0");
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
        manifest.not_readable_by(&status.agent_info).is_empty()
    };
    assert!(supported(advertised("AgentManifest", &["1.0.0"]), "1.0.0", "1.0.0"));
    assert!(supported(advertised("AgentManifest", &["1.0.0"]), "1.4.0", "1.0.0"));
    assert!(!supported(advertised("AgentManifest", &["1.0.0"]), "1.4.0", "1.1.0"));
    assert!(!supported(advertised("AgentManifest", &["2.0.0"]), "1.0.0", "1.0.0"));
    assert!(supported(advertised("AgentManifest", &["2.0.0", "1.2.0"]), "1.1.0", "1.1.0"));
    assert!(!supported(advertised("Score", &["1.0.0"]), "1.0.0", "1.0.0"));
    assert!(!supported(advertised("AgentManifest", &["0.2.0"]), "0.1.0", "0.1.0"));
}

#[test]
fn a_kind_of_resource_that_the_device_cannot_make_is_told_in_the_agents_own_words() {
    let process =
        VALID.replace("kind: File, spec: {path: /etc/a, content: x}", "kind: Process, spec: {command: [a]}");
    let formats = BTreeMap::from([("AgentManifest".to_owned(), vec!["1.0.0".to_owned()])]);
    let mut status = status(formats);
    assert_eq!(manifest(VALID).problems_on(&status), Vec::<String>::new());
    let problems = manifest(&process).problems_on(&status);
    assert_eq!(
        problems,
        [
            "the device cannot make it: \"a\" is a Process, for which this agent has no reconciler; it has File"
        ]
    );
    status.agent_info.reconcilers = vec!["Tea".to_owned(), "Process".to_owned()];
    assert_eq!(manifest(&process).problems_on(&status), Vec::<String>::new());
}

#[test]
fn the_smallest_version_that_suffices_is_filled_in_unless_it_is_the_default_or_the_author_says_one() {
    let min = |versions: &str| {
        let text = VALID.replace("kind: AgentManifest\n", &format!("kind: AgentManifest\n{versions}\n"));
        let written = manifest(&text).complete(Generation::FIRST, Timestamp::UNIX_EPOCH);
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        let text = |key: &str| written.get(key).and_then(|version| version.as_str()).map(str::to_owned);
        (text("schemaVersion").unwrap(), text("minSchemaVersion"))
    };
    let said = |written: &str, needed: &str| (written.to_owned(), Some(needed.to_owned()));
    assert_eq!(min(""), said("1.1.0", "1.0.0"), "written against the newest, and using nothing of it");
    assert_eq!(min("schemaVersion: 1.0.0"), ("1.0.0".to_owned(), None), "the default says so already");
    assert_eq!(min("schemaVersion: 1.7.0"), said("1.7.0", "1.0.0"), "it uses nothing that is newer");
    assert_eq!(min("schemaVersion: 1.7.0\nminSchemaVersion: 1.0.0"), said("1.7.0", "1.0.0"));
    assert_eq!(min("minSchemaVersion: 1.1.0"), said("1.1.0", "1.1.0"), "the author's is kept");
    assert_eq!(min("minSchemaVersion: null"), said("1.1.0", "1.0.0"));
    assert_eq!(min("schemaVersion: 1.7.0\nminSchemaVersion: null"), said("1.7.0", "1.0.0"));
    let unknown = VALID.replace("spec:\n", "schemaVersion: 1.7.0\nspec:\n  newer: 1\n");
    let problems = reading(&unknown).problems();
    assert!(problems[0].contains("needs a reader of at least 1.7.0"), "{problems:?}");
}

#[test]
fn a_document_that_goes_back_needs_the_version_that_brought_it_and_no_older_device_is_given_it() {
    let rollback = |text: &str| text.replace("spec:\n", "spec:\n  rollback: {deadline: 2m}\n");
    let scores = SCORES.lines().take(6).collect::<Vec<_>>().join("\n").replace(", dependsOn: [tea]", "");
    let reads = |kind: &str, version: &str| {
        let mut status = status(BTreeMap::from([(kind.to_owned(), vec![version.to_owned()])]));
        status.agent_info.scores = vec!["File@0.1.0".to_owned()];
        status
    };
    for (kind, text, old, new) in
        [("AgentManifest", VALID, "1.0.0", "1.1.0"), ("Score", scores.as_str(), "0.1.0", "0.1.1")]
    {
        let (plain, with_rollback) = (manifest(text), manifest(&rollback(text)));
        for (document, needed) in [(&plain, old), (&with_rollback, new)] {
            assert_eq!(document.envelope.schema_version.to_string(), new);
            assert_eq!(document.envelope.min_schema_version.to_string(), needed, "{kind}");
        }
        for version in [old, new] {
            assert_eq!(plain.problems_on(&reads(kind, version)), Vec::<String>::new(), "{kind} {version}");
        }
        assert_eq!(with_rollback.problems_on(&reads(kind, new)), Vec::<String>::new(), "{kind}");
        assert_eq!(
            with_rollback.problems_on(&reads(kind, old)),
            [format!(
                "the device cannot read it: {kind} {new} needs a reader of at least {new}; this one reads {old}"
            )]
        );
        let too_old = rollback(&text.replace("spec:\n", &format!("schemaVersion: {old}\nspec:\n")));
        let problems = reading(&too_old).problems();
        assert!(
            problems.len() == 1
                && problems[0].contains(&format!("/spec/rollback: \"rollback\" came with version {new}")),
            "{problems:?}"
        );
        let too_low = rollback(&text.replace("spec:\n", &format!("minSchemaVersion: {old}\nspec:\n")));
        let problems = reading(&too_low).problems();
        let told = format!("/minSchemaVersion: {old} is too low: {kind} {old} does not know /spec/rollback");
        assert!(problems.len() == 1 && problems[0].contains(&told), "{problems:?}");
    }
}

#[test]
fn a_document_that_an_older_harmonyctl_wrote_is_the_same_as_one_of_this() {
    let document = agent_core::authoring::read_documents(VALID, "f").unwrap().remove(0);
    let older = document.complete(&completion("1.0.0", Generation::FIRST, Timestamp::UNIX_EPOCH));
    assert_eq!(agent_core::authoring::intent_digest(&older), Some(manifest(VALID).intent()));
    let with_rollback = VALID.replace("spec:\n", "spec:\n  rollback: {}\n");
    assert_ne!(manifest(&with_rollback).intent(), manifest(VALID).intent());
}

#[test]
fn of_a_format_with_several_versions_the_least_is_written_and_one_that_is_too_low_is_refused_with_the_field()
{
    let planted = crate::least_version::tests::planted();
    let judged = |versions: &str, spec: &str| {
        let text = format!("{{kind: Tea, metadata: {{name: edge-1}}, {versions}spec: {{{spec}}}}}");
        let document = agent_core::authoring::read_documents(&text, "f").unwrap().remove(0);
        let (document, problem) = with_least_version_of(document, &Version::new(1, 10, 0), Some(&planted));
        let min = document.fields().get("minSchemaVersion").and_then(|min| min.as_str()).map(str::to_owned);
        (min.unwrap_or_default(), problem.map(|problem| problem.to_string()).unwrap_or_default())
    };
    let fine = |min: &str| (min.to_owned(), String::new());
    let rollback = "rollback: {deadline: 1m}";
    assert_eq!(judged("", ""), fine("1.0.0"));
    assert_eq!(judged("", rollback), fine("1.1.0"));
    assert_eq!(judged("schemaVersion: 1.10.0, ", rollback), fine("1.1.0"));
    assert_eq!(judged("schemaVersion: 1.1.0, ", rollback), fine(""), "that is the default");
    assert_eq!(judged("minSchemaVersion: 1.10.0, ", rollback), fine("1.10.0"));
    assert_eq!(judged("minSchemaVersion: 1.1.0, ", rollback), fine("1.1.0"));
    assert_eq!(judged("schemaVersion: 1.12.0, ", "newer: 1"), fine(""), "nothing here knows it");
    let (min, problem) = judged("minSchemaVersion: 1.0.0, ", rollback);
    assert_eq!(min, "1.0.0");
    assert_eq!(
        problem,
        "/minSchemaVersion: 1.0.0 is too low: Tea 1.0.0 does not know /spec/rollback; write 1.1.0, or leave it out and it \
         is filled in"
    );
}

#[test]
fn readers_of_another_line_than_the_documents_cannot_be_said_to_suffice() {
    let problems = |versions: &str| {
        let text = VALID.replace("spec:\n", &format!("{versions}\nspec:\n"));
        reading(&text).problems()
    };
    for (versions, told) in [
        (
            "minSchemaVersion: 0.9.0",
            "0.9.0 is of another version line than the document, which is written against 1.1.0",
        ),
        ("minSchemaVersion: 2.0.0", "2.0.0 is of another version line"),
        ("schemaVersion: 1.7.0\nminSchemaVersion: 0.1.0", "0.1.0 is of another version line"),
    ] {
        let told_of = problems(versions);
        let is_told = |line: &String| line.contains(&format!("/minSchemaVersion: {told}"));
        assert!(told_of.iter().any(is_told), "{versions}: {told_of:?}");
    }
    let scores = SCORES.replace("spec:\n", "minSchemaVersion: 0.2.0\nspec:\n");
    assert!(reading(&scores).problems()[0].contains("/minSchemaVersion: 0.2.0 is of another version line"));
}

#[test]
fn an_entry_is_judged_by_the_versions_that_it_has() {
    let agent: AgentId = "edge-1".parse().unwrap();
    let text = VALID.replace("spec:\n", "schemaVersion: 1.7.0\nspec:\n");
    let document = agent_core::authoring::read_documents(&text, "f").unwrap().remove(0);
    let entry = document.complete(&completion("1.0.0", Generation::FIRST, Timestamp::UNIX_EPOCH));
    for facts in [None, Some(DeviceFacts::new())] {
        // Its author said of no older reader that it suffices, and no device takes it for less.
        let problems = Manifest::of_entry(&agent, &entry, facts.as_ref()).unwrap_err().problems;
        assert!(problems[0].message.contains("needs a reader of at least 1.7.0"), "{problems:?}");
    }
    // The same, as a document that is yet to be written.
    assert_eq!(manifest(&text).envelope.min_schema_version, Version::new(1, 0, 0));
}

#[test]
fn a_version_that_is_none_is_told_and_nothing_is_filled_in() {
    for key in ["schemaVersion", "minSchemaVersion"] {
        let problems = reading(&VALID.replace("spec:\n", &format!("{key}: tea\nspec:\n"))).problems();
        assert!(problems.len() == 1 && problems[0].contains(&format!("/{key}: ")), "{problems:?}");
    }
}

/// Two Scores, the second of which is not known here.
const SCORES: &str = "\
apiVersion: harmony/v1
kind: Score
metadata: {name: edge-1}
spec:
  scores:
    - {score: File, version: 0.1.0, name: a, dependsOn: [tea], with: {path: /etc/a, content: x}}
    - {score: Tea, version: 0.3.0, name: tea, with: {sugar: 2}}
";

#[test]
fn a_score_that_is_not_known_here_is_left_to_the_device_and_named() {
    let manifest = manifest(SCORES);
    let doubts = manifest.doubts().unwrap();
    for part in ["Tea ^0.3.0 (/spec/scores/1)", "File@0.1.0"] {
        assert!(doubts.contains(part), "no {part:?}: {doubts}");
    }
    assert_eq!(super::tests::manifest(VALID).doubts(), None);
}

#[test]
fn a_misspelt_score_is_doubted_with_the_nearest_and_what_no_score_can_be_named_is_invalid() {
    let of = |score: &str| {
        let text = SCORES.replace("Tea", &format!("{score:?}"));
        reading(&text).documents.remove(0)
    };
    let doubts = of("Flie").unwrap().doubts().unwrap();
    assert!(doubts.ends_with("Flie ^0.3.0 (/spec/scores/1); did you mean \"File\"?"), "{doubts}");
    for score in ["file", "Fi le", "", "File@0.1.0"] {
        let problems = of(score).unwrap_err().problems;
        assert_eq!(problems[0].pointer, "/spec/scores/1/score", "{problems:?}");
    }
}

#[test]
fn a_score_that_is_not_known_here_hides_no_problem_of_the_others_nor_of_its_own_entry() {
    let text =
        SCORES.replace("path: /etc/a", "pth: /etc/a").replace("name: tea,", "name: tea, dependsOn: [b],");
    let problems = reading(&text).problems();
    for pointer in ["/spec/scores/0/with/pth: ", "/spec/scores/1/dependsOn/0: "] {
        assert!(problems.iter().any(|problem| problem.contains(pointer)), "no {pointer}: {problems:#?}");
    }
    assert!(!problems.iter().any(|problem| problem.contains("/spec/scores/1/score")), "{problems:#?}");
    // Not a range of versions is nobody's Score.
    let problems = reading(&SCORES.replace("0.3.0", "latest")).problems();
    assert!(problems.iter().any(|problem| problem.contains("/spec/scores/1/version: ")), "{problems:#?}");
    // Nor does it, where the envelope is wrong already.
    let problems = reading(&SCORES.replace("name: edge-1", "name: edge-1, lables: {}")).problems();
    assert_eq!(problems.len(), 1, "{problems:#?}");
}

#[test]
fn the_scores_and_facts_of_a_device_decide_whether_it_can_be_given_a_document() {
    let formats = BTreeMap::from([("Score".to_owned(), vec!["0.1.0".to_owned()])]);
    let problems = |text: &str, scores: &[&str]| {
        let mut status = status(formats.clone());
        status.agent_info.scores = scores.iter().map(|score| (*score).to_owned()).collect();
        status.agent_info.facts = [("hostname".to_owned(), "h".to_owned())].into();
        manifest(text).problems_on(&status)
    };
    assert_eq!(problems(SCORES, &["File@0.1.0", "Tea@0.3.7"]), Vec::<String>::new());
    let missing = problems(SCORES, &["File@0.1.0", "Tea@0.2.0"]);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("/spec/scores/1: ") && missing[0].contains("Tea@0.2.0"), "{missing:?}");
    assert_eq!(problems(SCORES, &[]).len(), 2);

    let rendered = |fact: &str| {
        let template = format!("'{{{{ facts.{fact} }}}}'");
        let with =
            format!("{{folder: /etc/c, values: {{}}, files: [{{name: m, path: m, template: {template}}}]}}");
        SCORES.lines().take(5).collect::<Vec<_>>().join("\n")
            + &format!("\n    - {{score: ConfigSet, version: 0.1.0, name: c, with: {with}}}\n")
    };
    assert_eq!(problems(&rendered("hostname"), &["ConfigSet@0.1.0"]), Vec::<String>::new());
    let unknown = problems(&rendered("kernel"), &["ConfigSet@0.1.0"]);
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].starts_with("/spec/scores/0/with/files/0/template: "), "{unknown:?}");
}

#[test]
fn a_template_that_knows_one_architecture_only_is_valid_for_such_a_device() {
    let document = |arch: &str| {
        let template = "'{{ values.port[facts.arch] }}'";
        let values = format!("{{port: {{{arch}: ttyS0}}}}");
        let with = format!(
            "{{folder: /etc/c, values: {values}, files: [{{name: m, path: m, template: {template}}}]}}"
        );
        SCORES.lines().take(5).collect::<Vec<_>>().join("\n")
            + &format!("\n    - {{score: ConfigSet, version: 0.1.0, name: c, with: {with}}}\n")
    };
    for arch in ["x86_64", "aarch64", "riscv64"] {
        assert_eq!(manifest(&document(arch)).facts["arch"], arch);
    }
    let problems = reading(&document("vax")).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn the_documents_of_a_list_are_told_apart_by_their_places() {
    let document = |name: &str| {
        format!(
            "{{\"apiVersion\": \"harmony/v1\", \"kind\": \"AgentManifest\", \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{\"resources\": []}}}}"
        )
    };
    let list = format!("{{\"kind\": \"List\", \"items\": [{}, {}, 7]}}", document("edge-1"), document("a.b"));
    let reading = reading(&list);
    assert_eq!(reading.documents.iter().filter(|document| document.is_ok()).count(), 1);
    let problems = reading.problems();
    assert!(problems.iter().any(|problem| problem.contains("f.yaml, list 1, document 2: ")), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("f.yaml, list 1, document 3: ")), "{problems:#?}");
}

fn status(formats: BTreeMap<String, Vec<String>>) -> AgentStatus {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": "edge-1",
        "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Unassigned", "desired": null,
        "highestGeneration": null, "accepted": null, "applied": null, "conditions": [],
        "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0}, "resources": [],
        "agentInfo": {"version": "0.1.0", "formats": formats, "scores": [], "reconcilers": ["File"], "facts": {},
                      "bootId": null, "startedAt": "2026-01-31T12:00:00Z"},
    }))
    .unwrap()
}

#[test]
fn a_signed_document_is_called_one_and_it_is_said_what_to_do_with_it() {
    let key = agent_core::signing::SecretKey::generate().unwrap();
    let sealed: Value = serde_json::from_slice(&Sealed::seal(b"{}", &key)).unwrap();
    let signed = |fields: &Value| {
        let fields = fields.as_object().cloned().unwrap();
        let broken = Manifest::check(AuthoredDocument::from_fields("f.json", fields)).unwrap_err();
        broken.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let told = signed(&sealed);
    for part in ["it is a signed document", "harmonyctl verify", "nats kv put desired-state", "--sign-key"] {
        assert!(told.contains(part), "{part:?} is missing: {told}");
    }
    let misspelt = signed(&serde_json::json!({"kind": "AgentManifest", "payload": ""}));
    assert!(!misspelt.contains("it is a signed document"), "{misspelt}");
}
