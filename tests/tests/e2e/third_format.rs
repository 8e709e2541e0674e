//! A format that somebody adds takes part in everything that there is: the crate `planted-format` is
//! one, and the agent that has it is made of one line.

use std::collections::BTreeMap;

use serde_json::json;
use tests::{
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

#[tokio::test]
async fn a_format_added_by_one_line_shares_watch_status_and_repair_with_those_that_were_there() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device().with_program("planted-agent");
    device.start();
    let banner = json!({
        "apiVersion": "harmony/v1", "kind": "Banner", "schemaVersion": "1.0.0",
        "metadata": {"name": DEVICE, "generation": 1},
        "spec": "welcome\n",
    });
    site.platform.put(DEVICE, &banner).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(device.read("/etc/banner"), "welcome\n");
    let formats = ["AgentManifest", "Banner"].map(|kind| (kind.to_owned(), vec!["1.0.0".to_owned()]));
    assert_eq!(status.agent_info.formats, BTreeMap::from(formats));
    assert_eq!(status.accepted.unwrap().kind, "Banner");

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[file("motd", "/etc/motd", "hello\n")])).await;
    let status = site.platform.status_where(DEVICE, "converged again", converged_at(2)).await;
    assert_eq!(status.accepted.unwrap().kind, "AgentManifest");
    assert_eq!(device.read("/etc/motd"), "hello\n");
    assert!(!device.path("/etc/banner").exists(), "what is declared no longer is still there");
    site.assert_nothing_was_forbidden();
}
