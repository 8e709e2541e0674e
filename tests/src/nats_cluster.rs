//! Three servers that hold each stream three times.

mod route_cables;

use std::{array, time::Duration};

use async_nats::jetstream::{self, Context};
use fleet::provisioning::Layout;
use serde_json::Value;

use self::route_cables::RouteCables;
use crate::{
    eventually::eventually,
    nats_server::{NatsServer, Place, Settings, free_ports},
    network::Host,
    platform::{Platform, try_to_provision_with},
    proxy::Flow,
};

/// A cluster of three. Gone when dropped.
#[derive(Debug)]
pub struct NatsCluster {
    /// Its members.
    pub servers: [NatsServer; 3],
    /// The ports on which they talk to each other.
    pub routes: [u16; 3],
    /// Where they talk over cables.
    cables: Option<RouteCables>,
}

impl NatsCluster {
    /// Starts three servers and waits until they have a leader.
    pub async fn start() -> Self {
        Self::start_on([None, None, None]).await
    }

    /// The same, with those that have a host on it. The others are on the test's side, and listen there on all
    /// addresses.
    pub async fn start_on(hosts: [Option<Host>; 3]) -> Self {
        Self::start_with(hosts, None).await
    }

    /// The same, where servers ask for signs of life that often (see [`Settings::ping_interval`]).
    pub async fn start_with(hosts: [Option<Host>; 3], ping_interval: Option<Duration>) -> Self {
        let (routes, ports) = ports();
        let is_spread = hosts.iter().any(Option::is_some);
        let servers = array::from_fn(|place| {
            let host = &hosts[place];
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
            let settings = Settings {
                configuration: format!(
                    "cluster {{ name: \"cluster\", listen: \"{listen}:{}\", routes: [{}] }}",
                    routes[place],
                    all.join(", ")
                ),
                place: host.clone().map_or(Place::Loopback, Place::Host),
                ping_interval,
                ..Settings::default()
            };
            NatsServer::prepare(settings).on_port(ports[place])
        });
        Self::launch(servers, routes, None).await
    }

    /// The same on loopback, each write synced, with a cable between any two that can be cut. Nobody is told of
    /// any member: neither do the members find a way around these cables, nor clients one around theirs.
    pub async fn start_on_cables() -> Self {
        let (routes, ports) = ports();
        let cables = RouteCables::lay(routes).await;
        let servers = array::from_fn(|place| {
            let others: Vec<String> =
                cables.ports_for(place).map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).collect();
            let settings = Settings {
                configuration: format!(
                    // Nobody listens on the port that the others are told of, by each other.
                    "cluster {{ name: \"cluster\", listen: \"127.0.0.1:{}\", routes: [{}], \
                     advertise: \"127.0.0.1:1\", no_advertise: true }}",
                    routes[place],
                    others.join(", ")
                ),
                sync_always: true,
                ..Settings::default()
            };
            NatsServer::prepare(settings).on_port(ports[place])
        });
        Self::launch(servers, routes, Some(cables)).await
    }

    async fn launch(servers: [NatsServer; 3], routes: [u16; 3], cables: Option<RouteCables>) -> Self {
        let mut cluster = Self { servers, routes, cables };
        cluster.start_all_again().await;
        cluster.await_leader().await;
        cluster
    }

    /// Starts all members, none of which runs.
    pub async fn start_all_again(&mut self) {
        for server in &mut self.servers {
            server.launch().await;
        }
        for server in &self.servers {
            server.assert_it_answers().await;
        }
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
        self.make_buckets().await;
        Platform::connect(&self.servers[0]).await
    }

    /// The same for whoever has a connection already.
    pub async fn make_buckets(&self) {
        let layout = Layout { replicas: Some(3), ..Layout::default() };
        // Two members make a leader, which has no place for the third copies before it hears of the third member.
        eventually("there are buckets", async || {
            let made = try_to_provision_with(&self.servers[0], &layout).await;
            made.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Ends the member that leads the stream and returns its place.
    pub async fn kill_leader_of(&mut self, stream: &str) -> usize {
        let place = self.leader_of(stream).await;
        self.servers[place].kill();
        place
    }

    /// The place of the member that leads the stream.
    pub async fn leader_of(&self, stream: &str) -> usize {
        self.leader_seen_by(&jetstream::new(self.connect().await), stream).await
    }

    /// The same for whoever has a connection already.
    pub async fn leader_seen_by(&self, jetstream: &Context, stream: &str) -> usize {
        let leader = eventually("the stream has a leader", async || {
            let stream = jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
            stream.cached_info().cluster.as_ref().and_then(|c| c.leader.clone()).ok_or("none yet".to_owned())
        })
        .await;
        let place = self.servers.iter().position(|server| server.name() == leader);
        place.expect("the leader is a member")
    }

    /// Ends all connections between that member and the others, and refuses new ones. Only on cables.
    pub fn cut_off(&self, member: usize) {
        self.cables().cut(member);
    }

    /// From now on the bytes between that member and the others fare like this. Only on cables.
    pub fn set_routes(&self, member: usize, flow: Flow) {
        self.cables().set(member, flow);
    }

    fn cables(&self) -> &RouteCables {
        self.cables.as_ref().expect("the cluster is on cables")
    }
}

/// The ports of three members: for each other, and for clients. They come and go, and have to find them free.
fn ports() -> ([u16; 3], [u16; 3]) {
    let [route_0, route_1, route_2, port_0, port_1, port_2] = free_ports();
    ([route_0, route_1, route_2], [port_0, port_1, port_2])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::DESIRED_STATE;

    /// Longer than a member takes to find its way around a cable where there is one.
    const A_WHILE: Duration = Duration::from_secs(2);

    #[tokio::test]
    async fn a_member_that_is_cut_off_hears_of_nothing_until_its_cables_are_plugged_in() {
        let cluster = NatsCluster::start_on_cables().await;
        let near = cluster.provision().await;
        let far = Platform::connect(&cluster.servers[2]).await;
        let subject = format!("$KV.{DESIRED_STATE}.edge");
        let cuts: [fn(&NatsCluster); 3] =
            [|it| it.cut_off(2), |it| it.set_routes(2, Flow::Hold), |it| it.cut_off(2)];
        for cut in cuts {
            cut(&cluster);
            let revision = eventually("an entry is stored", async || {
                let ack = near.jetstream.publish(subject.clone(), "".into()).await;
                ack.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
            })
            .await
            .sequence;
            let read = async || far.entry(DESIRED_STATE, "edge").await.map(|it| it.map(|it| it.revision));
            tokio::time::sleep(A_WHILE).await;
            assert_ne!(read().await, Ok(Some(revision)), "it is not cut off");
            cluster.set_routes(2, Flow::Pass);
            eventually("the member has caught up", async || match read().await? {
                Some(read) if read >= revision => Ok(()),
                read => Err(format!("it has {read:?} and not {revision}")),
            })
            .await;
        }
    }
}
