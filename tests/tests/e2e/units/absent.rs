//! Devices without systemd.

use agent_model::status::{AgentStatus, ResourceState};
use serde_json::json;
use tests::{
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use super::unit;
use crate::status_words::resource;

#[tokio::test]
async fn without_systemd_a_unit_fails_and_all_else_goes_on() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let resources = [
        unit("u", "app.service", json!({"content": "[Service]\nExecStart=/bin/true\n"})),
        file("f", "/etc/a", "1"),
    ];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let both = |status: &AgentStatus| {
        status.resources.len() == 2
            && resource(status, "f").state == ResourceState::Ready
            && resource(status, "u").state == ResourceState::Failed
    };
    let status = site.platform.status_where(DEVICE, "the file is there, the unit fails", both).await;
    assert_eq!(resource(&status, "u").reason, "RuntimeUnavailable");
    assert!(resource(&status, "u").next_retry.is_some());
}
