//! A container that is declared otherwise is replaced; what does not start gives way to what was there.

use agent_model::status::ResourceState::{Failed, Ready};
use serde_json::{Value, json};
use tests::{
    container_runtime::{BOX, Kind},
    document::container_script,
    eventually::eventually,
};

use super::{Stage, sleeper, web};
use crate::status_words::{Counts, converged_at, counts, listed, stands};

with_each_runtime!(
    another_declaration_replaces_it_once_and_leaves_nothing,
    what_restarts_it_is_waited_for_and_replaces_it,
    what_does_not_start_gives_way_to_the_one_before_and_is_not_tried_again,
    the_one_that_was_brought_back_is_kept_running,
    what_ends_before_it_was_ready_or_is_given_up_by_its_startup_probe_gives_way_too,
    the_one_before_runs_until_the_new_image_is_there,
);

/// `web` with a command that there is not.
fn broken() -> Value {
    let mut broken = web("2");
    broken["spec"]["command"] = json!(["/nonexistent"]);
    broken
}

async fn another_declaration_replaces_it_once_and_leaves_nothing(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1")]).await;
    stage.status("converged", converged_at(1)).await;
    let first = stage.runtime.id("web").await;
    stage.put(2, &[web("2")]).await;
    let status = stage.status("converged again", converged_at(2)).await;
    assert_eq!(
        counts(&status, "web"),
        Counts { changes: 2, restarts: 1, drift_corrections: 0 },
        "{}",
        stage.device.log()
    );
    assert_ne!(stage.runtime.id("web").await, first);
    assert_eq!(stage.runtime.names().await, ["web"]);
    assert_eq!(stage.runtime.logs("web").await, "started 2\n");
}

async fn what_restarts_it_is_waited_for_and_replaces_it(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let with = |content: &str| {
        let mut web = web("1");
        web["restartOn"] = json!(["config"]);
        [tests::document::file("config", "/etc/config", content), web]
    };
    stage.put(1, &with("1")).await;
    stage.status("converged", converged_at(1)).await;
    let first = stage.runtime.id("web").await;
    stage.put(2, &with("2")).await;
    let status = stage.status("converged again", converged_at(2)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 2, restarts: 1, drift_corrections: 0 });
    assert_ne!(stage.runtime.id("web").await, first);
}

async fn what_does_not_start_gives_way_to_the_one_before_and_is_not_tried_again(kind: Kind) {
    let mut stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1"), sleeper("other")]).await;
    stage.status("converged", converged_at(1)).await;
    let first = stage.runtime.id("web").await;

    stage.put(2, &[broken(), sleeper("other")]).await;
    let brought_back = |status: &_| {
        stands("web", Failed, "NotStarted")(status)
            && listed(status, "web").is_some_and(|web| web.message.contains("brought back"))
    };
    let status = stage.status("brought back", brought_back).await;
    assert!(listed(&status, "web").unwrap().message.contains("/nonexistent"), "{status:#?}");
    assert_eq!(stage.runtime.id("web").await, first);
    assert_eq!(stage.runtime.inspect("web").await.unwrap()["State"]["Status"], "running");
    assert_eq!(stage.runtime.names().await, ["other", "web"]);
    assert_eq!(stage.runtime.logs("web").await.matches("started").count(), 2, "once before, once again");
    // It was not applied, and what was started again is the one before.
    assert_eq!(
        counts(&status, "web"),
        Counts { changes: 1, restarts: 1, drift_corrections: 0 },
        "{}",
        stage.device.log()
    );

    // Neither a later agent nor what happens to others tries it again.
    stage.device.kill();
    stage.device.start();
    stage.runtime.command(&["kill", "other"]).await;
    stage
        .status("the other is back", |status| {
            counts(status, "other").restarts == 1 && stands("other", Ready, "Running")(status)
        })
        .await;
    let tries = stage.device.audit().iter().filter(|record| record["step"] == "create it").count();
    assert_eq!(stage.runtime.id("web").await, first, "{tries}");

    // What was there is declared again: it is there.
    stage.put(3, &[web("1"), sleeper("other")]).await;
    let status = stage.status("converged on what runs", converged_at(3)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 1, restarts: 1, drift_corrections: 0 });
    assert_eq!(stage.runtime.id("web").await, first);
    assert_eq!(stage.runtime.logs("web").await.matches("started").count(), 2);

    // And what does start replaces it.
    stage.put(4, &[web("4"), sleeper("other")]).await;
    let status = stage.status("converged on another one", converged_at(4)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 2, restarts: 2, drift_corrections: 0 });
    assert_ne!(stage.runtime.id("web").await, first);
    assert_eq!(stage.runtime.names().await, ["other", "web"]);
}

