//! What ends again and again waits longer and longer, as its restart policy has it.

use agent_model::status::{
    AgentStatus,
    ResourceState::{Failed, Ready},
};
use serde_json::json;
use tests::{
    container_runtime::{BOX, Kind},
    document::container_script,
};

use super::Stage;
use crate::status_words::{listed, stands};

with_each_runtime!(restart_policies_and_growing_pauses);

async fn restart_policies_and_growing_pauses(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let with = |name: &str, policy: &str, code: u8| {
        let mut container = container_script(name, BOX, &format!("exit {code}"));
        container["spec"]["restart"] = json!(policy);
        container
    };
    let resources = [
        with("always", "Always", 0),
        with("done", "OnFailure", 0),
        with("failing", "OnFailure", 3),
        with("once", "Never", 3),
    ];
    stage.put(1, &resources).await;
    let as_they_say = |status: &AgentStatus| {
        let loops = |name| {
            stands(name, Failed, "CrashLoopBackOff")(status)
                && listed(status, name).is_some_and(|it| it.attempts >= 3 && it.restarts >= 2)
        };
        loops("always")
            && loops("failing")
            && stands("done", Ready, "Completed")(status)
            && stands("once", Failed, "Exited")(status)
    };
    let status = stage.status("each as its policy has it", as_they_say).await;
    for (name, words) in [("always", "code 0"), ("failing", "code 3"), ("once", "code 3")] {
        assert!(listed(&status, name).unwrap().message.contains(words), "{status:#?}");
    }
    assert_eq!(listed(&status, "done").unwrap().restarts, 0);
    assert_eq!(listed(&status, "once").unwrap().restarts, 0);
    let waits = listed(&status, "failing").unwrap();
    assert!(waits.next_retry.is_some() && waits.message.contains("in a row"), "{waits:?}");
}
