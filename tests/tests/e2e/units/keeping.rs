//! Units stay as declared, whatever happens on the device.

use std::fs;

use agent_model::status::{AgentStatus, ResourceState};
use serde_json::json;
use tests::{site::DEVICE, systemd_container::SERVICE};

use super::{FOLDER, converge, fails, installed, property, starts, unit, until, waiting};
use crate::{
    service::{of_the_next_process, signal},
    status_words::{Counts, counts, resource},
};

#[tokio::test]
async fn what_somebody_alters_by_hand_is_put_right_and_counted_and_a_boot_starts_what_should_run() {
    let (mut site, mut device) = installed().await;
    let drop_ins = json!({"x.conf": "[Service]\nTasksMax=99\n"});
    let app = unit(
        "app",
        "app.service",
        json!({"content": waiting("app", "x"), "dropIns": drop_ins, "enabled": true}),
    );
    let plain = unit("plain", "plain.service", json!({"content": waiting("plain", "x")}));
    let stopped =
        unit("stopped", "stopped.service", json!({"content": waiting("stopped", "x"), "state": "Stopped"}));
    converge(&site, 1, &[app, plain, stopped]).await;
    let repaired = |count: u64| {
        move |status: &AgentStatus| {
            status.resources.iter().any(|it| {
                it.name == "app" && it.drift_corrections == count && it.state == ResourceState::Ready
            })
        }
    };
    // Each with what the agent hears of it.
    for (alter, count) in [
        ("systemctl stop app", 1),
        ("systemctl disable app", 2),
        (&*format!("rm {FOLDER}/app.service.d/x.conf && systemctl daemon-reload"), 3),
        (&*format!("echo '# more' >>{FOLDER}/app.service && systemctl daemon-reload"), 4),
    ] {
        device.shell(alter).await;
        site.platform.status_where(DEVICE, alter, repaired(count)).await;
    }
    assert_eq!(property(&device, "app.service", "UnitFileState").await, "enabled");
    assert_eq!(property(&device, "app.service", "TasksMax").await, "99");
    assert_eq!(property(&device, "app.service", "NeedDaemonReload").await, "no");
    assert_eq!(starts(&device, "app").await, 2, "only what stopped is started");
    device.systemctl(&["start", "stopped"]).await;
    until(&device, "it is stopped again", "test \"$(systemctl is-active stopped)\" = inactive").await;

    // The agent hears of nothing while it is down, and of everything after systemd or the bus was away.
    let before = site.platform.status(DEVICE).await.unwrap();
    let pid = signal(&device, "KILL").await;
    crate::service::is_up_after(&device, &pid).await;
    let after = of_the_next_process(&site, &before).await;
    assert_eq!(counts(&after, "app"), Counts { changes: 1, restarts: 0, drift_corrections: 4 });
    assert_eq!(starts(&device, "app").await, 2);
    device.systemctl(&["daemon-reexec"]).await;
    device.systemctl(&["stop", "app"]).await;
    site.platform.status_where(DEVICE, "repaired after the reexec", repaired(5)).await;

    site.server.stop().await;
    device.reboot().await;
    device.property_where("StatusText", |text| text == "Converged").await;
    until(&device, "both run", "systemctl is-active app plain").await;
    site.server.start_again().await;
    let booted = of_the_next_process(&site, &after).await;
    assert_eq!(counts(&booted, "app"), Counts { changes: 1, restarts: 0, drift_corrections: 5 });
    assert_eq!(counts(&booted, "plain"), Counts { changes: 1, restarts: 1, drift_corrections: 0 });
    assert_eq!((starts(&device, "app").await, starts(&device, "plain").await), (4, 2));

    // Without its ledger the agent knows its files by their marks, and what nothing declares is gone.
    device.systemctl(&["stop", SERVICE]).await;
    device.shell("rm /var/lib/harmony-agent/ledger*").await;
    fs::write(device.path(&format!("{FOLDER}/stranger.service")), waiting("stranger", "x")).unwrap();
    device.systemctl(&["start", SERVICE]).await;
    let status = converge(
        &site,
        2,
        &[unit(
            "app",
            "app.service",
            json!({"content": waiting("app", "x"), "dropIns": drop_ins, "enabled": true}),
        )],
    )
    .await;
    assert_eq!(counts(&status, "app").restarts, 0);
    assert_eq!(starts(&device, "app").await, 4);
    until(
        &device,
        "plain is gone",
        &format!(
            "! test -e {FOLDER}/plain.service; ! systemctl is-active plain; test -e {FOLDER}/stranger.service"
        ),
    )
    .await;
}

#[tokio::test]
async fn a_unit_that_fails_says_how_and_is_tried_again_after_a_pause_until_it_is_well() {
    let (site, device) = installed().await;
    let failing = "[Service]\nExecStart=/bin/sh -c 'test -e /var/well && exec sleep infinity; echo start >>/var/failing; exit 7'\n";
    let app = unit("app", "app.service", json!({"content": failing}));
    let failed = fails(&site, 1, &[app], "app", "UnitFailed").await;
    assert!(failed.message.contains("exit-code (status 7)"), "{}", failed.message);
    assert!(failed.next_retry.is_some());
    let again = |status: &AgentStatus| resource(status, "app").attempts >= 3;
    site.platform.status_where(DEVICE, "tried three times", again).await;
    device.shell("touch /var/well").await;
    let ready = |status: &AgentStatus| resource(status, "app").state == ResourceState::Ready;
    site.platform.status_where(DEVICE, "it is well", ready).await;
    assert!(starts(&device, "failing").await < 9);
}
