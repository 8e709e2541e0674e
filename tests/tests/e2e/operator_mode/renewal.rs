//! Credentials of the operator's folder that leaked.

use nats_operator::OwnUser;
use tests::{
    document::file,
    harmonyctl::{Harmonyctl, Ran},
    nats_server::Version,
    operator::Connected,
    platform::Platform,
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

on_each_version!(
    leaked_credentials_end_on_open_connections_too_and_devices_are_not_disturbed,
    a_renewal_that_reaches_no_server_is_finished_by_a_push,
    a_renewal_that_cannot_say_so_ends_the_old_credentials_all_the_same,
    credentials_that_were_ended_are_not_let_in_again_by_an_old_copy_of_the_folder,
    a_folder_of_before_a_renewal_of_the_system_credentials_is_let_in_after_another,
);

async fn renew(site: &Site, user: OwnUser) -> Ran {
    let folder = site.operator().folder().path().to_str().unwrap();
    Harmonyctl::new(site.server.url()).run(&["nats", "renew", user.name(), "--operator", folder]).await
}

async fn push(site: &Site) -> Ran {
    let folder = site.operator().folder().path().to_str().unwrap();
    Harmonyctl::new(site.server.url()).run(&["nats", "push", "--operator", folder]).await
}

/// Does what only this user may.
async fn works(user: OwnUser, connected: &Connected) {
    let (subject, expected) = match user {
        OwnUser::System => ("$SYS.REQ.SERVER.PING", "server"),
        OwnUser::Platform => ("$JS.API.STREAM.NAMES", "KV_desired-state"),
        OwnUser::Bootstrap => ("enroll.edge-0009", "seq"),
    };
    let answer = connected.client.request(subject, "".into()).await.unwrap();
    let answer = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(answer.contains(expected), "{user}: {answer}");
}

async fn leaked_credentials_end_on_open_connections_too_and_devices_are_not_disturbed(version: Version) {
    let mut site = Site::start_on(version, Access::Operator).await;
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let mut stolen = Vec::new();
    for user in OwnUser::ALL {
        let thief = site.operator().copy_of(user);
        let connected = thief.connect(&site.server).await.unwrap();
        works(user, &connected).await;
        let renewed = renew(&site, user).await;
        assert_eq!(renewed.code, Some(0), "{renewed:?}");
        assert!(renewed.stdout.contains(&format!("key {} revoked", thief.key())), "{renewed:?}");
        connected.was_put_out().await;
        assert!(!thief.is_let_in(&site.server).await, "{user} came in again");
        let rightful = site.operator().copy_of(user);
        assert_ne!(rightful.key(), thief.key());
        works(user, &rightful.connect(&site.server).await.unwrap()).await;
        stolen.push((user, thief));
    }
    let decider = Harmonyctl::new(site.server.url());
    let folder = site.operator().folder();
    let credentials = folder.platform_credentials();
    let [path, credentials] = [folder.path(), &credentials].map(|it| it.to_str().unwrap());
    let checked = decider.run(&["nats", "check", "--operator", path]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let told = decider.run(&["--creds", credentials, "get", "agent", DEVICE]).await;
    assert!(told.stdout.contains("Converged"), "{told:?}");

    let platform = Platform::connect(&site.server).await;
    platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    let log = device.log();
    assert!(!log.contains("lost the connection"), "it had to connect again: {log}");
    site.server.stop().await;
    site.server.start_again().await;
    for (user, thief) in &stolen {
        assert!(!thief.is_let_in(&site.server).await, "{user} came in after a restart");
    }
}

async fn a_renewal_that_reaches_no_server_is_finished_by_a_push(version: Version) {
    let mut site = Site::start_on(version, Access::Operator).await;
    let thieves = OwnUser::ALL.map(|user| (user, site.operator().copy_of(user)));
    site.server.stop().await;
    for (user, thief) in &thieves {
        let renewed = renew(&site, *user).await;
        assert_eq!(renewed.code, Some(1), "{renewed:?}");
        let old = format!("(key {}) are good until", thief.key());
        assert!(renewed.stderr.contains(&old) && renewed.stderr.contains("nats push"), "{renewed:?}");
    }
    site.server.start_again().await;
    for (user, thief) in &thieves {
        assert!(thief.is_let_in(&site.server).await, "nobody has told the server about {user}");
        let rightful = site.operator().copy_of(*user).connect(&site.server).await.unwrap();
        works(*user, &rightful).await;
    }
    let pushed = push(&site).await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    for (user, thief) in &thieves {
        assert!(!thief.is_let_in(&site.server).await, "{user} came in again");
    }
}

async fn a_renewal_that_cannot_say_so_ends_the_old_credentials_all_the_same(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    let folder = site.operator().folder().path().to_str().unwrap();
    let ctl = Harmonyctl::new(site.server.url());
    for user in OwnUser::ALL {
        let thief = site.operator().copy_of(user);
        let renewed = ctl.run_without_room(&["nats", "renew", user.name(), "--operator", folder]).await;
        assert_eq!(renewed.code, Some(1), "{renewed:?}");
        assert!(!thief.is_let_in(&site.server).await, "{user}: {renewed:?}");
    }
}

async fn credentials_that_were_ended_are_not_let_in_again_by_an_old_copy_of_the_folder(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    let thieves = OwnUser::ALL.map(|user| (user, site.operator().copy_of(user)));
    let tokens = ["system", "platform", "enroll"].map(|name| {
        let file = site.operator().folder().path().join(format!("tokens/{name}.jwt"));
        (std::fs::read(&file).unwrap(), file)
    });
    for (user, _) in &thieves {
        assert_eq!(renew(&site, *user).await.code, Some(0));
    }
    for (before, file) in tokens {
        std::fs::write(file, before).unwrap();
    }
    let pushed = push(&site).await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    for (user, thief) in &thieves {
        assert!(!thief.is_let_in(&site.server).await, "{user} came in again");
    }

    // The key of none of them is ended where only devices are.
    let key = site.operator().copy_of(OwnUser::Platform).key();
    let folder = site.operator().folder().path().to_str().unwrap();
    let ctl = Harmonyctl::new(site.server.url());
    let refused = ctl.run(&["agents", "revoke", "--key", key.as_str(), "--operator", folder]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("harmonyctl nats renew platform"), "{refused:?}");
    // Nor is it said to be where nobody can tell whose it is.
    std::fs::write(site.operator().folder().platform_credentials(), "").unwrap();
    let refused = ctl.run(&["agents", "revoke", "--key", key.as_str(), "--operator", folder]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.stderr.contains("nothing was ended"), "{refused:?}");
    let unknown = ctl.run(&["nats", "renew", "edge-0001", "--operator", folder]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

async fn a_folder_of_before_a_renewal_of_the_system_credentials_is_let_in_after_another(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    let thief = site.operator().copy_of(OwnUser::System);
    let folder = site.operator().folder();
    let copy = [folder.system_credentials(), folder.path().join("tokens/system.jwt")]
        .map(|file| (std::fs::read(&file).unwrap(), file));
    assert_eq!(renew(&site, OwnUser::System).await.code, Some(0));
    for (before, file) in copy {
        std::fs::write(file, before).unwrap();
    }
    let refused = push(&site).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("refuses the login"), "{refused:?}");
    let renewed = renew(&site, OwnUser::System).await;
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    let pushed = push(&site).await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert!(!thief.is_let_in(&site.server).await);
}
