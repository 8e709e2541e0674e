//! What can be known of documents before they are applied.

use serde_json::json;
use tests::{
    document::{authored, file},
    harmonyctl::Harmonyctl,
    site::DEVICE,
};

use super::{NOBODY, STRANGER, Workplace, assert_printed, holding};

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