async fn the_one_that_was_brought_back_is_kept_running(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1")]).await;
    stage.status("converged", converged_at(1)).await;
    stage.put(2, &[broken()]).await;
    let brought_back = |status: &_| {
        listed(status, "web")
            .is_some_and(|web| web.reason == "NotStarted" && web.message.contains("brought back"))
    };
    stage.status("brought back", brought_back).await;
    let first = stage.runtime.id("web").await;
    stage.runtime.command(&["kill", "web"]).await;
    eventually("it is started again", async || {
        let started = stage.runtime.logs("web").await.matches("started").count();
        let state = stage.runtime.inspect("web").await.unwrap()["State"]["Status"].clone();
        if started == 3 && state == "running" { Ok(()) } else { Err(format!("{started} starts, {state}")) }
    })
    .await;
    assert_eq!(stage.runtime.id("web").await, first);
    stage.status("it says why still", brought_back).await;
}

async fn what_ends_before_it_was_ready_or_is_given_up_by_its_startup_probe_gives_way_too(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1")]).await;
    stage.status("converged", converged_at(1)).await;
    let first = stage.runtime.id("web").await;
    let ends = container_script("web", BOX, "exit 7");
    let mut never_starts = web("2");
    never_starts["spec"]["probes"] =
        json!({"startup": {"exec": {"command": ["false"]}, "interval": "1s", "failureThreshold": 1}});
    // Both did start, and then the one before did.
    for (generation, bad, word, counted) in [
        (2, ends, "code 7", Counts { changes: 2, restarts: 2, drift_corrections: 0 }),
        (3, never_starts, "startup probe", Counts { changes: 3, restarts: 4, drift_corrections: 0 }),
    ] {
        stage.put(generation, &[bad]).await;
        let brought_back = |status: &_| {
            stands("web", Failed, "NotStarted")(status)
                && listed(status, "web").is_some_and(|web| web.message.contains(word))
                && listed(status, "web").is_some_and(|web| web.message.contains("brought back"))
        };
        let status = stage.status(word, brought_back).await;
        assert_eq!(counts(&status, "web"), counted, "{word}");
        assert_eq!(stage.runtime.id("web").await, first, "{word}");
        assert_eq!(stage.runtime.inspect("web").await.unwrap()["State"]["Status"], "running", "{word}");
        assert_eq!(stage.runtime.names().await, ["web"], "{word}");
    }
}

async fn the_one_before_runs_until_the_new_image_is_there(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1")]).await;
    stage.status("converged", converged_at(1)).await;
    let before = stage.runtime.inspect("web").await.unwrap();
    let mut other = web("1");
    other["spec"]["image"] = json!("localhost/nowhere:1");
    stage.put(2, &[other]).await;
    stage.status("there is no such image", stands("web", Failed, "ImageNotPresent")).await;
    let now = stage.runtime.inspect("web").await.unwrap();
    assert_eq!((&now["Id"], &now["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    stage.runtime.import("localhost/nowhere:1").await;
    stage.status("converged", converged_at(2)).await;
    assert_eq!(stage.runtime.names().await, ["web"]);
}
