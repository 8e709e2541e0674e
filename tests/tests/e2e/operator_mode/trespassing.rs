//! Attack 1: a device reads, writes or listens to what is not its own.

use std::collections::BTreeMap;

use agent_model::UserKey;
use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tests::{
    document::{file, manifest},
    eventually::{PATIENCE, eventually},
    nats_server::Version,
    operator::Connected,
    site::{Access, DEVICE, Site},
};

use super::{
    VICTIM,
    stored::{STREAMS, fill, without},
};
use crate::status_words::converged_at;

on_each_version!(
    a_device_can_publish_to_nothing_but_its_own,
    a_device_can_listen_to_nothing_but_its_own,
    no_header_reaches_what_the_subject_does_not,
    no_message_id_of_one_device_hides_an_event_of_another,
    a_user_whose_name_is_a_wildcard_would_be_every_device_and_none_is_signed,
);

/// What a device may publish to.
const OWN: [&str; 5] = [
    "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.edge-0001",
    "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.edge-0001",
    "$KV.actual-state.edge-0001",
    "$KV.agent-heartbeat.edge-0001",
    "agent-events.edge-0001",
];

/// A site with something of both devices in each stream, and the attacker's connection.
async fn attacked(version: Version) -> (Site, Connected) {
    let site = Site::start_on(version, Access::Operator).await;
    for agent in [DEVICE, VICTIM] {
        fill(&site.platform, agent, &format!("of {agent}")).await;
    }
    let attacker = site.operator().device(DEVICE).with_inbox("_INBOX_edge-0001");
    let attacker = attacker.connect(&site.server).await.unwrap();
    (site, attacker)
}

/// Asks as the device may, which shows that the server has dealt with all that was sent before.
async fn ask(attacker: &Connected, subject: &str, headers: HeaderMap, content: &str) -> async_nats::Message {
    let answer = attacker.client.request_with_headers(subject.to_owned(), headers, content.to_owned().into());
    tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap()
}

async fn a_device_can_publish_to_nothing_but_its_own(version: Version) {
    let (site, attacker) = attacked(version).await;
    let own = ask(&attacker, OWN[0], HeaderMap::new(), "").await;
    assert_eq!(own.payload, Bytes::from("of edge-0001"), "not even its own can be read");
    let before = without(DEVICE, &site.platform).await;
    assert_eq!(before.len(), STREAMS.len(), "{before:?}");

    let mut others: Vec<String> = STREAMS.iter().map(|(_, subjects)| format!("{subjects}{VICTIM}")).collect();
    others.extend(["$KV.desired-state.edge-0001", "$KV.agents.edge-0001"].map(str::to_owned));
    others.extend([
        format!("desired-state.{VICTIM}"),
        format!("desired-state.{DEVICE}"),
        format!("_INBOX_{VICTIM}.a"),
    ]);
    for (stream, subjects) in STREAMS {
        others.push(format!("$JS.API.DIRECT.GET.{stream}.{subjects}{VICTIM}"));
        others.push(format!("$JS.API.DIRECT.GET.{stream}"));
        for verb in ["INFO", "PURGE", "DELETE", "UPDATE", "CREATE", "MSG.GET", "MSG.DELETE", "SNAPSHOT"] {
            others.push(format!("$JS.API.STREAM.{verb}.{stream}"));
        }
        others.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
        others.push(format!("$JS.API.CONSUMER.CREATE.{stream}.thief.{subjects}{VICTIM}"));
        others.push(format!("$JS.ACK.{stream}.a.1.1.1.1.1"));
        others.push(format!("$JS.FC.{stream}.a.a"));
    }
    others.extend(
        [
            "$JS.API.INFO",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.LIST",
            "$SYS.REQ.SERVER.PING",
            "$SYS.REQ.ACCOUNT.PING.CONNZ",
            "$SYS.REQ.USER.INFO",
            "enroll.edge-0002",
            "anything",
        ]
        .map(str::to_owned),
    );
    for subject in &others {
        let reply = "_INBOX_edge-0001.answer";
        attacker.client.publish_with_reply(subject.clone(), reply, "forged".into()).await.unwrap();
    }
    attacker.was_forbidden(&others).await;
    ask(&attacker, OWN[1], HeaderMap::new(), "").await;
    assert_eq!(without(DEVICE, &site.platform).await, before);
    assert_eq!(attacker.said().iter().filter(|said| said.contains("iolation")).count(), others.len());
}

async fn a_device_can_listen_to_nothing_but_its_own(version: Version) {
    let (site, attacker) = attacked(version).await;
    let mut patterns: Vec<String> =
        STREAMS.iter().map(|(_, subjects)| format!("{subjects}{VICTIM}")).collect();
    patterns.extend(STREAMS.iter().map(|(_, subjects)| format!("{subjects}*")));
    patterns.extend(STREAMS.iter().map(|(_, subjects)| format!("{subjects}{DEVICE}")));
    let all = [
        ">",
        "*",
        "*.*",
        "$KV.>",
        "$JS.>",
        "$SYS.>",
        "desired-state.*",
        "desired-state.edge-0002",
        "_INBOX.>",
        "_INBOX_edge-0002.>",
        "_INBOX_*.>",
        "enroll.*",
        "$JS.EVENT.ADVISORY.>",
    ];
    patterns.extend(all.map(str::to_owned));
    let mut heard = Vec::new();
    for pattern in &patterns {
        heard.push(attacker.client.subscribe(pattern.clone()).await.unwrap());
    }
    let mut own = attacker.client.subscribe(format!("desired-state.{DEVICE}")).await.unwrap();
    attacker.was_forbidden(&patterns).await;

    for agent in [VICTIM, DEVICE] {
        fill(&site.platform, agent, "news").await;
    }
    site.platform.client.publish("desired-state.edge-0002", "hint".into()).await.unwrap();
    // The hint of its own entry shows that what came before would have come.
    tokio::time::timeout(PATIENCE, own.next()).await.unwrap().unwrap();
    for (pattern, heard) in patterns.iter().zip(&mut heard) {
        let message = heard.next().now_or_never().flatten();
        assert!(message.is_none(), "{pattern}: {message:?}");
    }
}

