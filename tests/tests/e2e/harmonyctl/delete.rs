//! Documents that are taken back.

use std::fs;

use agent_model::status::Phase;
use tests::site::DEVICE;

use super::{Workplace, assert_printed};
use crate::status_words::converged_at;

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
