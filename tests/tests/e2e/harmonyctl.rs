//! The platform's command line, as people and scripts run it, on a real server with a real device.

use std::fs;

use agent_model::status::{AgentStatus, Phase};
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::{authored, file, script},
    eventually::eventually,
    harmonyctl::{Harmonyctl, Ran},
    nats_server::{NatsServer, Settings},
    platform::{ACTUAL_STATE, DESIRED_STATE},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

/// A device that nobody ever heard of.
const STRANGER: &str = "edge-0009";
/// Where no server is: no program is given that port by chance.
const NOBODY: &str = "nats://127.0.0.1:1";

/// A site with a running device of the contract's rights, and somebody who works on it.
struct Workplace {
    site: Site,
    device: Agent,
    shell: Harmonyctl,
}

impl Workplace {
    async fn start() -> Self {
        let site = Site::start(Access::Restricted).await;
        let device = site.device();
        Self::with(site, device).await
    }

    async fn with(site: Site, mut device: Agent) -> Self {
        device.start();
        // Before its first sign of life it would be offline, which nobody waits for.
        site.device_was_seen().await;
        let shell = Harmonyctl::new(site.server.url_with_credentials());
        Self { site, device, shell }
    }

    /// Starts with the device converged at generation 1, with `/etc/a` holding `1`.
    async fn converged() -> Self {
        let workplace = Self::start().await;
        workplace.shell.apply(&[holding("1")]).await.assert_ended(0);
        workplace
    }

    async fn status(&self) -> AgentStatus {
        self.site.platform.status(DEVICE).await.unwrap()
    }

    /// The document in the bucket, and its revision.
    async fn desired(&self, agent: &str) -> Option<(u64, Value)> {
        let entry = self.site.platform.entry(DESIRED_STATE, agent).await.unwrap()?;
        Some((entry.revision, serde_json::from_slice(&entry.value).unwrap()))
    }
}

/// A document of one file, `/etc/a`.
fn holding(content: &str) -> Value {
    authored(DEVICE, &[file("a", "/etc/a", content)])
}

#[track_caller]
fn assert_printed(ran: &Ran, lines: &[&str]) {
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), lines, "{ran:#?}");
}

#[tokio::test]
async fn init_makes_everything_once_and_then_says_unchanged() {
    let server = NatsServer::start(Settings::default()).await;
    let shell = Harmonyctl::new(server.url());
    let said = |change: &str| {
        [
            "desired-state",
            "actual-state",
            "agent-heartbeat",
            "agents",
            "AGENT_EVENTS",
            "ENROLL_REQUESTS",
            "ENROLL_ANSWERS",
        ]
        .map(|name| format!("{name} {change}"))
    };
    for change in ["created", "unchanged", "unchanged"] {
        let ran = shell.run(&["init"]).await;
        ran.assert_ended(0);
        let mut lines: Vec<&str> = ran.stdout.lines().collect();
        lines.sort_unstable();
        let mut expected = said(change);
        expected.sort_unstable();
        assert_eq!(lines, expected, "{ran:#?}");
    }
}

