//! Attack 4: a device says more than anybody wants to hear.

use async_nats::HeaderMap;
use tests::{
    document::{file, manifest},
    eventually::PATIENCE,
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{
    VICTIM,
    stored::{fill, without},
};
use crate::status_words::converged_at;

on_each_version!(a_flood_of_one_device_leaves_the_entries_of_others_as_they_were_and_they_still_converge);

async fn a_flood_of_one_device_leaves_the_entries_of_others_as_they_were_and_they_still_converge(
    version: Version,
) {
    const ROUNDS: usize = 5_000;
    const BYSTANDER: &str = "edge-0003";
    let site = Site::start_on(version, Access::Operator).await;
    for _ in 0..3 {
        fill(&site.platform, BYSTANDER, "of edge-0003").await;
    }
    let before = without(DEVICE, &site.platform).await;
    let mut victim = site.another_device(VICTIM);
    victim.start();
    site.platform.put(VICTIM, &manifest(VICTIM, 1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(VICTIM, "converged", converged_at(1)).await;
    let first_events = site.platform.events_where(VICTIM, "something", |events| !events.is_empty()).await;

    let user = site.operator().device(DEVICE).with_inbox("_INBOX_edge-0001");
    let attacker = user.connect(&site.server).await.unwrap();
    let own = ["$KV.actual-state.edge-0001", "$KV.agent-heartbeat.edge-0001", "agent-events.edge-0001"];
    let content = "x".repeat(1000);
    for round in 0..ROUNDS {
        for subject in own {
            attacker.client.publish(subject, content.clone().into()).await.unwrap();
        }
        if round == ROUNDS / 2 {
            // In the midst of it.
            site.platform.put(VICTIM, &manifest(VICTIM, 2, &[file("a", "/etc/a", "2")])).await;
        }
    }
    site.platform.status_where(VICTIM, "converged at 2", converged_at(2)).await;
    for subject in own {
        let headers = HeaderMap::new();
        let stored = attacker.client.request_with_headers(subject, headers, content.clone().into());
        let answer = tokio::time::timeout(PATIENCE, stored).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&answer.payload).contains("\"error\""), "{subject}: {answer:?}");
    }
    assert_eq!(victim.read("/etc/a"), "2");
    let after = without(DEVICE, &site.platform).await;
    let others: Vec<_> = before.iter().filter(|(key, message)| after.get(key) != Some(message)).collect();
    assert!(others.is_empty(), "gone or altered: {others:?}");
    let events = site.platform.events(VICTIM).await;
    assert!(
        events.len() > first_events.len() && events[..first_events.len()] == first_events[..],
        "{events:?}"
    );

    // What it wrote of itself is bounded: the buckets keep so many entries of each, and the stream so many events.
    for (stream, subject, kept) in
        [("KV_actual-state", own[0], 4), ("KV_agent-heartbeat", own[1], 1), ("AGENT_EVENTS", own[2], 1_000)]
    {
        let stream = site.platform.jetstream.get_stream(stream).await.unwrap();
        let mut subjects = stream.info_with_subjects(subject).await.unwrap();
        let mut count = 0;
        while let Some(Ok((_, messages))) = futures_util::StreamExt::next(&mut subjects).await {
            count += messages;
        }
        assert!((1..=kept).contains(&count), "{subject} has {count} entries");
    }
}
