//! Who connects proves it, so does the server, and nothing crosses a network in the clear that should not.

use std::{fs, sync::Arc};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    agent::Agent,
    certificates::Certificates,
    document::{file, manifest},
    eventually::{PATIENCE, eventually},
    harmonyctl::Harmonyctl,
    nats_server::{NatsServer, Settings},
    site::DEVICE,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server that lets nobody in who has no certificate of its authority.
struct Guarded {
    server: NatsServer,
    certificates: Arc<Certificates>,
}

impl Guarded {
    async fn start() -> Self {
        let certificates = Arc::new(Certificates::for_server_at("127.0.0.1"));
        let settings = Settings { certificates: Some(Arc::clone(&certificates)), ..Settings::default() };
        Self { server: NatsServer::start(settings).await, certificates }
    }

    fn web_socket_url(&self) -> String {
        format!("wss://127.0.0.1:{}", self.server.web_socket_port())
    }

    /// What a context of the NATS command line says of it, besides the address.
    fn context(&self) -> Value {
        let [cert, key] = self.certificates.client();
        json!({"ca": self.certificates.authority(), "cert": cert, "key": key})
    }

    fn device(&self, url: &str) -> Agent {
        shows(trusts(Agent::new(DEVICE, url), &self.certificates), &self.certificates)
    }
}

fn trusts(agent: Agent, certificates: &Certificates) -> Agent {
    agent.with("tls_ca", certificates.authority().to_str().unwrap())
}

fn shows(agent: Agent, certificates: &Certificates) -> Agent {
    let [certificate, key] = certificates.client();
    agent.with("tls_cert", certificate.to_str().unwrap()).with("tls_key", key.to_str().unwrap())
}

/// Somebody with a context of that name.
fn at_home(name: &str, context: &Value) -> (TempDir, Harmonyctl) {
    let home = TempDir::with_prefix("harmony-home-").unwrap();
    let contexts = home.path().join("nats/context");
    fs::create_dir_all(&contexts).unwrap();
    fs::write(contexts.join(name).with_extension("json"), context.to_string()).unwrap();
    let harmonyctl = Harmonyctl::with_environment(&[("XDG_CONFIG_HOME", home.path().to_str().unwrap())]);
    (home, harmonyctl)
}

#[tokio::test]
async fn a_device_and_the_platform_get_in_with_certificates_through_tls_and_web_sockets() {
    let guarded = Guarded::start().await;
    let mut context = guarded.context();
    context["url"] = guarded.web_socket_url().into();
    let (_home, harmonyctl) = at_home("platform", &context);
    let made = harmonyctl.run(&["--context", "platform", "init"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");

    for (generation, url) in
        [(1, guarded.server.url().replace("nats:", "tls:")), (2, guarded.web_socket_url())]
    {
        let mut device = guarded.device(&url);
        device.start();
        let content = format!("{generation}");
        let path = harmonyctl.file(&[manifest(DEVICE, generation, &[file("a", "/etc/a", &content)])]);
        let platform = ["--context", "platform"];
        let written = harmonyctl.run(&[&platform[..], &["apply", "--no-wait", "-f", &path]].concat()).await;
        assert!(matches!(written.code, Some(0 | 6)), "{url}: {written:?}");
        // It ends at once where the device was not seen yet.
        eventually("the device has converged", async || {
            let waited = harmonyctl.run(&[&platform[..], &["wait", "agent/edge-0001"]].concat()).await;
            if waited.code == Some(0) { Ok(()) } else { Err(format!("{waited:?}")) }
        })
        .await;
        let (code, printed) = device.check().await;
        assert_eq!(code, Some(0), "{url}: {printed}");
        device.stop().await;
    }
}

#[tokio::test]
async fn whoever_shows_no_certificate_or_a_strangers_or_meets_a_stranger_stays_outside() {
    let guarded = Guarded::start().await;
    let stranger = Certificates::for_server_at("127.0.0.1");
    let url = guarded.server.url();
    for (who, agent) in [
        ("without a certificate", trusts(Agent::new(DEVICE, &url), &guarded.certificates)),
        ("with a stranger's", shows(trusts(Agent::new(DEVICE, &url), &guarded.certificates), &stranger)),
        ("who trusts a stranger", shows(trusts(Agent::new(DEVICE, &url), &stranger), &guarded.certificates)),
        (
            "by a web socket, who trusts a stranger",
            shows(trusts(Agent::new(DEVICE, &guarded.web_socket_url()), &stranger), &guarded.certificates),
        ),
    ] {
        let (code, printed) = agent.check().await;
        assert_eq!(code, Some(1), "{who}: {printed}");
        assert!(printed.contains("no connection to"), "{who}: {printed}");
    }

    let (_home, harmonyctl) = at_home("platform", &guarded.context());
    let [certificate, key] = stranger.client();
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    let platform = ["--context", "platform", "--nats-url", &url];
    let asked = harmonyctl.run(&[&platform[..], &["get", "agents"]].concat()).await;
    assert!(asked.stderr.contains("harmonyctl init"), "the server was not even reached: {asked:?}");
    let with_strangers = ["--tls-cert", certificate, "--tls-key", key, "get", "agents"];
    let refused = harmonyctl.run(&[&platform[..], &with_strangers].concat()).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!refused.stderr.contains("harmonyctl init"), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_no_password_where_tls_was_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let info = format!(
        "INFO {{\"server_id\":\"X\",\"version\":\"2.12.6\",\"host\":\"127.0.0.1\",\"port\":{port},\
          \"headers\":true,\"max_payload\":1048576,\"proto\":1}}\r\n"
    );
    let heard = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(info.as_bytes()).await.unwrap();
        let mut heard = vec![0; 4096];
        let length = tokio::time::timeout(PATIENCE, stream.read(&mut heard)).await.unwrap().unwrap();
        heard.truncate(length);
        heard
    };
    let url = format!("tls://me:secret@127.0.0.1:{port}");
    let harmonyctl = Harmonyctl::new(&url);
    let (heard, ran) = tokio::join!(heard, harmonyctl.run(&["get", "agents"]));
    // The first byte of a TLS handshake (RFC 8446, section 5.1).
    assert_eq!(heard.first(), Some(&22), "{:?}", String::from_utf8_lossy(&heard));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(!ran.stderr.contains("secret"), "{ran:?}");
}
