//! The server that a device talks to is behind the others.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tests::{
    agent::Agent,
    eventually::eventually,
    nats_cluster::NatsCluster,
    network::{Host, Network, Way, in_own_network},
    platform::{DESIRED_STATE, Platform},
    site::DEVICE,
    traffic::Traffic,
};

use super::{leader_lost::put_in_the_end, partitions::start_settled, stories::assert_one_steady_writer};
use crate::{hints::forge_hint, status_words::converged_at};

/// The device and its server hear each other; that server and the others do not.
fn cut_routes(network: &Network, host: &Host, cluster: &NatsCluster) {
    for way in [Way::ToHost, Way::FromHost] {
        network.lose_of_ports(host, way, &cluster.routes);
    }
}

#[test]
fn a_device_of_a_server_that_lags_behind_the_others_ends_with_the_newest_document() {
    in_own_network(|network| async move {
        let host = network.host().await;
        let cluster = NatsCluster::start_on([None, None, Some(host.clone())]).await;
        let platform = cluster.provision().await;
        // It stays with this server as long as the connection lasts.
        let mut device = Agent::new(DEVICE, &cluster.servers[2].url())
            .with("resync_interval", "1h")
            .with("log_level", "debug");
        start_settled(&mut device, &platform).await;
        let at_follower = Platform::connect(&cluster.servers[2]).await;
        let mut traffic = Traffic::watch(&platform, DEVICE).await;

        cut_routes(&network, &host, &cluster);
        let mut revision = 0;
        for generation in 2..=4 {
            revision = put_in_the_end(&platform, generation, &generation.to_string()).await;
        }
        // The hint overtakes the entry, as it may where the two take different ways.
        forge_hint(&at_follower, revision).await;
        device.eventually_logs("read an older desired state than expected").await;
        assert_eq!(device.read("/etc/a"), "1", "its server does not lag");
        network.heal();
        let last = platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
        assert_eq!((device.read("/etc/a"), last.writer.epoch), ("4".to_owned(), 1));
        traffic.assert_bounded();
    });
}

#[test]
fn what_a_device_was_not_told_of_while_its_server_was_cut_off_from_the_others_it_finds_at_the_resync() {
    in_own_network(|network| async move {
        let host = network.host().await;
        let hosts = [None, None, Some(host.clone())];
        let cluster = NatsCluster::start_with(hosts, Some(Duration::from_secs(3))).await;
        let platform = cluster.provision().await;
        let mut device = Agent::new(DEVICE, &cluster.servers[2].url()).with("resync_interval", "2s");
        start_settled(&mut device, &platform).await;
        let at_follower = Platform::connect(&cluster.servers[2]).await;
        let hint = format!("{DESIRED_STATE}.{DEVICE}");
        let mut hints = at_follower.client.subscribe(hint).await.unwrap();
        at_follower.client.flush().await.unwrap();
        let mut told = platform.listen(DEVICE).await;
        let mut traffic = Traffic::watch(&platform, DEVICE).await;

        cut_routes(&network, &host, &cluster);
        eventually("the servers give each other up", async || {
            let mut connections = network.connections(&host);
            connections.retain(|connection| {
                [connection.local, connection.peer].iter().any(|end| cluster.routes.contains(&end.port()))
            });
            if connections.is_empty() { Ok(()) } else { Err(format!("{connections:?}")) }
        })
        .await;
        put_in_the_end(&platform, 2, "2").await;
        assert_eq!(device.read("/etc/a"), "1", "its server does not lag");
        network.heal();
        let last = platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
        assert_eq!(device.read("/etc/a"), "2");
        at_follower.client.flush().await.unwrap();
        assert!(hints.next().now_or_never().is_none(), "there was a hint after all");
        assert!(!device.log().contains("lost the connection"), "{}", device.log());
        assert_one_steady_writer(&told.up_to(&last).await);
        traffic.assert_bounded();
    });
}
