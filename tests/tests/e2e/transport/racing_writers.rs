//! Somebody else writes a device's status in the same instant, on three replicas.

use std::collections::BTreeSet;

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tests::{
    agent::Agent,
    document::{file, manifest},
    nats_cluster::NatsCluster,
    proxy::{Fate, Messages, Proxy},
    site::DEVICE,
    traffic::Traffic,
};

use crate::status_words::converged_at;

/// Rounds in which both conflicts must have come up. The rarer one comes up in about one of ten.
const ROUNDS: u64 = 100;
/// Foreign writes in the same instant as the device's.
const RIVALS: usize = 8;

/// A lost compare-and-swap has two names: what is at fault is a stored entry, or one that is just being stored.
const CONFLICTS: [u64; 2] = [10071, 10164];

#[tokio::test]
async fn the_device_has_the_last_word_over_foreign_writes_whichever_conflict_they_cause() {
    let cluster = NatsCluster::start().await;
    let platform = cluster.provision().await;
    let leader = cluster.leader_of("KV_actual-state").await;
    let proxy = Proxy::start(cluster.servers[leader].port()).await;
    let rival = cluster.servers[leader].connect().await;
    // A rival that comes after the device's acknowledged write is noticed when the device looks again.
    let mut device = Agent::new(DEVICE, &proxy.url()).with("resync_interval", "1s");
    device.start();
    platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/a", "1")])).await;
    let before = platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let mut answers = rival.subscribe(format!("_INBOX_{DEVICE}.>")).await.unwrap();
    rival.flush().await.unwrap();
    let mut traffic = Traffic::watch(&platform, DEVICE).await;

    let status = format!("$KV.actual-state.{DEVICE}");
    let mut conflicts = BTreeSet::new();
    let mut generation = 1;
    while conflicts != BTreeSet::from(CONFLICTS) {
        assert!(generation < ROUNDS, "only {conflicts:?} came up in {ROUNDS} rounds");
        generation += 1;
        let mut write = proxy.intercept(Messages::Published(status.clone()), Fate::Keep);
        let content = generation.to_string();
        platform.put(DEVICE, &manifest(DEVICE, generation, &[file("a", "/etc/a", &content)])).await;
        write.meets(1).await;
        let rivals = async {
            for _ in 0..RIVALS {
                // It asks for an answer where a platform would, to be told apart from the device.
                let reply = "_INBOX.a-rival";
                rival.publish_with_reply(status.clone(), reply, "{}".into()).await.unwrap();
            }
            rival.flush().await.unwrap();
        };
        tokio::join!(rivals, write.let_go());
        platform.status_where(DEVICE, "converged", converged_at(generation)).await;
        while let Some(Some(answer)) = answers.next().now_or_never() {
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
            let code = answer["error"]["err_code"].as_u64();
            conflicts.extend(code.filter(|code| CONFLICTS.contains(code)));
        }
    }
    let last = platform.status(DEVICE).await.unwrap();
    assert_eq!((&last.writer.instance, last.writer.epoch), (&before.writer.instance, before.writer.epoch));
    let (code, printed) = device.command(&["status"]).await;
    assert!(code == Some(0) && !printed.contains("DuplicateIdentity"), "{printed}");
    traffic.assert_bounded();
}
