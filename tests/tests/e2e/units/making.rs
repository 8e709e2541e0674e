//! Units come to be as declared, change, and go.

use std::fs;

use serde_json::json;
use tests::{
    document::{file, manifest},
    site::DEVICE,
    systemd_container::SERVICE,
};

use super::{FOLDER, converge, fails, installed, property, starts, unit, until, waiting};
use crate::{
    service::of_the_next_process,
    status_words::{Counts, counts, refused, resource},
};

#[tokio::test]
async fn a_unit_is_made_changed_restarted_once_for_each_change_and_removed_without_a_trace() {
    let (site, device) = installed().await;
    let before = device.shell(&format!("find {FOLDER} | sort")).await;
    let app = |mark: &str, drop_ins| {
        unit(
            "app",
            "app.service",
            json!({"content": waiting("app", mark), "dropIns": drop_ins, "enabled": true}),
        )
    };
    let status = converge(&site, 1, &[app("one", json!({}))]).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
    assert_eq!(resource(&status, "app").details["activeState"], "active");
    assert_eq!(resource(&status, "app").details["nRestarts"], 0);
    assert_eq!(property(&device, "app.service", "UnitFileState").await, "enabled");
    assert_eq!(property(&device, "app.service", "NeedDaemonReload").await, "no");
    assert_eq!(starts(&device, "app").await, 1);
    let written = fs::read_to_string(device.path(&format!("{FOLDER}/app.service"))).unwrap();
    assert!(written.starts_with("# harmony-agent edge-0001 sha256:"), "{written}");

    // Nothing restarts with the agent.
    device.systemctl(&["restart", SERVICE]).await;
    let status = of_the_next_process(&site, &status).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
    assert_eq!(starts(&device, "app").await, 1);

    let limits = json!({"10-limits.conf": "[Service]\nTasksMax=99\n"});
    let status = converge(&site, 2, &[app("two", limits.clone())]).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 2, restarts: 1, drift_corrections: 0 });
    assert_eq!(starts(&device, "app").await, 2);
    assert_eq!(property(&device, "app.service", "Description").await, "two");
    assert_eq!(property(&device, "app.service", "TasksMax").await, "99");

    // What it names in restartOn changes; a file that is refused replaces nothing.
    let with_config = |content: &str| {
        let mut app = app("two", limits.clone());
        app["restartOn"] = json!(["config"]);
        [file("config", "/etc/app.conf", content), app]
    };
    let status = converge(&site, 3, &with_config("1")).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 3, restarts: 2, drift_corrections: 0 });
    assert_eq!(starts(&device, "app").await, 3);
    let status = converge(&site, 4, &with_config("2")).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 4, restarts: 3, drift_corrections: 0 });
    assert_eq!(starts(&device, "app").await, 4);
    let pid = property(&device, "app.service", "MainPID").await;
    let bad = unit(
        "app",
        "app.service",
        json!({"content": "[Service]\nType=oneshot\nRestart=always\nExecStart=\n"}),
    );
    let failed = fails(&site, 5, &[bad], "app", "UnitRefused").await;
    assert!(failed.message.contains("app.service"), "{}", failed.message);
    assert_eq!(property(&device, "app.service", "MainPID").await, pid);
    assert_eq!(property(&device, "app.service", "Description").await, "two");
    assert_eq!((failed.changes, failed.drift_corrections, failed.restarts), (4, 0, 3), "what was refused");
    let status = converge(&site, 6, &with_config("2")).await;
    assert_eq!(counts(&status, "app"), Counts { changes: 4, restarts: 3, drift_corrections: 0 });
    assert_eq!(starts(&device, "app").await, 4);

    converge(&site, 7, &[]).await;
    assert_eq!(device.shell(&format!("find {FOLDER} | sort")).await, before);
    assert_eq!(property(&device, "app.service", "LoadState").await, "not-found");
    assert_eq!(device.exec(&["pidof", "sleep"]).await.code, Some(1));
    site.assert_nothing_was_forbidden();
}

