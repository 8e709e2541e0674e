//! Versions of documents on the platform's command line: what it knows, what differs, and what a fleet of agents
//! with and without the Score bridge reads.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    agent::{Agent, Bridge},
    document::{Format, authored, file, process},
    harmonyctl::Harmonyctl,
    platform::{ACTUAL_STATE, DESIRED_STATE},
    site::{Access, DEVICE, Site},
};

use crate::status_words::refused;

/// Where no server is: no program is given that port by chance.
const NOBODY: &str = "nats://127.0.0.1:1";
/// A device with an agent that has no Scores.
const PLAIN: &str = "edge-0002";

fn committed(kind: &str, version: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/{kind}/{version}.json"));
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn kinds_and_versions_are_listed_and_printed_byte_for_byte_without_a_server() {
    let shell = Harmonyctl::new(NOBODY);
    let ran = shell.run(&["schema", "list"]).await;
    ran.assert_ended(0);
    assert_eq!(
        ran.rows(),
        [
            "KIND VERSION NEWEST",
            "AgentManifest 1.0.0 no",
            "AgentManifest 1.1.0 yes",
            "Score 0.1.0 no",
            "Score 0.1.1 yes"
        ]
    );
    let ran = shell.run(&["schema", "list", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&list["kind"], &list["items"][3]["name"]), (&json!("List"), &json!("Score@0.1.1")));
    assert_eq!(
        shell.run(&["schema", "list", "-o", "name"]).await.stdout,
        "AgentManifest@1.0.0\nAgentManifest@1.1.0\nScore@0.1.0\nScore@0.1.1\n"
    );

    for (name, kind, version) in [
        (None, "AgentManifest", "1.1.0"),
        (Some("AgentManifest"), "AgentManifest", "1.1.0"),
        (Some("AgentManifest@1.0.0"), "AgentManifest", "1.0.0"),
        (Some("Score"), "Score", "0.1.1"),
        (Some("Score@0.1.0"), "Score", "0.1.0"),
    ] {
        let arguments: Vec<&str> = ["schema", "print"].into_iter().chain(name).collect();
        let ran = shell.run(&arguments).await;
        ran.assert_ended(0);
        assert!(ran.stdout == committed(kind, version), "{name:?} is not printed as it is committed");
    }
    for (name, told) in
        [("Tea", "AgentManifest, Score"), ("AgentManifest@7.0.0", "this harmonyctl has 1.0.0, 1.1.0")]
    {
        let ran = shell.run(&["schema", "print", name]).await;
        ran.assert_ended(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(told), "{ran:#?}");
    }
}

#[tokio::test]
async fn what_a_newer_schema_has_is_told_by_path_with_whether_an_old_reader_still_accepts() {
    let shell = Harmonyctl::new(NOBODY);
    let folder = TempDir::with_prefix("harmony-schemas-").unwrap();
    let write = |name: &str, schema: &Value| {
        let path = folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(&path, schema.to_string()).unwrap();
        path
    };
    let ran = shell.run(&["schema", "diff", "AgentManifest", "AgentManifest@1.1.0"]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.is_empty(), "{ran:#?}");

    let mut newer: Value = serde_json::from_str(&committed("AgentManifest", "1.1.0")).unwrap();
    let path = write("newer.json", &newer);
    let old = "AgentManifest@1.0.0";
    for new in ["AgentManifest@1.1.0", &path] {
        let ran = shell.run(&["schema", "diff", old, new]).await;
        ran.assert_ended(3);
        let told = ran.rows();
        assert_eq!(told[..3], ["PATH CHANGE WAS IS", "spec.rollback added - object", ""]);
        assert_eq!(
            told[3..],
            [
                format!(
                    "A reader of {old} accepts documents of {new} but for what only {new} accepts: spec.rollback."
                ),
                format!("A reader of {new} accepts every document of {old}."),
            ]
        );
        let ran = shell.run(&["schema", "diff", old, new, "-o", "json"]).await;
        ran.assert_ended(3);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(told["differences"][0]["path"], "spec.rollback");
        assert_eq!(
            (&told["readers"][0]["accepts"], &told["readers"][1]["accepts"]),
            (&json!("AllThatDoNotUse"), &json!("All"))
        );
    }

    newer["title"] = json!("AgentManifest 2.0.0");
    let ran = shell.run(&["schema", "diff", "AgentManifest", &write("line.json", &newer)]).await;
    assert!(ran.stdout.contains("they are of different version lines"), "{ran:#?}");
    let mut stranger: Value = serde_json::from_str(&committed("AgentManifest", "1.0.0")).unwrap();
    stranger["title"] = json!("AgentManifest 2.0.0");
    let stranger = write("stranger.json", &stranger);
    let ran = shell.run(&["schema", "diff", old, &stranger]).await;
    ran.assert_ended(3);
    assert!(ran.stdout.starts_with("No reader of ") && !ran.stderr.contains("accept the same"), "{ran:#?}");
    let ran = shell.run(&["schema", "diff", old, &stranger, "-o", "json"]).await;
    ran.assert_ended(3);
    for (name, told) in [("Tea", "there is no schema of a kind"), ("./none.json", "cannot read ./none.json")]
    {
        let ran = shell.run(&["schema", "diff", "AgentManifest", name]).await;
        ran.assert_ended(2);
        assert!(ran.stderr.contains(told), "{ran:#?}");
    }
}

/// A site with two running devices that say what they read: [`DEVICE`] reads Scores too, [`PLAIN`] does not.
async fn mixed_fleet() -> (Site, [Agent; 2], Harmonyctl) {
    let site = Site::start(Access::Open).await;
    let mut with_scores = site.device().with_bridge(Bridge::Enabled);
    let mut plain = Agent::new(PLAIN, &site.server.url());
    for device in [&mut with_scores, &mut plain] {
        device.start();
    }
    for id in [DEVICE, PLAIN] {
        site.platform.status_where(id, "anything", |_| true).await;
    }
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    (site, [with_scores, plain], shell)
}

/// Has a device that is none say this of itself.
async fn claim(site: &Site, id: &str, formats: Value, reconcilers: Value) {
    let status = json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": id,
        "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Unassigned", "desired": null,
        "highestGeneration": null, "accepted": null, "applied": null, "conditions": [],
        "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0}, "resources": [],
        "agentInfo": {"version": "0.0.9", "formats": formats, "scores": [], "reconcilers": reconcilers,
                      "facts": {}, "bootId": null, "startedAt": "2026-01-31T12:00:00Z"},
    });
    let subject = format!("$KV.{ACTUAL_STATE}.{id}");
    let ack = site.platform.jetstream.publish(subject, status.to_string().into()).await.unwrap();
    ack.await.unwrap();
}

