//! A cluster loses the leader of its streams and gets the node back; devices hardly notice.

use agent_model::status::AgentStatus;
use tests::{
    agent::Agent,
    document::{file, manifest, script},
    eventually::eventually,
    nats_cluster::NatsCluster,
    platform::{ACTUAL_STATE, Entry, Platform},
    site::DEVICE,
    snapshot::snapshot,
    traffic::Traffic,
};

use super::stories::assert_one_steady_writer;
use crate::status_words::{converged_at, counts};

/// Writes a document, as often as it takes until one attempt is acknowledged; its revision.
pub(super) async fn put_in_the_end(platform: &Platform, generation: u64, content: &str) -> u64 {
    let document = manifest(
        DEVICE,
        generation,
        &[
            file("a", "/etc/a", content),
            file("b", "/etc/b", "always the same"),
            script("p", "exec sleep infinity"),
        ],
    );
    eventually("a document is stored", async || {
        let subject = format!("$KV.desired-state.{DEVICE}");
        let ack = platform.jetstream.publish(subject, document.to_string().into()).await;
        let ack = ack.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
        Ok(ack.sequence)
    })
    .await
}

/// What tells that something was restarted or written without cause.
fn untouched(device: &Agent, status: &AgentStatus) -> impl PartialEq + std::fmt::Debug + use<> {
    let files = snapshot(&device.path("/etc"));
    let counts = ["b", "p"].map(|name| counts(status, name));
    (files[std::path::Path::new("b")].clone(), device.process("p"), counts, status.writer.epoch)
}

fn told(entry: &Entry) -> AgentStatus {
    serde_json::from_slice(&entry.value).expect("a device tells its status")
}

#[tokio::test]
async fn a_lost_leader_costs_no_document_no_restart_and_no_second_writer() {
    let mut cluster = NatsCluster::start().await;
    let platform = cluster.provision().await;
    // All that the device says is looked at in the end, however often those who listen lose their server.
    platform.keep(ACTUAL_STATE, 64).await;
    let urls = cluster.servers.each_ref().map(|server| server.url()).join(",");
    let mut device = Agent::new(DEVICE, &urls);
    device.start();
    put_in_the_end(&platform, 1, "1").await;
    let status = platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = untouched(&device, &status);
    let mut traffic = Traffic::watch(&platform, DEVICE).await;

    let mut generation = 1;
    for bucket in ["KV_desired-state", "KV_actual-state"] {
        let place = cluster.kill_leader_of(bucket).await;
        generation += 1;
        put_in_the_end(&platform, generation, &generation.to_string()).await;
        platform.status_where(DEVICE, "converged without the node", converged_at(generation)).await;
        assert_eq!(device.read("/etc/a"), generation.to_string());
        cluster.servers[place].start_again().await;
        generation += 1;
        put_in_the_end(&platform, generation, &generation.to_string()).await;
        platform.status_where(DEVICE, "converged with the node", converged_at(generation)).await;
        assert_eq!(device.read("/etc/a"), generation.to_string());
    }
    let status = platform.status(DEVICE).await.unwrap();
    assert_eq!(untouched(&device, &status), before);
    let told: Vec<AgentStatus> = platform.history(ACTUAL_STATE, DEVICE).await.iter().map(told).collect();
    assert!(told.len() >= 5 && told.len() < 64, "{} statuses of five documents are kept", told.len());
    assert_one_steady_writer(&told);
    traffic.assert_bounded();
}
