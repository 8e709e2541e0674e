//! A link of 600 ms each way that stalls for seconds is slow, and nothing else.

use tests::{
    document::file,
    site::{Access, DEVICE, Site},
    traffic::Traffic,
};

use super::stories::assert_one_steady_writer;
use crate::status_words::converged_at;

/// Has stalls soon after the start in both directions.
const SEED: u64 = 5;

#[tokio::test]
async fn over_a_satellite_every_document_converges_and_the_status_never_wavers() {
    let site = Site::start(Access::Restricted).await;
    let (mut device, proxy) = site.device_behind_proxy().await;
    proxy.satellite(SEED);
    let mut told = site.platform.listen(DEVICE).await;
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    device.start();
    let mut generation = 0;
    while generation < 5 || proxy.stalls() == 0 {
        generation += 1;
        assert!(generation <= 50, "it never stalls");
        let document = site.document(generation, &[file("a", "/etc/a", &generation.to_string())]);
        site.platform.put(DEVICE, &document).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
        assert_eq!(device.read("/etc/a"), generation.to_string());
    }
    let last = site.platform.status(DEVICE).await.unwrap();
    assert_eq!(last.writer.epoch, 1);
    let told = told.up_to(&last).await;
    assert_one_steady_writer(&told);
    let (code, printed) = device.command(&["status"]).await;
    assert!(code == Some(0) && !printed.contains("DuplicateIdentity"), "{printed}");
    traffic.assert_bounded();
    site.assert_nothing_was_forbidden();
}
