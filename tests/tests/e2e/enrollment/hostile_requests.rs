//! What anybody can do who has bootstrap credentials, and that it costs little.

use std::collections::BTreeSet;

use async_nats::jetstream::stream::Config;
use fleet::{Endpoint, Fleet, enrollment::Follower};
use nkeys::KeyPair;
use serde_json::Value;
use tests::{
    eventually::{PATIENCE, eventually},
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{
    decider,
    newcomer::{Newcomer, request},
};

#[tokio::test]
async fn what_is_no_request_is_counted_and_shown_nowhere_else() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let attacker = site.operator().newcomer().connect(&site.server).await.unwrap();
    let [own, other] = [KeyPair::new_user(), KeyPair::new_user()];
    let hostile = [
        // A subject that would be every device's.
        request("*", "*", &own, &own),
        request("edge-0007", "*", &own, &own),
        // For another id than that of the subject; with another's key.
        request("edge-0007", DEVICE, &own, &own),
        request("edge-0007", "edge-0007", &other, &own),
        ("enroll.edge-0007".to_owned(), "let me in".to_owned()),
        ("enroll.edge-0007".to_owned(), "[".repeat(3000)),
    ];
    let count = hostile.len();
    for (subject, message) in hostile {
        let answer = attacker.client.request(subject, message.into()).await.unwrap();
        assert!(String::from_utf8_lossy(&answer.payload).contains("\"seq\""), "{answer:?}");
    }
    let answer = attacker.client.request("enroll.edge-0007", "x".repeat(8 << 10).into()).await.unwrap();
    let refused = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(refused.contains("10054"), "it was stored though too large: {refused}");

    let decider = decider(&site);
    let listed = decider.run(&["agents", "list", "-o", "json"]).await;
    let document: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(document["items"], Value::Array(Vec::new()), "{listed:?}");
    // Four at most of one id stay.
    assert!(listed.stderr.contains(&format!("{} messages are no requests", count - 1)), "{listed:?}");
    let all = decider.run(&["agents", "approve", "--all"]).await;
    assert_eq!((all.code, all.stdout.as_str()), (Some(0), ""), "{all:?}");
}

#[tokio::test]
async fn whoever_asks_in_the_name_of_a_device_is_shown_beside_it_and_told_apart_by_key() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let newcomer = Newcomer::at(&site, DEVICE);
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;
    let attacker = site.operator().newcomer().connect(&site.server).await.unwrap();
    let theirs = KeyPair::new_user();
    let (subject, message) = request(DEVICE, DEVICE, &theirs, &theirs);
    attacker.client.request(subject, message.into()).await.unwrap();

    let decider = decider(&site);
    let listed = decider.run(&["agents", "list", "-o", "wide"]).await.stdout;
    assert_eq!(listed.matches("SEVERAL KEYS ASK").count(), 2, "{listed}");
    for (command, code) in [(&["agents", "approve", DEVICE][..], 2), (&["agents", "approve", "--all"], 1)] {
        let refused = decider.run(command).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(code), ""), "{refused:?}");
        assert!(
            refused.stderr.contains(&key) && refused.stderr.contains(&theirs.public_key()),
            "{refused:?}"
        );
    }
    let approved = decider.run(&["agents", "approve", DEVICE, "--key", &key[..16]]).await;
    assert_eq!(approved.code, Some(0), "{approved:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key);
    let listed = decider.run(&["agents", "list"]).await.stdout;
    assert!(listed.contains("THE ID HAS ANOTHER KEY"), "{listed}");
}

