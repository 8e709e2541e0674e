//! Images are pulled before anything is stopped for them, and removed when nobody uses them any more.

use std::fs;

use agent_model::status::ResourceState::{Failed, Pending};
use serde_json::{Value, json};
use tests::{
    container_runtime::{BOX, ContainerRuntime, LOGIN, Registry},
    eventually::eventually,
};

use super::{Stage, listed, sleeper, stands};
use crate::status_words::converged_at;

/// `web` from that image, by that policy.
fn from(image: &str, policy: &str) -> Value {
    let mut web = sleeper("web");
    web["spec"]["image"] = json!(image);
    web["spec"]["pullPolicy"] = json!(policy);
    web
}

/// Puts an image into a registry, and nowhere else.
async fn publish(runtime: &ContainerRuntime, registry: &Registry, name: &str) -> String {
    let image = registry.image(name);
    runtime.import(&image).await;
    let (user, password) = LOGIN;
    let login = format!("{user}:{password}");
    runtime.podman(&["push", "--quiet", "--tls-verify=false", "--creds", &login, &image]).await;
    runtime.podman(&["rmi", &image]).await;
    image
}

async fn has_image(runtime: &ContainerRuntime, image: &str) -> bool {
    runtime
        .podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .await
        .lines()
        .any(|line| line == image)
}

#[tokio::test]
async fn an_image_is_pulled_with_the_devices_login_and_why_not_is_told_apart() {
    let (site, runtime) =
        tokio::join!(tests::site::Site::start(tests::site::Access::Restricted), ContainerRuntime::start());
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
    let (site, runtime) =
        tokio::join!(tests::site::Site::start(tests::site::Access::Restricted), ContainerRuntime::start());
    let registry = Registry::start(runtime.folder()).await;
    let pulled = publish(&runtime, &registry, "app:1").await;
    let brought = registry.image("brought:1");
    runtime.import(&brought).await;
    let mut device = runtime.on(site.device()).with("image_gc_after", "0s").with("drift_interval", "1s");
    device.start();
    let mut stage = Stage { device, runtime, site };
    stage.put(1, &[from(&pulled, "IfNotPresent")]).await;
    stage.status("converged", converged_at(1)).await;
    assert!(has_image(&stage.runtime, &pulled).await);
    stage.put(2, &[from(&brought, "IfNotPresent")]).await;
    stage.status("converged on what was brought", converged_at(2)).await;
    stage.put(3, &[sleeper("web")]).await;
    stage.status("converged on another one", converged_at(3)).await;
    // It is looked for once a minute, and by each agent that starts.
    stage.device.stop().await;
    stage.device.start();
    eventually("what was pulled is gone", async || {
        if has_image(&stage.runtime, &pulled).await { Err("it is there".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(has_image(&stage.runtime, &brought).await && has_image(&stage.runtime, BOX).await);
}
