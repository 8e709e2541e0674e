//! Operator mode and enrolment where everybody speaks TLS, with an authority of one's own.

use std::sync::Arc;

use tests::{
    certificates::Certificates,
    document::file,
    eventually::eventually,
    harmonyctl::Harmonyctl,
    site::{DEVICE, Site},
};

use crate::{enrollment::newcomer::Newcomer, status_words::converged_at};

#[tokio::test]
async fn a_device_is_let_in_over_tls_converges_by_tls_and_web_socket_and_is_put_out_there() {
    let certificates = Arc::new(Certificates::for_server_at("127.0.0.1"));
    let site = Site::start_secured(Arc::clone(&certificates)).await;
    let secure = site.server.url().replace("nats:", "tls:");
    let [certificate, key] = certificates.client();
    let folder = site.operator().folder();
    let platform = Harmonyctl::with_environment(&[
        ("HARMONYCTL_NATS_URL", &secure),
        ("HARMONYCTL_CREDS", folder.platform_credentials().to_str().unwrap()),
        ("HARMONYCTL_OPERATOR", folder.path().to_str().unwrap()),
        ("HARMONYCTL_TLS_CA", certificates.authority().to_str().unwrap()),
        ("HARMONYCTL_TLS_CERT", certificate.to_str().unwrap()),
        ("HARMONYCTL_TLS_KEY", key.to_str().unwrap()),
    ]);
    let checked = platform.run(&["nats", "check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.lines().all(|line| line.starts_with("ok")), "{checked:?}");

    let newcomer = Newcomer::at(&site, DEVICE).over(secure.clone(), &certificates);
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;
    let approved = platform.run(&["agents", "approve", DEVICE, "--key", &key]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");

    let mut device = newcomer.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged by TLS", converged_at(1)).await;
    device.stop().await;
    let web_socket = format!("wss://127.0.0.1:{}", site.server.web_socket_port());
    let newcomer = newcomer.over(web_socket, &certificates);
    let mut device = newcomer.device();
    device.start();
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged by a web socket", converged_at(2)).await;

    let revoked = platform.run(&["agents", "revoke", DEVICE]).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    eventually("the connected device was put out", async || {
        let log = device.log().to_lowercase();
        if log.contains("revoked") || log.contains("authorization violation") { Ok(()) } else { Err(log) }
    })
    .await;
}
