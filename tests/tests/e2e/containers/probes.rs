//! Probes of containers, as Kubernetes means them.

use agent_model::status::ResourceState::{Failed, Pending, Ready};
use serde_json::json;
use tests::{
    container_runtime::{BOX, Kind},
    document::container_script,
    nats_server::free_ports,
};

use super::Stage;
use crate::status_words::{Counts, converged_at, counts, listed, stands};

with_each_runtime!(
    readiness_comes_and_goes_and_a_failed_liveness_probe_restarts,
    a_probe_that_hangs_fails_and_leaves_no_more_than_one_command_behind,
);

/// Serves /srv on port 80.
const SERVER: &str = "echo hello > /srv/index.html; exec httpd -f -p 80 -h /srv";

#[tokio::test]
async fn ports_are_asked_where_they_are_published_or_at_the_containers_own_address() {
    let stage = Stage::set().await;
    let port = free_ports::<1>()[0];
    let mut published = container_script("published", BOX, SERVER);
    published["spec"]["ports"] = json!([{"host": port, "container": 80, "hostIp": "127.0.0.1"}]);
    published["spec"]["probes"] = json!({"readiness": {"http": {"port": 80, "path": "/index.html"}}});
    let mut inside = container_script("inside", BOX, SERVER);
    inside["spec"]["probes"] = json!({"readiness": {"tcp": {"port": 80}}});
    let mut unreachable = container_script("unreachable", BOX, SERVER);
    unreachable["spec"]["network"] = json!("None");
    unreachable["spec"]["probes"] = json!({"readiness": {"tcp": {"port": 80}}});
    stage.put(1, &[published, inside, unreachable]).await;
    let status = stage
        .status("two answer", |status| {
            stands("published", Ready, "Running")(status)
                && stands("inside", Ready, "Running")(status)
                && stands("unreachable", Pending, "Starting")(status)
                && listed(status, "unreachable").is_some_and(|it| it.message.contains("not reached"))
        })
        .await;
    assert_eq!(counts(&status, "published"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
}

async fn readiness_comes_and_goes_and_a_failed_liveness_probe_restarts(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let mut web = container_script("web", BOX, "touch /tmp/ready /tmp/alive; exec sleep infinity");
    web["spec"]["stopSignal"] = json!("SIGKILL");
    let probe = |file: &str| json!({"exec": {"command": ["cat", file]}, "interval": "1s", "timeout": "10s", "failureThreshold": 1});
    web["spec"]["probes"] = json!({"readiness": probe("/tmp/ready"), "liveness": probe("/tmp/alive")});
    stage.put(1, &[web]).await;
    stage.status("converged", converged_at(1)).await;
    stage.runtime.command(&["exec", "web", "busybox", "rm", "/tmp/ready"]).await;
    let status = stage.status("not ready", stands("web", Pending, "NotReady")).await;
    assert!(listed(&status, "web").unwrap().message.contains("exit code 1"), "{status:#?}");
    assert_eq!(counts(&status, "web").restarts, 0);
    stage.runtime.command(&["exec", "web", "touch", "/tmp/ready"]).await;
    stage.status("ready again", stands("web", Ready, "Running")).await;

    stage.runtime.command(&["exec", "web", "busybox", "rm", "/tmp/alive"]).await;
    stage
        .status("it was given up", |status| {
            stands("web", Failed, "CrashLoopBackOff")(status)
                && listed(status, "web").is_some_and(|web| web.message.contains("liveness"))
        })
        .await;
    stage
        .status("started again", |status| {
            stands("web", Ready, "Running")(status) && counts(status, "web").restarts == 1
        })
        .await;
}

async fn a_probe_that_hangs_fails_and_leaves_no_more_than_one_command_behind(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let mut web = container_script("web", BOX, "exec sleep infinity");
    web["spec"]["stopSignal"] = json!("SIGKILL");
    web["spec"]["probes"] = json!({
        "readiness": {"exec": {"command": ["sleep", "1000"]}, "interval": "1s", "timeout": "500ms", "failureThreshold": 4},
    });
    stage.put(1, &[web]).await;
    stage
        .status("it is not ready", |status| {
            stands("web", Pending, "NotReady")(status)
                && listed(status, "web").is_some_and(|web| web.message.contains("still runs"))
        })
        .await;
    let top = stage.runtime.command(&["exec", "web", "busybox", "ps"]).await;
    assert_eq!(top.matches("sleep 1000").count(), 1, "{top}");
}
