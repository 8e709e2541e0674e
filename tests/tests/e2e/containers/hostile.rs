//! What is declared, or what the runtime meets, may be anything.

use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
};

use agent_model::status::ResourceState::{Failed, Ready};
use serde_json::{Value, json};

use tests::eventually::eventually;

use super::{Stage, sleeper, web};
use crate::status_words::{converged_at, listed, refused, stands};

fn mounting(name: &str, source: &std::path::Path) -> Value {
    let mut sleeper = sleeper(name);
    sleeper["spec"]["mounts"] = json!([{"type": "Bind", "source": source, "target": "/mnt"}]);
    sleeper
}

#[tokio::test]
async fn mounts_neither_make_what_is_not_there_nor_follow_links_to_the_agents_own() {
    let stage = Stage::set().await;
    let folder = stage.runtime.folder();
    symlink(stage.device.state_dir(), folder.join("innocent")).unwrap();
    std::fs::create_dir(folder.join("a,ro=false")).unwrap();
    // Whoever may write there could put a link in the place of what was looked at.
    std::fs::create_dir_all(folder.join("open/data")).unwrap();
    std::fs::set_permissions(folder.join("open"), Permissions::from_mode(0o777)).unwrap();
    let resources = [
        mounting("missing", &folder.join("missing")),
        mounting("open", &folder.join("open/data")),
        mounting("options", &folder.join("a,ro=false")),
    ];
    stage.put(1, &resources).await;
    stage
        .status("none of them is made", |status| {
            stands("missing", Failed, "MountMissing")(status)
                && stands("open", Failed, "UnsafePath")(status)
                && stands("options", Failed, "UnsafePath")(status)
        })
        .await;
    assert!(!folder.join("missing").exists());
    assert!(stage.runtime.names().await.is_empty());
    std::fs::create_dir(folder.join("missing")).unwrap();
    stage.status("it is there by now", stands("missing", Ready, "Running")).await;

    let document = stage.site.document(2, &[mounting("innocent", &folder.join("innocent"))]);
    let revision = stage.site.platform.put(stage.device.id(), &document).await;
    stage
        .status("the agent's own is in no container", |status| {
            refused(revision, "PolicyDenied")(status) || stands("innocent", Failed, "PolicyDenied")(status)
        })
        .await;
    assert!(!stage.runtime.names().await.contains(&"innocent".to_owned()));
}

#[tokio::test]
async fn a_taken_port_is_said_and_taken_when_it_is_free() {
    let stage = Stage::set().await;
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut published = sleeper("published");
    published["spec"]["ports"] = json!([{"host": taken.local_addr().unwrap().port(), "container": 80}]);
    stage.put(1, &[published]).await;
    let status = stage.status("it is taken", stands("published", Failed, "PortTaken")).await;
    assert!(listed(&status, "published").unwrap().next_retry.is_some());
    drop(taken);
    stage.status("converged", converged_at(1)).await;
    assert_eq!(stage.runtime.names().await, ["published"]);
}

#[tokio::test]
async fn what_is_no_image_and_no_variable_is_refused_as_a_document() {
    let stage = Stage::set().await;
    let mut nul = web("1");
    nul["spec"]["env"] = json!({"A": "a\u{0}b"});
    let with_image = |image: &str| {
        let mut web = web("1");
        web["spec"]["image"] = json!(image);
        web
    };
    let bad = [with_image("--privileged"), with_image("box:1 --net=host"), with_image("-v/:/host"), nul];
    for (generation, bad) in (1..).zip(bad) {
        let document = stage.site.document(generation, &[bad]);
        let revision = stage.site.platform.put(stage.device.id(), &document).await;
        stage.status("refused", refused(revision, "Invalid")).await;
    }
    assert!(stage.runtime.names().await.is_empty());
}

#[tokio::test]
async fn a_runtime_that_is_killed_at_any_moment_of_a_creation_leaves_one_container() {
    let mut stage = Stage::set().await;
    for generation in 1..=8 {
        let mode = generation.to_string();
        let creations = |stage: &Stage| stage.device.log().matches("step=\"create it\"").count();
        let before = creations(&stage);
        stage.put(generation, &[web(&mode)]).await;
        eventually("it is being created", async || {
            (creations(&stage) > before).then_some(()).ok_or_else(|| stage.device.log())
        })
        .await;
        // Each time a little later in the course of it: podman puts its name down some 30 ms before it knows of it.
        tokio::time::sleep(std::time::Duration::from_millis(8 * (generation - 1))).await;
        stage.runtime.kill();
        stage.runtime.serve().await;
        stage.status("converged", converged_at(generation)).await;
        assert_eq!(stage.runtime.names().await, ["web"]);
        let started = format!("started {mode}\n");
        eventually("it says that it has started", async || {
            let logs = stage.runtime.logs("web").await;
            logs.ends_with(&started).then_some(()).ok_or(logs)
        })
        .await;
    }
}
