//! Units on a device whose policy grants nobody root.

use agent_model::status::{AgentStatus, ConditionType, ResourceState};
use serde_json::json;
use tests::{
    document::{file, manifest},
    site::DEVICE,
    systemd_container::SERVICE,
};

use super::{FOLDER, converge, installed, property, starts, unit, waiting};
use crate::status_words::{refused, resource};

/// The folder of units is listed, which does not help: what systemd does with what is in it is done as root.
const POLICY: &str = "rootEquivalent = false\npaths = [\"/srv\", \"/etc/systemd/system\"]\n";

#[tokio::test]
async fn without_root_no_unit_is_taken_in_any_form_and_those_from_before_are_left_alone() {
    let (site, device) = installed().await;
    let app =
        |mark: &str| unit("app", "app.service", json!({"content": waiting("app", mark), "enabled": true}));
    let page = file("page", "/srv/page", "1");
    converge(&site, 1, &[app("one"), page.clone()]).await;
    std::fs::write(device.path("/etc/harmony-agent/policy.toml"), POLICY).unwrap();
    device.systemctl(&["restart", SERVICE]).await;
    let denied = |status: &AgentStatus| {
        let app = resource(status, "app");
        app.state == ResourceState::Failed && app.reason == "PolicyDenied"
    };
    let status = site.platform.status_where(DEVICE, "it is denied", denied).await;
    assert!(resource(&status, "app").message.contains("rootEquivalent = false"), "{status:#?}");
    assert_eq!(resource(&status, "page").state, ResourceState::Ready, "{status:#?}");
    assert_eq!(property(&device, "app.service", "ActiveState").await, "active");

    // Nobody repairs it.
    device.systemctl(&["stop", "app"]).await;
    device.shell("echo by hand >/srv/page").await;
    device.eventually_holds("/srv/page", "1").await;
    assert_eq!(property(&device, "app.service", "ActiveState").await, "inactive");
    assert_eq!(starts(&device, "app").await, 1);

    let tries = [
        unit("x", "x.service", json!({"content": waiting("x", "x")})),
        unit("x", "x.timer", json!({"content": "[Timer]\nOnActiveSec=1h\n", "state": "Stopped"})),
        unit("x", "systemd-tmpfiles-clean.service", json!({})),
        unit("x", "systemd-tmpfiles-clean.timer", json!({"state": "Stopped"})),
        unit(
            "x",
            "systemd-tmpfiles-clean.timer",
            json!({"dropIns": {"x.conf": "[Timer]\nOnActiveSec=1h\n"}}),
        ),
    ];
    for (generation, asking) in (2..).zip(&tries) {
        let document = manifest(DEVICE, generation, &[page.clone(), asking.clone()]);
        let revision = site.platform.put(DEVICE, &document).await;
        let status = site.platform.status_where(DEVICE, "refused", refused(revision, "PolicyDenied")).await;
        let message = &status.condition(ConditionType::Accepted).unwrap().message;
        assert!(
            message.contains("\"x\"") && message.contains("rootEquivalent = false"),
            "{asking}: {message}"
        );
    }
    let made = device.shell(&format!("find {FOLDER} -name 'x.*' -o -name 'systemd-tmpfiles-clean*'")).await;
    assert_eq!((made.as_str(), starts(&device, "x").await), ("", 0));

    // What was made before can be given up.
    converge(&site, 2 + tries.len() as u64, &[page]).await;
    assert_eq!(property(&device, "app.service", "LoadState").await, "not-found");
    assert_eq!(device.shell(&format!("find {FOLDER} -name 'app*'")).await, "");
}
