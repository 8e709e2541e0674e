//! The harness does what the other tests rely on.

use std::{fs, path::Path, time::Duration};

use futures_util::StreamExt as _;
use serde_json::json;
use tests::{
    document::manifest,
    eventually::{PATIENCE, eventually},
    nats_cluster::NatsCluster,
    nats_server::{NatsServer, Settings},
    platform::{DESIRED_STATE, Platform, provision_all},
    proxy::{Fate, Flow, Messages, Proxy},
    site::{Access, DEVICE, Site},
    systemd_container::SystemdContainer,
};

async fn stored(platform: &Platform) -> Vec<u8> {
    eventually("the entry is there", async || {
        platform.entry(DESIRED_STATE, DEVICE).await?.ok_or("not yet".to_owned())
    })
    .await
    .value
}

#[tokio::test]
async fn a_server_keeps_its_port_and_its_data_over_a_stop_and_a_kill() {
    let mut server = NatsServer::start(Settings { sync_always: true, ..Settings::default() }).await;
    provision_all(&server).await;
    let platform = Platform::connect(&server).await;
    let document = manifest(DEVICE, 1, &[]);
    platform.put(DEVICE, &document).await;
    let port = server.port();

    server.stop().await;
    server.start_again().await;
    assert_eq!(server.port(), port);
    assert_eq!(stored(&platform).await, document.to_string().into_bytes());

    server.kill();
    server.start_again().await;
    assert_eq!(server.port(), port);
    assert_eq!(stored(&platform).await, document.to_string().into_bytes());

    server.stop().await;
    server.empty_store();
    server.start_again().await;
    let answer = eventually("the server knows no bucket", async || {
        match platform.entry(DESIRED_STATE, DEVICE).await {
            Ok(entry) => Err(format!("{entry:?}")),
            Err(error) => Ok(error),
        }
    })
    .await;
    assert!(!answer.is_empty());
}

#[tokio::test]
async fn a_cut_cable_closes_connections_and_a_plugged_one_takes_them_again() {
    let server = NatsServer::start(Settings::default()).await;
    let proxy = Proxy::start(server.port()).await;
    let direct = server.connect().await;
    let client = async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(20))
        .connect(proxy.url())
        .await
        .unwrap();
    assert_eq!(client.server_info().server_name, direct.server_info().server_name);

    proxy.cut();
    eventually("the client knows that it is cut off", async || match client.connection_state() {
        async_nats::connection::State::Disconnected => Ok(()),
        state => Err(format!("{state}")),
    })
    .await;
    let refused = async_nats::connect(proxy.url()).await;
    assert!(refused.is_err(), "a cut cable took a connection");

    proxy.plug();
    eventually("the client is back", async || match client.connection_state() {
        async_nats::connection::State::Connected => Ok(()),
        state => Err(format!("{state}")),
    })
    .await;
}

/// Waits until the server knows of all that this client subscribed to: it answers in order.
async fn subscribed(client: &async_nats::Client) {
    let answer = client.request("nobody-listens-here", "".into()).await;
    assert!(answer.is_err(), "somebody answered: {answer:?}");
}

async fn next(subscriber: &mut async_nats::Subscriber) -> String {
    let message = tokio::time::timeout(PATIENCE, subscriber.next()).await.expect("a message came");
    String::from_utf8(message.unwrap().payload.to_vec()).unwrap()
}

#[tokio::test]
async fn a_held_direction_delivers_nothing_until_it_is_let_go_and_the_other_one_passes() {
    let server = NatsServer::start(Settings::default()).await;
    let proxy = Proxy::start(server.port()).await;
    let (far, near) = (async_nats::connect(proxy.url()).await.unwrap(), server.connect().await);
    let mut at_far = far.subscribe("to-far").await.unwrap();
    let mut at_near = near.subscribe("to-near").await.unwrap();
    subscribed(&far).await;
    subscribed(&near).await;

    proxy.set(Flow::Pass, Flow::Hold);
    near.publish("to-far", "held".into()).await.unwrap();
    near.flush().await.unwrap();
    far.publish("to-near", "passes".into()).await.unwrap();
    assert_eq!(next(&mut at_near).await, "passes");
    let early = tokio::time::timeout(Duration::from_millis(200), at_far.next()).await;
    assert!(early.is_err(), "a held direction delivered {early:?}");

    proxy.set(Flow::Delay(Duration::from_millis(1)), Flow::Delay(Duration::from_millis(1)));
    assert_eq!(next(&mut at_far).await, "held");
}

