//! Packets are lost without a word: of the device, of a server, in one direction alone.

use std::time::Duration;

use tests::{
    agent::Agent,
    eventually::eventually,
    nats_cluster::NatsCluster,
    nats_server::{Place, Settings},
    network::{Host, Network, TcpConnection, Way, in_own_network},
    platform::{HEARTBEAT, Platform},
    site::{Access, DEVICE, Site, settings},
    traffic::Traffic,
};

use super::{leader_lost::put_in_the_end, stories::assert_one_steady_writer};
use crate::status_words::{accepted, converged_at};

/// How often a server asks its clients for a sign of life that is to give one up soon. The device's heartbeats come more
/// often.
const PING_INTERVAL: Duration = Duration::from_secs(3);

/// What the agent logs when it has waited in vain for the answer to a write.
const GIVEN_UP: &str = "the status is not written yet";

/// A site with its device on a host of its own, converged at generation 1.
pub(super) async fn device_on_a_host(
    network: &Network,
    ping_interval: Option<Duration>,
) -> (Site, Host, Agent) {
    let host = network.host().await;
    let settings = Settings { place: Place::AllAddresses, ping_interval, ..settings(Access::Restricted) };
    let site = Site::start_with(settings).await;
    let url = format!("nats://{}:{}", host.gateway(), site.server.port());
    let mut device = site
        .device_at(&url)
        .in_network(host.namespace())
        .with("heartbeat_interval", "2s")
        .with("log_level", "debug");
    start_settled(&mut device, &site.platform).await;
    (site, host, device)
}

/// Starts the device and has it converge at generation 1, after which it reads nothing more without a cause.
pub(super) async fn start_settled(device: &mut Agent, platform: &Platform) {
    let mut traffic = Traffic::watch(platform, DEVICE).await;
    device.start();
    eventually("it has looked for a document", async || match traffic.counts().reads {
        0 => Err("it has not".to_owned()),
        _ => Ok(()),
    })
    .await;
    // A hint after the first read shows it that hints arrive, which else it reads once more for.
    put_in_the_end(platform, 1, "1").await;
    platform.status_where(DEVICE, "converged", converged_at(1)).await;
}

/// Changes by hand what is the same in all documents, and sees that the device changes it back.
pub(super) async fn see_it_enforce(device: &Agent) {
    device.write_by_hand("/etc/b", "by hand");
    device.eventually_holds("/etc/b", "always the same").await;
}

/// Loses all packets of the device that go these ways from now on. What the server hears after this was sent after it.
async fn cut(network: &Network, host: &Host, device: &mut Agent, ways: &[Way]) {
    device.freeze();
    eventually("what the device sent has arrived", async || {
        let connections = host.connections();
        let is_acknowledged = connections.iter().all(|connection| connection.unacknowledged == 0);
        if is_acknowledged { Ok(()) } else { Err(format!("{connections:?}")) }
    })
    .await;
    for way in ways {
        network.lose(host, *way);
    }
    device.thaw();
}

/// Which of the device's heartbeats is the last that was heard.
async fn last_heartbeat(site: &Site) -> u64 {
    let entry = site.platform.entry(HEARTBEAT, DEVICE).await.unwrap();
    entry.expect("the device was heard").revision
}

