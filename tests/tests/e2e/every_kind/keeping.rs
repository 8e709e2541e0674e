//! What is declared comes about in order, and stays.

use std::fs;

use agent_model::status::{AgentStatus, ResourceState};
use tests::{
    eventually::eventually,
    harmonyctl::Harmonyctl,
    site::{DEVICE, Site},
};

use super::{
    LAID_OUT, SETTINGS, UNIT, agent, counts, have_started, identities, installed, resources, stands, starts,
};
use crate::{
    service::of_the_next_process,
    status_words::{converged_at, resource},
};

in_each_format!(each_kind_comes_in_order_is_repaired_and_is_back_after_a_boot_without_a_server);

async fn each_kind_comes_in_order_is_repaired_and_is_back_after_a_boot_without_a_server(site: &mut Site) {
    let mut device = installed(site).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let ran = shell.apply(&[site.format().authored(DEVICE, &resources("1", "first"))]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    for (kind, name, reason) in [
        ("ShellJob", "layout", "Succeeded"),
        ("File", "web-settings", "InSync"),
        ("Container", "web", "Running"),
        ("SystemdUnit", "recorder", "Running"),
        ("Process", "watch", "Running"),
    ] {
        let it = resource(&status, name);
        assert_eq!((&*it.kind, it.state, &*it.reason), (kind, ResourceState::Ready, reason), "{it:#?}");
        assert_eq!(counts(&status, name), (1, 0, 0), "{name}");
    }
    let mut expected = vec!["layout", "web 1", "recorder 1", "watch"];
    have_started(&device, &expected, "all have started").await;

    // Each by what the agent hears of it: its timer has an hour to go.
    let pid = &resource(&status, "watch").details["pid"];
    for (altered, name, repaired, started) in [
        (&*format!("rm {LAID_OUT}; echo 2 >{SETTINGS}"), "web-settings", (1, 1, 0), None),
        ("systemctl stop recorder", "recorder", (1, 1, 0), Some("recorder 1")),
        (&*format!("echo '# more' >>{UNIT}; systemctl daemon-reload"), "recorder", (1, 2, 0), None),
        ("podman rm --force --time 0 web", "web", (1, 1, 0), Some("web 1")),
        (&*format!("kill -KILL {pid}"), "watch", (1, 0, 1), Some("watch")),
    ] {
        device.shell(altered).await;
        site.platform.status_where(DEVICE, altered, stands(name, repaired)).await;
        expected.extend(started);
        have_started(&device, &expected, altered).await;
    }
    assert_eq!(fs::read_to_string(device.path(SETTINGS)).unwrap(), "1\n");
    assert!(!fs::read_to_string(device.path(UNIT)).unwrap().contains("more"));
    let before = site.platform.status(DEVICE).await.unwrap();
    // What is gone of the job's work is no reason to do it again.
    assert_eq!(resource(&before, "layout"), resource(&status, "layout"));
    assert!(!device.path(LAID_OUT).exists());
    let ran_before = identities(&device, &before).await;

    site.server.stop().await;
    device.reboot().await;
    device.property_where("StatusText", |text| text == "Converged").await;
    let offline: AgentStatus =
        serde_json::from_str(&agent(&device, &["status", "--output", "json"]).await).unwrap();
    assert_eq!(offline.summary.ready, 5, "{offline:#?}");
    assert_eq!(fs::read_to_string(device.path(SETTINGS)).unwrap(), "1\n");
    for (now, before) in identities(&device, &offline).await.iter().zip(&ran_before) {
        assert_ne!(now, before, "it runs on after a reboot");
    }
    // systemd starts what is enabled, whenever the agent comes to the rest.
    let mut booted = eventually("all have started after the boot", async || {
        let mut starts = starts(&device).await;
        if starts.len() < expected.len() + 3 {
            Err(format!("{starts:?}"))
        } else {
            Ok(starts.split_off(expected.len()))
        }
    })
    .await;
    booted.sort();
    assert_eq!(booted, ["recorder 1", "watch", "web 1"]);

    site.server.start_again().await;
    let after = of_the_next_process(site, &before).await;
    assert_ne!(after.agent_info.boot_id, before.agent_info.boot_id);
    assert_eq!(after.accepted, before.accepted);
    assert_eq!(starts(&device).await.len(), expected.len() + 3, "{:?}", starts(&device).await);
    for (name, counted) in [
        ("layout", (1, 0, 0)),
        ("web-settings", (1, 1, 0)),
        ("web", (1, 1, 1)),
        ("recorder", (1, 2, 0)),
        ("watch", (1, 0, 2)),
    ] {
        assert_eq!(counts(&after, name), counted, "{name}");
    }
}
