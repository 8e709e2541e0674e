//! Commands on the device find the agent where its configuration file says that it is.

use std::fs;

use tests::{
    agent::Agent,
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

/// Runs a command that knows nothing but the configuration file, and returns what it printed.
async fn told(device: &Agent, arguments: &[&str], expected: i32) -> String {
    let (code, printed) = device.command_by_file(arguments).await;
    assert_eq!(code, Some(expected), "{arguments:?}: {printed}");
    printed
}

#[tokio::test]
async fn commands_reach_the_agent_whose_folders_only_the_file_names() {
    let site = Site::start(Access::Restricted).await;
    let device = site.device();
    let (state_dir, root) = (device.state_dir(), device.root());
    let mut device =
        device.with("state_dir", state_dir.to_str().unwrap()).with("root", root.to_str().unwrap());
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    // It says so only where a running agent has answered.
    assert!(told(&device, &["pause"], 0).await.starts_with("paused: "));
    device.write_by_hand("/etc/a", "by hand");
    assert!(told(&device, &["status"], 0).await.contains("Paused       True"));
    let second = root.with_file_name("second.json");
    fs::write(&second, manifest(DEVICE, 2, &[file("a", "/etc/a", "2")]).to_string()).unwrap();
    let once = ["once", "-f", second.to_str().unwrap()];
    assert!(told(&device, &once, 1).await.contains("in use by another agent"));
    assert_eq!(device.read("/etc/a"), "by hand");
    told(&device, &["resume"], 0).await;
    device.eventually_holds("/etc/a", "1").await;
    told(&device, &["audit", "verify"], 0).await;
    assert!(told(&device, &["audit", "show"], 0).await.contains("File/a"));

    device.stop().await;
    told(&device, &once, 0).await;
    assert_eq!(device.read("/etc/a"), "2");
    assert!(told(&device, &["reset-generation"], 0).await.contains("generation 2"));
}
