//! Of several devices with one name exactly one reports. The others say so, and go on enforcing.

use futures_util::StreamExt as _;
use tests::{
    agent::Agent,
    document::file,
    eventually::{PATIENCE, eventually},
    folder_copy::copy_folder,
    platform::Platform,
    proxy::{Fate, Messages, Proxy},
    site::{Access, DEVICE, Site},
    traffic::Traffic,
};

use crate::status_words::converged_at;

on_each_server!(
    a_clone_beside_the_living_device_takes_over_and_the_device_says_so,
    of_clones_whose_claims_tie_one_goes_on,
    of_two_new_devices_with_one_name_the_one_that_came_last_goes_on,
);

/// A device that converged at generation 1, and stopped.
async fn stopped_device(site: &Site) -> Agent {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.stop().await;
    device
}

/// Another device with all that this one knows, which will look for the server at that URL.
fn clone_of(site: &Site, device: &Agent, url: &str) -> Agent {
    let clone = site.device_at(url);
    copy_folder(&device.state_dir(), &clone.state_dir());
    copy_folder(&device.root(), &clone.root());
    clone.with("heartbeat_interval", "1s")
}

async fn says_duplicate(device: &Agent) -> bool {
    let (code, printed) = device.command(&["status"]).await;
    assert_eq!(code, Some(0), "{printed}");
    printed.contains("DuplicateIdentity")
}

/// Waits until one of them says that it is a duplicate; the place of that one.
async fn duplicate_of(devices: &[Agent; 2]) -> usize {
    eventually("one of them says that it is a duplicate", async || {
        match [says_duplicate(&devices[0]).await, says_duplicate(&devices[1]).await] {
            [true, false] => Ok(0),
            [false, true] => Ok(1),
            [false, false] => Err("none does".to_owned()),
            [true, true] => panic!("both gave up"),
        }
    })
    .await
}

/// How many events of that type there are.
async fn told(platform: &Platform, event_type: &str) -> usize {
    platform.events(DEVICE).await.iter().filter(|event| event.event_type == event_type).count()
}

/// What must hold of two devices with one name, both of which are running.
async fn assert_one_reports(site: &Site, devices: &[Agent; 2], generation: u64) {
    let duplicate = duplicate_of(devices).await;
    eventually("there is an event", async || match told(&site.platform, "DuplicateIdentity").await {
        1 => Ok(()),
        count => Err(format!("there are {count}")),
    })
    .await;
    let drifts = told(&site.platform, "Drift").await;

    // Both enforce what is in force and what comes, and one reports.
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    let mut statuses = site.platform.listen(DEVICE).await;
    let before = site.platform.status(DEVICE).await.unwrap();
    for device in devices {
        device.write_by_hand("/etc/a", "by hand");
        device.eventually_holds("/etc/a", &generation.to_string()).await;
    }
    let content = (generation + 1).to_string();
    let document = site.document(generation + 1, &[file("a", "/etc/a", &content)]);
    let mut beats = site.platform.client.subscribe(format!("$KV.agent-heartbeat.{DEVICE}")).await.unwrap();
    site.platform.put(DEVICE, &document).await;
    for device in devices {
        device.eventually_holds("/etc/a", &content).await;
    }
    let last = site.platform.status_where(DEVICE, "converged", converged_at(generation + 1)).await;
    for status in statuses.up_to(&last).await {
        assert_eq!(status.writer.instance, before.writer.instance, "there are two writers");
    }
    for _ in 0..3 {
        let beat = tokio::time::timeout(PATIENCE, beats.next()).await.expect("one is alive").unwrap();
        let beat: serde_json::Value = serde_json::from_slice(&beat.payload).unwrap();
        assert_eq!(beat["epoch"], last.writer.epoch, "the duplicate gives signs of life");
    }
    assert!(says_duplicate(&devices[duplicate]).await);
    assert!(!says_duplicate(&devices[1 - duplicate]).await);
    // Each repaired the file, and the one that reports alone tells of it.
    eventually("the repair is told", async || match told(&site.platform, "Drift").await {
        count if count > drifts => Ok(()),
        count => Err(format!("there are {count}")),
    })
    .await;
    assert_eq!(told(&site.platform, "Drift").await, drifts + 1);
    assert_eq!(told(&site.platform, "DuplicateIdentity").await, 1);
    traffic.assert_bounded();
}

async fn a_clone_beside_the_living_device_takes_over_and_the_device_says_so(site: &mut Site) {
    let mut device = stopped_device(site).await.with("heartbeat_interval", "1s");
    let mut clone = clone_of(site, &device, &site.server.url());
    device.start();
    let first = site.platform.status_where(DEVICE, "the restart", |status| status.writer.epoch == 2).await;
    clone.start();
    site.platform.status_where(DEVICE, "the clone", |status| status.writer.epoch == 3).await;
    // The device learns of it when it has something to say.
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    let devices = [device, clone];
    assert_eq!(duplicate_of(&devices).await, 0, "the one that came last goes on");
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_ne!(status.writer.instance, first.writer.instance);
    assert_one_reports(site, &devices, 2).await;
}

async fn of_clones_whose_claims_tie_one_goes_on(site: &mut Site) {
    let original = stopped_device(site).await;
    let before = site.platform.status(DEVICE).await.unwrap();
    let proxies = [Proxy::start(site.server.port()).await, Proxy::start(site.server.port()).await];
    let mut devices = proxies.each_ref().map(|proxy| clone_of(site, &original, &proxy.url()));
    let claim = || Messages::Published(format!("$KV.actual-state.{DEVICE}"));
    let mut claims = proxies.each_ref().map(|proxy| proxy.intercept(claim(), Fate::Keep));
    for (device, claim) in devices.iter_mut().zip(&mut claims) {
        device.start();
        claim.meets(1).await;
    }
    // Both have read the same status and claim the same epoch.
    for claim in claims {
        claim.let_go().await;
    }
    let tied = |status: &agent_model::status::AgentStatus| status.writer.epoch == before.writer.epoch + 2;
    site.platform.status_where(DEVICE, "the claim of the one that lost the tie", tied).await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    duplicate_of(&devices).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_one_reports(site, &devices, 2).await;
}

async fn of_two_new_devices_with_one_name_the_one_that_came_last_goes_on(site: &mut Site) {
    let mut devices = [site.device(), site.device()].map(|device| device.with("heartbeat_interval", "1s"));
    devices[0].start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged at 1", converged_at(1)).await;
    devices[1].start();
    site.platform.status_where(DEVICE, "the second device", |status| status.writer.epoch == 2).await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    assert_eq!(duplicate_of(&devices).await, 0);
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_one_reports(site, &devices, 2).await;
}

#[tokio::test]
async fn of_two_clones_of_a_dead_device_the_one_cut_off_meanwhile_gives_way_when_it_comes_back() {
    let site = Site::start(Access::Restricted).await;
    let original = stopped_device(&site).await;
    let (cut_off, cable) = site.device_behind_proxy().await;
    let mut devices =
        [clone_of(&site, &original, &cable.url()), clone_of(&site, &original, &site.server.url())];
    drop(cut_off);
    devices[0].start();
    site.platform.status_where(DEVICE, "the first clone", |status| status.writer.epoch == 2).await;
    cable.cut();
    devices[1].start();
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    cable.plug();
    assert_eq!(duplicate_of(&devices).await, 0);
    assert_one_reports(&site, &devices, 2).await;
    site.assert_nothing_was_forbidden();
}
