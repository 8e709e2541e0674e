//! Three servers that hold each stream three times.

use serde_json::Value;

use crate::{
    eventually::eventually,
    nats_server::{NatsServer, Settings, free_ports},
};

/// A cluster of three. Gone when dropped.
#[derive(Debug)]
pub struct NatsCluster {
    /// Its members.
    pub servers: [NatsServer; 3],
}

impl NatsCluster {
    /// Starts three servers and waits until they have a leader.
    pub async fn start() -> Self {
        let routes: [u16; 3] = free_ports();
        let all = routes.map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).join(", ");
        let mut servers = routes.map(|port| {
            NatsServer::prepare(Settings {
                configuration: format!(
                    "cluster {{ name: \"cluster\", listen: \"127.0.0.1:{port}\", routes: [{all}] }}"
                ),
                ..Settings::default()
            })
        });
        for server in &mut servers {
            server.launch().await;
        }
        let cluster = Self { servers };
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

    /// Ends the member that leads the stream and returns its place.
    pub async fn kill_leader_of(&mut self, stream: &str) -> usize {
        let jetstream = async_nats::jetstream::new(self.connect().await);
        let leader = eventually("the stream has a leader", async || {
            let stream = jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
            stream.cached_info().cluster.as_ref().and_then(|c| c.leader.clone()).ok_or("none yet".to_owned())
        })
        .await;
        let place = self.servers.iter().position(|server| server.name() == leader);
        let place = place.expect("the leader is a member");
        self.servers[place].kill();
        place
    }
}
