//! One state folder serves one agent.

use tests::{
    agent::Agent,
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

#[tokio::test]
async fn a_second_agent_on_one_state_folder_ends_with_1_and_says_why() {
    let site = Site::start(Access::Restricted).await;
    let mut first = site.device();
    first.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/a", "1")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let mut second = Agent::new(DEVICE, &site.server.url()).with_state_dir(first.state_dir());
    second.start();
    let status = second.end().await;
    assert_eq!(status.code(), Some(1), "{}", second.log());
    let said = second.log();
    assert!(said.contains(first.state_dir().to_str().unwrap()), "it does not name the folder: {said}");
    assert!(said.contains("in use"), "it does not say why: {said}");

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[file("a", "/etc/a", "2")])).await;
    let after = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(after.writer.instance, before.writer.instance, "the first one was disturbed");
    assert_eq!(after.writer.epoch, before.writer.epoch);

    // The lock goes with its process, however that ends.
    first.kill();
    second.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[])).await;
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert!(second.is_running());
}
