//! The server that a device talks to is behind the others.

use tests::{
    agent::Agent,
    nats_cluster::NatsCluster,
    network::{Way, in_own_network},
    site::DEVICE,
    traffic::Traffic,
};

use super::leader_lost::put_in_the_end;
use crate::status_words::converged_at;

#[test]
fn a_device_of_a_server_that_lags_behind_the_others_ends_with_the_newest_document() {
    in_own_network(|network| async move {
        let host = network.host().await;
        let cluster = NatsCluster::start_on([None, None, Some(host.clone())]).await;
        let platform = cluster.provision().await;
        // It stays with this server as long as the connection lasts.
        let mut device = Agent::new(DEVICE, &cluster.servers[2].url()).with("resync_interval", "1h");
        device.start();
        put_in_the_end(&platform, 1, "1").await;
        platform.status_where(DEVICE, "converged", converged_at(1)).await;
        let mut traffic = Traffic::watch(&platform, DEVICE).await;

        // The device and its server hear each other; that server and the others do not.
        for way in [Way::ToHost, Way::FromHost] {
            network.lose_of_ports(&host, way, &cluster.routes);
        }
        for generation in 2..=4 {
            put_in_the_end(&platform, generation, &generation.to_string()).await;
        }
        assert_eq!(device.read("/etc/a"), "1", "its server does not lag");
        network.heal();
        let last = platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
        assert_eq!((device.read("/etc/a"), last.writer.epoch), ("4".to_owned(), 1));
        traffic.assert_bounded();
    });
}
