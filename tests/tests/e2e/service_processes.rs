//! Processes on a device with a real systemd: whatever happens to the agent's service, they go on, and a
//! boot starts them.

use agent_model::status::{AgentStatus, ResourceState};
use tests::{
    document::{manifest, process, script},
    site::{Access, DEVICE, Site},
    systemd_container::{BUILT, PROGRAMS, SERVICE, SystemdContainer},
};

use crate::{
    service::{is_up_after, of_the_next_process, settings, signal},
    status_words::{converged_at, resource},
};

/// One that only waits, and one that has a child, which a restart would show as well.
const NAMES: [&str; 2] = ["waiting", "parent"];

/// A site, and its device with the agent as a service and two processes that are ready.
async fn running() -> (Site, SystemdContainer, AgentStatus) {
    let site = Site::start(Access::Restricted).await;
    let device = SystemdContainer::boot().await;
    device.install_agent(&settings(&site.server.url())).await;
    let resources = [process(NAMES[0], &["sleep", "infinity"]), script(NAMES[1], "sleep infinity & wait")];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    (site, device, status)
}

/// What tells one process from every other of its number: when it started. With its children.
async fn identities(device: &SystemdContainer, status: &AgentStatus) -> String {
    let mut identities = String::new();
    for name in NAMES {
        let pid = &resource(status, name).details["pid"];
        // Field 22 of proc_pid_stat(5).
        let children = format!("/proc/{pid}/task/{pid}/children");
        let of = format!("for pid in {pid} $(cat {children}); do cut -d' ' -f1,22 /proc/$pid/stat; done");
        identities += &device.shell(&of).await;
    }
    identities
}

fn assert_nothing_was_restarted(status: &AgentStatus) {
    for name in NAMES {
        let resource = resource(status, name);
        assert_eq!((resource.changes, resource.restarts, resource.drift_corrections), (1, 0, 0), "{name}");
    }
}

#[tokio::test]
async fn restarts_crashes_and_upgrades_of_the_service_touch_no_process() {
    let (site, device, first) = running().await;
    device.override_service("RestartSec=100ms").await;
    let before = identities(&device, &first).await;
    assert_eq!(before.lines().count(), 3, "two processes and a child: {before}");

    device.systemctl(&["restart", SERVICE]).await;
    let restarted = of_the_next_process(&site, &first).await;
    assert_eq!(identities(&device, &restarted).await, before);

    let pid = signal(&device, "KILL").await;
    is_up_after(&device, &pid).await;
    let crashed = of_the_next_process(&site, &restarted).await;
    assert_eq!(identities(&device, &crashed).await, before);

    // Another build, in the way in which a package puts it in place.
    let agent = format!("{PROGRAMS}/{SERVICE}");
    device
        .shell(&format!(
            "install {BUILT}/harmony-agent-with-scores {agent}.new
             install {BUILT}/process-shim {PROGRAMS}/process-shim.new
             mv {agent}.new {agent}
             mv {PROGRAMS}/process-shim.new {PROGRAMS}/process-shim
             systemctl restart {SERVICE}"
        ))
        .await;
    let upgraded = of_the_next_process(&site, &crashed).await;
    assert_eq!(identities(&device, &upgraded).await, before);
    assert_nothing_was_restarted(&upgraded);
    assert_eq!(device.property("NRestarts").await, "0", "the upgrade is a start of its own");
}

#[tokio::test]
async fn processes_run_on_while_the_service_is_stopped_and_are_found_as_they_are() {
    let (site, device, first) = running().await;
    let before = identities(&device, &first).await;
    device.systemctl(&["stop", SERVICE]).await;
    assert_eq!(device.property("ActiveState").await, "inactive");
    assert_eq!(identities(&device, &first).await, before);
    device.systemctl(&["start", SERVICE]).await;
    let after = of_the_next_process(&site, &first).await;
    assert_eq!(identities(&device, &after).await, before);
    assert_nothing_was_restarted(&after);
}

#[tokio::test]
async fn a_device_that_boots_with_no_server_starts_every_process() {
    let (mut site, mut device, first) = running().await;
    site.server.stop().await;
    device.reboot().await;
    device.property_where("StatusText", |text| text == "Converged").await;
    let running = device.shell("pidof process-shim | wc -w").await;
    assert_eq!(running.trim(), NAMES.len().to_string());

    site.server.start_again().await;
    let after = of_the_next_process(&site, &first).await;
    for name in NAMES {
        let resource = resource(&after, name);
        assert_eq!(
            (resource.state, resource.changes, resource.restarts),
            (ResourceState::Ready, 1, 1),
            "{name}"
        );
    }
}
