//! What `harmonyctl` says of names under which no device was ever heard, or will be.

use serde_json::json;
use tests::{
    document::authored,
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
};

/// Puts a document for that name in place, and returns what was said of it.
async fn said(shell: &Harmonyctl, ids: &[&str]) -> String {
    let documents: Vec<_> = ids.iter().map(|id| authored(id, &[])).collect();
    let ran = shell.run(&["apply", "--no-wait", "-f", &shell.file(&documents)]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    ran.stderr
}

#[tokio::test]
async fn a_document_for_a_name_that_nobody_has_comes_with_a_word_about_the_name() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url());
    let publish = async |subject: &str, value: &str| {
        let ack = site.platform.jetstream.publish(subject.to_owned(), value.to_owned().into()).await;
        ack.unwrap().await.unwrap();
    };
    let unnamed = said(&shell, &["gateway"]).await;
    assert_eq!(unnamed, "warning: no device gateway was ever seen here; check metadata.name\n");
    let several = said(&shell, &["pump", "valve"]).await;
    assert!(several.contains("check metadata.name: pump, valve\n"), "{several}");

    publish(&format!("$KV.agent-heartbeat.{DEVICE}"), "{}").await;
    let near = said(&shell, &["edge-001"]).await;
    let expected =
        format!("no device edge-001 was ever seen here; check metadata.name; did you mean {DEVICE:?}?");
    assert!(near.contains(&expected), "{near}");
    let silent = said(&shell, &[DEVICE]).await;
    assert!(silent.contains(&format!("{DEVICE} has no status that can be read here")), "{silent}");

    for (state, words) in [("Retired", "is retired: no device"), ("Revoked", "agents replace")] {
        publish(&format!("$KV.agents.{DEVICE}"), &json!({"state": state}).to_string()).await;
        let told = said(&shell, &[DEVICE]).await;
        assert!(told.contains(&format!("warning: {DEVICE} is ")) && told.contains(words), "{told}");
    }
    publish(&format!("$KV.agents.{DEVICE}"), r#"{"state": "Approved"}"#).await;
    let told = said(&shell, &[DEVICE]).await;
    assert!(!told.contains("is re"), "{told}");
}

#[tokio::test]
async fn a_name_under_which_nobody_was_heard_is_not_said_to_enforce_anything() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url());
    said(&shell, &["gateway", DEVICE]).await;
    let subject = format!("$KV.actual-state.{DEVICE}");
    site.platform.jetstream.publish(subject, "{}".into()).await.unwrap().await.unwrap();
    for (id, is_enforced) in [("gateway", false), (DEVICE, true)] {
        let ran = shell.run(&["delete", "agent", id]).await;
        assert_eq!((ran.code, ran.stdout), (Some(0), format!("agent/{id} unassigned\n")));
        assert_eq!(ran.stderr.contains("stays and is enforced"), is_enforced, "{id}: {}", ran.stderr);
    }
}
