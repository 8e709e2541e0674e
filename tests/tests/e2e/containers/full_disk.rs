//! Where the runtime's disk is full, nothing is stopped for what there is no room for, and all of it comes once there is.

use agent_model::status::{
    AgentStatus,
    ResourceState::{Failed, Ready},
};
use serde_json::{Value, json};
use tests::{
    container_runtime::{BOX, ContainerRuntime, OTHER_BOX, Registry},
    document::file,
    eventually::eventually,
    held_registry::HeldRegistry,
    site::{Access, Site},
    small_disk::SmallDisk,
};

use super::{
    Stage,
    images::{from, publish, push},
    sleeper,
};
use crate::status_words::{Counts, accepted, converged_at, counts, listed, stands};

const MIB: u64 = 1 << 20;

/// The disk of a runtime that is large enough to pull to, the runtime, and a registry.
async fn small() -> (Site, ContainerRuntime, Registry, SmallDisk) {
    let disk = SmallDisk::new(512 * MIB);
    let (site, runtime) = tokio::join!(Site::start(Access::Restricted), ContainerRuntime::start_on(&disk));
    let registry = Registry::start(runtime.folder()).await;
    (site, runtime, registry, disk)
}

fn on_stage(site: Site, runtime: ContainerRuntime) -> Stage {
    let mut device = runtime.on(site.device());
    device.start();
    Stage { device, runtime, site }
}

fn with_image(mut container: Value, image: &str) -> Value {
    container["spec"]["image"] = json!(image);
    container
}

/// Whether that document is in force, its file is there, and these containers lack space.
fn lacks_space(generation: u64, names: &'static [&'static str]) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        accepted(status) == Some(generation)
            && status
                .resources
                .iter()
                .any(|it| it.kind == "File" && it.state == Ready && it.changes == generation)
            && names.iter().all(|name| stands(name, Failed, "NoSpace")(status))
    }
}

#[tokio::test]
async fn without_space_nothing_is_pulled_or_created_and_nothing_stopped_for_it_until_there_is_some() {
    let (site, runtime, registry, disk) = small().await;
    let image = publish(&runtime, &registry, "app:1").await;
    let stage = on_stage(site, runtime);
    let config = |content: &str| file("config", "/etc/config", content);
    stage.put(1, &[config("1"), sleeper("web")]).await;
    stage.status("converged", converged_at(1)).await;
    let before = stage.runtime.inspect("web").await.unwrap();
    let untouched = async || {
        let now = stage.runtime.inspect("web").await.unwrap();
        let facts =
            |it: &Value| (it["Id"].clone(), it["State"]["StartedAt"].clone(), it["State"]["Status"].clone());
        assert_eq!(facts(&now), facts(&before), "{}", stage.device.log());
    };

    // Enough to create something, and not to pull.
    disk.leave(100 * MIB);
    stage.put(2, &[config("2"), from(&image, "IfNotPresent")]).await;
    let status = stage.status("no space to pull", lacks_space(2, &["web"])).await;
    let web = listed(&status, "web").unwrap();
    let storage = disk.path().to_str().unwrap();
    for word in [storage, "256 MiB are needed", "free some space"] {
        assert!(web.message.contains(word), "no {word:?} in {web:?}");
    }
    assert!(web.next_retry.is_some(), "{web:?}");
    untouched().await;
    assert!(!stage.runtime.has_image(&image).await);

    // Not even that, and the images are there.
    disk.leave(MIB);
    stage.put(3, &[config("3"), with_image(sleeper("web"), OTHER_BOX), sleeper("new")]).await;
    let status = stage.status("no space to create", lacks_space(3, &["web", "new"])).await;
    assert!(listed(&status, "new").unwrap().message.contains("16 MiB are needed"), "{status:#?}");
    untouched().await;
    assert_eq!(stage.runtime.names().await, ["web"]);

    disk.make_room();
    let status = stage.status("both are there", converged_at(3)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 2, restarts: 1, drift_corrections: 0 });
    assert_eq!(counts(&status, "new"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
    assert_eq!(stage.runtime.names().await, ["new", "web"]);
}

#[tokio::test]
async fn a_pull_that_runs_out_of_space_half_way_leaves_nothing_and_is_done_once_there_is_some() {
    let (site, runtime, registry, disk) = small().await;
    let image = registry.image("app:1");
    runtime.import_large(&image, 64 * MIB).await;
    push(&runtime, &image).await;
    let held = HeldRegistry::before(registry.address()).await;
    let image = held.image("app:1");
    let stage = on_stage(site, runtime);
    stage.put(1, &[sleeper("web")]).await;
    stage.status("converged", converged_at(1)).await;
    let before = stage.runtime.inspect("web").await.unwrap();

    stage.put(2, &[from(&image, "IfNotPresent")]).await;
    eventually("the pull is under way", async || match held.waiting() {
        0 => Err("nobody asks for content".to_owned()),
        _ => Ok(()),
    })
    .await;
    disk.leave(32 * MIB);
    held.open();
    let status = stage.status("no space", stands("web", Failed, "NoSpace")).await;
    let web = listed(&status, "web").unwrap();
    for word in [&*image, "no space left", "free some space"] {
        assert!(web.message.contains(word), "no {word:?} in {web:?}");
    }
    let now = stage.runtime.inspect("web").await.unwrap();
    assert_eq!((&now["Id"], &now["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    assert!(!stage.runtime.has_image(&image).await);
    assert!(disk.free() >= 31 * MIB, "half of an image is left: {} bytes are free", disk.free());

    disk.make_room();
    stage.status("pulled", converged_at(2)).await;
    assert_eq!(stage.runtime.names().await, ["web"]);
}

#[tokio::test]
async fn where_space_is_short_images_that_nobody_uses_make_room_for_others() {
    let (site, runtime, registry, disk) = small().await;
    let mut images = Vec::new();
    for name in ["kept:1", "borrowed:1", "wanted:1"] {
        images.push(publish(&runtime, &registry, name).await);
    }
    let [kept, borrowed, wanted] = images.as_slice() else { unreachable!() };
    let dropped = registry.image("dropped:1");
    runtime.import_large(&dropped, 64 * MIB).await;
    push(&runtime, &dropped).await;
    let brought = registry.image("brought:1");
    runtime.import(&brought).await;
    let stage = on_stage(site, runtime);
    let pulled = |name: &str, image: &str| {
        let mut container = with_image(sleeper(name), image);
        container["spec"]["pullPolicy"] = json!("IfNotPresent");
        container
    };
    let own = pulled("own", kept);
    let resources = [own.clone(), pulled("a", &dropped), pulled("b", borrowed), pulled("c", &brought)];
    stage.put(1, &resources).await;
    stage.status("converged", converged_at(1)).await;
    stage.runtime.podman(&["create", "--name", "theirs", borrowed]).await;
    stage.put(2, std::slice::from_ref(&own)).await;
    stage.status("only one is declared", converged_at(2)).await;
    assert!(stage.runtime.has_image(&dropped).await, "there is space");

    // Less than a pull takes, and more with what nobody uses.
    disk.leave(224 * MIB);
    stage.put(3, &[own, pulled("d", wanted)]).await;
    stage.status("pulled", converged_at(3)).await;
    assert!(!stage.runtime.has_image(&dropped).await);
    for image in [kept, borrowed, &brought, wanted, BOX] {
        assert!(stage.runtime.has_image(image).await, "{image}");
    }
    assert_eq!(stage.runtime.names().await, ["d", "own", "theirs"]);
}
