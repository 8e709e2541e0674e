//! The buckets are those of the wire contract, and making them again loses nothing.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::stream::{Config, DiscardPolicy, Republish, StorageType};
use fleet::provisioning::Change;
use tests::{
    document::manifest,
    harmonyctl::Harmonyctl,
    nats_server::{NatsServer, Settings, Version},
    operator::cluster,
    platform::{DESIRED_STATE, Platform, provision_all},
    site::DEVICE,
};

/// What the contract says of a stream; what it is silent about is not here.
#[derive(Debug, PartialEq)]
struct Promise {
    subjects: Vec<String>,
    history: i64,
    max_message: i32,
    max_age: Duration,
    max_bytes: i64,
    storage: StorageType,
    direct_get: bool,
    rollup: bool,
    republish: Option<Republish>,
}

impl Promise {
    fn of(config: &Config) -> Self {
        Self {
            subjects: config.subjects.clone(),
            history: config.max_messages_per_subject,
            max_message: config.max_message_size,
            max_age: config.max_age,
            max_bytes: config.max_bytes,
            storage: config.storage,
            direct_get: config.allow_direct,
            rollup: config.allow_rollup,
            republish: config.republish.clone(),
        }
    }

    fn bucket(name: &str, history: i64, max_message: i32, rollup: bool) -> Self {
        Self {
            subjects: vec![format!("$KV.{name}.>")],
            history,
            max_message,
            max_age: Duration::ZERO,
            max_bytes: -1,
            storage: StorageType::File,
            direct_get: true,
            rollup,
            republish: None,
        }
    }
}

#[tokio::test]
async fn buckets_are_as_the_wire_contract_has_them_and_made_once() {
    let server = NatsServer::start(Settings::default()).await;
    let made: BTreeMap<&str, Change> =
        provision_all(&server).await.iter().map(|it| (it.name, it.change)).collect();
    let names = [
        "AGENT_EVENTS",
        "ENROLL_ANSWERS",
        "ENROLL_REQUESTS",
        "actual-state",
        "agent-heartbeat",
        "agents",
        "desired-state",
    ];
    assert_eq!(made, names.map(|name| (name, Change::Created)).into());

    let hints = Republish {
        source: "$KV.desired-state.>".to_owned(),
        destination: "desired-state.>".to_owned(),
        headers_only: true,
    };
    let promises = [
        (
            "KV_desired-state",
            Promise { republish: Some(hints), ..Promise::bucket("desired-state", 16, 640 << 10, true) },
        ),
        ("KV_actual-state", Promise::bucket("actual-state", 4, 256 << 10, false)),
        ("KV_agent-heartbeat", Promise::bucket("agent-heartbeat", 1, 1 << 10, false)),
        (
            "AGENT_EVENTS",
            Promise {
                subjects: vec!["agent-events.*".to_owned()],
                max_age: Duration::from_secs(30 * 24 * 3600),
                max_bytes: 10 << 30,
                ..Promise::bucket("", 1000, 8 << 10, false)
            },
        ),
        (
            "ENROLL_REQUESTS",
            Promise {
                subjects: vec!["enroll.*".to_owned()],
                max_age: Duration::from_secs(7 * 24 * 3600),
                max_bytes: 64 << 20,
                ..Promise::bucket("", 4, 5 << 10, false)
            },
        ),
        (
            "ENROLL_ANSWERS",
            Promise {
                subjects: vec!["enroll-answers.*".to_owned()],
                max_age: Duration::from_secs(90 * 24 * 3600),
                max_bytes: 256 << 20,
                republish: Some(Republish {
                    source: "enroll-answers.>".to_owned(),
                    destination: "enroll-hints.>".to_owned(),
                    headers_only: true,
                }),
                ..Promise::bucket("", 1, 17 << 10, false)
            },
        ),
    ];
    let platform = Platform::connect(&server).await;
    for (stream, promise) in promises {
        let stream = platform.jetstream.get_stream(stream).await.unwrap();
        assert_eq!(Promise::of(&stream.cached_info().config), promise);
    }
    let registry = platform.jetstream.get_stream("KV_agents").await.unwrap();
    assert_eq!(registry.cached_info().config.max_messages_per_subject, 4);

    let again = provision_all(&server).await;
    assert!(again.iter().all(|it| it.change == Change::Unchanged), "{again:?}");
}

#[tokio::test]
async fn an_older_bucket_is_brought_up_to_date_without_losing_an_entry() {
    let server = NatsServer::start(Settings::default()).await;
    let platform = Platform::connect(&server).await;
    let older = Config {
        name: format!("KV_{DESIRED_STATE}"),
        subjects: vec![format!("$KV.{DESIRED_STATE}.>")],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        deny_delete: true,
        ..Config::default()
    };
    platform.jetstream.create_stream(older).await.unwrap();
    let document = manifest(DEVICE, 1, &[]);
    let revision = platform.put(DEVICE, &document).await;

    let made = provision_all(&server).await;
    let change = made.iter().find(|it| it.name == DESIRED_STATE).map(|it| it.change);
    assert_eq!(change, Some(Change::Updated));
    let entry = platform.entry(DESIRED_STATE, DEVICE).await.unwrap().unwrap();
    assert_eq!((entry.revision, entry.value), (revision, document.to_string().into_bytes()));
}