/// Loses all packets of the device that go these ways, until the server has given the connection up and the device does
/// not know it. Sees that the device enforces meanwhile, and has the last document afterwards, which is all it ever hears.
fn a_partition_of_the_device(ways: &'static [Way]) {
    in_own_network(move |network| async move {
        let (site, host, mut device) = device_on_a_host(&network, Some(PING_INTERVAL)).await;
        let mut told = site.platform.listen(DEVICE).await;
        let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
        cut(&network, &host, &mut device, ways).await;
        let before = last_heartbeat(&site).await;
        let is_heard = !ways.contains(&Way::FromHost);
        if is_heard {
            // The first words arrive. What comes later waits on the device for these to be acknowledged.
            eventually("a heartbeat is heard", async || match last_heartbeat(&site).await {
                last if last > before => Ok(()),
                last => Err(format!("the last one is {last}")),
            })
            .await;
        }
        put_in_the_end(&site.platform, 2, "2").await;
        see_it_enforce(&device).await;
        put_in_the_end(&site.platform, 3, "3").await;
        device.eventually_logs(GIVEN_UP).await;
        eventually("the server gives the connection up", async || {
            let connections = network.connections(&host);
            if connections.is_empty() { Ok(()) } else { Err(format!("{connections:?}")) }
        })
        .await;

        assert_eq!(host.connections().len(), 1, "the device knows that its connection is gone");
        assert_eq!(traffic.counts().reads, 0, "a read was heard");
        assert!(is_heard || last_heartbeat(&site).await == before, "a heartbeat was heard");
        assert_eq!(device.read("/etc/a"), "1");
        network.heal();
        let last = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
        assert_eq!(device.read("/etc/a"), "3");
        assert!(device.log().contains("lost the connection"), "{}", device.log());
        let told = told.up_to(&last).await;
        assert_one_steady_writer(&told);
        assert!(told.iter().all(|status| accepted(status) != Some(2)), "a document from before the last");
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
fn a_device_cut_off_for_less_than_anybody_gives_up_keeps_its_connection_and_has_the_last_document() {
    in_own_network(|network| async move {
        let (site, host, mut device) = device_on_a_host(&network, None).await;
        let mut told = site.platform.listen(DEVICE).await;
        let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
        let connections = host.connections();
        cut(&network, &host, &mut device, &[Way::ToHost, Way::FromHost]).await;
        put_in_the_end(&site.platform, 2, "2").await;
        see_it_enforce(&device).await;
        put_in_the_end(&site.platform, 3, "3").await;
        device.eventually_logs(GIVEN_UP).await;
        assert_eq!((traffic.counts().reads, device.read("/etc/a")), (0, "1".to_owned()));
        network.heal();
        // What was sent meanwhile arrives after all, and late: hints, and writes that were given up.
        let last = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
        assert_eq!(device.read("/etc/a"), "3");
        let ports = |of: &[TcpConnection]| of.iter().map(|one| one.local.port()).collect::<Vec<_>>();
        assert_eq!(ports(&host.connections()), ports(&connections), "it is another connection");
        assert!(!device.log().contains("lost the connection"), "{}", device.log());
        let told = told.up_to(&last).await;
        assert_one_steady_writer(&told);
        assert!(told.iter().all(|status| accepted(status) != Some(2)), "a document from before the last");
        traffic.assert_bounded();
        site.assert_nothing_was_forbidden();
    });
}

#[test]
fn a_server_cut_off_from_its_cluster_and_its_devices_loses_none_of_them_a_document() {
    in_own_network(|network| async move {
        // Some six seconds.
        network.resend(4);
        let host = network.host().await;
        let cluster = NatsCluster::start_on([None, None, Some(host.clone())]).await;
        let platform = cluster.provision().await;
        // It can be at the server that will be cut off and nowhere else, and hears of the others there.
        let mut device = Agent::new(DEVICE, &cluster.servers[2].url());
        start_settled(&mut device, &platform).await;
        let mut told = platform.listen(DEVICE).await;
        let mut traffic = Traffic::watch(&platform, DEVICE).await;
        for way in [Way::ToHost, Way::FromHost] {
            network.lose(&host, way);
        }
        put_in_the_end(&platform, 2, "2").await;
        // Until it has something to say, neither it nor its system can tell that nobody is there.
        assert_eq!(device.read("/etc/a"), "1");
        see_it_enforce(&device).await;
        let status = platform.status_where(DEVICE, "converged elsewhere", converged_at(2)).await;
        assert_eq!(device.read("/etc/a"), "2");
        assert!(device.log().contains("lost the connection"), "{}", device.log());

        network.heal();
        put_in_the_end(&platform, 3, "3").await;
        let last = platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
        assert_eq!(device.read("/etc/a"), "3");
        assert_eq!((&last.writer.instance, last.writer.epoch), (&status.writer.instance, 1));
        assert_one_steady_writer(&told.up_to(&last).await);
        traffic.assert_bounded();
    });
}
