//! What is waited for, and what is not.

use serde_json::{Value, json};
use tests::{
    document::{authored, file, script},
    site::DEVICE,
};

use super::{Workplace, assert_printed, holding};

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
