//! One device writes what the client library breaks on, and the platform works on with all of them.

use agent_model::Timestamp;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tests::{
    document::{authored, file},
    eventually::eventually,
    harmonyctl::{Harmonyctl, Ran},
    nats_server::Version,
    raw_client::RawClient,
    site::{Access, DEVICE, Site},
};

use crate::enrollment::newcomer::request;

/// The device that does it.
const HOSTILE: &str = "edge-0066";

/// A line that is no header: clients lose their connection over it.
const NO_HEADER: &[u8] = b"NATS/1.0\r\nfoo\r\n\r\n";
/// As the server's own messages have: clients pass that over, miss it, and ask for it again without end. The server takes
/// it out of what is published, but for lines that end like these.
const STATUS: &[u8] = b"NATS/1.0 100\n\n";

#[track_caller]
fn assert_done(ran: &Ran) {
    ran.assert_ended(0);
}

fn items(ran: &Ran) -> Vec<Value> {
    let list: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    list["items"].as_array().unwrap().clone()
}

fn event(seq: u64) -> Vec<u8> {
    let event = json!({
        "seq": seq, "time": Timestamp::now(), "type": "Drift", "reason": "Because", "message": "so", "resource": null,
        "generation": null,
    });
    event.to_string().into_bytes()
}

/// Status, heartbeat and event of the hostile device, with these headers.
async fn poison(site: &Site, headers: &[u8]) {
    let mut hostile = RawClient::connect(&site.server).await;
    let status = site.platform.status_where(DEVICE, "anything", |_| true).await;
    let status = serde_json::to_vec(&status).unwrap();
    hostile.publish(format!("$KV.actual-state.{HOSTILE}").as_bytes(), headers, &status).await;
    hostile.publish(format!("$KV.agent-heartbeat.{HOSTILE}").as_bytes(), headers, b"{}").await;
    let events = format!("agent-events.{HOSTILE}");
    hostile.publish(events.as_bytes(), headers, &event(1)).await;
    hostile.publish(events.as_bytes(), b"NATS/1.0\r\na: b\r\n\r\n", &event(2)).await;
}

async fn reads_and_writes_on(version: Version, headers: &[u8]) {
    let site = Site::start_on(version, Access::Open).await;
    let mut device = site.device();
    device.start();
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url());
    let document = |content| authored(DEVICE, &[file("a", "/etc/a", content)]);
    assert_done(&shell.apply(&[document("1")]).await);
    poison(&site, headers).await;

    let listed = shell.run(&["get", "agents", "-o", "name"]).await;
    assert_done(&listed);
    let ids: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(ids, [DEVICE, HOSTILE].map(|id| format!("agent/{id}")), "{listed:#?}");
    for bucket in ["actual-state", "agent-heartbeat"] {
        let whose = format!("agent/{HOSTILE}: what it wrote to {bucket} has");
        assert_eq!(listed.stderr.matches(&whose).count(), 1, "{listed:#?}");
    }
    for id in [DEVICE, HOSTILE] {
        assert_done(&shell.run(&["get", "agent", id]).await);
        assert_done(&shell.run(&["describe", "agent", id]).await);
    }
    let events = shell.run(&["events", HOSTILE, "-o", "json"]).await;
    assert_done(&events);
    let numbers: Vec<u64> = items(&events).iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2], "{events:#?}");
    let whose = format!("agent/{HOSTILE}: what it wrote to AGENT_EVENTS has");
    assert_eq!(events.stderr.matches(&whose).count(), 1, "{events:#?}");
    assert_done(&shell.run(&["events", DEVICE]).await);

    let applied = shell.apply(&[document("2")]).await;
    assert_done(&applied);
    assert_eq!(device.read("/etc/a"), "2");
    assert_done(&shell.run(&["wait", "agent", DEVICE, "--for", "converged"]).await);
}

#[tokio::test]
async fn headers_that_are_none_of_one_device_keep_the_platform_from_nothing() {
    reads_and_writes_on(Version::Pinned, NO_HEADER).await;
}

#[tokio::test]
async fn headers_of_the_servers_own_messages_from_one_device_keep_the_platform_from_nothing() {
    reads_and_writes_on(Version::Pinned, STATUS).await;
}

mod oldest_server {
    use super::*;

    #[tokio::test]
    async fn headers_that_are_none_of_one_device_keep_the_platform_from_nothing() {
        reads_and_writes_on(Version::Oldest, NO_HEADER).await;
    }
}

#[tokio::test]
async fn who_follows_already_goes_on_behind_headers_that_are_none() {
    for headers in [NO_HEADER, STATUS] {
        let site = Site::start(Access::Open).await;
        let shell = Harmonyctl::new(site.server.url());
        let mut hostile = RawClient::connect(&site.server).await;
        let subject = format!("agent-events.{HOSTILE}");
        hostile.publish(subject.as_bytes(), b"NATS/1.0\r\n\r\n", &event(1)).await;
        let following = shell.start(&["events", HOSTILE, "--watch", "-o", "json"]);
        let has_come = async |seq: usize| {
            eventually("the events have come", async || match following.stdout().lines().count() {
                count if count == seq => Ok(()),
                count => Err(format!("there are {count}")),
            })
            .await;
        };
        has_come(1).await;
        hostile.publish(subject.as_bytes(), headers, &event(2)).await;
        hostile.publish(subject.as_bytes(), b"NATS/1.0\r\n\r\n", &event(3)).await;
        has_come(3).await;
        hostile.publish(subject.as_bytes(), b"NATS/1.0\r\n\r\n", &event(4)).await;
        has_come(4).await;
    }
}

#[tokio::test]
async fn who_watches_all_already_goes_on_behind_headers_that_are_none_of_one_device() {
    for headers in [NO_HEADER, STATUS] {
        let site = Site::start(Access::Open).await;
        let mut device = site.device();
        device.start();
        site.device_was_seen().await;
        let shell = Harmonyctl::new(site.server.url());
        let watching = shell.start(&["get", "agents", "--watch"]);
        let has_come = async |word: &str| {
            eventually("the change has come", async || match watching.stdout() {
                printed if printed.contains(word) => Ok(()),
                printed => Err(printed),
            })
            .await;
        };
        has_come(DEVICE).await;
        poison(&site, headers).await;
        site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
        has_come("Converged").await;
        has_come(HOSTILE).await;
    }
}

#[tokio::test]
async fn requests_with_headers_that_are_none_hide_nobody_who_asks() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url());
    let key = KeyPair::new_user();
    let mut hostile = RawClient::connect(&site.server).await;
    let (subject, message) = request(HOSTILE, HOSTILE, &key, &key);
    hostile.publish(subject.as_bytes(), NO_HEADER, message.as_bytes()).await;
    hostile.publish(b"enroll.\xff\xfe", STATUS, b"x").await;
    let (subject, message) = request(DEVICE, DEVICE, &key, &key);
    hostile.publish(subject.as_bytes(), b"NATS/1.0\r\n\r\n", message.as_bytes()).await;

    let listed = shell.run(&["agents", "list", "-o", "json"]).await;
    assert_done(&listed);
    let ids: Vec<Value> = items(&listed).iter().map(|item| item["agent"].clone()).collect();
    assert_eq!(ids, [DEVICE, HOSTILE], "{listed:#?}");
    assert_eq!(
        listed.stderr.matches("somebody with bootstrap credentials left them").count(),
        1,
        "{listed:#?}"
    );
}