#[tokio::test]
async fn many_units_are_read_once_and_each_kind_stands_as_it_should() {
    let (site, device) = installed().await;
    let oneshot = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo start >>/var/once'\n";
    let mut resources = vec![
        unit("once", "once.service", json!({"content": oneshot})),
        // One names the other, and neither waits.
        unit(
            "timer",
            "job.timer",
            json!({"content": "[Timer]\nOnActiveSec=1h\n[Install]\nWantedBy=timers.target\n", "enabled": true}),
        ),
        unit("timed", "job.service", json!({"content": oneshot, "state": "Stopped"})),
        unit("template", "t@.service", json!({"content": "[Service]\nExecStart=/bin/sleep infinity\n"})),
        unit("stopped", "stopped.service", json!({"content": waiting("stopped", "x"), "state": "Stopped"})),
    ];
    for i in 0..12 {
        resources.push(unit(
            &format!("w{i}"),
            &format!("w{i}.service"),
            json!({"content": waiting(&format!("w{i}"), "x")}),
        ));
    }
    let monitor = "busctl monitor --match \"type='method_call',member='Reload'\" >/var/reloads 2>/dev/null & echo $! >/var/monitor";
    let _ = device.exec(&["sh", "-c", monitor]).await;
    let status = converge(&site, 1, &resources).await;
    for (name, reason) in [
        ("once", "Completed"),
        ("timer", "Running"),
        ("template", "Written"),
        ("stopped", "Stopped"),
        ("w7", "Running"),
    ] {
        assert_eq!(resource(&status, name).reason, reason, "{name}");
    }
    assert_eq!((starts(&device, "once").await, starts(&device, "stopped").await), (1, 0));
    let reloads = device.shell("kill $(cat /var/monitor); grep -c Member=Reload /var/reloads || true").await;
    assert_eq!(reloads.trim(), "1");
    // An instance of the template, which is there by now.
    resources.push(unit(
        "instance",
        "t@one.service",
        json!({"dropIns": {"a.conf": "[Service]\nTasksMax=9\n"}}),
    ));
    converge(&site, 2, &resources).await;
    assert_eq!(property(&device, "t@one.service", "ActiveState").await, "active");
    assert_eq!(property(&device, "t@one.service", "TasksMax").await, "9");
    assert_eq!((starts(&device, "once").await, starts(&device, "w3").await), (1, 1));
    converge(&site, 3, &[]).await;
    until(
        &device,
        "nothing is left",
        &format!("test -z \"$(ls {FOLDER} | grep -E '^(once|job|t@|stopped|w[0-9])')\""),
    )
    .await;
}

#[tokio::test]
async fn what_was_there_before_comes_back_and_what_is_the_agents_own_cannot_be_had() {
    let (site, device) = installed().await;
    let theirs = waiting("theirs", "theirs");
    fs::write(device.path(&format!("{FOLDER}/theirs.service")), &theirs).unwrap();
    fs::write(device.path(&format!("{FOLDER}/idle.service")), waiting("idle", "idle")).unwrap();
    device.systemctl(&["daemon-reload"]).await;
    device.systemctl(&["enable", "--now", "theirs.service"]).await;

    let resources = [
        unit("content", "theirs.service", json!({"content": waiting("theirs", "ours"), "enabled": false})),
        unit(
            "managed",
            "idle.service",
            json!({"enabled": true, "dropIns": {"x.conf": "[Unit]\nDescription=changed\n"}}),
        ),
    ];
    converge(&site, 1, &resources).await;
    assert_eq!(property(&device, "theirs.service", "Description").await, "ours");
    assert_eq!(starts(&device, "theirs").await, 2);
    assert_eq!(property(&device, "idle.service", "Description").await, "changed");
    assert_eq!(property(&device, "idle.service", "ActiveState").await, "active");

    converge(&site, 2, &[]).await;
    until(
        &device,
        "both are as they were",
        "test \"$(systemctl is-active theirs idle | tr '\\n' ' ')\" = 'active inactive '",
    )
    .await;
    assert_eq!(fs::read_to_string(device.path(&format!("{FOLDER}/theirs.service"))).unwrap(), theirs);
    assert_eq!(property(&device, "theirs.service", "Description").await, "theirs");
    assert_eq!(property(&device, "theirs.service", "UnitFileState").await, "enabled");
    assert_eq!(property(&device, "idle.service", "UnitFileState").await, "disabled");

    // A unit that is nowhere, one that is masked, and the agent's own by every name.
    fails(&site, 3, &[unit("u", "nowhere.service", json!({}))], "u", "UnitNotFound").await;
    device.systemctl(&["mask", "masked.service"]).await;
    fails(&site, 4, &[unit("u", "masked.service", json!({}))], "u", "UnitMasked").await;
    fails(&site, 5, &[unit("u", "dbus.service", json!({"state": "Stopped"}))], "u", "PolicyDenied").await;
    fails(&site, 6, &[unit("u", "sysinit.target", json!({"state": "Stopped"}))], "u", "PolicyDenied").await;
    device
        .shell(&format!("ln -s harmony-agent.service {FOLDER}/alias.service; systemctl daemon-reload"))
        .await;
    for (i, own) in ["harmony-agent.service", "harmony-.service", "alias.service"].into_iter().enumerate() {
        let claim = manifest(DEVICE, 7 + i as u64, &[unit("u", own, json!({"state": "Stopped"}))]);
        let revision = site.platform.put(DEVICE, &claim).await;
        site.platform.status_where(DEVICE, own, refused(revision, "PolicyDenied")).await;
    }
    assert_eq!(device.property("NRestarts").await, "0");
}
