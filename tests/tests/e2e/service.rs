//! The agent as a service under a real systemd, with the unit that is shipped.

use std::{fs, os::unix::fs::PermissionsExt as _};

use agent_model::status::AgentStatus;
use tests::{
    document::{file, manifest},
    eventually::eventually,
    site::{Access, DEVICE, Site},
    snapshot::snapshot,
    systemd_container::{BUILT, DEPLOY, PROGRAMS, SERVICE, SystemdContainer},
};

use crate::{
    page::blocks,
    status_words::{converged_at, of_a_later_process, refused, resource},
};

/// With drift timers this long, only the start of an agent or an event can be what makes it look.
const PATIENT: [(&str, &str); 2] = [("drift_interval", "1h"), ("resync_interval", "1h")];

/// A site, and its device with the agent as a service, converged with one file.
async fn converged() -> (Site, SystemdContainer, AgentStatus) {
    let site = Site::start(Access::Restricted).await;
    let device = SystemdContainer::boot().await;
    device.install_agent(&settings(&site.server.url())).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/app/a", "ours")])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    (site, device, status)
}

pub(crate) fn settings(url: &str) -> Vec<(&str, &str)> {
    [("agent_id", DEVICE), ("nats_url", url)].into_iter().chain(PATIENT).collect()
}

#[test]
fn agents_of_tests_have_the_environment_that_the_unit_gives() {
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/harmony-agent.service"));
    let unit = unit.unwrap();
    let lines: Vec<_> = unit.lines().filter_map(|line| line.strip_prefix("Environment=")).collect();
    let (key, value) = tests::agent::ENVIRONMENT;
    assert_eq!(lines, [format!("{key}={value}")]);
}

/// The status of the process that came after the one of `before`.
pub(crate) async fn of_the_next_process(site: &Site, before: &AgentStatus) -> AgentStatus {
    let is_later = of_a_later_process(before);
    let is_next = |status: &AgentStatus| is_later(status) && converged_at(1)(status);
    site.platform.status_where(DEVICE, "converged, by a new process", is_next).await
}

/// Sends a signal to the service's main process and to no other, from outside and behind systemd's back.
pub(crate) async fn signal(device: &SystemdContainer, signal: &str) -> String {
    let pid = device.property("MainPID").await;
    device.shell(&format!("kill -{signal} {pid}")).await;
    pid
}

/// Waits until another process than this one is up.
pub(crate) async fn is_up_after(device: &SystemdContainer, pid: &str) {
    device.property_where("MainPID", |now| now != pid && now != "0").await;
    device.property_where("SubState", |state| state == "running").await;
}

#[tokio::test]
async fn systemd_finds_nothing_wrong_with_the_unit_which_leaves_room_for_safe_mode() {
    let device = SystemdContainer::boot().await;
    // Where no server listens, for it needs none to be up.
    device.install_agent(&settings("nats://127.0.0.1:1")).await;
    let found = device.exec(&["systemd-analyze", "verify", &format!("{SERVICE}.service")]).await;
    assert_eq!((found.code, found.stdout.as_str(), found.stderr.as_str()), (Some(0), "", ""));

    // Five starts fit into ten minutes, even when it takes the watchdog to end each.
    let object = "/org/freedesktop/systemd1/unit/harmony_2dagent_2eservice";
    let get = ["busctl", "get-property", "org.freedesktop.systemd1", object];
    let properties = ["org.freedesktop.systemd1.Service", "WatchdogUSec", "RestartUSec"];
    let answer = device.exec(&[&get[..], &properties].concat()).await.success();
    let microseconds: Vec<u64> =
        answer.lines().map(|line| line.strip_prefix("t ").unwrap().parse().unwrap()).collect();
    let [watchdog, pause] = microseconds[..] else { panic!("two properties: {answer}") };
    assert!(watchdog > 0 && 4 * (watchdog + pause) < 600_000_000, "{answer}");
    assert_eq!(device.property("StartLimitIntervalUSec").await, "0", "it is given up some time");
}

#[tokio::test]
async fn an_image_that_names_no_device_makes_each_one_another_by_its_machine_id() {
    let device = SystemdContainer::boot().await;
    device.install_agent(&[("agent_id", "auto:machine-id"), ("nats_url", "nats://127.0.0.1:1")]).await;
    let id = fs::read_to_string(device.path("/etc/machine-id")).unwrap();
    let log = device.shell(&format!("journalctl --unit {SERVICE} --output cat")).await;
    assert!(log.contains(&format!("agent={}", id.trim_end())), "{id}: {log}");
}

