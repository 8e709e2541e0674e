//! Revocation on a cluster: what one server is told, all keep to.

use std::time::Duration;

use fleet::operator::{push_all, revoke};
use futures_util::StreamExt as _;
use nats_operator::OwnUser;
use tests::{
    eventually::eventually,
    harmonyctl::Harmonyctl,
    nats_server::{NatsServer, Settings, Version},
    operator::{Operator, User, cluster},
    site::DEVICE,
};

use super::VICTIM;

on_each_version!(
    all_three_servers_put_out_who_was_revoked_at_one_also_one_that_was_away,
    a_push_of_an_old_folder_by_way_of_a_server_that_was_away_lets_nobody_in_again,
);

async fn refuses(server: &NatsServer, user: &User) {
    eventually(&format!("{} refuses", server.name()), async || {
        if user.is_let_in(server).await { Err("it is let in".to_owned()) } else { Ok(()) }
    })
    .await;
}

async fn all_three_servers_put_out_who_was_revoked_at_one_also_one_that_was_away(version: Version) {
    let operator = Operator::new();
    let mut servers = cluster([(); 3].map(|()| {
        let settings = operator.settings();
        // How often a server asks the others what it has missed, which is every two minutes.
        let configuration = settings.configuration.replace("interval: \"2m\"", "interval: \"2s\"");
        assert_ne!(configuration, settings.configuration);
        Settings { version, configuration, ..settings }
    }))
    .await;
    let folder = operator.folder().path().to_str().unwrap();
    let at_the_first = Harmonyctl::new(servers[0].url());
    let [thief, other, last] = [DEVICE, VICTIM, "edge-0003"].map(|id| operator.device(id));
    let mut stolen = Vec::new();
    for server in &servers {
        stolen.push(thief.connect(server).await.unwrap());
    }
    let bystander = other.connect(&servers[2]).await.unwrap();
    let revoke = async |user: &User| {
        let ran =
            at_the_first.run(&["agents", "revoke", "--key", user.key().as_str(), "--operator", folder]).await;
        // The key is ended; there is no registry here.
        assert!(ran.stdout.contains(&format!("key {} revoked", user.key())), "{ran:?}");
    };
    revoke(&thief).await;
    for (connected, server) in stolen.iter().zip(&servers) {
        connected.was_put_out().await;
        refuses(server, &thief).await;
        assert!(other.is_let_in(server).await, "the other is out at {}", server.name());
    }
    bystander.client.flush().await.unwrap();

    let leaked = operator.copy_of(OwnUser::Bootstrap);
    servers[2].stop().await;
    revoke(&last).await;
    let renewed = at_the_first.run(&["nats", "renew", "bootstrap", "--operator", folder]).await;
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    servers[2].start_again().await;
    for server in &servers {
        for ended in [&thief, &last, &leaked] {
            refuses(server, ended).await;
        }
        assert!(other.is_let_in(server).await && operator.newcomer().is_let_in(server).await);
    }
}

/// Waits until the servers hear of each other.
async fn are_one_cluster(operator: &Operator, servers: &[NatsServer; 2]) {
    let system = operator.copy_of(OwnUser::System).connect(&servers[1]).await.unwrap().client;
    eventually("both answer to one request", async || {
        let inbox = system.new_inbox();
        let both = system.subscribe(inbox.clone()).await.unwrap().take(2).collect::<Vec<_>>();
        system.publish_with_reply("$SYS.REQ.SERVER.PING", inbox, "".into()).await.unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(1), both).await;
        answered.map(drop).map_err(|_| "one answers alone".to_owned())
    })
    .await;
}

async fn a_push_of_an_old_folder_by_way_of_a_server_that_was_away_lets_nobody_in_again(version: Version) {
    let operator = Operator::new();
    let mut servers = operator.pair(version).await;
    let [thief, other] = [DEVICE, VICTIM].map(|id| operator.device(id));
    let token = operator.folder().path().join("tokens/devices.jwt");
    let copy = std::fs::read(&token).unwrap();
    servers[1].stop().await;
    revoke(&operator.system(&servers[0]).await, operator.folder(), &thief.key()).await.unwrap();
    std::fs::write(&token, copy).unwrap();
    servers[1].start_again().await;
    are_one_cluster(&operator, &servers).await;

    // The one that was away has the account of before, as the folder does, and answers first.
    push_all(&operator.system(&servers[1]).await, operator.folder()).await.unwrap();
    for server in &servers {
        refuses(server, &thief).await;
        assert!(other.is_let_in(server).await, "the other is out at {}", server.name());
    }
}