#[tokio::test]
async fn whoever_pushes_the_request_of_a_device_out_is_not_approved_in_its_place() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let attacker = site.operator().newcomer().connect(&site.server).await.unwrap();
    let asks = async |id: &str, key: &KeyPair| {
        let (subject, message) = request(id, id, key, key);
        attacker.client.request(subject, message.into()).await.unwrap();
    };
    let [device, theirs] = [KeyPair::new_user(), KeyPair::new_user()];
    asks(DEVICE, &device).await;
    let shown = decider.run(&["agents", "approve", "--all"]).await;
    assert_eq!(shown.code, Some(2), "{shown:?}");
    let digest = shown.stderr.split("--yes ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    for _ in 0..4 {
        asks(DEVICE, &theirs).await;
    }
    let all = decider.run(&["agents", "approve", "--all", "--yes", &digest]).await;
    assert_eq!((all.code, all.stdout.as_str()), (Some(5), ""), "{all:?}");
    for decision in ["approve", "replace", "deny"] {
        let key = device.public_key();
        let refused = decider.run(&["agents", decision, DEVICE, "--key", &key]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let refused = decider.run(&["agents", decision, DEVICE]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
        let to_type = format!("harmonyctl agents {decision} {DEVICE} --key {}", theirs.public_key());
        assert!(refused.stderr.contains(&to_type), "{refused:?}");
    }
    assert!(site.platform.entry("agents", DEVICE).await.unwrap().is_none());
    let denied = decider.run(&["agents", "deny", &format!("{DEVICE}={}", theirs.public_key())]).await;
    assert_eq!(denied.code, Some(0), "{denied:?}");

    // One key is one device.
    asks("edge-0002", &device).await;
    let both = [DEVICE, "edge-0002"].map(|id| format!("{id}={}", device.public_key()));
    asks(DEVICE, &device).await;
    let left = decider.run(&["agents", "approve", "--all"]).await;
    assert_eq!((left.code, left.stdout.as_str()), (Some(1), ""), "{left:?}");
    let approved = decider.run(&["agents", "approve", &both[0], &both[1]]).await;
    assert_eq!((approved.code, approved.stdout.lines().count()), (Some(1), 1), "{approved:?}");
    assert!(approved.stderr.contains(&format!("is that of agent/{DEVICE}")), "{approved:?}");
}

#[tokio::test]
async fn thousands_of_requests_are_bounded_and_others_are_approved_all_the_same() {
    const ROOM: i64 = 1000;
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let stream = site.platform.jetstream.get_stream("ENROLL_REQUESTS").await.unwrap();
    let made = stream.cached_info().config.clone();
    assert!(made.max_messages > 0 && made.max_bytes > 0 && !made.max_age.is_zero(), "{made:?}");
    assert_eq!(made.max_messages_per_subject, 4);
    let small = Config { max_messages: ROOM, ..made };
    site.platform.jetstream.update_stream(small).await.unwrap();

    // Made beforehand, so that the device does not pause for long meanwhile. Every third is in its name, so that its
    // request is pushed out in both ways.
    let keys = [(); 8].map(|()| KeyPair::new_user());
    let flood: Vec<_> = (0..3000)
        .map(|i| {
            let id = if i % 3 == 0 { DEVICE.to_owned() } else { format!("flood-{i}") };
            request(&id, &id, &keys[i % 8], &keys[i % 8])
        })
        .collect();
    let newcomer = Newcomer::at(&site, DEVICE);
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;
    let attacker = site.operator().newcomer().connect(&site.server).await.unwrap();
    for (subject, message) in flood {
        attacker.client.publish(subject, message.into()).await.unwrap();
    }
    attacker.client.flush().await.unwrap();
    let mut stream = site.platform.jetstream.get_stream("ENROLL_REQUESTS").await.unwrap();
    let messages = stream.info().await.unwrap().state.messages;
    assert!(messages <= u64::try_from(ROOM).unwrap(), "{messages} messages");

    let decider = decider(&site);
    eventually("the device has asked again and is approved", async || {
        let approved = decider.run(&["agents", "approve", DEVICE, "--key", &key]).await;
        if approved.code == Some(0) { Ok(()) } else { Err(format!("{approved:?}")) }
    })
    .await;
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key);
}

/// More come at once than are taken together: the rest is there for the next time.
#[tokio::test]
async fn of_a_crowd_that_comes_at_once_whoever_follows_passes_nobody_over() {
    const CROWD: usize = 1500;
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let endpoint = Endpoint { access: site.server.access(), timeout: PATIENCE };
    let fleet = Fleet::connect(&endpoint).await.unwrap();
    let mut follower = Follower::start(&fleet).await.unwrap();
    assert_eq!(follower.present().iter().count(), 0);
    let key = KeyPair::new_user();
    let mut stored = Vec::new();
    for i in 0..CROWD {
        let id = format!("crowd-{i}");
        let (subject, message) = request(&id, &id, &key, &key);
        stored.push(site.platform.jetstream.publish(subject, message.into()).await.unwrap());
    }
    for stored in stored {
        stored.await.unwrap();
    }
    let mut seen = BTreeSet::new();
    let all = async {
        while seen.len() < CROWD {
            let come = follower.next(&fleet).await.unwrap();
            seen.extend(come.iter().map(|asking| asking.agent.clone()));
        }
    };
    let came = tokio::time::timeout(PATIENCE, all).await;
    assert!(came.is_ok(), "{} of {CROWD} are there", seen.len());
}