#[tokio::test]
async fn apply_writes_a_document_once_and_counts_the_generation_up_only_when_it_changed() {
    let workplace = Workplace::start().await;
    let ran = workplace.shell.apply(&[holding("1")]).await;
    ran.assert_ended(0);
    assert_printed(
        &ran,
        &["agent/edge-0001 created (generation 1)", "agent/edge-0001 converged (generation 1)"],
    );
    assert_eq!(workplace.device.read("/etc/a"), "1");
    assert!(converged_at(1)(&workplace.status().await));
    let written = workplace.desired(DEVICE).await.unwrap();
    assert_eq!(written.1["metadata"]["generation"], 1);

    let ran = workplace.shell.apply(&[holding("1")]).await;
    ran.assert_ended(0);
    assert_printed(
        &ran,
        &["agent/edge-0001 unchanged (generation 1)", "agent/edge-0001 converged (generation 1)"],
    );
    assert_eq!(workplace.desired(DEVICE).await.unwrap(), written, "what is unchanged was written again");
    assert!(converged_at(1)(&workplace.status().await));

    let ran = workplace.shell.apply(&[holding("2")]).await;
    ran.assert_ended(0);
    assert_printed(
        &ran,
        &["agent/edge-0001 configured (generation 2)", "agent/edge-0001 converged (generation 2)"],
    );
    assert_eq!(workplace.device.read("/etc/a"), "2");
    assert!(converged_at(2)(&workplace.status().await));
    workplace.site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn apply_ends_with_3_when_the_device_cannot_make_what_is_declared() {
    let workplace = Workplace::start().await;
    fs::create_dir_all(workplace.device.path("/etc/a/in-the-way")).unwrap();
    let ran = workplace.shell.apply(&[holding("1")]).await;
    ran.assert_ended(3);
    assert_printed(&ran, &["agent/edge-0001 created (generation 1)"]);
    assert!(ran.stderr.contains("cannot apply generation 1"), "{ran:#?}");
    assert!(ran.stderr.contains("NotRegularFile"), "it does not say why: {ran:#?}");
    assert!(ran.stderr.contains("harmonyctl describe agent edge-0001"), "nor what to do next: {ran:#?}");
}

#[tokio::test]
async fn apply_ends_with_3_when_the_device_refuses_the_document() {
    let site = Site::start(Access::Restricted).await;
    let device = site.device();
    // Below the root, so that a document can name what no document may.
    let state_dir = device.path("/var/lib/harmony-agent");
    let workplace = Workplace::with(site, device.with_state_dir(state_dir)).await;
    workplace.shell.apply(&[holding("1")]).await.assert_ended(0);
    let ledger = authored(DEVICE, &[file("ledger", "/var/lib/harmony-agent/ledger.json", "{}")]);
    let ran = workplace.shell.apply(&[ledger]).await;
    ran.assert_ended(3);
    assert_printed(&ran, &["agent/edge-0001 configured (generation 2)"]);
    assert!(ran.stderr.contains("the device refuses generation 2: PolicyDenied: "), "{ran:#?}");
    assert!(ran.stderr.contains("What it had before stays in force."), "{ran:#?}");
    assert_eq!(workplace.device.read("/etc/a"), "1");
}

#[tokio::test]
async fn one_invalid_document_among_several_keeps_all_from_being_written_and_all_problems_are_told() {
    let workplace = Workplace::start().await;
    let mut misspelt = file("a", "/etc/a", "1");
    misspelt["spec"]["mdoe"] = json!("0644");
    let invalid =
        authored(STRANGER, &[misspelt, file("b", "etc/b", "1"), json!({"kind": "Flie", "name": "c"})]);
    let documents = [holding("1"), invalid];
    let path = workplace.shell.file(&documents);
    for command in [&["apply", "-f", &path][..], &["apply", "--dry-run", "-f", &path], &["diff", "-f", &path]]
    {
        let ran = workplace.shell.run(command).await;
        ran.assert_ended(2);
        assert_printed(&ran, &[]);
        for problem in [
            "/spec/resources/0/spec/mdoe: unknown key \"mdoe\"; did you mean \"mode\"?",
            "/spec/resources/1/spec/path",
            "/spec/resources/2/kind",
            "document 2 (agent/edge-0009)",
            "nothing was done: 1 invalid, 1 valid",
        ] {
            assert!(ran.stderr.contains(problem), "{problem}: {ran:#?}");
        }
    }
    assert_eq!(workplace.desired(DEVICE).await, None);
    assert_eq!(workplace.desired(STRANGER).await, None);
}

#[tokio::test]
async fn apply_for_devices_that_are_offline_ends_with_6_without_waiting_and_has_written() {
    let mut workplace = Workplace::converged().await;
    // It would wait for an hour for a device that is online: that it ends says that it is not.
    let ran = workplace.shell.apply(&[authored(STRANGER, &[file("a", "/etc/a", "1")])]).await;
    ran.assert_ended(6);
    assert_printed(&ran, &["agent/edge-0009 created (generation 1)"]);
    assert!(ran.stderr.contains("the device is offline (was never seen)"), "{ran:#?}");
    assert_eq!(workplace.desired(STRANGER).await.unwrap().1["metadata"]["generation"], 1);

    workplace.device.stop().await;
    let path = workplace.shell.file(&[holding("2")]);
    let arguments = ["apply", "--timeout", "1h", "--offline-after", "1s", "-f", &path];
    let ran = workplace.shell.run(&arguments).await;
    ran.assert_ended(6);
    assert_printed(&ran, &["agent/edge-0001 configured (generation 2)"]);
    assert!(ran.stderr.contains("the device is offline (was last seen"), "{ran:#?}");
    assert_eq!(workplace.device.read("/etc/a"), "1");

    workplace.device.start();
    workplace.site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(workplace.device.read("/etc/a"), "2");
}

#[tokio::test]
async fn apply_ends_with_4_when_a_device_that_is_online_does_not_get_there_in_time() {
    let mut workplace = Workplace::converged().await;
    workplace.device.stop().await;
    // It was seen a moment ago, and nothing can tell yet that it is gone.
    let path = workplace.shell.file(&[holding("2")]);
    let ran = workplace.shell.run(&["apply", "--timeout", "1s", "--offline-after", "1h", "-f", &path]).await;
    ran.assert_ended(4);
    assert_printed(&ran, &["agent/edge-0001 configured (generation 2)"]);
    assert!(ran.stderr.contains("agent/edge-0001: timed out after 1s"), "{ran:#?}");
}

#[tokio::test]
async fn get_lists_every_device_that_any_bucket_knows_in_every_format() {
    let workplace = Workplace::converged().await;
    workplace.shell.apply(&[authored(STRANGER, &[])]).await.assert_ended(6);
    // The heartbeat takes its own way.
    let lines = eventually("the device was seen", async || {
        let ran = workplace.shell.run(&["get", "agents"]).await;
        ran.assert_ended(0);
        let lines: Vec<Vec<String>> = ran
            .stdout
            .lines()
            .map(|line| {
                line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
            })
            .collect();
        let seen = lines[1].last().is_some_and(|seen| seen.ends_with(" ago"));
        if seen { Ok(lines) } else { Err(ran.stdout) }
    })
    .await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(lines[0], ["NAME", "PHASE", "GENERATION", "APPLIED", "READY", "LAST-SEEN"]);
    assert_eq!(lines[1][..5], ["edge-0001", "Converged", "1", "1", "1/1"]);
    assert_eq!(lines[2], ["edge-0009", "Unknown", "1", "-", "-", "never"]);

    let ran = workplace.shell.run(&["get", "agents", "-o", "name"]).await;
    ran.assert_ended(0);
    assert_printed(&ran, &["agent/edge-0001", "agent/edge-0009"]);

    let entry = workplace.site.platform.entry(ACTUAL_STATE, DEVICE).await.unwrap().unwrap();
    let status: Value = serde_json::from_slice(&entry.value).unwrap();
    for arguments in [&["get", "agent", DEVICE, "-o", "json"][..], &["get", "agent/edge-0001", "-o", "json"]]
    {
        let ran = workplace.shell.run(arguments).await;
        ran.assert_ended(0);
        let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(printed, status, "one device is its status as the device wrote it");
    }

    let ran = workplace.shell.run(&["get", "agents", "-o", "json"]).await;
    ran.assert_ended(0);
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("harmony/v1"), &json!("List")));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list:#}");
    assert_eq!(list["items"][0], status);
    assert_eq!(list["items"][1]["agent"], STRANGER);

    let ran = workplace.shell.run(&["get", "agent", "edge-0404"]).await;
    ran.assert_ended(1);
    assert_printed(&ran, &[]);
    assert!(ran.stderr.contains("agent/edge-0404 is not known here"), "{ran:#?}");
}

