//! What becomes of a request or of its answer alters nothing of what comes out in the end.

use std::time::Duration;

use agent_model::status::AgentStatus;
use tests::{
    document::file,
    eventually::eventually,
    platform::ACTUAL_STATE,
    proxy::{Fate, Messages},
    site::{DEVICE, Site},
    traffic::Traffic,
};

use super::stories::assert_one_steady_writer;
use crate::status_words::converged_at;

on_each_server!(
    an_acknowledgement_that_is_lost_is_made_up_for_by_a_read,
    an_acknowledgement_that_comes_after_it_was_given_up_confuses_nobody,
    an_acknowledgement_that_comes_twice_is_one,
    a_status_write_that_is_lost_is_sent_again,
    a_status_write_that_arrives_after_it_was_given_up_is_stored_once,
    a_status_write_that_arrives_twice_is_stored_once,
    a_read_whose_answer_is_lost_or_late_is_made_again,
    an_answer_to_a_read_that_comes_twice_is_one,
    a_server_that_takes_longer_for_every_answer_than_anybody_waits_at_first_is_heard_all_the_same,
);

fn writes() -> String {
    format!("$KV.actual-state.{DEVICE}")
}

fn reads(bucket: &str) -> String {
    format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{DEVICE}")
}

/// Lets that befall the next such message while a document comes, and sees that this document and those after it
/// are in force and told of, by one writer and with few requests. Returns how many writes were sent.
async fn befallen(site: &Site, messages: Messages, fate: Fate) -> u64 {
    let (mut device, proxy) = site.device_behind_proxy().await;
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let mut told = site.platform.listen(DEVICE).await;
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    let mut interception = proxy.intercept_next(1, messages, fate);
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    interception.meets(1).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(device.read("/etc/a"), "2");
    if matches!(fate, Fate::Lose | Fate::Keep) {
        eventually("it was given up, and the device looks what became of it", async || {
            let counts = traffic.counts();
            if counts.own_reads > 0 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await;
    }
    site.platform.put(DEVICE, &site.document(3, &[file("a", "/etc/a", "3")])).await;
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    // What was kept comes after all, later than anybody waits for it.
    interception.let_go().await;
    site.platform.put(DEVICE, &site.document(4, &[file("a", "/etc/a", "4")])).await;
    let last = site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!(device.read("/etc/a"), "4");
    assert_eq!((&last.writer.instance, last.writer.epoch), (&status.writer.instance, status.writer.epoch));
    assert_one_steady_writer(&told.up_to(&last).await);
    let stored = site.platform.history(ACTUAL_STATE, DEVICE).await;
    let ops: Vec<u64> = stored
        .iter()
        .map(|entry| serde_json::from_slice::<AgentStatus>(&entry.value).expect("a status").writer.op)
        .collect();
    assert!(
        ops.len() >= 2 && ops.is_sorted_by(|one, other| one < other),
        "one write is stored twice: {ops:?}"
    );
    let (code, printed) = device.command(&["status"]).await;
    assert!(code == Some(0) && !printed.contains("DuplicateIdentity"), "{printed}");
    traffic.assert_bounded().writes
}

async fn an_acknowledgement_that_is_lost_is_made_up_for_by_a_read(site: &mut Site) {
    let writes_sent = befallen(site, Messages::AnswersTo(writes()), Fate::Lose).await;
    // Each document is told of at most twice, as converging and as converged: none is sent again.
    assert!(writes_sent <= 6, "{writes_sent} writes");
}

async fn an_acknowledgement_that_comes_after_it_was_given_up_confuses_nobody(site: &mut Site) {
    let writes_sent = befallen(site, Messages::AnswersTo(writes()), Fate::Keep).await;
    assert!(writes_sent <= 6, "{writes_sent} writes");
}

async fn an_acknowledgement_that_comes_twice_is_one(site: &mut Site) {
    let writes_sent = befallen(site, Messages::AnswersTo(writes()), Fate::Double).await;
    assert!(writes_sent <= 6, "{writes_sent} writes");
}

async fn a_status_write_that_is_lost_is_sent_again(site: &mut Site) {
    befallen(site, Messages::Published(writes()), Fate::Lose).await;
}

async fn a_status_write_that_arrives_after_it_was_given_up_is_stored_once(site: &mut Site) {
    befallen(site, Messages::Published(writes()), Fate::Keep).await;
}

async fn a_status_write_that_arrives_twice_is_stored_once(site: &mut Site) {
    befallen(site, Messages::Published(writes()), Fate::Double).await;
}

async fn a_read_whose_answer_is_lost_or_late_is_made_again(site: &mut Site) {
    // The first answer is lost; the second one comes when a later read has been answered.
    let (mut device, proxy) = site.device_behind_proxy().await;
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    let mut fates = [Fate::Lose, Fate::Keep].into_iter();
    let mut answers = proxy.intercept_by(Messages::AnswersTo(reads("desired-state")), move || {
        fates.next().unwrap_or(Fate::Pass)
    });
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    answers.meets(2).await;
    site.platform.put(DEVICE, &site.document(3, &[file("a", "/etc/a", "3")])).await;
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    answers.let_go().await;
    site.platform.put(DEVICE, &site.document(4, &[file("a", "/etc/a", "4")])).await;
    let last = site.platform.status_where(DEVICE, "converged at 4", converged_at(4)).await;
    assert_eq!((device.read("/etc/a"), last.highest_generation.map(u64::from)), ("4".to_owned(), Some(4)));
    traffic.assert_bounded();
}

async fn an_answer_to_a_read_that_comes_twice_is_one(site: &mut Site) {
    befallen(site, Messages::AnswersTo(reads("desired-state")), Fate::Double).await;
}

async fn a_server_that_takes_longer_for_every_answer_than_anybody_waits_at_first_is_heard_all_the_same(
    site: &mut Site,
) {
    let (mut device, proxy) = site.device_behind_proxy().await;
    let mut traffic = Traffic::watch(&site.platform, DEVICE).await;
    let late = [reads("desired-state"), reads(ACTUAL_STATE), writes()].map(|subject| {
        proxy.intercept_by(Messages::AnswersTo(subject), || Fate::Delay(Duration::from_secs(8)))
    });
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    let last = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!((device.read("/etc/a"), last.writer.epoch), ("2".to_owned(), 1));
    // Of each kind one or two were given up.
    let counts = traffic.counts();
    assert!(counts.reads <= 6 && counts.own_reads <= 8 && counts.writes <= 8, "{counts:?}");
    drop(late);
}
