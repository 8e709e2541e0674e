//! Units whose folder has no space.

use agent_model::status::{AgentStatus, ResourceState};
use serde_json::json;
use tests::{
    document::{file, manifest},
    site::DEVICE,
    systemd_container::SERVICE,
};

use super::{FOLDER, converge, installed, property, starts, unit, waiting};
use crate::status_words::{Counts, converged_at, counts, resource};

#[tokio::test]
async fn without_space_a_unit_runs_on_as_it_is_and_is_changed_once_there_is_some() {
    let (site, device) = installed().await;
    device
        .shell(&format!(
            "cp -a {FOLDER} /var/units
             mount -t tmpfs -o size=256k,mode=0755 tmpfs {FOLDER}
             cp -a /var/units/. {FOLDER}/
             systemctl daemon-reload
             systemctl restart {SERVICE}"
        ))
        .await;
    let app =
        |mark: &str| unit("app", "app.service", json!({"content": waiting("app", mark), "enabled": true}));
    converge(&site, 1, &[app("one"), file("config", "/etc/app.conf", "1")]).await;
    let before = device.shell(&format!("find {FOLDER} | sort; cat {FOLDER}/app.service")).await;
    let pid = property(&device, "app.service", "MainPID").await;
    device.shell("cat /dev/zero >/etc/systemd/system/ballast || true").await;

    let new = unit("new", "new.service", json!({"content": waiting("new", "new"), "enabled": true}));
    let resources = [app("two"), new, file("config", "/etc/app.conf", "2")];
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &resources)).await;
    let full = |status: &AgentStatus, name: &str| {
        status.resources.iter().any(|it| {
            it.name == name
                && it.state == ResourceState::Failed
                && it.reason == "DiskFull"
                && it.next_retry.is_some()
        })
    };
    let both = |status: &AgentStatus| {
        full(status, "app") && full(status, "new") && resource(status, "config").changes == 2
    };
    let status = site.platform.status_where(DEVICE, "no space for either", both).await;
    for (name, path) in [("app", "app.service"), ("new", "new.service")] {
        let message = &resource(&status, name).message;
        assert!(
            message.contains(&format!("{FOLDER}/{path}")) && message.contains("free some space"),
            "{message}"
        );
    }
    assert_eq!(device.shell("cat /etc/app.conf").await, "2");
    let files =
        device.shell(&format!("find {FOLDER} ! -name ballast | sort; cat {FOLDER}/app.service")).await;
    assert_eq!(files, before);
    assert_eq!(property(&device, "app.service", "MainPID").await, pid);

    device.shell(&format!("rm {FOLDER}/ballast")).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(2)).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 2, restarts: 1, drift_corrections: 0 });
    assert_eq!(counts(&status, "new"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
    assert_eq!((starts(&device, "app").await, starts(&device, "new").await), (2, 1));
}
