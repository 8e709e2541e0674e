//! Whether a device has what the agent needs, before anybody relies on it.

use tests::{
    agent::Agent,
    document::{file, manifest},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

/// The lines about these things, in the order of the output.
fn lines<'a>(printed: &'a str, what: &str) -> Vec<&'a str> {
    printed
        .lines()
        .filter(|line| line.split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(what)))
        .collect()
}

#[tokio::test]
async fn a_sound_device_is_told_so_with_the_rights_of_the_contract_and_beside_its_agent() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    let (code, printed) = device.check().await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(lines(&printed, "entry")[0].contains("desired-state of edge-0001: none yet"), "{printed}");

    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(3)).await;
    let (code, printed) = device.check().await;
    assert_eq!(code, Some(0), "{printed}");
    for (what, part) in [
        ("configuration", DEVICE),
        ("clock", "20"),
        ("state folder", "can be written"),
        ("agent", "runs on this state folder"),
        ("root", "can be written"),
        ("server", "nats-server 2."),
        ("entry", "generation 3, revision"),
    ] {
        let found = lines(&printed, what);
        assert!(found.iter().any(|line| line.starts_with("ok ") && line.contains(part)), "{what}: {printed}");
    }
    site.assert_nothing_was_forbidden();
    assert!(device.is_running());
}

#[tokio::test]
async fn what_is_missing_is_told_with_what_to_do() {
    let offline = Agent::new(DEVICE, "nats://somebody:secret@127.0.0.1:1");
    let (code, printed) = offline.check().await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(lines(&printed, "server")[0].starts_with("FAILED"), "{printed}");
    assert!(printed.contains("no connection to nats://127.0.0.1:1"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");

    // This device has another one's login.
    let site = Site::start(Access::Restricted).await;
    let stranger = Agent::new("edge-0002", &site.server.url());
    let (code, printed) = stranger.check().await;
    assert_eq!(code, Some(1), "{printed}");
    let entries = lines(&printed, "entry");
    assert_eq!(entries.len(), 2, "{printed}");
    assert!(entries.iter().all(|line| line.starts_with("FAILED")), "{printed}");
    assert!(printed.contains("may this device read its own entries?"), "{printed}");
}
