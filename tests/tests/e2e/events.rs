//! `harmonyctl events`, and the events in `describe`, on a real server. The events are published as a
//! device does it.

use std::time::Duration;

use agent_model::Timestamp;
use async_nats::jetstream;
use serde_json::{Value, json};
use tests::{
    document::file,
    eventually::eventually,
    harmonyctl::{Harmonyctl, Ran, Running},
    nats_server::{NatsServer, Settings},
    platform::provision_all,
    site::{Access, DEVICE, Site},
};

const STREAM: &str = "AGENT_EVENTS";

/// Somebody who works on a site, and the device's own connection to it.
struct Workplace {
    site: Site,
    device: jetstream::Context,
    shell: Harmonyctl,
}

impl Workplace {
    async fn start() -> Self {
        let site = Site::start(Access::Restricted).await;
        let options = async_nats::ConnectOptions::new().custom_inbox_prefix(format!("_INBOX_{DEVICE}"));
        let device = jetstream::new(options.connect(site.server.url()).await.unwrap());
        let shell = Harmonyctl::new(site.server.url_with_credentials());
        Self { site, device, shell }
    }

    /// Publishes an event of the device and returns its place in the stream.
    async fn publish(&self, event: &Value) -> u64 {
        self.publish_bytes(event.to_string()).await
    }

    async fn publish_bytes(&self, bytes: impl Into<Vec<u8>>) -> u64 {
        let subject = format!("agent-events.{DEVICE}");
        let ack = self.device.publish(subject, bytes.into().into()).await.unwrap();
        ack.await.unwrap().sequence
    }

    /// Publishes it once the device is connected again after the server was away.
    async fn publish_again(&self, event: &Value) {
        let publish = async || {
            let ack = self.device.publish(format!("agent-events.{DEVICE}"), event.to_string().into()).await?;
            ack.await
        };
        eventually("the event is stored", async || publish().await.map_err(|error| error.to_string())).await;
    }

    async fn events(&self, arguments: &[&str]) -> Ran {
        self.shell.run(&[&["events", DEVICE], arguments].concat()).await
    }

    async fn assert_no_consumer_is_left(&self) {
        let jetstream = jetstream::new(self.site.server.connect().await);
        let stream = jetstream.get_stream(STREAM).await.unwrap();
        assert_eq!(stream.cached_info().state.consumer_count, 0);
    }
}

/// An event that happened so long ago.
fn event(seq: u64, event_type: &str, ago: Duration) -> Value {
    let time = Timestamp::UNIX_EPOCH.saturating_add(Timestamp::now().since(Timestamp::UNIX_EPOCH) - ago);
    json!({
        "seq": seq,
        "time": time,
        "type": event_type,
        "reason": "Because",
        "message": format!("number {seq}"),
        "resource": {"kind": "File", "name": "motd"},
        "generation": 7,
    })
}

const MINUTE: Duration = Duration::from_secs(60);

