//! What this agent did not make is never touched.

use agent_model::status::ResourceState::{Failed, Ready};
use tests::container_runtime::{BOX, Kind};

use super::{Stage, sleeper};
use crate::status_words::{converged_at, listed, stands};

with_each_runtime!(a_strangers_container_keeps_its_name_and_runs_on, a_name_that_becomes_free_is_taken,);

async fn a_strangers_container_keeps_its_name_and_runs_on(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let label = |value: &str| format!("io.harmony.{value}");
    let (other_agent, other_resource) = (label("agent=edge-9999"), label("resource=web"));
    let strangers = [
        vec!["run", "--detach", "--name", "web", BOX],
        vec!["run", "--detach", "--name", "db", "--label", &other_agent, "--label", &other_resource, BOX],
    ];
    let mut before = Vec::new();
    for stranger in &strangers {
        before.push(stage.runtime.command(stranger).await.trim().to_owned());
    }
    stage.put(1, &[sleeper("web"), sleeper("db"), sleeper("own")]).await;
    let status = stage
        .status("both are taken", |status| {
            stands("web", Failed, "NameTaken")(status)
                && stands("db", Failed, "NameTaken")(status)
                && stands("own", Ready, "Running")(status)
        })
        .await;
    assert!(listed(&status, "web").unwrap().message.contains(&before[0][..12]), "{status:#?}");
    assert!(listed(&status, "db").unwrap().message.contains("edge-9999"), "{status:#?}");

    stage.put(2, &[]).await;
    stage.status("all is removed", converged_at(2)).await;
    assert_eq!(stage.runtime.names().await, ["db", "web"]);
    for (name, before) in ["web", "db"].into_iter().zip(&before) {
        let found = stage.runtime.inspect(name).await.unwrap();
        assert_eq!(found["Id"].as_str(), Some(before.as_str()));
        assert_eq!(found["State"]["Status"], "running", "{name}");
    }
}

async fn a_name_that_becomes_free_is_taken(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    stage.runtime.command(&["create", "--name", "web", BOX]).await;
    stage.put(1, &[sleeper("web")]).await;
    stage.status("it is taken", stands("web", Failed, "NameTaken")).await;
    stage.runtime.command(&["rm", "web"]).await;
    stage.status("converged", converged_at(1)).await;
}
