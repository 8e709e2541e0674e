//! Attack 2: the server does not check where the answer to a request goes. A device asks for what it may ask for and
//! has the answer delivered to where it may not write.

use tests::{
    eventually::{PATIENCE, eventually},
    nats_server::{NatsServer, Settings, Version},
    operator::{Connected, Operator, connect},
    platform::{Platform, provision_all},
    site::DEVICE,
};

use super::{
    VICTIM,
    stored::{STREAMS, fill, newest, without},
};

on_each_version!(
    in_a_single_account_every_answer_can_be_delivered_to_another_device,
    no_answer_reaches_another_device_on_one_server,
    no_answer_reaches_another_device_where_streams_and_device_are_on_two_servers,
);

/// What a device may ask.
const REQUESTS: [&str; 5] = [
    "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.edge-0001",
    "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.edge-0001",
    "$KV.actual-state.edge-0001",
    "$KV.agent-heartbeat.edge-0001",
    "agent-events.edge-0001",
];

/// What emptied a stream in a single account.
const PURGE: &str = "$JS.API.STREAM.PURGE.KV_actual-state";

/// The wire contract's list of permissions, and one account for everybody.
fn single_account() -> Settings {
    let configuration = r#"
        accounts { ONE {
          jetstream: enabled
          users: [
            { user: "platform", password: "platform" }
            { user: "device", password: "device", permissions: {
              publish: { allow: [
                "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.edge-0001"
                "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.edge-0001"
                "$KV.actual-state.edge-0001"
                "agent-events.edge-0001"
                "$KV.agent-heartbeat.edge-0001"
              ] }
              subscribe: { allow: ["desired-state.edge-0001", "_INBOX_edge-0001.>"] }
            } }
          ]
        } }
        no_auth_user: "device"
    "#;
    let configuration = configuration.to_owned();
    Settings { configuration, credentials: Some(("platform", "platform")), ..Settings::default() }
}

async fn ready(server: &NatsServer) -> Platform {
    provision_all(server).await;
    let platform = Platform::connect(server).await;
    for agent in [DEVICE, VICTIM] {
        // What is read can be chosen by the attacker, and this is a request to purge everything.
        fill(&platform, agent, "{}").await;
    }
    platform
}

async fn inject(attacker: &Connected, request: &str, target: &str) {
    // What is read is the entry; what is written is acknowledged.
    let content = if request.contains("DIRECT.GET") { "" } else { "{}" };
    let sent = attacker.client.publish_with_reply(request.to_owned(), target.to_owned(), content.into());
    sent.await.unwrap();
}

/// Waits until the servers have dealt with all that was asked: later questions by the same ways were answered, and
/// later messages of the platform were stored.
async fn settle(attacker: &Connected, platform: &Platform) {
    for request in REQUESTS {
        let content = if request.contains("DIRECT.GET") { "" } else { "{}" };
        let answer = attacker.client.request(request, content.into());
        tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
    }
    fill(platform, DEVICE, "{}").await;
}

async fn in_a_single_account_every_answer_can_be_delivered_to_another_device(version: Version) {
    let server = NatsServer::start(Settings { version, ..single_account() }).await;
    let platform = ready(&server).await;
    let device = async_nats::ConnectOptions::with_user_and_password("device".into(), "device".into());
    let attacker = connect(device, "_INBOX_edge-0001", &server).await.unwrap();
    for request in REQUESTS {
        for (stream, subjects) in STREAMS {
            let target = format!("{subjects}{VICTIM}");
            let before = newest(&platform, stream, &target).await;
            inject(&attacker, request, &target).await;
            eventually("the answer is stored as another's", async || {
                match newest(&platform, stream, &target).await {
                    after if after > before => Ok(()),
                    _ => Err(format!("{request} did not reach {target}")),
                }
            })
            .await;
        }
    }
    let before = newest(&platform, "KV_actual-state", "$KV.actual-state.edge-0002").await;
    assert!(before > 0);
    inject(&attacker, REQUESTS[1], PURGE).await;
    eventually("another's status is gone", async || {
        match newest(&platform, "KV_actual-state", "$KV.actual-state.edge-0002").await {
            0 => Ok(()),
            there => Err(format!("it is there, as {there}")),
        }
    })
    .await;
}

/// The whole matrix from each of these servers. With two, each of the streams is on another one than the device once.
async fn assert_nothing_reaches_another(operator: &Operator, servers: &[NatsServer], platform: &Platform) {
    for server in servers {
        let before = without(DEVICE, platform).await;
        let user = operator.device(DEVICE).with_inbox("_INBOX_edge-0001");
        let attacker = user.connect(server).await.unwrap();
        for request in REQUESTS {
            for (_, subjects) in STREAMS {
                inject(&attacker, request, &format!("{subjects}{VICTIM}")).await;
            }
            inject(&attacker, request, PURGE).await;
        }
        settle(&attacker, platform).await;
        assert_eq!(without(DEVICE, platform).await, before);
    }
}

async fn no_answer_reaches_another_device_on_one_server(version: Version) {
    let operator = Operator::new();
    let server = NatsServer::start(Settings { version, ..operator.settings() }).await;
    let platform = ready(&server).await;
    assert_nothing_reaches_another(&operator, &[server], &platform).await;
}

async fn no_answer_reaches_another_device_where_streams_and_device_are_on_two_servers(version: Version) {
    let operator = Operator::new();
    let servers = operator.pair(version).await;
    let platform = ready(&servers[0]).await;
    assert_nothing_reaches_another(&operator, &servers, &platform).await;
}
