//! What is sealed reaches what it is for, as it was.

use std::os::unix::fs::PermissionsExt as _;

use agent_model::status::ResourceState;
use serde_json::json;
use tests::{
    container_runtime::{BOX, Kind},
    document::{container_script, job, process},
    site::{DEVICE, Site},
};

use super::{SECRET, environment, key_of, sealed, sealed_file, with_variable};
use crate::{
    containers::Stage,
    jobs::{allowing, open_folder},
    status_words::{converged_at, resource, stands},
};

in_each_format!(
    a_file_and_a_process_have_what_was_sealed_to_their_device,
    a_job_has_what_was_sealed_and_what_it_prints_of_it_is_masked,
);

async fn a_file_and_a_process_have_what_was_sealed_to_their_device(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    let resources = [
        sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to)),
        with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &sealed(SECRET, &to)),
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(status.agent_info.sealing_key, Some(to), "the platform learns the key from the status");
    assert_eq!(device.read("/etc/app.conf"), SECRET);
    let mode = std::fs::metadata(device.path("/etc/app.conf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let variables = environment(device.process("web").pid);
    assert!(variables.lines().any(|line| line == format!("TOKEN={SECRET}")), "{variables}");
}

async fn a_job_has_what_was_sealed_and_what_it_prints_of_it_is_masked(site: &mut Site) {
    let folder = open_folder();
    let place = folder.path().join("seen");
    let script = format!("printf '%s' \"$TOKEN\" > {}; echo \"it is $TOKEN and $PIN\"", place.display());
    let mut spill = job("spill", &script);
    spill["spec"]["writablePaths"] = json!([folder.path()]);
    let mut device = allowing(site.device(), &[&spill]);
    device.start();
    let to = key_of(&device).await;
    let spill =
        with_variable(with_variable(spill, "TOKEN", &sealed(SECRET, &to)), "PIN", &sealed("0815", &to));
    site.platform.put(DEVICE, &site.document(1, &[spill])).await;
    let over = stands("spill", ResourceState::Ready, "Succeeded");
    let status = site.platform.status_where(DEVICE, "the job is over", over).await;
    assert_eq!(std::fs::read_to_string(place).unwrap(), SECRET);
    let details = resource(&status, "spill").details.to_string();
    assert!(details.contains("it is *** and ***"), "{details}");
}

#[tokio::test]
async fn a_container_of_podman_has_what_was_sealed_and_is_the_same_when_it_is_sealed_again() {
    a_container_has_what_was_sealed(Kind::Podman).await;
}

#[tokio::test]
async fn a_container_of_docker_has_what_was_sealed_and_is_the_same_when_it_is_sealed_again() {
    a_container_has_what_was_sealed(Kind::Docker).await;
}

async fn a_container_has_what_was_sealed(kind: Kind) {
    let stage = Stage::set_on(kind).await;
    let to = key_of(&stage.device).await;
    let web = container_script("web", BOX, "echo \"it is $TOKEN\"; exec sleep infinity");
    let put = async |generation: u64| {
        let web = with_variable(web.clone(), "TOKEN", &sealed(SECRET, &to));
        stage.put(generation, &[web]).await;
    };
    put(1).await;
    stage.status("converged", converged_at(1)).await;
    assert_eq!(stage.runtime.logs("web").await, format!("it is {SECRET}\n"));
    // Which start of which container it is.
    let start = async || {
        let found = stage.runtime.inspect("web").await.unwrap();
        (found["Id"].clone(), found["State"]["StartedAt"].clone())
    };
    let before = start().await;
    // Sealed anew it is the same container.
    put(2).await;
    stage.status("converged again", converged_at(2)).await;
    assert_eq!(start().await, before);
}
