//! What a fleet is served by: one server, or a cluster of three. What befalls all of its servers at once is the same
//! for both; that one of them is missing and the others go on can be only in a cluster.
//!
//! What a cluster may do that one server does not, and why the coordinator convicts nobody of it:
//!
//! - A follower that lags answers a read with what is old, or with nothing. A device that believes it has accepted
//!   something newer all the same, and is looked at again until it rests. The eyes ask for each status by its revision,
//!   and one that is not there yet is asked for again.
//! - A write may have an unknown outcome while there is no leader. The platform repeats it, so a document can be stored
//!   twice, also after a newer one: the same bytes are no news, and an older generation is no loss.
//! - Hints are lost between members that are cut off from each other: see `Schedule::parts_members`.
//! - What devices ask for is counted where the platform is connected. What it misses while it goes elsewhere, or while
//!   routes are cut, only makes the bounds milder; what routes hold back arrives at once, for which they have room.

use std::slice;

use async_nats::{ConnectOptions, ServerAddr, jetstream};
use serde_json::Value;

use crate::{
    eventually::{PATIENCE, eventually},
    nats_cluster::NatsCluster,
    nats_server::{Backup, NatsServer, Settings},
    platform::{ACTUAL_STATE, Platform, provision_all},
    proxy::{Flow, Proxy},
    schedule::{Loss, Member, Server, Servers},
};

/// The servers, and how they stand.
#[derive(Debug)]
pub(super) struct ServerSide {
    members: Members,
    /// The platform's, to each server.
    cables: Vec<Proxy>,
    /// One for each, of the same moment.
    backups: Option<Vec<Backup>>,
    /// Which member of a cluster the others miss, and how they lost it.
    lost: Option<(usize, Loss)>,
}

#[derive(Debug)]
enum Members {
    // Synced both, because what a killed server has acknowledged and lost is no fault of the devices.
    One(Box<NatsServer>),
    Cluster(Box<NatsCluster>),
}

impl ServerSide {
    pub(super) async fn start(servers: Servers) -> Self {
        let members = match servers {
            Servers::One => {
                let settings = Settings { sync_always: true, ..Settings::default() };
                Members::One(Box::new(NatsServer::start(settings).await))
            }
            Servers::Cluster => Members::Cluster(Box::new(NatsCluster::start_on_cables().await)),
        };
        let mut side = Self { members, cables: Vec::new(), backups: None, lost: None };
        for port in side.ports() {
            side.cables.push(Proxy::start(port).await);
        }
        side
    }

    /// The platform's connection, which goes to whichever server is there and not lost to the others.
    pub(super) async fn connect(&self) -> Platform {
        let urls: Vec<ServerAddr> = self.cables.iter().map(|cable| cable.url().parse().unwrap()).collect();
        // A server may be busy with all that connect with us.
        let client = ConnectOptions::new().connection_timeout(PATIENCE).connect(urls).await;
        let client = client.expect("running servers can be connected to");
        Platform { jetstream: jetstream::new(client.clone()), client }
    }

    /// Where devices can go, each of which is as good as the others.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.servers().iter().map(NatsServer::port).collect()
    }

    /// Makes all buckets, held by all servers.
    pub(super) async fn provision(&self, platform: &Platform) {
        match &self.members {
            Members::One(server) => drop(provision_all(server).await),
            Members::Cluster(cluster) => cluster.make_buckets().await,
        }
        // With all statuses kept, none is missed by whoever looks later.
        eventually("all statuses are kept", async || {
            let stream = platform.jetstream.get_stream(format!("KV_{ACTUAL_STATE}")).await;
            let mut config = stream.map_err(|error| error.to_string())?.cached_info().config.clone();
            config.max_messages_per_subject = -1;
            platform.jetstream.update_stream(config).await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Does this to all servers, of which none is missing. None runs afterwards.
    pub(super) async fn take_away(&mut self, what: Server) {
        for server in self.servers_mut() {
            match what {
                Server::Stop | Server::BackUp => server.stop().await,
                Server::Kill | Server::Restore | Server::Empty => server.kill(),
            }
        }
        match what {
            Server::Stop | Server::Kill => {}
            Server::BackUp => self.backups = Some(self.servers().iter().map(NatsServer::back_up).collect()),
            Server::Restore => {
                let backups = self.backups.take().expect("there was a backup before");
                self.servers_mut()
                    .iter_mut()
                    .zip(&backups)
                    .for_each(|(server, backup)| server.restore(backup));
                self.backups = Some(backups);
            }
            Server::Empty => self.servers_mut().iter_mut().for_each(NatsServer::empty_store),
        }
    }

    /// Has all servers back.
    pub(super) async fn bring_back(&mut self, platform: &Platform) {
        match &mut self.members {
            Members::One(server) => server.start_again().await,
            Members::Cluster(cluster) => cluster.start_all_again().await,
        }
        eventually("the platform is connected again", async || {
            let answer = platform.client.request("$JS.API.INFO", "".into()).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let info: Value = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
            // In a cluster without a leader it has an error in it.
            info.get("error").map_or(Ok(()), |error| Err(error.to_string()))
        })
        .await;
    }

    /// Takes a member away from the others, and says which one.
    pub(super) async fn lose(&mut self, member: Member, loss: Loss, platform: &Platform) -> usize {
        let cluster = self.cluster();
        let place = match member {
            Member::At(place) => place,
            Member::LeaderOf(bucket) => {
                cluster.leader_seen_by(&platform.jetstream, &format!("KV_{bucket}")).await
            }
        };
        match loss {
            Loss::Stop => cluster.servers[place].stop().await,
            Loss::Kill => cluster.servers[place].kill(),
            Loss::Pause => cluster.servers[place].pause(),
            Loss::Slow(time) => cluster.set_routes(place, Flow::Delay(time)),
            Loss::Hold => cluster.set_routes(place, Flow::Hold),
            Loss::CutOff => cluster.cut_off(place),
        }
        // Devices have to find out for themselves. The platform is not what is tried here, and has work to do.
        self.cables[place].cut();
        self.lost = Some((place, loss));
        place
    }

    /// Puts the lost member right, if one is.
    pub(super) async fn regain(&mut self) {
        let Some((place, loss)) = self.lost.take() else { return };
        let cluster = self.cluster();
        match loss {
            Loss::Stop | Loss::Kill => cluster.servers[place].start_again().await,
            Loss::Pause => cluster.servers[place].resume(),
            Loss::Slow(_) | Loss::Hold | Loss::CutOff => cluster.set_routes(place, Flow::Pass),
        }
        self.cables[place].plug();
    }

    fn servers(&self) -> &[NatsServer] {
        match &self.members {
            Members::One(server) => slice::from_ref(server),
            Members::Cluster(cluster) => &cluster.servers,
        }
    }

    fn servers_mut(&mut self) -> &mut [NatsServer] {
        match &mut self.members {
            Members::One(server) => slice::from_mut(server),
            Members::Cluster(cluster) => &mut cluster.servers,
        }
    }

    fn cluster(&mut self) -> &mut NatsCluster {
        match &mut self.members {
            Members::One(_) => unreachable!("one server has no members to lose"),
            Members::Cluster(cluster) => cluster,
        }
    }
}
