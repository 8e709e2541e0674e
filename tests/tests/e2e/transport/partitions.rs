//! Packets are lost without a word: of the device, of a server, in one direction alone.

use tests::{
    agent::Agent,
    document::file,
    nats_cluster::NatsCluster,
    nats_server::{Place, Settings},
    network::{Host, Network, Way, in_own_network},
    site::{Access, DEVICE, Site, settings},
    traffic::Traffic,
};

use super::{leader_lost::put_in_the_end, stories::assert_one_steady_writer};
use crate::status_words::converged_at;

/// A site with its device on a host of its own, converged at generation 1.
async fn device_on_a_host(network: &Network) -> (Site, Host, Agent) {
    let host = network.host().await;
    let site =
        Site::start_with(Settings { place: Place::AllAddresses, ..settings(Access::Restricted) }).await;
    let url = format!("nats://{}:{}", host.gateway(), site.server.port());
    let mut device = site.device_at(&url).in_network(host.namespace()).with("heartbeat_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    (site, host, device)
}

/// Loses all packets of the device that go these ways, and sees that the device enforces meanwhile and has the last
/// document afterwards.
fn a_partition_of_the_device(ways: &'static [Way]) {
    in_own_network(move |network| async move {
        let (site, host, device) = device_on_a_host(&network).await;
        let mut told = site.platform.listen(DEVICE).await;
        let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
        for way in ways {
            network.lose(&host, *way);
        }
        site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
        device.write_by_hand("/etc/a", "by hand");
        device.eventually_holds("/etc/a", "1").await;
        site.platform.put(DEVICE, &site.document(3, &[file("a", "/etc/a", "3")])).await;
        network.heal();
        let last = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
        assert_eq!(device.read("/etc/a"), "3");
        assert_one_steady_writer(&told.up_to(&last).await);
        traffic.assert_bounded();
        site.assert_nothing_was_forbidden();
    });
}

#[test]
fn a_device_cut_off_without_a_word_has_the_last_document_afterwards() {
    a_partition_of_the_device(&[Way::ToHost, Way::FromHost]);
}

#[test]
fn a_device_that_hears_nothing_but_is_heard_has_the_last_document_afterwards() {
    a_partition_of_the_device(&[Way::ToHost]);
}

#[test]
fn a_device_that_hears_but_is_not_heard_has_the_last_document_afterwards() {
    a_partition_of_the_device(&[Way::FromHost]);
}

#[test]
fn a_server_cut_off_from_its_cluster_and_its_devices_loses_none_of_them_a_document() {
    in_own_network(|network| async move {
        let host = network.host().await;
        let cluster = NatsCluster::start_on([None, None, Some(host.clone())]).await;
        let platform = cluster.provision().await;
        // The first server that it tries is the one that will be cut off.
        let urls = [2, 0, 1].map(|place: usize| cluster.servers[place].url()).join(",");
        let mut device = Agent::new(DEVICE, &urls);
        device.start();
        put_in_the_end(&platform, 1, "1").await;
        platform.status_where(DEVICE, "converged", converged_at(1)).await;
        let mut traffic = Traffic::watch(&platform, DEVICE).await;
        for way in [Way::ToHost, Way::FromHost] {
            network.lose(&host, way);
        }
        put_in_the_end(&platform, 2, "2").await;
        device.write_by_hand("/etc/b", "by hand");
        device.eventually_holds("/etc/b", "always the same").await;
        network.heal();
        put_in_the_end(&platform, 3, "3").await;
        let last = platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
        assert_eq!((device.read("/etc/a"), last.writer.epoch), ("3".to_owned(), 1));
        traffic.assert_bounded();
    });
}