/// The numbers of the events in a `List`.
fn numbers_of_list(ran: &Ran) -> Vec<u64> {
    let list: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    assert_eq!(list["kind"], "List");
    list["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

/// The numbers of events that stand on a line each.
fn numbers_of_lines(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn each_event_is_listed_once_in_order_and_what_is_none_is_passed_over_with_a_warning() {
    let workplace = Workplace::start().await;
    let second = event(2, "Drift", 3 * MINUTE);
    workplace.publish(&event(1, "Accepted", 5 * MINUTE)).await;
    workplace.publish(&second).await;
    // As a device does that did not get the acknowledgement.
    workplace.publish(&second).await;
    let malformed = [workplace.publish_bytes("no JSON").await, workplace.publish(&json!({"seq": 3})).await];
    let mut last = event(3, "OfALaterVersion", Duration::ZERO);
    last["message"] = "up\u{1b}[2J".into();
    last["resource"] = Value::Null;
    last["generation"] = Value::Null;
    last["later"] = true.into();
    workplace.publish(&last).await;

    let ran = workplace.events(&[]).await;
    ran.assert_ended(0);
    let lines: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["LAST-SEEN", "TYPE", "REASON", "OBJECT", "GENERATION", "MESSAGE"]);
    assert_eq!(lines[1], ["5m", "Accepted", "Because", "File/motd", "7", "number 1"]);
    assert_eq!(lines[2], ["3m", "Drift", "Because", "File/motd", "7", "number 2"]);
    assert_eq!(lines[3][1..], ["OfALaterVersion", "Because", "-", "-", "up\\u{1b}[2J"]);
    assert_eq!(lines.len(), 4, "{ran:#?}");
    let warnings: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(warnings.len(), 2, "{ran:#?}");
    for (warning, sequence) in warnings.iter().zip(malformed) {
        assert!(
            warning.starts_with(&format!("warning: message {sequence} of the stream {STREAM} ")),
            "{ran:#?}"
        );
    }

    let ran = workplace.events(&["-o", "json"]).await;
    assert_eq!(numbers_of_list(&ran), [1, 2, 3]);
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(list["items"][2], last);
    let wide = workplace.events(&["-o", "wide"]).await.stdout;
    let row: Vec<&str> = wide.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["3m", second["time"].as_str().unwrap(), "2", "Drift"], "{wide}");
    workplace.assert_no_consumer_is_left().await;
}

#[tokio::test]
async fn events_are_chosen_by_age_type_and_number() {
    let workplace = Workplace::start().await;
    for (seq, event_type, minutes) in
        [(1, "Drift", 120), (2, "Failed", 90), (3, "Applied", 50), (4, "Drift", 40), (5, "Failed", 1)]
    {
        workplace.publish(&event(seq, event_type, minutes * MINUTE)).await;
    }
    for (arguments, expected) in [
        (&["--since", "1h"][..], &[3, 4, 5][..]),
        (&["--tail", "2"], &[4, 5]),
        (&["-n", "0"], &[]),
        (&["-n", "99"], &[1, 2, 3, 4, 5]),
        (&["--type", "Drift"], &[1, 4]),
        (&["--type", "drift", "--type", "Applied"], &[1, 3, 4]),
        (&["--since", "1h", "--type", "Drift,Failed", "-n", "1"], &[5]),
        (&["--type", "Gap"], &[]),
    ] {
        let ran = workplace.events(&[arguments, &["-o", "json"]].concat()).await;
        ran.assert_ended(0);
        assert_eq!(numbers_of_list(&ran), expected, "{arguments:?}");
        assert_eq!(ran.stderr.contains("no events"), expected.is_empty(), "{ran:#?}");
    }
    for (arguments, why) in [
        (
            &["--type", "Faild"][..],
            "it has 5, and none of the type Faild; there are Applied, Drift, Failed; did you mean",
        ),
        (&["--since", "1s"], "it has 5, and none of the last 1s; the newest is "),
    ] {
        let ran = workplace.events(arguments).await;
        ran.assert_ended(0);
        assert!(ran.stderr.contains(why), "a false all-clear: {ran:#?}");
    }
}

#[tokio::test]
async fn a_stranger_is_an_error_and_a_device_without_events_is_none() {
    let workplace = Workplace::start().await;
    for arguments in [&[][..], &["--watch"]] {
        let ran = workplace.events(arguments).await;
        ran.assert_ended(1);
        assert!(ran.stderr.contains(&format!("agent/{DEVICE} is not known here")), "{ran:#?}");
    }

    workplace.site.platform.put(DEVICE, &workplace.site.document(1, &[file("a", "/etc/a", "1")])).await;
    for words in [&[DEVICE][..], &["agent", DEVICE], &[&format!("agent/{DEVICE}")]] {
        let ran = workplace.shell.run(&[&["events"], words].concat()).await;
        ran.assert_ended(0);
        assert_eq!((ran.stdout.as_str(), ran.stderr.contains("no events")), ("", true), "{ran:#?}");
    }
    assert_eq!(numbers_of_list(&workplace.events(&["-o", "json"]).await), [0; 0]);
    let described = workplace.shell.run(&["describe", "agent", DEVICE]).await;
    assert!(described.stdout.ends_with("\nEvents:   <none>\n"), "{described:#?}");
    workplace.assert_no_consumer_is_left().await;
}

#[tokio::test]
async fn without_the_stream_it_is_said_what_makes_it() {
    let server = NatsServer::start(Settings::default()).await;
    let ran = Harmonyctl::new(server.url()).run(&["events", DEVICE]).await;
    ran.assert_ended(1);
    assert!(ran.stderr.contains("the stream AGENT_EVENTS does not exist"), "{ran:#?}");
    assert!(ran.stderr.contains("`harmonyctl init`"), "{ran:#?}");
}

/// Waits until a watch has printed these and no others.
async fn until_printed(watch: &Running, expected: &[u64]) {
    eventually(&format!("{expected:?} are printed"), async || {
        let numbers = numbers_of_lines(&watch.stdout());
        (numbers == expected).then_some(()).ok_or(format!("{numbers:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_watch_goes_on_over_a_restart_of_the_server_and_neither_loses_nor_repeats() {
    let mut workplace = Workplace::start().await;
    for seq in 1..=3 {
        workplace.publish(&event(seq, "Drift", MINUTE)).await;
    }
    let watch = workplace.shell.start(&["events", DEVICE, "-w", "-o", "json", "-n", "1"]);
    until_printed(&watch, &[3]).await;
    let fourth = event(4, "Drift", Duration::ZERO);
    workplace.publish(&fourth).await;
    until_printed(&watch, &[3, 4]).await;

    workplace.site.server.kill();
    workplace.site.server.start_again().await;
    workplace.publish_again(&fourth).await;
    workplace.publish_bytes("{").await;
    workplace.publish(&event(5, "Failed", Duration::ZERO)).await;
    until_printed(&watch, &[3, 4, 5]).await;

    let ran = watch.interrupt().await;
    ran.assert_ended(130);
    assert!(ran.stderr.contains("is no event"), "{ran:#?}");
}

#[tokio::test]
async fn a_watch_misses_nothing_when_the_server_comes_back_with_an_older_store() {
    let mut workplace = Workplace::start().await;
    workplace.publish(&event(1, "Drift", MINUTE)).await;
    workplace.site.server.stop().await;
    let backup = workplace.site.server.back_up();
    workplace.site.server.start_again().await;
    for seq in [2, 3] {
        workplace.publish_again(&event(seq, "Drift", MINUTE)).await;
    }
    let watch = workplace.shell.start(&["events", DEVICE, "-w", "-o", "json", "-n", "2"]);
    until_printed(&watch, &[2, 3]).await;

    workplace.site.server.stop().await;
    workplace.site.server.restore(&backup);
    workplace.site.server.start_again().await;
    // It gets a place in the stream that was read already.
    workplace.publish_again(&event(4, "Drift", MINUTE)).await;
    until_printed(&watch, &[2, 3, 4]).await;
    watch.interrupt().await.assert_ended(130);
}

#[tokio::test]
async fn a_watch_that_is_ended_leaves_no_consumer() {
    let workplace = Workplace::start().await;
    workplace.publish(&event(1, "Drift", MINUTE)).await;
    let watch = workplace.shell.start(&["events", DEVICE, "--watch"]);
    eventually("the event is printed", async || {
        let printed = watch.stdout();
        printed.contains("number 1").then_some(()).ok_or(printed)
    })
    .await;
    watch.interrupt().await.assert_ended(130);
    workplace.assert_no_consumer_is_left().await;
}

#[tokio::test]
async fn describe_ends_with_the_last_ten_events() {
    let workplace = Workplace::start().await;
    workplace.site.platform.put(DEVICE, &workplace.site.document(1, &[file("a", "/etc/a", "1")])).await;
    for seq in 1..=12 {
        workplace.publish(&event(seq, "Drift", MINUTE)).await;
    }
    let ran = workplace.shell.run(&["describe", "agent", DEVICE]).await;
    ran.assert_ended(0);
    let (_, events) = ran.stdout.split_once("\nEvents:\n").unwrap_or_else(|| panic!("{ran:#?}"));
    let lines: Vec<&str> = events.lines().collect();
    assert!(lines[0].starts_with("  LAST-SEEN "), "{ran:#?}");
    let messages: Vec<&str> = lines[1..].iter().map(|line| &line[line.find("number").unwrap()..]).collect();
    assert_eq!(messages, (3..=12).map(|seq| format!("number {seq}")).collect::<Vec<_>>());
    workplace.assert_no_consumer_is_left().await;
}

#[tokio::test]
async fn who_may_not_read_events_gets_all_else_of_a_description() {
    let configuration = r#"authorization { users: [
        { user: "platform", password: "platform" }
        { user: "reader", password: "reader", permissions: { publish: { deny: [
            "$JS.API.STREAM.INFO.AGENT_EVENTS", "$JS.API.CONSUMER.CREATE.AGENT_EVENTS.>"
        ] } } }
    ] }"#;
    let credentials = Some(("platform", "platform"));
    let settings = Settings { configuration: configuration.to_owned(), credentials, ..Settings::default() };
    let server = NatsServer::start(settings).await;
    provision_all(&server).await;
    let platform = tests::platform::Platform::connect(&server).await;
    platform.put(DEVICE, &tests::document::Format::AgentManifest.document(DEVICE, 1, &[])).await;

    let url = format!("nats://reader:reader@{}:{}", server.address(), server.port());
    let ran = Harmonyctl::new(url).run(&["describe", "agent", DEVICE]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.starts_with(&format!("Name:        {DEVICE}\n")), "{ran:#?}");
    let last = ran.stdout.lines().last().unwrap();
    assert!(
        last.starts_with(
            "Events:   <unknown>: these credentials do not allow it to use the stream AGENT_EVENTS"
        ),
        "{ran:#?}"
    );
}