#[tokio::test]
async fn describe_tells_all_of_a_device() {
    let workplace = Workplace::converged().await;
    let ran = workplace.shell.run(&["describe", "agent", DEVICE]).await;
    ran.assert_ended(0);
    let rows = ran.rows();
    for beginning in [
        "Name: edge-0001",
        "Phase: Converged",
        "Entry: generation 1, revision 1, AgentManifest 1.1.0, sha256:",
        "Accepted: generation 1, AgentManifest 1.1.0, sha256:",
        "Applied: generation 1, sha256:",
        "Highest generation: 1",
        "Accepted True Accepted",
        "Converged True AllReady",
        "StateStore True Healthy",
        "Resources: 1 (1 ready, 0 failed, 0 pending)",
        "File a Ready InSync",
        "Formats: AgentManifest 1.0.0, 1.1.0",
    ] {
        assert!(rows.iter().any(|row| row.starts_with(beginning)), "no {beginning:?}: {}", ran.stdout);
    }
    workplace.shell.run(&["describe", "agent", "edge-0404"]).await.assert_ended(1);
}

#[tokio::test]
async fn a_document_from_which_a_device_went_back_is_told_of_and_waited_for_no_longer() {
    let workplace = Workplace::converged().await;
    // It fails long before.
    let web = script("web", "echo no way on >&2; exit 1");
    let mut late = authored(DEVICE, &[file("a", "/etc/a", "2"), web]);
    late["spec"]["rollback"] = json!({"deadline": "5s"});
    let told = format!("agent/{DEVICE}: the device went back from generation 2: DeadlineExceeded: ");
    let path = workplace.shell.file(std::slice::from_ref(&late));
    let agent = format!("agent/{DEVICE}");
    // The second time nothing is written, and nobody waits.
    for waiting in [
        &["apply", "--timeout", "1h", "-f", &path] as &[&str],
        &["apply", "--timeout", "1h", "-f", &path],
        &["wait", &agent, "--timeout", "1h"],
    ] {
        let ran = workplace.shell.run(waiting).await;
        ran.assert_ended(3);
        assert!(ran.stderr.contains(&told), "{ran:#?}");
    }
    assert_eq!(
        workplace.desired(DEVICE).await.unwrap().1["minSchemaVersion"],
        Value::Null,
        "1.1.0 by default"
    );
    workplace.device.eventually_holds("/etc/a", "1").await;
    let ran = workplace.shell.run(&["get", "agents"]).await;
    assert!(ran.stdout.contains("RolledBack"), "{ran:#?}");
    let ran = workplace.shell.run(&["describe", "agent", DEVICE]).await;
    ran.assert_ended(0);
    for part in ["generation 2, sha256:", "DeadlineExceeded", "Last lines of Process/web:", "  no way on"] {
        assert!(ran.stdout.contains(part), "no {part:?}: {}", ran.stdout);
    }

    // What comes after it is waited for as ever.
    workplace.shell.apply(&[holding("3")]).await.assert_ended(0);
    assert!(workplace.status().await.rolled_back.is_none());
    let ran = workplace.shell.run(&["describe", "agent", DEVICE]).await;
    assert!(!ran.stdout.contains("Rolled back:"), "{}", ran.stdout);
}

