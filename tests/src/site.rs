//! A server with everything provisioned, and the rights that its devices have there.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    agent::{Agent, Bridge},
    certificates::Certificates,
    document::Format,
    eventually::eventually,
    nats_server::{NatsServer, Settings, Version},
    operator::Operator,
    platform::{HEARTBEAT, Platform, provision_all},
    proxy::Proxy,
};

/// The device that a restricted site is made for.
pub const DEVICE: &str = "edge-0001";

/// What devices may do at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Open,
    /// What the wire contract grants to [`DEVICE`], and nothing else; devices and platform have
    /// an account each.
    Restricted,
    /// The same in operator mode, as `harmonyctl init --operator` sets it up: the device logs in with a token.
    Operator,
}

/// A server, provisioned, with a connection of the platform.
#[derive(Debug)]
pub struct Site {
    /// The server.
    pub server: NatsServer,
    /// The platform's connection to it.
    pub platform: Platform,
    format: Format,
    operator: Option<Operator>,
}

impl Site {
    /// Starts a server and provisions it. Documents are manifests there.
    pub async fn start(access: Access) -> Self {
        Self::start_on(Version::Pinned, access).await
    }

    /// The same on that version of the server.
    pub async fn start_on(version: Version, access: Access) -> Self {
        if access != Access::Operator {
            return Self::start_with(Settings { version, ..settings(access) }).await;
        }
        let operator = Operator::new();
        let site = Self::start_with(Settings { version, ..operator.settings() }).await;
        Self { operator: Some(operator), ..site }
    }

    /// In operator mode, on a server with which everybody speaks TLS, and which asks for a certificate.
    pub async fn start_secured(certificates: Arc<Certificates>) -> Self {
        let operator = Operator::new();
        let settings = Settings { certificates: Some(certificates), ..operator.settings() };
        Self { operator: Some(operator), ..Self::start_with(settings).await }
    }

    /// The same on a server that is set up by hand.
    pub async fn start_with(settings: Settings) -> Self {
        let server = NatsServer::start(settings).await;
        provision_all(&server).await;
        let platform = Platform::connect(&server).await;
        Self { server, platform, format: Format::AgentManifest, operator: None }
    }

    /// The operator of a site in operator mode.
    pub fn operator(&self) -> &Operator {
        self.operator.as_ref().expect("the site is one in operator mode")
    }

    /// Another device of a site in operator mode; its agent does not run yet.
    pub fn another_device(&self, id: &str) -> Agent {
        let user = self.operator().device(id);
        Agent::new(id, &self.server.url()).with("creds", user.credentials_file().to_str().unwrap())
    }

    /// The same, where documents are of that format and devices can read it.
    #[must_use]
    pub fn with_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// The format of this site's documents.
    pub fn format(&self) -> Format {
        self.format
    }

    /// A document for the device of this site: a complete unsigned envelope with these resources,
    /// in this site's format.
    pub fn document(&self, generation: u64, resources: &[Value]) -> Value {
        self.format.document(DEVICE, generation, resources)
    }

    /// Waits for a sign of life of the device, without which `harmonyctl` takes it to be offline
    /// and does not wait for it.
    pub async fn device_was_seen(&self) {
        eventually("the device was seen", async || {
            self.platform.entry(HEARTBEAT, DEVICE).await?.ok_or("there is no heartbeat yet".to_owned())
        })
        .await;
    }

    /// The device of this site; its agent does not run yet.
    pub fn device(&self) -> Agent {
        self.device_at(&self.server.url())
    }

    /// The device of this site, on a cable that can be pulled; its agent does not run yet.
    pub async fn device_behind_proxy(&self) -> (Agent, Proxy) {
        let proxy = Proxy::start(self.server.port()).await;
        (self.device_at(&proxy.url()), proxy)
    }

    /// The device of this site, which will look for the server at that URL.
    pub fn device_at(&self, url: &str) -> Agent {
        let mut device = Agent::new(DEVICE, url);
        if let Some(operator) = &self.operator {
            device = device.with("creds", operator.device(DEVICE).credentials_file().to_str().unwrap());
        }
        match self.format {
            Format::AgentManifest => device,
            Format::Score => device.with_bridge(Bridge::Enabled),
        }
    }

    /// Makes sure that no device asked for more than it may have.
    pub fn assert_nothing_was_forbidden(&self) {
        let log = self.server.log();
        let violations: Vec<&str> = log.lines().filter(|line| line.contains("Violation")).collect();
        assert!(
            violations.is_empty(),
            "the device asked for more than the wire contract grants: {violations:#?}"
        );
    }
}

/// The settings of a site's server. A connection without credentials is the device's, so that a device is
/// started alike at both kinds of site.
///
/// # Panics
/// In operator mode, where an [`Operator`] has them.
pub fn settings(access: Access) -> Settings {
    let configuration = match access {
        Access::Open => String::new(),
        Access::Operator => panic!("ask the operator"),
        Access::Restricted => format!(
            r#"
            accounts {{
              PLATFORM {{
                jetstream: enabled
                users: [ {{ user: "platform", password: "platform" }} ]
                exports: [
                  {{ service: "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.*" }}
                  {{ service: "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.*" }}
                  {{ service: "$KV.actual-state.*" }}
                  {{ service: "$KV.agent-heartbeat.*" }}
                  {{ service: "agent-events.*" }}
                  {{ stream: "desired-state.*" }}
                ]
              }}
              DEVICES {{
                imports: [
                  {{ service: {{ account: PLATFORM, subject: "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.*" }} }}
                  {{ service: {{ account: PLATFORM, subject: "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.*" }} }}
                  {{ service: {{ account: PLATFORM, subject: "$KV.actual-state.*" }} }}
                  {{ service: {{ account: PLATFORM, subject: "$KV.agent-heartbeat.*" }} }}
                  {{ service: {{ account: PLATFORM, subject: "agent-events.*" }} }}
                  {{ stream: {{ account: PLATFORM, subject: "desired-state.*" }} }}
                ]
                users: [ {{ user: "device", password: "device", permissions: {{
                  publish: {{ allow: [
                    "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.{DEVICE}"
                    "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.{DEVICE}"
                    "$KV.actual-state.{DEVICE}"
                    "agent-events.{DEVICE}"
                    "$KV.agent-heartbeat.{DEVICE}"
                  ] }}
                  subscribe: {{ allow: ["desired-state.{DEVICE}", "_INBOX_{DEVICE}.>"] }}
                }} }} ]
              }}
            }}
            no_auth_user: "device"
            "#
        ),
    };
    let credentials = (access == Access::Restricted).then_some(("platform", "platform"));
    // Synced, because tests that kill a server want back what it acknowledged.
    Settings { configuration, credentials, sync_always: true, ..Settings::default() }
}
