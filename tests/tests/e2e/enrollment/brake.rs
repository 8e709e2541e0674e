//! The emergency brake: a key ends whatever the registry says about it.

use agent_model::UserKey;
use nats_operator::FolderError;
use serde_json::json;
use tests::{
    nats_server::Version,
    operator::User,
    site::{Access, DEVICE, Site},
};

use super::decider;

async fn write_entry(site: &Site, id: &str, text: &str) {
    let subject = format!("$KV.agents.{id}");
    site.platform.jetstream.publish(subject, text.to_owned().into()).await.unwrap().await.unwrap();
}

async fn entry(site: &Site, id: &str) -> String {
    let entry = site.platform.entry("agents", id).await.unwrap().unwrap();
    String::from_utf8(entry.value.to_vec()).unwrap()
}

fn approved(user: &User) -> String {
    json!({"publicKey": user.key(), "state": "Approved"}).to_string()
}

/// What is said of a key that was ended by itself.
fn told(key: &UserKey) -> String {
    format!("key {key} revoked in the devices' account\n")
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_stops_neither_the_end_of_its_own_key_nor_of_those_behind() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let ids = ["edge-0001", "edge-0002", "edge-0003", "edge-0004"];
    let users = ids.map(|id| site.operator().device(id));
    // The key can be read, and else nothing; it stands in what was there before; nowhere; and all is well.
    let mistyped = json!({"publicKey": users[0].key(), "labels": 7}).to_string();
    write_entry(&site, ids[0], &mistyped).await;
    write_entry(&site, ids[1], &approved(&site.operator().device(ids[1]))).await;
    write_entry(&site, ids[1], &approved(&users[1])).await;
    for id in [ids[1], ids[2]] {
        write_entry(&site, id, "{").await;
    }
    write_entry(&site, ids[3], &approved(&users[3])).await;
    let connected = users[0].connect(&site.server).await.unwrap();

    let decider = decider(&site);
    let revoked = decider.run(&[&["agents", "revoke"], ids.as_slice()].concat()).await;
    assert_eq!(revoked.code, Some(1), "{revoked:?}");
    connected.was_put_out().await;
    for (i, user) in users.iter().enumerate() {
        assert_eq!(user.is_let_in(&site.server).await, i == 2, "{}: {revoked:?}", ids[i]);
    }
    for user in &users[..2] {
        assert!(revoked.stdout.contains(&format!("key {} revoked", user.key())), "{revoked:?}");
    }
    assert!(revoked.stdout.ends_with("agent/edge-0004 revoked\n"), "{revoked:?}");
    assert_eq!(revoked.stderr.matches("the entry was left as it is").count(), 2, "{revoked:?}");
    assert_eq!(revoked.stderr.matches("nothing was ended").count(), 1, "{revoked:?}");
    assert_eq!((entry(&site, ids[0]).await, entry(&site, ids[1]).await), (mistyped, "{".to_owned()));
    assert!(entry(&site, ids[3]).await.contains("Revoked"));

    let retired = decider.run(&["agents", "retire", ids[0], ids[3]]).await;
    assert_eq!((retired.code, retired.stdout.lines().count()), (Some(1), 2), "{retired:?}");
    // What the brake asks for where it cannot find the key.
    let key = users[2].key();
    let ended = decider.run(&["agents", "revoke", "--key", key.as_str()]).await;
    assert_eq!((ended.code, ended.stdout), (Some(0), told(&key)), "{}", ended.stderr);
    assert!(ended.stderr.contains("none was changed"), "{}", ended.stderr);
    assert!(!users[2].is_let_in(&site.server).await);
}

#[tokio::test]
async fn a_key_is_ended_by_itself_and_the_entries_that_name_it_say_so_if_they_can_be_written() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let [named, retired, last] = [DEVICE, "edge-0002", "edge-0003"].map(|id| site.operator().device(id));
    write_entry(&site, DEVICE, &approved(&named)).await;
    write_entry(&site, "edge-0002", &approved(&retired).replace("Approved", "Retired")).await;
    let ended = decider.run(&["agents", "revoke", "--key", named.key().as_str()]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with(&format!("agent/{DEVICE} revoked\n")), "{ended:?}");
    assert!(entry(&site, DEVICE).await.contains("Revoked"));

    // Somebody wrote that it has ended, and it has not.
    let ended = decider.run(&["agents", "revoke", "edge-0002"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!retired.is_let_in(&site.server).await, "{ended:?}");
    assert!(entry(&site, "edge-0002").await.contains("Retired"));
    // And by its key: nothing is said to be written that was not.
    let key = retired.key();
    let ended = decider.run(&["agents", "revoke", "--key", key.as_str()]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), &*told(&key)), "{ended:?}");
    assert!(ended.stderr.contains("agent/edge-0002 names this key, and stays retired"), "{ended:?}");

    site.platform.jetstream.delete_stream("KV_agents").await.unwrap();
    let refused = decider.run(&["agents", "revoke", "edge-0003"]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    let key = last.key();
    let ended = decider.run(&["agents", "revoke", "--key", key.as_str()]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), &*told(&key)), "{ended:?}");
    assert!(ended.stderr.contains("the registry does not say so"), "{ended:?}");
    assert!(!last.is_let_in(&site.server).await);

    for wrong in [&["--key", &key.as_str()[..20]][..], &["--key", key.as_str(), DEVICE], &[]] {
        assert_eq!(decider.run(&[&["agents", "revoke"], wrong].concat()).await.code, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_key_is_ended_everywhere_though_nobody_can_be_told() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let user = site.operator().device(DEVICE);
    write_entry(&site, DEVICE, &approved(&user)).await;
    let key = user.key();
    let ended = decider(&site).run_without_room(&["agents", "revoke", "--key", key.as_str()]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!user.is_let_in(&site.server).await, "{ended:?}");
    assert!(entry(&site, DEVICE).await.contains("Revoked"), "{ended:?}");
}

#[tokio::test]
async fn a_key_that_is_ended_while_no_server_is_there_is_ended_by_the_next_push() {
    let mut site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let user = site.operator().device(DEVICE);
    write_entry(&site, DEVICE, &approved(&user)).await;
    site.server.stop().await;
    let refused = decider.run(&["agents", "revoke", DEVICE]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.stderr.contains("nothing was ended"), "{refused:?}");
    site.operator().sign(&DEVICE.parse().unwrap(), &user.key()).expect("it is good");

    let key = user.key();
    let noted = decider.run(&["agents", "revoke", "--key", key.as_str()]).await;
    assert_eq!((noted.code, noted.stdout.as_str()), (Some(1), ""), "{noted:?}");
    assert!(noted.stderr.contains("in the operator's folder"), "{noted:?}");
    assert!(noted.stderr.contains("harmonyctl nats push"), "{noted:?}");
    let refused = site.operator().sign(&DEVICE.parse().unwrap(), &key);
    assert!(matches!(refused, Err(FolderError::RevokedKey(_))), "{refused:?}");

    site.server.start_again().await;
    assert!(user.is_let_in(&site.server).await, "nobody has told the server");
    assert_eq!(decider.run(&["nats", "push"]).await.code, Some(0));
    assert!(!user.is_let_in(&site.server).await);
}