#[tokio::test]
async fn the_service_is_up_by_its_own_word_and_what_is_its_own_is_nobody_elses() {
    let (site, device, _) = converged().await;
    device.eventually_holds("/etc/app/a", "ours").await;
    assert_eq!(device.property("SubState").await, "running");
    device.property_where("StatusText", |text| text == "Converged").await;
    assert_eq!(device.property("NRestarts").await, "0");
    let state = fs::metadata(device.path("/var/lib/harmony-agent")).unwrap();
    assert_eq!(state.permissions().mode() & 0o7777, 0o700);
    let own = [
        "/etc/harmony-agent/config.toml",
        "/etc/systemd/system/harmony-agent.service",
        "/etc/systemd/system/harmony-agent.service.d/other.conf",
        "/usr/bin/harmony-agent",
        "/usr/libexec/harmony-agent/process-shim",
        "/var/lib/harmony-agent/ledger.json",
    ];
    for (path, generation) in own.into_iter().zip(2..) {
        let claim = manifest(DEVICE, generation, &[file("taken", path, "")]);
        let revision = site.platform.put(DEVICE, &claim).await;
        site.platform.status_where(DEVICE, path, refused(revision, "PolicyDenied")).await;
    }
}

#[tokio::test]
async fn commands_without_a_flag_reach_the_agent_whose_folder_the_usual_configuration_file_names() {
    let site = Site::start(Access::Restricted).await;
    let device = SystemdContainer::boot().await;
    let url = site.server.url();
    let elsewhere = [("state_dir", "/srv/agent")];
    let settings: Vec<_> = settings(&url).into_iter().chain(elsewhere).collect();
    device.install_agent(&settings).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/app/a", "ours")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let program = format!("{PROGRAMS}/{SERVICE}");
    let paused = device.exec(&[&program, "pause"]).await.success();
    assert!(paused.starts_with("paused: "), "{paused}");
    let status = device.exec(&[&program, "status"]).await.success();
    assert!(status.contains("Paused       True"), "{status}");
}

