//! The unit that asks on the first boot, under a real systemd.

use std::fs;

use tests::{
    document::{file, manifest},
    eventually::eventually,
    nats_server::Version,
    site::{Access, DEVICE, Site},
    systemd_container::{BUILT, DEPLOY, SystemdContainer},
};

use super::{approve_whoever_asks, decider};
use crate::status_words::{converged_at, of_a_later_process};

#[tokio::test]
async fn a_device_asks_on_its_first_boot_and_its_agent_starts_once_it_is_let_in_and_at_each_boot() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let mut device = SystemdContainer::boot().await;
    device
        .shell(&format!(
            "install -D --target-directory=/usr/libexec/harmony-agent {BUILT}/harmony-agent {BUILT}/process-shim
             install -m 0644 --target-directory=/etc/systemd/system {DEPLOY}/harmony-agent.service \
                 {DEPLOY}/harmony-agent-enroll.service
             install -d -m 0700 /etc/harmony-agent"
        ))
        .await;
    let bootstrap = site.operator().folder().bootstrap_credentials();
    fs::copy(bootstrap, device.path("/etc/harmony-agent/bootstrap.creds")).unwrap();
    let configuration = format!(
        "agent_id = {DEVICE:?}\nnats_url = {:?}\nallow_unsigned = true\n\
         bootstrap_creds = '/etc/harmony-agent/bootstrap.creds'\ncreds = '/etc/harmony-agent/device.creds'\n",
        site.server.url()
    );
    fs::write(device.path("/etc/harmony-agent/config.toml"), configuration).unwrap();
    device.systemctl(&["daemon-reload"]).await;
    let found = device.exec(&["systemd-analyze", "verify", "harmony-agent-enroll.service"]).await;
    assert_eq!((found.code, found.stdout.as_str(), found.stderr.as_str()), (Some(0), "", ""));
    device.systemctl(&["enable", "harmony-agent-enroll"]).await;
    device.systemctl(&["start", "--no-block", "harmony-agent-enroll"]).await;

    let decider = decider(&site);
    eventually("it asks and is approved", async || {
        let approved = approve_whoever_asks(&decider, DEVICE).await;
        if approved.code == Some(0) { Ok(()) } else { Err(format!("{approved:?}")) }
    })
    .await;
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/app/a", "ours")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.reboot().await;
    let is_later = of_a_later_process(&before);
    site.platform
        .status_where(DEVICE, "converged after a boot", |status| is_later(status) && converged_at(1)(status))
        .await;
}
