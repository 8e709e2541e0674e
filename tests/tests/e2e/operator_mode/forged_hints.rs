//! Attack 3: a device wakes another one by hints, which it can forge by having an answer delivered there.

use std::time::Instant;

use tests::{
    document::{file, manifest},
    eventually::eventually,
    nats_server::Version,
    platform::ACTUAL_STATE,
    site::{Access, DEVICE, Site},
    traffic::Traffic,
};

use super::{VICTIM, stored::fill};
use crate::status_words::converged_at;

on_each_version!(hints_forged_by_another_device_cost_a_bounded_number_of_reads_and_do_nothing_else);

async fn hints_forged_by_another_device_cost_a_bounded_number_of_reads_and_do_nothing_else(version: Version) {
    const HINTS: u32 = 2_000;
    let site = Site::start_on(version, Access::Operator).await;
    fill(&site.platform, DEVICE, &manifest(VICTIM, 9, &[file("a", "/etc/a", "forged")]).to_string()).await;
    let mut victim = site.another_device(VICTIM).with("resync_interval", "1h");
    victim.start();
    site.platform.put(VICTIM, &manifest(VICTIM, 1, &[file("a", "/etc/a", "1")])).await;
    let before = site.platform.status_where(VICTIM, "converged", converged_at(1)).await;
    let entry = site.platform.entry(ACTUAL_STATE, VICTIM).await.unwrap().unwrap();

    let user = site.operator().device(DEVICE).with_inbox("_INBOX_edge-0001");
    let attacker = user.connect(&site.server).await.unwrap();
    let mut traffic = Traffic::watch(&site.platform, VICTIM).await;
    let start = Instant::now();
    let own = format!("$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.{DEVICE}");
    for _ in 0..HINTS {
        // The answer is a whole document for the victim, with the headers of a stored entry.
        let reply = format!("desired-state.{VICTIM}");
        attacker.client.publish_with_reply(own.clone(), reply, "".into()).await.unwrap();
        // One after the other: those that come at once would cost a single read anyhow.
        attacker.client.request(own.clone(), "".into()).await.unwrap();
    }
    eventually("a forged hint woke the victim", async || match traffic.counts().reads {
        0 => Err("no read was seen".to_owned()),
        _ => Ok(()),
    })
    .await;
    // What was forged was neither believed nor applied, nor does it keep the victim from the truth.
    assert_eq!(site.platform.entry(ACTUAL_STATE, VICTIM).await.unwrap().unwrap().revision, entry.revision);
    assert_eq!(before.highest_generation.map(u64::from), Some(1));
    site.platform.put(VICTIM, &manifest(VICTIM, 2, &[file("a", "/etc/a", "2")])).await;
    let after = site.platform.status_where(VICTIM, "converged at 2", converged_at(2)).await;
    assert_eq!(after.highest_generation.map(u64::from), Some(2));
    assert_eq!(victim.read("/etc/a"), "2");
    traffic.note_hints_among_devices(HINTS.into());
    let reads = traffic.assert_bounded().reads;
    let seconds = start.elapsed().as_secs();
    assert!(reads < u64::from(HINTS) / 2, "{reads} reads for {HINTS} hints in {seconds} s");
}
