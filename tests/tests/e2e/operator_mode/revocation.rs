//! Attack 5, what needs no enrolment: an identity that was revoked.

use std::time::UNIX_EPOCH;

use fleet::operator::{push_all, revoke};
use nats_operator::FolderError;
use tests::{
    document::file,
    eventually::eventually,
    nats_server::{NatsServer, Settings, Version},
    operator::{Operator, User},
    platform::{HEARTBEAT, Platform, provision_all},
    site::{Access, DEVICE, Site},
};

use super::VICTIM;
use crate::status_words::converged_at;

on_each_version!(
    a_revoked_identity_is_out_while_it_is_connected_and_stays_out,
    a_revoked_device_is_heard_no_more_and_keeps_enforcing_what_it_has,
    revocations_at_the_same_time_all_count,
    a_server_that_forgot_what_was_pushed_comes_back_with_the_revocations,
);

async fn a_revoked_identity_is_out_while_it_is_connected_and_stays_out(version: Version) {
    let mut site = Site::start_on(version, Access::Operator).await;
    let [thief, other] =
        [DEVICE, VICTIM].map(|id| site.operator().device(id).with_inbox(&format!("_INBOX_{id}")));
    let stolen = thief.connect(&site.server).await.unwrap();
    let bystander = other.connect(&site.server).await.unwrap();
    let system = site.operator().system(&site.server).await;
    revoke(&system, site.operator().folder(), &thief.key()).await.unwrap();
    stolen.was_put_out().await;
    assert!(!thief.is_let_in(&site.server).await, "it came in again");
    let own = format!("$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.{VICTIM}");
    bystander.client.request(own, "".into()).await.expect("the others are as they were");

    site.server.stop().await;
    site.server.start_again().await;
    assert!(!thief.is_let_in(&site.server).await, "it came in after a restart");
    assert!(other.is_let_in(&site.server).await, "the other is out, too");
    // No newer token is signed for the key, and one by a clock that was years ahead is no good.
    for id in [DEVICE, VICTIM] {
        let refused = site.operator().sign(&id.parse().unwrap(), &thief.key());
        assert!(matches!(refused, Err(FolderError::RevokedKey(_))), "{id}: {refused:?}");
    }
    let ahead = UNIX_EPOCH.elapsed().unwrap().as_secs() + 10 * 366 * 24 * 60 * 60;
    let [ours, theirs] = [&thief, &other].map(|user| site.operator().device_again(VICTIM, user, ahead));
    assert!(theirs.is_let_in(&site.server).await, "servers refuse whatever is ahead of their clock");
    assert!(!ours.is_let_in(&site.server).await, "a token that is ahead of the revocation is good");
}

async fn a_revoked_device_is_heard_no_more_and_keeps_enforcing_what_it_has(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    let user = site.operator().device(DEVICE);
    let device = tests::agent::Agent::new(DEVICE, &site.server.url());
    let credentials = user.credentials_file().to_str().unwrap();
    let mut device =
        device.with("creds", credentials).with("drift_interval", "1s").with("heartbeat_interval", "1s");
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let system = site.operator().system(&site.server).await;
    revoke(&system, site.operator().folder(), &user.key()).await.unwrap();
    eventually("the agent was told", async || {
        let log = device.log().to_lowercase();
        if log.contains("revoked") || log.contains("authorization violation") { Ok(()) } else { Err(log) }
    })
    .await;
    let last_seen = site.platform.entry(HEARTBEAT, DEVICE).await.unwrap().map(|entry| entry.revision);
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    std::fs::write(device.path("/etc/a"), "drifted").unwrap();
    eventually("the drift is repaired", async || match device.read("/etc/a") {
        content if content == "1" => Ok(()),
        content => Err(content),
    })
    .await;
    let seen = site.platform.entry(HEARTBEAT, DEVICE).await.unwrap().map(|entry| entry.revision);
    assert_eq!(seen, last_seen, "it was heard again");
}

async fn revocations_at_the_same_time_all_count(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    let operator = site.operator();
    let users: Vec<User> = (0..6).map(|number| operator.device(&format!("edge-{number:04}"))).collect();
    let system = operator.system(&site.server).await;
    let revoked = users[..5].iter().map(|user| user.key()).collect::<Vec<_>>();
    let all = revoked.iter().map(|key| revoke(&system, operator.folder(), key));
    for done in futures_util::future::join_all(all).await {
        done.unwrap();
    }
    for user in &users[..5] {
        assert!(!user.is_let_in(&site.server).await, "{} is in", user.key());
    }
    assert!(users[5].is_let_in(&site.server).await);
}

async fn a_server_that_forgot_what_was_pushed_comes_back_with_the_revocations(version: Version) {
    let operator = Operator::new();
    let first = NatsServer::start(Settings { version, ..operator.settings() }).await;
    let user = operator.device(DEVICE);
    provision_all(&first).await;
    revoke(&operator.system(&first).await, operator.folder(), &user.key()).await.unwrap();
    // One with an empty folder for accounts, which knows only what the operator's folder says.
    let second = NatsServer::start(Settings { version, ..operator.settings() }).await;
    assert!(!user.is_let_in(&second).await, "a new server lets it in");
    // And one that was started before the revocation and not told of it is told all.
    let other = operator.device(VICTIM);
    revoke(&operator.system(&first).await, operator.folder(), &other.key()).await.unwrap();
    assert!(other.is_let_in(&second).await, "it was told by nobody");
    push_all(&operator.system(&second).await, operator.folder()).await.unwrap();
    assert!(!other.is_let_in(&second).await, "it was told and lets it in");
    Platform::connect(&second).await.client.flush().await.unwrap();
    // And a folder that was restored from a copy of before the last revocation learns of it.
    let path = operator.folder().path();
    let token = path.join("tokens/devices.jwt");
    let copy = std::fs::read(&token).unwrap();
    let last = operator.device("edge-0003");
    revoke(&operator.system(&second).await, operator.folder(), &last.key()).await.unwrap();
    std::fs::write(&token, copy).unwrap();
    push_all(&operator.system(&second).await, operator.folder()).await.unwrap();
    assert!(!last.is_let_in(&second).await, "a stale copy of the folder lets it in again");
    let refused = operator.sign(&DEVICE.parse().unwrap(), &last.key());
    assert!(matches!(refused, Err(FolderError::RevokedKey(_))), "{refused:?}");
}
