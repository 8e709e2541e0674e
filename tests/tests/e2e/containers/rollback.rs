//! A container that never gets ready gives way, with the document that declares it, to the one before.

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase};
use serde_json::json;
use tests::{container_runtime::Kind, document::within};

use super::{Stage, sleeper, web};
use crate::status_words::{accepted, converged_at, is};

with_each_runtime!(a_container_that_never_gets_ready_is_gone_back_from_and_its_last_lines_are_kept);

fn is_back(status: &AgentStatus) -> bool {
    status.phase == Phase::RolledBack && accepted(status) == Some(1)
}

async fn a_container_that_never_gets_ready_is_gone_back_from_and_its_last_lines_are_kept(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.put(1, &[web("1"), sleeper("steady")]).await;
    stage.status("converged", converged_at(1)).await;
    let untouched = stage.runtime.id("steady").await;

    let mut late = web("hunter2");
    late["spec"]["probes"]["readiness"] = json!({"exec": {"command": ["false"]}, "interval": "1s"});
    let document = within("15s", stage.site.document(2, &[late, sleeper("steady")]));
    stage.site.platform.put(stage.device.id(), &document).await;
    let what = "back and ready";
    let status = stage
        .status(what, |status| {
            is_back(status) && is(status, ConditionType::Converged, ConditionStatus::True, "AllReady")
        })
        .await;
    let late = status.rolled_back.unwrap();
    assert_eq!((late.generation.get(), late.resources.len()), (2, 1), "{late:#?}");
    assert_eq!(late.resources[0].log_tail.as_deref(), Some("started ***"));
    assert_eq!(stage.runtime.logs("web").await.lines().last(), Some("started 1"));
    assert_eq!(stage.runtime.id("steady").await, untouched, "what both declare alike runs on");
    assert_eq!(stage.runtime.names().await.len(), 2);
}

#[tokio::test]
async fn a_runtime_that_is_gone_holds_nothing_up() {
    let mut stage = Stage::set().await;
    let file = |content| tests::document::file("config", "/etc/config", content);
    stage.put(1, &[file("1"), sleeper("steady")]).await;
    stage.status("converged", converged_at(1)).await;
    let mut late = web("2");
    late["spec"]["probes"]["readiness"] = json!({"exec": {"command": ["false"]}, "interval": "1s"});
    let document = within("10s", stage.site.document(2, &[file("2"), late, sleeper("steady")]));
    stage.site.platform.put(stage.device.id(), &document).await;
    stage.status("in force", |status| accepted(status) == Some(2)).await;
    stage.runtime.kill();
    let status = stage.status("back", is_back).await;
    assert!(status.rolled_back.unwrap().resources.iter().all(|resource| resource.log_tail.is_none()));
    stage.device.eventually_holds("/etc/config", "1").await;
    stage.runtime.serve().await;
    let ready = |status: &AgentStatus| {
        is_back(status) && is(status, ConditionType::Converged, ConditionStatus::True, "AllReady")
    };
    stage.status("back and ready", ready).await;
}
