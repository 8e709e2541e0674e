//! Processes outlive the agent, however it ends and whatever build comes after it.

use agent_model::status::{AgentStatus, Phase, ResourceState};
use process_shim::ProcessIdentity;
use rustix::process::Signal;
use serde_json::json;
use tests::{
    agent::Bridge,
    document::{file, manifest, process, script},
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, of_a_later_process, resource, stands};

/// How an agent ends, and which one comes after it.
#[derive(Debug, Clone, Copy)]
enum Succession {
    Killed,
    Stopped,
    ByScores,
    ByCrashPoints,
}

#[tokio::test]
async fn no_end_of_the_agent_touches_a_process_or_shows_in_the_status() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let mut probed = script("probed", "sleep infinity & wait");
    probed["dependsOn"] = json!(["plain"]);
    probed["restartOn"] = json!(["config"]);
    probed["spec"]["probes"] = json!({
        "startup": {"exec": {"command": ["true"]}},
        "readiness": {"exec": {"command": ["sleep", "0.1"]}, "interval": "200ms"},
        "liveness": {"exec": {"command": ["true"]}, "interval": "200ms"},
    });
    let mut limited = process("limited", &["sleep", "infinity"]);
    limited["spec"]["limits"] = json!({"memory": "64Mi", "pids": 10, "cpus": "1"});
    let mut completed = process("completed", &["true"]);
    completed["spec"]["restart"] = json!("OnFailure");
    let resources = [
        file("config", "/etc/config", "1"),
        process("plain", &["sleep", "infinity"]),
        probed,
        limited,
        completed,
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    let mut last = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let names = ["plain", "probed", "limited", "completed"];
    let records = names.map(|name| device.shim_record(name));
    let mut told = site.platform.listen(DEVICE).await;
    for succession in
        [Succession::Killed, Succession::Stopped, Succession::ByScores, Succession::ByCrashPoints]
    {
        match succession {
            Succession::Stopped => device.stop().await,
            Succession::Killed | Succession::ByScores | Succession::ByCrashPoints => device.kill(),
        }
        device = match succession {
            Succession::Killed | Succession::Stopped => device,
            Succession::ByScores => device.with_bridge(Bridge::Disabled),
            Succession::ByCrashPoints => device.with_program("harmony-agent-crash-points"),
        };
        device.start();
        let is_later = of_a_later_process(&last);
        last = site
            .platform
            .status_where(DEVICE, &format!("converged when {succession:?}"), |status| {
                is_later(status) && converged_at(1)(status)
            })
            .await;
        for status in told.up_to(&last).await {
            assert_eq!(status.phase, Phase::Converged, "{succession:?}: {status:#?}");
        }
        for (name, record) in names.iter().zip(&records) {
            assert_eq!(&device.shim_record(name), record, "{succession:?}: another {name}\n{}", device.log());
            let resource = resource(&last, name);
            assert_eq!(
                (resource.changes, resource.restarts, resource.drift_corrections),
                (1, 0, 0),
                "{succession:?}: {name}"
            );
        }
    }
    assert!(["plain", "probed", "limited"].iter().all(|name| device.process(name).is_alive()));
}

#[tokio::test]
async fn what_ended_while_there_was_no_agent_is_started_by_the_next_one() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let mut once = script("once", "sleep infinity & wait");
    once["spec"]["restart"] = json!("Never");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[process("web", &["sleep", "infinity"]), once])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.kill();
    for name in ["web", "once"] {
        device.process(name).signal(Signal::TERM).unwrap();
    }
    let shims = ["web", "once"].map(|name| device.shim_record(name).shim);
    eventually("both have ended", async || {
        if shims.iter().any(ProcessIdentity::is_alive) { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await;

    device.start();
    let as_they_say = |status: &AgentStatus| {
        stands("web", ResourceState::Ready, "Running")(status)
            && resource(status, "web").restarts == 1
            && stands("once", ResourceState::Failed, "Exited")(status)
    };
    let status = site.platform.status_where(DEVICE, "one started again, one not", as_they_say).await;
    let once = resource(&status, "once");
    assert!(once.restarts == 0 && once.message.contains("was ended by SIGTERM"), "{once:?}");
    assert_eq!(resource(&status, "web").drift_corrections, 0);
}