#[tokio::test]
async fn skew_shows_what_a_mixed_fleet_reads_and_who_would_refuse_a_document_and_why() {
    let (site, _devices, shell) = mixed_fleet().await;
    claim(&site, "edge-0003", json!({"AgentManifest": ["0.9.0"], "Tea": ["1.0.0"]}), json!(["File"])).await;
    claim(&site, "edge-0004", json!({"AgentManifest": ["1.0.0"]}), json!(["Process"])).await;
    // One that was given a document and has never said anything, and one that says what nobody here understands.
    site.platform.put("edge-0005", &authored("edge-0005", &[])).await;
    let unreadable =
        site.platform.jetstream.publish(format!("$KV.{ACTUAL_STATE}.edge-0006"), "{}".into()).await;
    unreadable.unwrap().await.unwrap();

    let ran = shell.run(&["schema", "skew"]).await;
    ran.assert_ended(0);
    let told = ran.rows();
    assert_eq!(told[0], "AGENTS VERSION AgentManifest Score Tea SCORES");
    for row in [
        "1 0.1.0 1.0.0,1.1.0 0.1.0,0.1.1 - 8",
        "1 0.1.0 1.0.0,1.1.0 - - 0",
        "1 0.0.9 0.9.0 - 1.0.0 0",
        "1 0.0.9 1.0.0 - - 0",
        "1 (never reported) - - - -",
        "1 (unreadable) - - - -",
    ] {
        assert!(told.iter().any(|told| told == row), "no {row}: {told:#?}");
    }
    assert_eq!(told.len(), 7, "{told:#?}");

    // Whatever device it names: a single document is judged for all.
    let scores = shell.file(&[Format::Score.authored("edge-0099", &[file("a", "/etc/a", "x")])]);
    let ran = shell.run(&["schema", "skew", "--file", &scores, "--all"]).await;
    ran.assert_ended(3);
    let told = ran.rows();
    assert_eq!(told[0], "NAME VERSION AgentManifest Score Tea SCORES ACCEPTS PROBLEMS");
    assert_eq!(told[1], "edge-0001 0.1.0 1.0.0,1.1.0 0.1.0,0.1.1 - 8 yes");
    assert_eq!(told[2], "edge-0002 0.1.0 1.0.0,1.1.0 - - 0 no the device reads no Score, only AgentManifest");
    assert!(ran.stderr.contains("have said nothing that can be read here: edge-0005, edge-0006"), "{ran:#?}");

    let manifest = shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "x")])]);
    let ran = shell.run(&["schema", "skew", "-f", &manifest]).await;
    ran.assert_ended(3);
    for reason in [
        "1 0.0.9 edge-0003 the device cannot read it: AgentManifest 1.1.0 is of another version line than this reader, \
         which reads 0.9.0",
        "1 0.0.9 edge-0004 the device cannot make it: \"a\" is a File, for which this agent has no reconciler; it has \
         Process",
    ] {
        assert!(ran.rows().iter().any(|row| row == reason), "no {reason}: {ran:#?}");
    }
    let ran = shell.run(&["schema", "skew", "agents", DEVICE, PLAIN, "-f", &manifest, "-o", "json"]).await;
    ran.assert_ended(0);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["agents"], &told["refusals"], &told["unknown"]), (&json!(2), &json!([]), &json!([])));
    assert_eq!(told["devices"][1]["accepts"], true);
    assert_eq!(told["devices"][1]["formats"], json!({"AgentManifest": ["1.0.0", "1.1.0"]}));

    // Of several, each is judged for the device that it names.
    let both = shell.file(&[
        Format::Score.authored(DEVICE, &[file("a", "/etc/a", "x")]),
        authored("edge-0004", &[process("a", &["true"])]),
    ]);
    let ran = shell.run(&["schema", "skew", "-f", &both]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.ends_with("Nobody would refuse it.\n"), "{ran:#?}");
    let more = shell.file(&[
        Format::Score.authored(DEVICE, &[file("a", "/etc/a", "x")]),
        authored("edge-0404", &[process("a", &["true"])]),
    ]);
    let ran = shell.run(&["schema", "skew", "-f", &more]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.ends_with("Nobody is known to refuse it.\n"), "{ran:#?}");
    assert!(ran.stderr.contains("not among those shown were not judged: edge-0404"), "{ran:#?}");
    let ran = shell.run(&["schema", "skew", "agent", PLAIN, "-f", &more, "-o", "json"]).await;
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["refusals"], &told["unknown"]), (&json!([]), &json!([DEVICE, "edge-0404"])));
    let ran = shell.run(&["schema", "skew", "agent/edge-0404"]).await;
    ran.assert_ended(1);
}