#[tokio::test]
async fn a_restart_of_the_service_is_another_process_that_alters_nothing() {
    let (site, device, before) = converged().await;
    let files = snapshot(&device.path("/etc/app"));
    device.systemctl(&["restart", SERVICE]).await;
    let after = of_the_next_process(&site, &before).await;
    assert_eq!(after.writer.epoch, before.writer.epoch + 1);
    assert_eq!(resource(&after, "a").changes, 1);
    assert_eq!(snapshot(&device.path("/etc/app")), files);
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn a_version_that_cannot_start_fails_the_restart_and_is_tried_again_until_it_can() {
    let (site, device, before) = converged().await;
    device.override_service("RestartSec=100ms").await;
    let configuration = device.path("/etc/harmony-agent/config.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, "misspelt = true\n").unwrap();
    let restarted = device.exec(&["systemctl", "restart", SERVICE]).await;
    assert_ne!(restarted.code, Some(0), "{restarted:?}");
    device.property_where("NRestarts", |count| count.parse::<u32>().unwrap() > 6).await;
    fs::write(&configuration, text).unwrap();
    of_the_next_process(&site, &before).await;
}

#[tokio::test]
async fn an_agent_that_ended_by_itself_is_started_again_whatever_ended_it_and_however_often() {
    let (site, device, before) = converged().await;
    device.override_service("RestartSec=100ms").await;
    // More often than systemd puts up with unless told otherwise: five times in ten seconds.
    for (name, restarts) in ["TERM", "KILL", "KILL", "KILL", "KILL", "KILL", "KILL"].iter().zip(1..) {
        let pid = signal(&device, name).await;
        is_up_after(&device, &pid).await;
        assert_eq!(device.property("NRestarts").await, restarts.to_string());
    }
    let after = of_the_next_process(&site, &before).await;
    assert_eq!(resource(&after, "a").changes, 1);
}

#[tokio::test]
async fn an_agent_that_hangs_is_ended_by_the_watchdog_and_started_again_and_a_healthy_one_is_not() {
    let (site, device, before) = converged().await;
    device.override_service("WatchdogSec=5s").await;
    device.override_service("RestartSec=100ms").await;
    device.systemctl(&["restart", SERVICE]).await;
    let heard = "WatchdogTimestampMonotonic";
    let first: u64 = device.property(heard).await.parse().unwrap();
    // Later than a silent agent would have been ended.
    device.property_where(heard, |last| last.parse::<u64>().unwrap() > first + 5_000_000).await;
    assert_eq!(device.property("NRestarts").await, "0", "{}", device.journal().await);

    let pid = signal(&device, "STOP").await;
    is_up_after(&device, &pid).await;
    let journal = device.journal().await;
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    of_the_next_process(&site, &before).await;
}

#[tokio::test]
async fn a_device_that_boots_with_no_server_enforces_what_it_accepted_and_says_so_later() {
    let (mut site, mut device, before) = converged().await;
    device.systemctl(&["stop", SERVICE]).await;
    fs::remove_file(device.path("/etc/app/a")).unwrap();
    site.server.stop().await;
    device.reboot().await;
    device.eventually_holds("/etc/app/a", "ours").await;
    device.property_where("StatusText", |text| text == "Converged").await;

    site.server.start_again().await;
    let after = of_the_next_process(&site, &before).await;
    assert_ne!(after.agent_info.boot_id, before.agent_info.boot_id);
    assert_eq!(after.accepted, before.accepted);
    assert_eq!(resource(&after, "a").drift_corrections, 1);
}

#[tokio::test]
async fn a_stopped_service_says_so_leaves_no_process_and_takes_nothing_away() {
    let (site, device, _) = converged().await;
    device.systemctl(&["stop", SERVICE]).await;
    for (property, value) in [
        ("ActiveState", "inactive"),
        ("Result", "success"),
        ("ExecMainStatus", "0"),
        ("StatusText", "Stopping"),
        ("NRestarts", "0"),
    ] {
        assert_eq!(device.property(property).await, value, "{property}");
    }
    let left = device.exec(&["pidof", SERVICE]).await;
    assert_eq!((left.code, left.stdout.as_str()), (Some(1), ""), "pidof finds none");
    assert_eq!(fs::read_to_string(device.path("/etc/app/a")).unwrap(), "ours");
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    device.systemctl(&["start", SERVICE]).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    eventually("the file is gone", async || match device.path("/etc/app/a").exists() {
        true => Err("it is there".to_owned()),
        false => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn the_commands_of_the_deploy_page_install_upgrade_and_uninstall_the_agent() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/README.md")).unwrap();
    let scripts = blocks(&page).unwrap().into_iter().filter(|block| block.language == "sh");
    let scripts: Vec<String> = scripts.map(|block| format!("cd /root/brought\n{}", block.text)).collect();
    let [install, upgrade, uninstall] = &scripts[..] else { panic!("three scripts: {scripts:#?}") };
    let site = Site::start(Access::Restricted).await;
    let device = SystemdContainer::boot().await;
    let bring = |program: &str| {
        format!(
            "install -D {BUILT}/{program} /root/brought/bin/{SERVICE}
             install {BUILT}/process-shim /root/brought/bin
             cp -r {DEPLOY}/{SERVICE}.service {DEPLOY}/drop-ins /root/brought"
        )
    };
    let runs =
        |program: &str| format!("cmp {BUILT}/{program} /proc/$(systemctl show -P MainPID {SERVICE})/exe");

    device.shell(&bring("harmony-agent")).await;
    let configuration =
        format!("agent_id = {DEVICE:?}\nnats_url = {:?}\nallow_unsigned = true\n", site.server.url());
    fs::write(device.path("/root/brought/config.toml"), configuration).unwrap();
    device.shell(install).await;
    device.shell(&runs("harmony-agent")).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/app/a", "ours")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let files = snapshot(&device.path("/etc/app"));

    device.shell(&bring("harmony-agent-with-scores")).await;
    device.shell(upgrade).await;
    device.shell(&runs("harmony-agent-with-scores")).await;
    of_the_next_process(&site, &before).await;
    assert_eq!(snapshot(&device.path("/etc/app")), files);

    device.shell(uninstall).await;
    assert_eq!(device.shell("find /etc /opt /run /srv /usr /var -name '*harmony*'").await, "");
    assert_eq!(device.exec(&["pidof", SERVICE]).await.code, Some(1));
    assert_eq!(snapshot(&device.path("/etc/app")), files);
}
