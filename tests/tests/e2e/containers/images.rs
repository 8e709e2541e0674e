//! Images are pulled before anything is stopped for them, and removed when nobody uses them any more.

use std::fs;

use agent_model::status::{
    AgentStatus,
    ResourceState::{Failed, Pending, Ready},
};
use serde_json::{Value, json};
use tests::{
    container_runtime::{BOX, ContainerRuntime, LOGIN, OTHER_BOX, Registry},
    eventually::eventually,
    held_registry::HeldRegistry,
    site::{Access, Site},
};

use super::{Stage, sleeper};
use crate::status_words::{Counts, converged_at, counts, listed, of_a_later_process, stands};

/// `web` from that image, by that policy.
pub(super) fn from(image: &str, policy: &str) -> Value {
    let mut web = sleeper("web");
    web["spec"]["image"] = json!(image);
    web["spec"]["pullPolicy"] = json!(policy);
    web
}

/// Puts an image into a registry, and nowhere else.
pub(super) async fn publish(runtime: &ContainerRuntime, registry: &Registry, name: &str) -> String {
    let image = registry.image(name);
    runtime.import(&image).await;
    push(runtime, &image).await;
    image
}

/// Moves an image that is there into the registry that its name tells.
pub(super) async fn push(runtime: &ContainerRuntime, image: &str) {
    let (user, password) = LOGIN;
    let login = format!("{user}:{password}");
    runtime.podman(&["push", "--quiet", "--tls-verify=false", "--creds", &login, image]).await;
    runtime.podman(&["rmi", image]).await;
}

#[tokio::test]
async fn an_image_is_pulled_with_the_devices_login_and_why_not_is_told_apart() {
    let (site, runtime) = tokio::join!(Site::start(Access::Restricted), ContainerRuntime::start());
    let registry = Registry::start_locked(runtime.folder()).await;
    let image = publish(&runtime, &registry, "team/app:1").await;
    let logins = runtime.folder().join("auth.json");
    fs::write(&logins, "{}").unwrap();
    let mut device = runtime.on(site.device()).with("registry_auth", logins.to_str().unwrap());
    device.start();
    let stage = Stage { device, runtime, site };

    stage.put(1, &[from(&image, "IfNotPresent")]).await;
    let status = stage.status("nobody knows who asks", stands("web", Failed, "RegistryUnauthorized")).await;
    let web = listed(&status, "web").unwrap();
    assert!(web.message.contains("registry_auth") && web.next_retry.is_some(), "{web:?}");
    // `device:secret`, as `podman login` writes it.
    let login = json!({"auths": {image.split('/').next().unwrap(): {"auth": "ZGV2aWNlOnNlY3JldA=="}}});
    fs::write(&logins, login.to_string()).unwrap();
    stage.status("pulled", converged_at(1)).await;

    stage.put(2, &[from(&registry.image("team/nothing:1"), "IfNotPresent")]).await;
    stage.status("there is none", stands("web", Failed, "ImageNotFound")).await;
    stage.put(3, &[from("127.0.0.1:1/app:1", "Always")]).await;
    let unreachable = |status: &_| {
        stands("web", Pending, "Pulling")(status) || stands("web", Failed, "RegistryUnreachable")(status)
    };
    stage.status("it is tried", unreachable).await;
    stage.status("there is no registry", stands("web", Failed, "RegistryUnreachable")).await;
    assert_eq!(stage.runtime.inspect("web").await.unwrap()["State"]["Status"], "running");

    // A newer document does not wait for the pull of the one before.
    stage.put(4, &[from("127.0.0.1:1/other:1", "IfNotPresent")]).await;
    stage.put(5, &[from(BOX, "Never")]).await;
    stage.status("converged on what is there", converged_at(5)).await;
}