#[tokio::test]
async fn apply_refuses_what_a_device_could_not_accept_unless_it_is_forced_to() {
    let (site, _devices, shell) = mixed_fleet().await;
    let documents = [DEVICE, PLAIN].map(|id| Format::Score.authored(id, &[file("a", "/etc/a", "x")]));
    for more in [&["--dry-run"] as &[&str], &[]] {
        let ran = shell.run(&[&["apply", "-f", &shell.file(&documents)], more].concat()).await;
        ran.assert_ended(2);
        let told = "document 2 (agent/edge-0002): the device reads no Score, only AgentManifest";
        assert!(ran.stderr.contains(told) && ran.stderr.contains("apply --force"), "{ran:#?}");
        for id in [DEVICE, PLAIN] {
            assert!(site.platform.entry(DESIRED_STATE, id).await.unwrap().is_none(), "{id} was written");
        }
    }
    let ran = shell.run(&["apply", "--force", "-f", &shell.file(&documents)]).await;
    ran.assert_ended(3);
    assert!(ran.stderr.contains("warning: ") && !ran.stderr.contains("nothing was done"), "{ran:#?}");
    let entry = site.platform.entry(DESIRED_STATE, PLAIN).await.unwrap().unwrap();
    site.platform.status_where(PLAIN, "a refusal", refused(entry.revision, "UnsupportedKind")).await;
}