on_each_version!(
    a_server_without_room_for_the_usual_event_stream_gets_a_smaller_one_and_that_is_said,
    a_cluster_without_room_for_the_usual_event_stream_gets_a_smaller_one_and_that_is_said,
);

/// What `init` does where streams may take up 4 GB.
async fn makes_do_with_4_gb(server: &NatsServer, copies: &str) {
    let shell = Harmonyctl::new(server.url());
    let init = ["init", "--replicas", copies];
    let refused = shell.run(&[&init[..], &["--events-max-bytes", "10Gi"]].concat()).await;
    assert_eq!(refused.code, Some(1), "what was asked for is not to be had: {refused:?}");
    for part in ["no room for AGENT_EVENTS", "insufficient storage", "--events-max-bytes"] {
        assert!(refused.stderr.contains(part), "{part:?} is missing: {refused:?}");
    }
    let made = shell.run(&init).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("AGENT_EVENTS created"), "{made:?}");
    for part in ["warning: ", "10Gi", "2560Mi", "--events-max-bytes"] {
        assert!(made.stderr.contains(part), "{part:?} is missing: {made:?}");
    }
    let bound = async || {
        let platform = Platform::connect(server).await;
        platform.jetstream.get_stream("AGENT_EVENTS").await.unwrap().cached_info().config.max_bytes
    };
    assert_eq!(bound().await, 2560 << 20);

    let again = shell.run(&init).await;
    assert!(again.stdout.lines().all(|line| line.ends_with(" unchanged")), "{again:?}");
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    let chosen = shell.run(&["init", "--events-max-bytes", "3Gi"]).await;
    assert_eq!((chosen.code, bound().await), (Some(0), 3 << 30), "{chosen:?}");
}

async fn a_server_without_room_for_the_usual_event_stream_gets_a_smaller_one_and_that_is_said(
    version: Version,
) {
    let settings = Settings { version, max_file: Some("4GB"), ..Settings::default() };
    makes_do_with_4_gb(&NatsServer::start(settings).await, "1").await;
}

async fn a_cluster_without_room_for_the_usual_event_stream_gets_a_smaller_one_and_that_is_said(
    version: Version,
) {
    let settings = Settings { version, max_file: Some("4GB"), ..Settings::default() };
    let servers = cluster([(); 3].map(|()| settings.clone())).await;
    makes_do_with_4_gb(&servers[0], "3").await;
}

#[tokio::test]
async fn the_event_stream_never_gets_smaller_than_what_it_holds() {
    let server = NatsServer::start(Settings::default()).await;
    provision_all(&server).await;
    let platform = Platform::connect(&server).await;
    for _ in 0..300 {
        let event = vec![b'x'; 4 << 10].into();
        platform.jetstream.publish(format!("agent-events.{DEVICE}"), event).await.unwrap().await.unwrap();
    }
    // Something that init would bring up to date, to see whether it does.
    let stream = async |name: &str| platform.jetstream.get_stream(name).await.unwrap().cached_info().clone();
    let outdated = Config { description: None, ..stream("KV_agents").await.config };
    platform.jetstream.update_stream(&outdated).await.unwrap();
    let before = stream("AGENT_EVENTS").await;
    let held = before.state.bytes;
    assert!(held > 1 << 20, "{held}");

    let shell = Harmonyctl::new(server.url());
    let tiny = shell.run(&["init", "--events-max-bytes", "10"]).await;
    assert_eq!(tiny.code, Some(2), "{tiny:?}");
    for part in ["--events-max-bytes", "10 bytes", "1Mi"] {
        assert!(tiny.stderr.contains(part), "{part:?} is missing: {tiny:?}");
    }
    let small = shell.run(&["init", "--events-max-bytes", "1Mi"]).await;
    assert_eq!((small.code, small.stdout.as_str()), (Some(1), ""), "{small:?}");
    for part in [&format!("AGENT_EVENTS holds {held} bytes"), "oldest events would go", "2Mi or more"] {
        assert!(small.stderr.contains(part), "{part:?} is missing: {small:?}");
    }
    let after = stream("AGENT_EVENTS").await;
    assert_eq!((after.config, after.state.messages), (before.config, 300));
    assert_eq!(stream("KV_agents").await.config.description, None, "something was changed all the same");

    let enough = shell.run(&["init", "--events-max-bytes", "2Mi"]).await;
    assert_eq!(enough.code, Some(0), "{enough:?}");
    let after = stream("AGENT_EVENTS").await;
    assert_eq!((after.config.max_bytes, after.state.messages), (2 << 20, 300));
    assert!(stream("KV_agents").await.config.description.is_some());
}
