//! A device that does not read what the server sends is cut off, comes back, and has missed nothing.

use tests::{
    document::file,
    eventually::eventually,
    nats_server::Settings,
    platform::DESIRED_STATE,
    proxy::Flow,
    site::{Access, DEVICE, Site, settings},
    traffic::Traffic,
};

use crate::status_words::converged_at;

#[tokio::test]
async fn a_device_that_the_server_cut_off_as_a_slow_consumer_comes_back_to_the_last_document() {
    let access = settings(Access::Restricted);
    let configuration = format!("write_deadline: \"1s\"\nmax_pending: 4MB\n{}", access.configuration);
    let site = Site::start_with(Settings { configuration, ..access }).await;
    let (device, proxy) = site.device_behind_proxy().await;
    let mut device = device.with("resync_interval", "1h");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    proxy.set(Flow::Pass, Flow::Hold);
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    // The server gives up when neither the network's buffers nor its own take any more.
    let hint = vec![b'x'; 64 << 10];
    eventually("the server cuts the device off", async || {
        for _ in 0..50 {
            let subject = format!("{DESIRED_STATE}.{DEVICE}");
            site.platform.client.publish(subject, hint.clone().into()).await.unwrap();
        }
        site.platform.client.flush().await.unwrap();
        let log = site.server.log();
        log.contains("Slow Consumer").then_some(()).ok_or("it does not".to_owned())
    })
    .await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    proxy.plug();
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(device.read("/etc/a"), "2");
    assert_eq!(
        (&status.writer.instance, status.writer.epoch),
        (&before.writer.instance, before.writer.epoch)
    );
    assert!(device.log().contains("lost the connection"), "{}", device.log());
    traffic.assert_bounded();
    site.assert_nothing_was_forbidden();
}