#[tokio::test]
async fn diff_ends_with_3_where_apply_would_change_something_and_writes_nothing() {
    let workplace = Workplace::converged().await;
    let before = workplace.desired(DEVICE).await;
    let ran = workplace.shell.run(&["diff", "-f", &workplace.shell.file(&[holding("1")])]).await;
    ran.assert_ended(0);
    assert_printed(&ran, &[]);

    let ran = workplace.shell.run(&["diff", "-f", &workplace.shell.file(&[holding("2")])]).await;
    ran.assert_ended(3);
    let changed: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with(['-', '+']) && !line.starts_with("---") && !line.starts_with("+++"))
        .collect();
    assert_eq!(changed.len(), 2, "{ran:#?}");
    assert!(changed[0].starts_with('-') && changed[0].contains("content: \"1\""), "{ran:#?}");
    assert!(changed[1].starts_with('+') && changed[1].contains("content: \"2\""), "{ran:#?}");
    assert_eq!(workplace.desired(DEVICE).await, before);
}

#[tokio::test]
async fn wait_ends_when_the_device_got_there() {
    let workplace = Workplace::converged().await;
    let path = workplace.shell.file(&[holding("2")]);
    let ran = workplace.shell.run(&["apply", "--no-wait", "-f", &path]).await;
    ran.assert_ended(0);
    assert_printed(&ran, &["agent/edge-0001 configured (generation 2)"]);
    let ran = workplace.shell.run(&["wait", "agent/edge-0001", "--timeout", "1h"]).await;
    ran.assert_ended(0);
    assert_printed(&ran, &["agent/edge-0001 converged (generation 2)"]);
    assert_eq!(workplace.device.read("/etc/a"), "2");
    workplace.shell.run(&["wait", "agent/edge-0404"]).await.assert_ended(1);
}