#[tokio::test]
async fn what_only_a_newer_version_can_say_is_given_to_no_device_that_is_too_old_for_it() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    claim(&site, DEVICE, json!({"AgentManifest": ["1.0.0", "1.1.0"]}), json!(["File"])).await;
    claim(&site, PLAIN, json!({"AgentManifest": ["1.0.0"]}), json!(["File"])).await;
    let documents = [DEVICE, PLAIN].map(|id| authored(id, &[file("a", "/etc/a", "x")]));
    let going_back = documents.clone().map(|mut document| {
        document["spec"]["rollback"] = json!({"deadline": "2m"});
        document
    });
    let refusal = "the device cannot read it: AgentManifest 1.1.0 needs a reader of at least 1.1.0; this one reads 1.0.0";
    let ran = shell.run(&["apply", "--no-wait", "-f", &shell.file(&going_back)]).await;
    ran.assert_ended(2);
    assert!(ran.stderr.contains(&format!("document 2 (agent/{PLAIN}): {refusal}")), "{ran:#?}");
    assert!(!ran.stderr.contains("document 1"), "{ran:#?}");
    let ran = shell.run(&["schema", "skew", "-f", &shell.file(&going_back[..1])]).await;
    ran.assert_ended(3);
    assert!(ran.rows().contains(&format!("1 0.0.9 {PLAIN} {refusal}")), "{ran:#?}");
    let written = async |id: &str| {
        let entry = site.platform.entry(DESIRED_STATE, id).await.unwrap()?;
        let document: Value = serde_json::from_slice(&entry.value).unwrap();
        Some((document["schemaVersion"].clone(), document["minSchemaVersion"].clone()))
    };
    assert_eq!((written(DEVICE).await, written(PLAIN).await), (None, None));

    // The same tools, and a document that says nothing new.
    let ran = shell.run(&["apply", "--no-wait", "-f", &shell.file(&documents)]).await;
    ran.assert_ended(0);
    assert_eq!(written(PLAIN).await, Some((json!("1.1.0"), json!("1.0.0"))));
    let ran = shell.run(&["apply", "--no-wait", "-f", &shell.file(&going_back[..1])]).await;
    ran.assert_ended(0);
    assert_eq!(written(DEVICE).await, Some((json!("1.1.0"), Value::Null)), "the default says it");
}

#[tokio::test]
async fn a_teardown_that_a_device_cannot_read_is_refused_with_what_does_it_instead() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    claim(&site, DEVICE, json!({"Score": ["0.1.0"]}), json!(["File"])).await;
    let ran = shell.run(&["delete", "agent", DEVICE, "--teardown"]).await;
    ran.assert_ended(2);
    for told in ["reads no AgentManifest, only Score", "a document of the kind Score"] {
        assert!(ran.stderr.contains(told), "no {told:?}: {ran:#?}");
    }
    assert!(!ran.stderr.contains("--force"), "{ran:#?}");
    assert!(site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap().is_none());
}

#[tokio::test]
async fn a_device_that_has_never_reported_is_warned_about_and_gets_its_document() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let ran = shell.run(&["apply", "--no-wait", "-f", &shell.file(&[authored(DEVICE, &[])])]).await;
    ran.assert_ended(0);
    assert!(ran.stderr.contains("no device edge-0001 was ever seen here"), "{ran:#?}");
    assert!(site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap().is_some());
}

#[tokio::test]
async fn the_smallest_version_is_written_and_a_document_from_before_that_counts_as_the_same() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let resources = [file("a", "/etc/a", "x")];
    site.platform.put(DEVICE, &site.document(4, &resources)).await;
    let mut document = authored(DEVICE, &resources);
    let apply = async |document: &Value| {
        let ran = shell.run(&["apply", "--no-wait", "-f", &shell.file(std::slice::from_ref(document))]).await;
        ran.assert_ended(0);
        let entry = site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap().unwrap();
        (ran.stdout, serde_json::from_slice::<Value>(&entry.value).unwrap())
    };
    let (said, _) = apply(&document).await;
    assert_eq!(said, "agent/edge-0001 unchanged (generation 4)\n");
    document["metadata"]["labels"] = json!({"site": "south"});
    let (_, written) = apply(&document).await;
    let versions = |written: &Value| (written["schemaVersion"].clone(), written["minSchemaVersion"].clone());
    assert_eq!(versions(&written), (json!("1.1.0"), json!("1.0.0")), "it uses nothing that is newer");
    document["schemaVersion"] = json!("1.6.0");
    let (said, _) = apply(&document).await;
    assert_eq!(said, "agent/edge-0001 unchanged (generation 5)\n", "the same readers suffice");

    document["metadata"]["labels"] = json!({"site": "north"});
    let (_, written) = apply(&document).await;
    assert_eq!(versions(&written), (json!("1.6.0"), json!("1.0.0")));

    let ran = shell.run(&["convert", "-f", &shell.file(std::slice::from_ref(&document)), "-o", "json"]).await;
    ran.assert_ended(0);
    let converted: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&converted["kind"], &converted["minSchemaVersion"]), (&json!("Score"), &json!("0.1.0")));
}
