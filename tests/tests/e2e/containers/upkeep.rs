//! Whatever happens to a container behind the agent's back is found out, told apart and counted.

use agent_model::status::ResourceState::{Failed, Ready};
use serde_json::json;
use tests::{
    container_runtime::{BOX, Kind},
    document::container_script,
};

use super::{Stage, sleeper, web};
use crate::status_words::{Counts, converged_at, counts, listed, stands};

with_each_runtime!(
    what_dies_is_a_restart_and_what_is_removed_by_hand_a_repair,
    what_takes_more_memory_than_it_may_is_told_apart,
    what_is_declared_no_longer_is_stopped_in_its_own_time_and_removed,
    a_container_that_somebody_stopped_or_renamed_comes_back,
);

async fn what_dies_is_a_restart_and_what_is_removed_by_hand_a_repair(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1")]).await;
    stage.status("converged", converged_at(1)).await;
    let first = stage.runtime.id("web").await;

    stage.runtime.command(&["kill", "--signal", "KILL", "web"]).await;
    let status = stage.status("it has died", stands("web", Failed, "CrashLoopBackOff")).await;
    assert!(listed(&status, "web").unwrap().message.contains("was killed"), "{status:#?}");
    let restarted = |status: &_| {
        stands("web", Ready, "Running")(status)
            && counts(status, "web") == Counts { changes: 1, restarts: 1, drift_corrections: 0 }
    };
    let status = stage.status("it runs again", restarted).await;
    let details = &listed(&status, "web").unwrap().details;
    assert!(details["lastEnd"].as_str().unwrap().contains("was killed"), "{details}");
    assert_eq!(stage.runtime.id("web").await, first, "it is started again as itself");

    stage.runtime.remove_by_hand("web").await;
    let repaired = |status: &_| {
        stands("web", Ready, "Running")(status)
            && counts(status, "web") == Counts { changes: 1, restarts: 1, drift_corrections: 1 }
    };
    let status = stage.status("it was created again", repaired).await;
    let details = &listed(&status, "web").unwrap().details;
    assert_eq!(details["id"].as_str(), stage.runtime.id("web").await.as_deref());
    assert_ne!(stage.runtime.id("web").await, first);

    stage.runtime.command(&["pause", "web"]).await;
    let repaired = |status: &_| {
        stands("web", Ready, "Running")(status)
            && counts(status, "web") == Counts { changes: 1, restarts: 1, drift_corrections: 2 }
    };
    stage.status("it goes on", repaired).await;
    let audit = stage.device.audit();
    let steps: Vec<&str> = audit.iter().filter_map(|record| record["step"].as_str()).collect();
    for step in
        ["start it again", "create it: somebody has removed it", "let it go on: somebody has paused it"]
    {
        assert!(steps.contains(&step), "no {step:?} in {steps:?}");
    }
}

async fn what_takes_more_memory_than_it_may_is_told_apart(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let mut greedy = container_script("greedy", BOX, "sleep 1.5; a=x; while :; do a=$a$a; done");
    greedy["spec"]["limits"] = json!({"memory": "16Mi"});
    stage.put(1, &[greedy]).await;
    let status = stage.status("it was killed", stands("greedy", Failed, "CrashLoopBackOff")).await;
    assert!(listed(&status, "greedy").unwrap().message.contains("memory"), "{status:#?}");
}

async fn what_is_declared_no_longer_is_stopped_in_its_own_time_and_removed(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let mut stubborn =
        container_script("stubborn", BOX, "trap 'echo asked' USR1; echo up; while :; do sleep 0.1; done");
    stubborn["spec"]["stopSignal"] = json!("SIGUSR1");
    stubborn["spec"]["stopTimeout"] = json!("3s");
    stage.put(1, &[stubborn, sleeper("other")]).await;
    stage.status("converged", converged_at(1)).await;
    stage.put(2, &[sleeper("other")]).await;
    stage
        .status("it is asked", |status| {
            listed(status, "stubborn").is_some_and(|resource| resource.reason == "Stopping")
        })
        .await;
    tests::eventually::eventually("the signal arrives", async || {
        let logs = stage.runtime.logs("stubborn").await;
        if logs.contains("asked") { Ok(()) } else { Err(logs) }
    })
    .await;
    stage.status("converged without it", converged_at(2)).await;
    assert_eq!(stage.runtime.names().await, ["other"]);
}

async fn a_container_that_somebody_stopped_or_renamed_comes_back(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1")]).await;
    stage.status("converged", converged_at(1)).await;
    stage.runtime.command(&["stop", "web"]).await;
    stage
        .status("started again", |status| {
            stands("web", Ready, "Running")(status)
                && counts(status, "web") == Counts { changes: 1, restarts: 1, drift_corrections: 0 }
        })
        .await;
    stage.runtime.command(&["rename", "web", "elsewhere"]).await;
    stage
        .status("created again", |status| {
            stands("web", Ready, "Running")(status) && counts(status, "web").drift_corrections == 1
        })
        .await;
    assert_eq!(stage.runtime.names().await, ["web"]);
}
