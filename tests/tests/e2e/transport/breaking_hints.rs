//! A hint on which the NATS client ends its link: whoever can forge one can forge that.

use std::time::Duration;

use tests::{
    document::file,
    eventually::eventually,
    proxy::Flow,
    raw_client::RawClient,
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

/// How far off the server is, one way.
const AWAY: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_device_whose_link_is_ended_by_hints_goes_without_them_and_learns_of_documents_all_the_same() {
    let site = Site::start(Access::Open).await;
    let (mut device, cable) = site.device_behind_proxy().await;
    // Such hints arrive before any answer does.
    cable.set(Flow::Delay(AWAY), Flow::Delay(AWAY));
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged at 1", converged_at(1)).await;

    let mut attacker = RawClient::connect(&site.server).await;
    let attack = tokio::spawn(async move {
        let subject = format!("desired-state.{DEVICE}");
        loop {
            attacker.publish(subject.as_bytes(), b"NATS/1.0\r\nno header\r\n\r\n", b"").await;
        }
    });
    let lost = |log: &str| log.matches("lost the connection").count();
    let before = eventually("the device goes without hints", async || {
        let log = device.log();
        if log.contains("this one goes without") { Ok(lost(&log)) } else { Err(log) }
    })
    .await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged at 2, by a read", converged_at(2)).await;
    // Without hints a link stands for 15 s at least, and is read over once more after five.
    assert_eq!(lost(&device.log()), before, "{}", device.log());
    assert!(!attack.is_finished());
    attack.abort();
}