async fn no_header_reaches_what_the_subject_does_not(version: Version) {
    let (site, attacker) = attacked(version).await;
    let before = without(DEVICE, &site.platform).await;
    let mut targets: Vec<String> =
        STREAMS.iter().map(|(_, subjects)| format!("{subjects}{VICTIM}")).collect();
    targets.push("$JS.API.STREAM.PURGE.KV_actual-state".to_owned());
    for own in OWN {
        for target in &targets {
            for (name, value, more) in [
                ("Nats-Trace-Dest", target.as_str(), &[][..]),
                ("Nats-Trace-Dest", target, &[("Nats-Trace-Only", "true")]),
                (
                    "traceparent",
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                    &[("Nats-Trace-Dest", target)],
                ),
                ("Nats-Schedule", "@at 2020-01-01T00:00:00Z", &[("Nats-Schedule-Target", target)]),
                ("Nats-Schedule-Target", target, &[]),
                ("Nats-Subject", target, &[("Nats-Sequence", "1")]),
                ("Nats-Stream-Source", target, &[]),
            ] {
                let mut headers = HeaderMap::new();
                for (name, value) in [(name, value)].iter().chain(more) {
                    headers.insert(*name, *value);
                }
                let reply = "_INBOX_edge-0001.answer";
                let sent =
                    attacker.client.publish_with_reply_and_headers(own, reply, headers, "forged".into());
                sent.await.unwrap();
            }
        }
    }
    // A rollup, a lifetime, a counter, a batch: each would end or alter what is stored of others, or of itself.
    for own in &OWN[2..] {
        for (name, value) in [
            ("Nats-Rollup", "all"),
            ("Nats-Rollup", "sub"),
            ("Nats-TTL", "1s"),
            ("Nats-Incr", "1"),
            ("Nats-Schedule", "@at 2020-01-01T00:00:00Z"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            let answer = ask(&attacker, own, headers, "1").await;
            let answer = String::from_utf8_lossy(&answer.payload).into_owned();
            assert!(answer.contains("\"error\""), "{own} with {name}: {value} was answered {answer}");
        }
        let marker = ask(&attacker, own, HeaderMap::new(), "mine").await;
        assert!(!String::from_utf8_lossy(&marker.payload).contains("\"error\""), "{own}: {marker:?}");
    }
    fill(&site.platform, DEVICE, "after").await;
    assert_eq!(without(DEVICE, &site.platform).await, before);
}

async fn no_message_id_of_one_device_hides_an_event_of_another(version: Version) {
    let (site, attacker) = attacked(version).await;
    for id in 0..100 {
        for text in
            [format!("{id}"), format!("{VICTIM}-{id}"), format!("{VICTIM}.{id}"), format!("{VICTIM}/{id}")]
        {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", text);
            attacker.client.publish_with_headers(OWN[4], headers, "{}".into()).await.unwrap();
        }
    }
    ask(&attacker, OWN[4], HeaderMap::new(), "{}").await;
    site.platform.jetstream.get_stream("AGENT_EVENTS").await.unwrap().purge().await.unwrap();
    let mut victim = site.another_device(VICTIM);
    victim.start();
    for generation in 1..=3 {
        let content = format!("{generation}");
        site.platform.put(VICTIM, &manifest(VICTIM, generation, &[file("a", "/etc/a", &content)])).await;
        site.platform.status_where(VICTIM, "converged", converged_at(generation)).await;
    }
    site.platform
        .events_where(VICTIM, "everything", |events| {
            (1..=3).all(|generation| {
                ["Accepted", "Applied"].iter().all(|kind| {
                    events.iter().any(|event| {
                        event.event_type == *kind && event.generation.map(u64::from) == Some(generation)
                    })
                })
            })
        })
        .await;
}

async fn a_user_whose_name_is_a_wildcard_would_be_every_device_and_none_is_signed(version: Version) {
    let (site, _) = attacked(version).await;
    for name in ["*", ">"] {
        let every_device = site.operator().misnamed(name).with_inbox("_INBOX_any");
        let every_device = every_device.connect(&site.server).await.unwrap();
        let before =
            super::stored::newest(&site.platform, "KV_actual-state", "$KV.actual-state.edge-0002").await;
        every_device.client.publish("$KV.actual-state.edge-0002", "forged".into()).await.unwrap();
        eventually("such a user writes into another's entry", async || {
            match super::stored::newest(&site.platform, "KV_actual-state", "$KV.actual-state.edge-0002").await
            {
                after if after > before => Ok(()),
                _ => Err(format!("{:?}", every_device.said())),
            }
        })
        .await;
    }
    // What is signed takes an agent id, and these are none.
    for name in ["*", ">", "edge-*", "edge.>", "*.edge", ""] {
        let refused = name.parse::<agent_model::AgentId>();
        assert!(refused.is_err(), "{name:?} is an agent id");
    }
    let keys: BTreeMap<&str, Result<UserKey, _>> = ["*", ">"].map(|text| (text, text.parse())).into();
    assert!(keys.values().all(Result::is_err), "a wildcard is a key that can be revoked: {keys:?}");
}