#[tokio::test]
async fn single_messages_are_lost_doubled_delayed_and_kept_and_the_others_pass() {
    let server = NatsServer::start(Settings::default()).await;
    let proxy = Proxy::start(server.port()).await;
    let (far, near) = (async_nats::connect(proxy.url()).await.unwrap(), server.connect().await);
    let mut at_far = far.subscribe("far.>").await.unwrap();
    let mut at_near = near.subscribe("near.>").await.unwrap();
    subscribed(&far).await;
    subscribed(&near).await;
    let fates = [
        proxy.intercept(Messages::Published("near.lost".to_owned()), Fate::Lose),
        proxy.intercept_next(1, Messages::Published("near.doubled".to_owned()), Fate::Double),
        proxy.intercept(Messages::Delivered("far.late".to_owned()), Fate::Delay(Duration::from_millis(50))),
    ];
    for subject in ["near.lost", "near.doubled", "near.doubled", "near.passes"] {
        far.publish(subject, subject.into()).await.unwrap();
    }
    for expected in ["near.doubled", "near.doubled", "near.doubled", "near.passes"] {
        assert_eq!(next(&mut at_near).await, expected);
    }
    let kept = proxy.intercept(Messages::Delivered("far.kept".to_owned()), Fate::Keep);
    for subject in ["far.kept", "far.late", "far.passes"] {
        near.publish(subject, subject.into()).await.unwrap();
    }
    assert_eq!(next(&mut at_far).await, "far.passes");
    assert_eq!(next(&mut at_far).await, "far.late");
    kept.let_go().await;
    assert_eq!(next(&mut at_far).await, "far.kept");
    assert_eq!(fates.map(|fate| fate.met()), [1, 2, 1]);

    // An answer is known by what it answers, whichever inbox it goes to.
    let mut requests = near.subscribe("asked").await.unwrap();
    subscribed(&near).await;
    let mut answers = proxy.intercept_next(1, Messages::AnswersTo("asked".to_owned()), Fate::Lose);
    let answering = async {
        for _ in 0..2 {
            let request = requests.next().await.unwrap();
            near.publish(request.reply.unwrap(), "answer".into()).await.unwrap();
        }
    };
    let asking = async {
        let request = async_nats::Request::new().timeout(Some(Duration::from_millis(200)));
        assert!(far.send_request("asked", request).await.is_err(), "the answer was not lost");
        assert_eq!(far.request("asked", "".into()).await.unwrap().payload, "answer");
    };
    tokio::join!(answering, asking);
    answers.meets(2).await;
}

#[tokio::test]
async fn a_delay_is_a_length_of_the_way_and_not_a_pause_between_messages() {
    const MESSAGES: usize = 100;
    const WAY: Duration = Duration::from_secs(1);
    let server = NatsServer::start(Settings::default()).await;
    let proxy = Proxy::start(server.port()).await;
    let (far, near) = (async_nats::connect(proxy.url()).await.unwrap(), server.connect().await);
    let mut at_far = far.subscribe("to-far").await.unwrap();
    subscribed(&far).await;
    proxy.set(Flow::Pass, Flow::Delay(WAY));
    let start = tokio::time::Instant::now();
    let sending = async {
        for number in 0..MESSAGES {
            near.publish("to-far", number.to_string().into()).await.unwrap();
            // One by one, so that they are no single read of the proxy.
            near.flush().await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..MESSAGES {
            assert_eq!(next(&mut at_far).await, number.to_string());
        }
    };
    // Were the way a pause, they would take 100 s, for which nobody here waits.
    tokio::time::timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.expect("all arrive");
    assert!(start.elapsed() >= WAY, "they took no time at all");
}

#[tokio::test]
async fn a_cluster_outlives_its_leader() {
    let mut cluster = NatsCluster::start().await;
    let jetstream = async_nats::jetstream::new(cluster.connect().await);
    let config = async_nats::jetstream::stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s".to_owned()],
        num_replicas: 3,
        ..Default::default()
    };
    eventually("the stream is made", async || {
        jetstream.get_or_create_stream(config.clone()).await.map_err(|error| error.to_string())
    })
    .await;
    jetstream.publish("s", "one".into()).await.unwrap().await.unwrap();

    let place = cluster.kill_leader_of("S").await;
    let sequence = eventually("another leader takes a write", async || {
        let ack = jetstream.publish("s", "two".into()).await.map_err(|error| error.to_string())?;
        Ok(ack.await.map_err(|error| error.to_string())?.sequence)
    })
    .await;
    assert!(sequence >= 2, "the first write was lost: {sequence}");
    cluster.servers[place].start_again().await;
}

#[tokio::test]
async fn a_restricted_device_is_refused_what_is_not_on_the_list_and_the_log_says_so() {
    let site = Site::start(Access::Restricted).await;
    let device = async_nats::ConnectOptions::new()
        .custom_inbox_prefix(format!("_INBOX_{DEVICE}"))
        .request_timeout(Some(Duration::from_millis(500)))
        .connect(site.server.url())
        .await
        .unwrap();
    let document = manifest(DEVICE, 1, &[]);
    site.platform.put(DEVICE, &document).await;
    site.platform.put("edge-0002", &json!({"not": "yours"})).await;
    let direct_get = |id| format!("$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.{id}");

    let own = device.request(direct_get(DEVICE), "".into()).await.unwrap();
    assert_eq!(own.payload, document.to_string());
    site.assert_nothing_was_forbidden();

    let foreign = device.request(direct_get("edge-0002"), "".into()).await;
    assert!(foreign.is_err(), "a device read another's entry: {foreign:?}");
    let violation =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| site.assert_nothing_was_forbidden()));
    assert!(violation.is_err(), "the violation went unnoticed: {}", site.server.log());
}

#[tokio::test]
async fn a_booted_device_keeps_its_disk_over_a_reboot_has_another_boot_id_and_leaves_nothing_behind() {
    let mut device = SystemdContainer::boot().await;
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let first = device.shell(boot_id).await;
    assert_eq!(device.shell(boot_id).await, first);
    device.shell("echo kept >/etc/kept; echo lost >/run/lost").await;
    device.reboot().await;
    assert_ne!(device.shell(boot_id).await, first);
    assert_eq!(fs::read_to_string(device.path("/etc/kept")).unwrap(), "kept\n");
    assert!(!device.path("/run/lost").exists());
    assert!(!Path::new("/etc/kept").exists(), "it is the machine's own");

    let folder = device.folder().to_owned();
    drop(device);
    assert!(!folder.exists());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    let name = folder.file_name().unwrap();
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let hierarchy = hierarchy.unwrap().path();
        for cgroup in [hierarchy.with_file_name(name), hierarchy.join(name)] {
            assert!(!cgroup.exists(), "{}", cgroup.display());
        }
    }
    let other = SystemdContainer::boot().await;
    assert!(!other.path("/etc/kept").exists(), "it was written into what all devices share");
}
