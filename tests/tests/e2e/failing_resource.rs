//! A resource that cannot be made holds back what depends on it, and nothing else.

use std::fs;

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState};
use serde_json::json;
use tests::{
    document::{file, file_after},
    site::{DEVICE, Site},
};

use crate::status_words::{converged_at, is, resource};

at_each_site!(
    a_folder_in_the_way_holds_back_dependents_alone_until_it_is_gone,
    a_failing_resource_is_tried_again_and_again_and_a_newer_document_ends_that,
);

fn states(status: &AgentStatus, names: [&str; 3]) -> [(ResourceState, String); 3] {
    names.map(|name| {
        let resource = resource(status, name);
        (resource.state, resource.reason.clone())
    })
}

async fn a_folder_in_the_way_holds_back_dependents_alone_until_it_is_gone(site: &mut Site) {
    let mut device = site.device().with("drift_interval", "1h");
    fs::create_dir_all(device.path("/etc/blocked/inner")).unwrap();
    device.start();
    let resources = [
        file("blocked", "/etc/blocked", "ours"),
        file_after("dependent", &["blocked"], "/etc/dependent", "ours"),
        file("independent", "/etc/independent", "ours"),
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    let status = site
        .platform
        .status_where(DEVICE, "degraded, with all else done", |status| {
            status.phase == Phase::Degraded && status.summary.ready == 1
        })
        .await;
    assert_eq!(
        states(&status, ["blocked", "dependent", "independent"]),
        [
            (ResourceState::Failed, "NotRegularFile".to_owned()),
            (ResourceState::Pending, "DependencyNotReady".to_owned()),
            (ResourceState::Ready, "InSync".to_owned()),
        ]
    );
    assert_eq!((status.summary.total, status.summary.failed, status.summary.pending), (3, 1, 1));
    assert!(is(&status, ConditionType::Accepted, ConditionStatus::True, "Accepted"));
    assert!(is(&status, ConditionType::Converged, ConditionStatus::False, "Failing"));
    assert!(status.applied.is_none(), "what did not converge is not applied");
    assert!(resource(&status, "blocked").attempts >= 1);
    assert!(resource(&status, "blocked").message.contains("/etc/blocked"));
    assert_eq!(device.read("/etc/independent"), "ours");
    assert!(!device.path("/etc/dependent").exists());
    assert!(device.path("/etc/blocked/inner").is_dir(), "what is in the way is left alone");

    fs::remove_dir_all(device.path("/etc/blocked")).unwrap();
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!((device.read("/etc/blocked"), device.read("/etc/dependent")), ("ours".into(), "ours".into()));
    assert_eq!((resource(&status, "blocked").attempts, resource(&status, "blocked").next_retry), (0, None));
}

async fn a_failing_resource_is_tried_again_and_again_and_a_newer_document_ends_that(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let mut failing = file("failing", "/etc/failing", "ours");
    failing["spec"]["owner"] = json!("nobody-by-this-name");
    let dependent = file_after("dependent", &["failing"], "/etc/dependent", "ours");
    let independent = file("independent", "/etc/independent", "ours");
    site.platform.put(DEVICE, &site.document(1, &[failing, dependent.clone(), independent.clone()])).await;
    let mut seen = 0;
    for _ in 0..2 {
        let status = site
            .platform
            .status_where(DEVICE, &format!("more than {seen} attempts"), |status| {
                status.phase == Phase::Degraded && resource(status, "failing").attempts > seen
            })
            .await;
        assert!(resource(&status, "failing").next_retry.is_some(), "it says when it is tried again");
        assert_eq!(resource(&status, "dependent").reason, "DependencyNotReady");
        seen = resource(&status, "failing").attempts;
    }

    let mended = file("failing", "/etc/failing", "ours");
    site.platform.put(DEVICE, &site.document(2, &[mended, dependent, independent])).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!((resource(&status, "failing").attempts, resource(&status, "failing").next_retry), (0, None));
    assert_eq!(device.read("/etc/dependent"), "ours");
}