#[tokio::test]
async fn what_was_pulled_goes_when_nobody_uses_it_and_what_somebody_else_brought_stays() {
    let (site, runtime) = tokio::join!(Site::start(Access::Restricted), ContainerRuntime::start());
    let registry = Registry::start(runtime.folder()).await;
    let pulled = publish(&runtime, &registry, "app:1").await;
    let brought = registry.image("brought:1");
    runtime.import(&brought).await;
    let mut device = runtime.on(site.device()).with("image_gc_after", "0s").with("drift_interval", "1s");
    device.start();
    let mut stage = Stage { device, runtime, site };
    stage.put(1, &[from(&pulled, "IfNotPresent")]).await;
    stage.status("converged", converged_at(1)).await;
    assert!(stage.runtime.has_image(&pulled).await);
    stage.put(2, &[from(&brought, "IfNotPresent")]).await;
    stage.status("converged on what was brought", converged_at(2)).await;
    stage.put(3, &[sleeper("web")]).await;
    stage.status("converged on another one", converged_at(3)).await;
    // It is looked for once a minute, and by each agent that starts.
    stage.device.stop().await;
    stage.device.start();
    eventually("what was pulled is gone", async || {
        if stage.runtime.has_image(&pulled).await { Err("it is there".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(stage.runtime.has_image(&brought).await && stage.runtime.has_image(BOX).await);
}

/// The image that `web` is made from.
fn image_of(status: &AgentStatus) -> String {
    listed(status, "web").unwrap().details["image"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tag_that_moves_is_looked_up_before_a_creation_as_the_policy_says_and_restarts_nothing_by_itself() {
    let mut stage = Stage::set().await;
    let registry = Registry::start(stage.runtime.folder()).await;
    let image = publish(&stage.runtime, &registry, "app:1").await;
    let web = |policy: &str, mode: &str| {
        let mut web = from(&image, policy);
        web["spec"]["env"] = json!({"MODE": mode});
        web
    };
    stage.put(1, &[web("Always", "1")]).await;
    let first = stage.status("converged", converged_at(1)).await;
    let (container, one) = (stage.runtime.id("web").await, image_of(&first));
    // The same under the tag, and then another one.
    stage.put(2, &[web("Always", "1")]).await;
    stage.status("converged on the same", converged_at(2)).await;
    publish(&stage.runtime, &registry, "app:1").await;
    stage.runtime.podman(&["tag", &one, &image]).await;
    stage.put(3, &[web("Always", "1")]).await;
    stage.status("converged on the same again", converged_at(3)).await;
    stage.device.stop().await;
    stage.device.start();
    let is_later = of_a_later_process(&first);
    let status = stage.status("another agent", |it| is_later(it) && converged_at(3)(it)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 1, restarts: 0, drift_corrections: 0 });
    assert_eq!(stage.runtime.id("web").await, container);

    stage.put(4, &[web("IfNotPresent", "2")]).await;
    let status = stage.status("the one that is there", converged_at(4)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 2, restarts: 1, drift_corrections: 0 });
    assert_eq!(image_of(&status), one);
    stage.put(5, &[web("Always", "2")]).await;
    let status = stage.status("the one that the tag means now", converged_at(5)).await;
    let two = image_of(&status);
    assert_eq!(counts(&status, "web"), Counts { changes: 3, restarts: 2, drift_corrections: 0 });
    assert_ne!(two, one);

    // Also where it is made again only because somebody has removed it.
    publish(&stage.runtime, &registry, "app:1").await;
    stage.runtime.podman(&["tag", &two, &image]).await;
    stage.runtime.podman(&["rm", "--force", "--time", "0", "web"]).await;
    let repaired = |status: &AgentStatus| {
        stands("web", Ready, "Running")(status) && counts(status, "web").drift_corrections == 1
    };
    let status = stage.status("made again", repaired).await;
    let three = image_of(&status);
    assert!(three != two && three != one, "{three}");
    publish(&stage.runtime, &registry, "app:1").await;
    stage.runtime.podman(&["tag", &three, &image]).await;
    stage.put(6, &[web("Never", "3")]).await;
    let status = stage.status("what is there, and nobody is asked", converged_at(6)).await;
    assert_eq!(counts(&status, "web"), Counts { changes: 4, restarts: 3, drift_corrections: 1 });
    assert_eq!(image_of(&status), three);
}

#[tokio::test]
async fn a_newer_document_ends_a_pull_that_is_under_way() {
    let stage = Stage::set().await;
    let registry = Registry::start(stage.runtime.folder()).await;
    publish(&stage.runtime, &registry, "app:1").await;
    let held = HeldRegistry::before(registry.address()).await;
    let slow = held.image("app:1");
    stage.put(1, &[sleeper("web")]).await;
    stage.status("converged", converged_at(1)).await;
    let before = stage.runtime.inspect("web").await.unwrap();

    stage.put(2, &[from(&slow, "IfNotPresent")]).await;
    let status = stage.status("it is pulled", stands("web", Pending, "Pulling")).await;
    assert!(listed(&status, "web").unwrap().message.contains(&slow), "{status:#?}");
    let waiting = async || if held.waiting() > 0 { Ok(()) } else { Err("nobody asks".to_owned()) };
    eventually("the registry is asked for content", waiting).await;
    let now = stage.runtime.inspect("web").await.unwrap();
    assert_eq!((&now["Id"], &now["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));

    // What is wanted now does not wait for what is wanted no longer, and that is not waited for by anybody.
    let mut other = sleeper("web");
    other["spec"]["image"] = json!(OTHER_BOX);
    stage.put(3, &[other]).await;
    stage.status("converged on what is there", converged_at(3)).await;
    let hung_up = async || match held.waiting() {
        0 => Ok(()),
        waiting => Err(format!("{waiting} wait for content")),
    };
    eventually("nobody pulls any more", hung_up).await;
    assert!(!stage.runtime.has_image(&slow).await);

    // Nor does it keep the same image from being pulled later.
    stage.put(4, &[from(&slow, "IfNotPresent")]).await;
    eventually("the registry is asked again", waiting).await;
    held.open();
    stage.status("converged on what was pulled", converged_at(4)).await;
}
