//! What a process prints is kept, within bounds.

use std::fs;

use agent_model::status::ResourceState;
use serde_json::json;
use tests::{
    agent::Agent,
    document::{manifest, process, script},
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use super::logged;
use crate::status_words::{converged_at, stands};

/// The sizes of the files of a log, the newest first.
fn sizes(device: &Agent, name: &str) -> Vec<u64> {
    let folder = device.process_folder(name);
    (0..10).map_while(|number| fs::metadata(folder.log(number)).ok()).map(|file| file.len()).collect()
}

#[tokio::test]
async fn a_flood_is_bounded_and_leaves_the_newest() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut flood = process("flood", &["yes", "more and more and more"]);
    flood["spec"]["log"] = json!({"maxSize": "64Ki", "keep": 2});
    // Without a single newline, and then it ends.
    let mut line = script("line", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 1");
    line["spec"]["log"] = json!({"maxSize": "64Ki", "keep": 1});
    line["spec"]["restart"] = json!("Never");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[flood.clone(), line])).await;
    site.platform.status_where(DEVICE, "ended", stands("line", ResourceState::Failed, "Exited")).await;
    assert_eq!(logged(&device, "line").last().map(String::as_str), Some("the end"));
    assert!(sizes(&device, "line").iter().all(|size| *size <= 64 << 10), "{:?}", sizes(&device, "line"));
    assert_eq!(sizes(&device, "line").len(), 2);

    let oldest =
        || fs::metadata(device.process_folder("flood").log(2)).ok().and_then(|file| file.modified().ok());
    let first = eventually("the files are rotated", async || oldest().ok_or("not yet".to_owned())).await;
    eventually("they are rotated further", async || {
        let sizes = sizes(&device, "flood");
        assert!(sizes.len() <= 3 && sizes.iter().all(|size| *size <= 64 << 10), "{sizes:?}");
        if oldest().is_some_and(|oldest| oldest > first) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;

    // Who is to keep less keeps less from its next start on.
    flood["spec"]["log"] = json!({"maxSize": "4Ki", "keep": 0});
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[flood])).await;
    site.platform
        .status_where(DEVICE, "one file", |status| {
            let sizes = sizes(&device, "flood");
            status.accepted.as_ref().is_some_and(|accepted| u64::from(accepted.generation) == 2)
                && sizes.len() <= 1
        })
        .await;
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(3)).await;
    assert_eq!(device.workloads(), []);
}
