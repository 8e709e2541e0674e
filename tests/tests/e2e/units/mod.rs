//! Units of systemd on a device with a real one.

mod absent;
mod denied;
mod full_disk;
mod keeping;
mod making;
mod power_cut;

use agent_model::status::{AgentStatus, ResourceState, ResourceStatus};
use serde_json::{Value, json};
use tests::{
    document::manifest,
    eventually::eventually,
    site::{Access, DEVICE, Site},
    systemd_container::SystemdContainer,
};

use crate::{
    service::settings,
    status_words::{converged_at, resource},
};

/// Where units are written.
const FOLDER: &str = "/etc/systemd/system";

/// A `SystemdUnit` resource.
fn unit(name: &str, unit: &str, fields: Value) -> Value {
    let mut spec = json!({"unit": unit});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"kind": "SystemdUnit", "name": name, "spec": spec})
}

/// A service that waits, and tells of each of its starts in a file.
fn waiting(told: &str, mark: &str) -> String {
    format!(
        "[Unit]\nDescription={mark}\n[Service]\nExecStartPre=/bin/sh -c 'echo start >>/var/{told}'\n\
         ExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// A site, and its device with the agent as a service that a document was never put to.
async fn installed() -> (Site, SystemdContainer) {
    let site = Site::start(Access::Restricted).await;
    let device = SystemdContainer::boot().await;
    device.install_agent(&settings(&site.server.url())).await;
    (site, device)
}

/// Puts a document in force and waits until it is fully applied.
async fn converge(site: &Site, generation: u64, resources: &[Value]) -> AgentStatus {
    site.platform.put(DEVICE, &manifest(DEVICE, generation, resources)).await;
    site.platform.status_where(DEVICE, &format!("converged at {generation}"), converged_at(generation)).await
}

/// Puts a document in force and waits until that resource fails for this reason.
async fn fails(
    site: &Site,
    generation: u64,
    resources: &[Value],
    name: &str,
    reason: &str,
) -> ResourceStatus {
    site.platform.put(DEVICE, &manifest(DEVICE, generation, resources)).await;
    let what = format!("{name} fails with {reason} at {generation}");
    let is_such = |status: &AgentStatus| {
        let accepted = status.accepted.as_ref().map(|accepted| u64::from(accepted.generation));
        accepted == Some(generation)
            && status
                .resources
                .iter()
                .any(|it| it.name == name && it.state == ResourceState::Failed && it.reason == reason)
    };
    resource(&site.platform.status_where(DEVICE, &what, is_such).await, name).clone()
}

/// A property of a unit, as `systemctl show` names it.
async fn property(device: &SystemdContainer, unit: &str, name: &str) -> String {
    device.systemctl(&["show", "--property", name, "--value", unit]).await.trim_end().to_owned()
}

/// How often a service that tells has been started.
async fn starts(device: &SystemdContainer, told: &str) -> usize {
    device.shell(&format!("cat /var/{told} 2>/dev/null || true")).await.lines().count()
}

/// Waits until something is so on the device.
async fn until(device: &SystemdContainer, what: &str, script: &str) {
    eventually(what, async || match device.exec(&["sh", "-euc", script]).await {
        done if done.code == Some(0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
