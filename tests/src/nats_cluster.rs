//! Three servers that hold each stream three times.

use fleet::provisioning::Layout;
use serde_json::Value;

use crate::{
    eventually::eventually,
    nats_server::{NatsServer, Place, Settings, free_ports},
    network::Host,
    platform::{Platform, provision_with},
};

/// A cluster of three. Gone when dropped.
#[derive(Debug)]
pub struct NatsCluster {
    /// Its members.
    pub servers: [NatsServer; 3],
    /// The ports on which they talk to each other.
    pub routes: [u16; 3],
}

impl NatsCluster {
    /// Starts three servers and waits until they have a leader.
    pub async fn start() -> Self {
        Self::start_on([None, None, None]).await
    }

    /// The same, with those that have a host on it. The others are on the test's side, and listen there on all
    /// addresses.
    pub async fn start_on(hosts: [Option<Host>; 3]) -> Self {
        let routes: [u16; 3] = free_ports();
        let is_spread = hosts.iter().any(Option::is_some);
        let mut servers = Vec::new();
        for (place, host) in hosts.iter().enumerate() {
            let all: Vec<String> = (0..3)
                .map(|other| {
                    let address = match (&hosts[other], host) {
                        (Some(other), _) => other.address().to_owned(),
                        (None, Some(host)) => host.gateway(),
                        (None, None) => "127.0.0.1".to_owned(),
                    };
                    format!("\"nats-route://{address}:{}\"", routes[other])
                })
                .collect();
            let listen = if is_spread { "0.0.0.0" } else { "127.0.0.1" };
            servers.push(NatsServer::prepare(Settings {
                configuration: format!(
                    "cluster {{ name: \"cluster\", listen: \"{listen}:{}\", routes: [{}] }}",
                    routes[place],
                    all.join(", ")
                ),
                place: host.clone().map_or(Place::Loopback, Place::Host),
                ..Settings::default()
            }));
        }
        for server in &mut servers {
            server.launch().await;
        }
        let servers = servers.try_into().expect("three places make three servers");
        let cluster = Self { servers, routes };
        for server in &cluster.servers {
            server.assert_it_answers().await;
        }
        cluster.await_leader().await;
        cluster
    }

    /// Waits until the cluster can make streams.
    pub async fn await_leader(&self) {
        let client = self.connect().await;
        eventually("the cluster has a leader", async || {
            let answer = client
                .request("$JS.API.INFO", Default::default())
                .await
                .map_err(|error| error.to_string())?;
            let info: Value = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
            match info.get("error") {
                None => Ok(()),
                Some(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// A client that goes to whichever member is there.
    pub async fn connect(&self) -> async_nats::Client {
        let urls: Vec<async_nats::ServerAddr> =
            self.servers.iter().map(|server| server.url().parse().unwrap()).collect();
        async_nats::connect(&urls[..]).await.expect("a running cluster can be connected to")
    }

    /// Makes all buckets, each held by all three.
    pub async fn provision(&self) -> Platform {
        provision_with(&self.servers[0], &Layout { replicas: Some(3), ..Layout::default() }).await;
        Platform::connect(&self.servers[0]).await
    }

    /// Ends the member that leads the stream and returns its place.
    pub async fn kill_leader_of(&mut self, stream: &str) -> usize {
        let place = self.leader_of(stream).await;
        self.servers[place].kill();
        place
    }

    /// The place of the member that leads the stream.
    pub async fn leader_of(&self, stream: &str) -> usize {
        let jetstream = async_nats::jetstream::new(self.connect().await);
        let leader = eventually("the stream has a leader", async || {
            let stream = jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
            stream.cached_info().cluster.as_ref().and_then(|c| c.leader.clone()).ok_or("none yet".to_owned())
        })
        .await;
        let place = self.servers.iter().position(|server| server.name() == leader);
        place.expect("the leader is a member")
    }
}
