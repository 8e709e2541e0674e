//! What is shown of devices.

use agent_model::status::Phase;
use serde_json::{Value, json};
use tests::{document::authored, eventually::eventually, platform::ACTUAL_STATE, site::DEVICE};

use super::{STRANGER, Workplace, assert_printed, holding};
use crate::status_words::converged_at;

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
