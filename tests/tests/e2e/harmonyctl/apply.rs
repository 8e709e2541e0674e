//! Documents that are applied: what is written, what is said, and how it ends.

use std::fs;

use serde_json::json;
use tests::{
    document::{authored, file},
    site::{Access, DEVICE, Site},
};

use super::{STRANGER, Workplace, assert_printed, holding};
use crate::status_words::converged_at;

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