#[tokio::test]
async fn delete_unassigns_and_teardown_removes() {
    let workplace = Workplace::converged().await;
    let ran = workplace.shell.run(&["delete", "agent", DEVICE]).await;
    ran.assert_ended(0);
    assert_printed(&ran, &["agent/edge-0001 unassigned"]);
    let ran = workplace.shell.run(&["wait", "agent/edge-0001", "--for=Unassigned", "--timeout", "1h"]).await;
    ran.assert_ended(0);
    assert_eq!(workplace.status().await.phase, Phase::Unassigned);
    fs::write(workplace.device.path("/etc/a"), "by hand").unwrap();
    workplace.device.eventually_holds("/etc/a", "1").await;
    workplace.shell.run(&["delete", "agent", DEVICE]).await.assert_ended(1);

    let ran = workplace.shell.run(&["delete", "agent", DEVICE, "--teardown", "--timeout", "1h"]).await;
    ran.assert_ended(0);
    assert_printed(
        &ran,
        &["agent/edge-0001 created (generation 2)", "agent/edge-0001 converged (generation 2)"],
    );
    assert!(!workplace.device.path("/etc").exists(), "something was left");
    assert!(converged_at(2)(&workplace.status().await));
}

#[tokio::test]
async fn documents_are_validated_without_a_server() {
    let shell = Harmonyctl::new(NOBODY);
    let ran = shell.run(&["validate", "-f", &shell.file(&[holding("1")])]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.trim_end().ends_with("document 1 (agent/edge-0001): valid"), "{ran:#?}");

    let mut misspelt = file("a", "/etc/a", "1");
    misspelt["dependson"] = json!([]);
    let documents = [authored(DEVICE, &[misspelt, file("b", "/etc/../b", "1")]), authored(STRANGER, &[])];
    let ran = shell.run(&["validate", "-f", &shell.file(&documents)]).await;
    ran.assert_ended(2);
    for said in [
        "document 1 (agent/edge-0001): invalid",
        "/spec/resources/0/dependson: unknown key \"dependson\"; did you mean \"dependsOn\"?",
        "/spec/resources/1/spec/path",
        "document 2 (agent/edge-0009): valid",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {ran:#?}");
    }
}

#[tokio::test]
async fn where_no_server_answers_every_command_ends_with_1_and_names_the_address() {
    let shell = Harmonyctl::new(NOBODY);
    let path = shell.file(&[holding("1")]);
    for command in [&["get", "agents"][..], &["init"], &["apply", "-f", &path], &["delete", "agent", DEVICE]]
    {
        let ran = shell.run(command).await;
        ran.assert_ended(1);
        assert_printed(&ran, &[]);
        assert!(ran.stderr.contains(&format!("no NATS server answers at {NOBODY}")), "{ran:#?}");
    }
}

#[tokio::test]
async fn the_environment_names_the_server_and_the_command_line_wins() {
    let server = NatsServer::start(Settings::default()).await;
    Harmonyctl::new(server.url()).run(&["init"]).await.assert_ended(0);
    let astray = Harmonyctl::new(NOBODY);
    astray.run(&["get", "agents"]).await.assert_ended(1);
    let ran = astray.run(&["get", "agents", "--nats-url", &server.url()]).await;
    ran.assert_ended(0);
    assert_eq!(ran.stderr, "No agents found.\n");
}

#[tokio::test]
async fn a_reader_who_has_enough_ends_a_command_quietly() {
    let workplace = Workplace::converged().await;
    let path = workplace.shell.file(&[holding("1")]);
    for command in [
        &["get", "agents"][..],
        &["get", "agents", "-o", "json"],
        &["describe", "agent", DEVICE],
        &["validate", "-f", &path],
    ] {
        let ran = workplace.shell.run_unread(command).await;
        ran.assert_ended(0);
        assert_eq!(ran.stderr, "", "{command:?}");
    }
}

#[tokio::test]
async fn what_a_newer_agent_said_is_shown_as_far_as_it_is_known_and_an_older_one_takes_over_from_it() {
    let mut workplace = Workplace::converged().await;
    workplace.device.stop().await;
    let entry = workplace.site.platform.entry(ACTUAL_STATE, DEVICE).await.unwrap().unwrap();
    let mut newer: Value = serde_json::from_slice(&entry.value).unwrap();
    newer["schemaVersion"] = json!("1.9.0");
    newer["phase"] = json!("Levitating");
    newer["levitation"] = json!({"generation": 9});
    newer["highestGeneration"] = json!(9);
    newer["writer"] = json!({"instance": "newer", "epoch": 7, "op": 1});
    newer["resources"][0]["state"] = json!("Quarantined");
    let mut condition = newer["conditions"][0].clone();
    condition["type"] = json!("Levitating");
    newer["conditions"].as_array_mut().unwrap().push(condition);
    let subject = format!("$KV.{ACTUAL_STATE}.{DEVICE}");
    let stored = workplace.site.platform.jetstream.publish(subject, newer.to_string().into()).await.unwrap();
    stored.await.unwrap();

    let agent = format!("agent/{DEVICE}");
    for arguments in [vec!["get", "agents", "-o", "wide"], vec!["describe", &agent]] {
        let ran = workplace.shell.run(&arguments).await;
        ran.assert_ended(0);
        assert!(ran.stdout.contains("Levitating"), "{ran:#?}");
    }
    let printed = workplace.shell.run(&["get", &agent, "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&printed.stdout).unwrap(), newer);

    // Before the older agent starts: from then on its own ledger says what it accepted.
    let path = workplace.shell.file(&[holding("2")]);
    let ran = workplace.shell.run(&["apply", "--no-wait", "-f", &path]).await;
    ran.assert_ended(0);
    assert_printed(&ran, &["agent/edge-0001 configured (generation 10)"]);
    let mut told = workplace.site.platform.listen(DEVICE).await;
    workplace.device.start();
    workplace.shell.run(&["wait", &agent, "--timeout", "1h"]).await.assert_ended(0);
    let status = workplace.site.platform.status_where(DEVICE, "converged at 10", converged_at(10)).await;
    assert_eq!((status.writer.epoch, &*status.schema_version), (8, "1.1.0"));
    let told = told.up_to(&status).await;
    assert!(told.iter().all(|status| status.phase != Phase::Unknown), "{told:#?}");
}
