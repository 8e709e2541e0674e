//! What is declared comes about in order, and stays.

use std::fs;

use agent_model::status::{AgentStatus, ResourceState};
use tests::{
    eventually::eventually,
    harmonyctl::Harmonyctl,
    site::{DEVICE, Site},
};

use super::{
    LAID_OUT, SETTINGS, UNIT, agent, have_started, identities, installed, ready_and_counted, resources,
    starts,
};
use crate::{
    service::of_the_next_process,
    status_words::{Counts, converged_at, counts, resource},
};

in_each_format!(each_kind_comes_in_order_is_repaired_and_is_back_after_a_boot_without_a_server);

async fn each_kind_comes_in_order_is_repaired_and_is_back_after_a_boot_without_a_server(site: &mut Site) {
    let mut device = installed(site).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let ran = shell.apply(&[site.format().authored(DEVICE, &resources("1", "first"))]).await;
    ran.assert_ended(0);
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
        assert_eq!(counts(&status, name), Counts { changes: 1, restarts: 0, drift_corrections: 0 }, "{name}");
    }
    let mut expected = vec!["layout", "web 1", "recorder 1", "watch"];
    have_started(&device, &expected, "all have started").await;

    // Each by what the agent hears of it: its timer has an hour to go.
    let pid = &resource(&status, "watch").details["pid"];
    let repaired = |drift_corrections| Counts { changes: 1, restarts: 0, drift_corrections };
    let restarted = Counts { changes: 1, restarts: 1, drift_corrections: 0 };
    for (altered, name, counted, started) in [
        (&*format!("rm {LAID_OUT}; echo 2 >{SETTINGS}"), "web-settings", repaired(1), None),
        ("systemctl stop recorder", "recorder", repaired(1), Some("recorder 1")),
        (&*format!("echo '# more' >>{UNIT}; systemctl daemon-reload"), "recorder", repaired(2), None),
        ("podman rm --force --time 0 web", "web", repaired(1), Some("web 1")),
        (&*format!("kill -KILL {pid}"), "watch", restarted, Some("watch")),
    ] {
        device.shell(altered).await;
        site.platform.status_where(DEVICE, altered, ready_and_counted(name, counted)).await;
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
        ("layout", Counts { changes: 1, restarts: 0, drift_corrections: 0 }),
        ("web-settings", Counts { changes: 1, restarts: 0, drift_corrections: 1 }),
        ("web", Counts { changes: 1, restarts: 1, drift_corrections: 1 }),
        ("recorder", Counts { changes: 1, restarts: 0, drift_corrections: 2 }),
        ("watch", Counts { changes: 1, restarts: 2, drift_corrections: 0 }),
    ] {
        assert_eq!(counts(&after, name), counted, "{name}");
    }
}
