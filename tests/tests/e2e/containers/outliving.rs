//! Containers outlive the agent, however it ends and whatever build comes after it.

use agent_model::status::Phase;
use serde_json::json;
use tests::container_runtime::Kind;

use super::{Stage, sleeper, web};
use crate::status_words::{Counts, converged_at, counts, of_a_later_process};

with_each_runtime!(
    no_end_of_the_agent_touches_a_container_or_shows_in_the_status,
    after_a_lost_ledger_containers_are_adopted_and_those_that_nobody_declares_are_removed,
);

async fn no_end_of_the_agent_touches_a_container_or_shows_in_the_status(kind: Kind) {
    let mut stage = Stage::set_on(kind).await;
    let mut completed = sleeper("completed");
    completed["spec"]["command"] = json!(["true"]);
    completed["spec"]["restart"] = json!("OnFailure");
    stage.put(1, &[web("1"), sleeper("plain"), completed]).await;
    let mut last = stage.status("converged", converged_at(1)).await;
    let names = ["web", "plain", "completed"];
    let mut before = Vec::new();
    for name in names {
        before.push(stage.runtime.inspect(name).await.unwrap()["State"].clone());
    }
    let mut told = stage.site.platform.listen(stage.device.id()).await;
    for killed in [true, false, true] {
        if killed {
            stage.device.kill();
        } else {
            stage.device.stop().await;
        }
        stage.device.start();
        let is_later = of_a_later_process(&last);
        last = stage.status("converged again", |status| is_later(status) && converged_at(1)(status)).await;
        for status in told.up_to(&last).await {
            assert_eq!(status.phase, Phase::Converged, "{status:#?}");
        }
        for (name, before) in names.iter().zip(&before) {
            assert_eq!(
                counts(&last, name),
                Counts { changes: 1, restarts: 0, drift_corrections: 0 },
                "{name}\n{}",
                stage.device.log()
            );
            let now = &stage.runtime.inspect(name).await.unwrap()["State"];
            for fact in ["Pid", "StartedAt", "Status"] {
                assert_eq!(now[fact], before[fact], "{name}: {fact}\n{}", stage.device.log());
            }
        }
    }
}

async fn after_a_lost_ledger_containers_are_adopted_and_those_that_nobody_declares_are_removed(kind: Kind) {
    let mut stage = Stage::set_on(kind).await;
    stage.put(1, &[sleeper("kept"), sleeper("dropped")]).await;
    let before = stage.status("converged", converged_at(1)).await;
    let kept = stage.runtime.id("kept").await;
    stage.device.kill();
    for ledger in ["ledger.json", "ledger.previous.json"] {
        let _ = std::fs::remove_file(stage.device.state_dir().join(ledger));
    }
    stage.put(2, &[sleeper("kept")]).await;
    stage.device.start();
    let is_later = of_a_later_process(&before);
    stage.status("converged again", |status| is_later(status) && converged_at(2)(status)).await;
    assert_eq!(stage.runtime.names().await, ["kept"]);
    assert_eq!(stage.runtime.id("kept").await, kept);
}
