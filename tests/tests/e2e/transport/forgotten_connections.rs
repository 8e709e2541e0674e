//! A router on the way forgets a connection, as those do that translate addresses. The way itself is open.

use tests::{
    network::{Host, Network, Way, in_own_network},
    site::DEVICE,
    traffic::Traffic,
};

use super::{
    leader_lost::put_in_the_end,
    partitions::{device_on_a_host, see_it_enforce},
    stories::assert_one_steady_writer,
};
use crate::status_words::converged_at;

/// Has the router forget the device's connection for good, and sees that the device makes another one as soon as it has
/// something to say and its system gives up, and has missed nothing.
fn a_connection_is_forgotten(forget: fn(&Network, &Host, u16)) {
    in_own_network(move |network| async move {
        let (site, host, device) = device_on_a_host(&network, None).await;
        // Some three seconds, for the quarter of an hour that the system waits by itself.
        host.resend(3);
        let mut told = site.platform.listen(DEVICE).await;
        let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
        let forgotten = host.connections()[0].local.port();
        forget(&network, &host, forgotten);
        put_in_the_end(&site.platform, 2, "2").await;
        see_it_enforce(&device).await;

        let last = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
        assert_eq!(device.read("/etc/a"), "2");
        let ports: Vec<u16> = host.connections().iter().map(|connection| connection.local.port()).collect();
        assert!(
            ports.len() == 1 && ports[0] != forgotten,
            "{forgotten} was forgotten, and there are {ports:?}"
        );
        assert!(device.log().contains("lost the connection"), "{}", device.log());
        assert_one_steady_writer(&told.up_to(&last).await);
        traffic.assert_bounded();
        site.assert_nothing_was_forbidden();
    });
}

#[test]
fn a_connection_that_a_router_forgot_without_a_word_is_made_anew_when_the_system_gives_it_up() {
    a_connection_is_forgotten(|network, host, port| {
        for way in [Way::ToHost, Way::FromHost] {
            network.lose_of_ports(host, way, &[port]);
        }
    });
}

#[test]
fn a_connection_of_which_a_router_says_that_there_is_none_is_made_anew() {
    a_connection_is_forgotten(|network, host, port| network.reset(host, port));
}
