//! `harmonyctl init --operator`, `nats check` and `nats push`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_model::UserKey;
use nats_operator::Folder;
use nkeys::KeyPair;
use tempfile::TempDir;
use tests::{
    eventually::eventually,
    harmonyctl::{Harmonyctl, Ran},
    nats_server::{NatsServer, Settings, Version, free_ports, program},
    operator::Operator,
    platform::provision_all,
    process::Process,
    site::{Access, Site},
};

on_each_version!(
    from_nothing_to_a_server_that_is_fit_with_the_command_line_alone,
    what_is_wrong_with_a_server_is_told_with_a_remedy,
    a_device_that_may_do_more_than_it_should_fails_the_check,
    where_servers_take_no_push_the_file_to_copy_is_written_and_named,
);

/// The lines that are not `ok`, without their remedies: `warning sync`.
fn complaints(ran: &Ran) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    ran.stdout.lines().map(words).filter(|words| !words.starts_with("ok ")).collect()
}

fn line<'a>(ran: &'a Ran, what: &str) -> &'a str {
    ran.stdout
        .lines()
        .find(|line| line.contains(what))
        .unwrap_or_else(|| panic!("nothing of {what}: {ran:?}"))
}

async fn from_nothing_to_a_server_that_is_fit_with_the_command_line_alone(version: Version) {
    let temporary = TempDir::with_prefix("harmony-operator-").unwrap();
    let folder = temporary.path().join("operator");
    // As a shell completes it.
    let folder = format!("{}/", folder.to_str().unwrap());
    let folder = folder.as_str();
    let [port] = free_ports();
    let shell = Harmonyctl::new(format!("nats://127.0.0.1:{port}"));
    let made = shell.run(&["init", "--operator", folder]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.lines().all(|line| line.ends_with(" created")), "{made:?}");
    let again = shell.run(&["init", "--operator", folder]).await;
    assert!(again.stdout.lines().all(|line| line.ends_with(" unchanged")), "{again:?}");

    assert!(!made.stderr.contains("//"), "{made:?}");

    // What it says is what is done, but for the address, which is the person's to choose.
    let command = made.stderr.lines().find_map(|line| line.trim().strip_prefix("nats-server ")).unwrap();
    let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let configuration = PathBuf::from(&arguments[1]);
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("127.0.0.1:4222", &format!("127.0.0.1:{port}"))).unwrap();
    let command: Vec<String> =
        [program(version).display().to_string()].into_iter().chain(arguments).collect();
    let log = temporary.path().join("log");
    let _server = Process::start("nats-server", &command, &[], &log).unwrap();
    let credentials =
        made.stderr.lines().find_map(|line| line.trim().strip_prefix("harmonyctl --creds ")).unwrap();
    let credentials = credentials.strip_suffix(" init").unwrap();
    eventually("the buckets are made", async || {
        let made = shell.run(&["--creds", credentials, "init"]).await;
        if made.code == Some(0) { Ok(()) } else { Err(format!("{made:?}")) }
    })
    .await;
    let refused = shell.run(&["agents", "list"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--creds"), "{refused:?}");
    assert_eq!(refused.stderr.matches("authorization violation").count(), 1, "{refused:?}");
    let last = made.stderr.lines().rev().find_map(|line| line.trim().strip_prefix("harmonyctl --creds "));
    let asking = shell.run(&[&["--creds"], &*last.unwrap().split(' ').collect::<Vec<_>>()].concat()).await;
    assert_eq!((asking.code, asking.stderr.as_str()), (Some(0), "No agents found.\n"), "{last:?}");
    let checked = shell.run(&["nats", "check", "--operator", folder]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(complaints(&checked), ["warning tls"], "{checked:?}");
    assert!(line(&checked, "accounts").contains("SYSTEM, PLATFORM, DEVICES, ENROLL"), "{checked:?}");
    // Its own configuration stays as the person changed it.
    shell.run(&["init", "--operator", folder]).await;
    assert!(fs::read_to_string(&configuration).unwrap().contains(&format!("127.0.0.1:{port}")));
    // Nothing is left of the device that was tried.
    let agents = shell.run(&["--creds", credentials, "get", "agents", "-o", "name"]).await;
    assert_eq!((agents.code, agents.stdout.trim()), (Some(0), ""), "{agents:?}");
}

async fn what_is_wrong_with_a_server_is_told_with_a_remedy(version: Version) {
    let operator = Operator::new();
    let folder = operator.folder().path().to_str().unwrap();
    let settings = Settings { version, sync_always: false, ..operator.settings() };
    let server = NatsServer::start(settings).await;
    let shell = Harmonyctl::new(server.url());
    let check = ["nats", "check", "--operator", folder];
    let checked = shell.run(&check).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(
        complaints(&checked),
        ["warning tls", "FAILED buckets", "warning sync", "FAILED permissions"],
        "{checked:?}"
    );
    assert!(line(&checked, "buckets").contains("harmonyctl init"), "{checked:?}");
    assert!(line(&checked, "sync").contains("sync_interval: always"), "{checked:?}");
    provision_all(&server).await;

    // A revocation that reached the folder and no server.
    let key: UserKey = KeyPair::new_user().public_key().parse().unwrap();
    Folder::open(Path::new(folder)).unwrap().try_lock().unwrap().unwrap().revoke(&key).unwrap();
    let checked = shell.run(&check).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(complaints(&checked), ["warning tls", "warning sync", "FAILED accounts"], "{checked:?}");
    assert!(line(&checked, "accounts").contains("harmonyctl nats push"), "{checked:?}");
    let pushed = shell.run(&["nats", "push", "--operator", folder]).await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    let checked = shell.run(&check).await;
    assert_eq!(
        (checked.code, complaints(&checked)),
        (Some(0), vec!["warning tls".into(), "warning sync".into()])
    );

    // Without the folder it says what it cannot know.
    let credentials = operator.folder().platform_credentials();
    let checked = shell.run(&["--creds", credentials.to_str().unwrap(), "nats", "check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(
        complaints(&checked),
        ["warning tls", "warning sync", "warning accounts", "warning permissions"],
        "{checked:?}"
    );

    // With that of another operator, whose users are strangers here.
    let stranger = Operator::new();
    let stranger = stranger.folder().path().to_str().unwrap();
    let credentials = credentials.to_str().unwrap();
    let checked = shell.run(&["--creds", credentials, "nats", "check", "--operator", stranger]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(line(&checked, "accounts").contains("do not know this operator"), "{checked:?}");
    for (nowhere, code) in [("/nonexistent", 2), (operator.folder().path().join("keys").to_str().unwrap(), 2)]
    {
        let refused = shell.run(&["nats", "push", "--operator", nowhere]).await;
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.stderr.contains("harmonyctl init --operator"), "{refused:?}");
    }
}

async fn a_device_that_may_do_more_than_it_should_fails_the_check(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    site.operator().push_lax_devices(&site.server).await;
    let shell = Harmonyctl::new(site.server.url());
    let folder = site.operator().folder().path().to_str().unwrap();
    let checked = shell.run(&["nats", "check", "--operator", folder]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(complaints(&checked), ["warning tls", "FAILED accounts", "FAILED permissions"], "{checked:?}");
    assert!(line(&checked, "permissions").contains("is not kept from $KV."), "{checked:?}");
    // The remedy that it gives.
    assert_eq!(shell.run(&["nats", "push", "--operator", folder]).await.code, Some(0));
    let checked = shell.run(&["nats", "check", "--operator", folder]).await;
    assert_eq!((checked.code, complaints(&checked)), (Some(0), vec!["warning tls".into()]), "{checked:?}");
}

async fn where_servers_take_no_push_the_file_to_copy_is_written_and_named(version: Version) {
    let operator = Operator::new();
    let settings = operator.settings();
    let (accounts, _) = settings.configuration.split_once("resolver {").unwrap();
    let in_memory = |accounts: &str| format!("{accounts}\nresolver: MEMORY");
    let server =
        NatsServer::start(Settings { version, configuration: in_memory(accounts), ..settings.clone() }).await;
    let file = operator.folder().accounts_configuration();
    let path = operator.folder().path().to_str().unwrap();
    let shell = Harmonyctl::new(server.url());
    let device = operator.device("edge-0001");
    let revoked = shell.run(&["agents", "revoke", "--key", device.key().as_str(), "--operator", path]).await;
    assert_eq!(revoked.code, Some(1), "{revoked:?}");
    assert!(revoked.stderr.contains("copy server/accounts.conf"), "{revoked:?}");
    // As an interrupted command leaves it, or a copy of the folder.
    let current = fs::read_to_string(&file).unwrap();
    fs::write(&file, accounts).unwrap();
    let pushed = shell.run(&["nats", "push", "--operator", path]).await;
    assert_eq!(pushed.code, Some(1), "{pushed:?}");
    assert!(pushed.stderr.contains("copy server/accounts.conf"), "{pushed:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), current);
    assert!(device.is_let_in(&server).await);
    let told = NatsServer::start(Settings { version, configuration: in_memory(&current), ..settings }).await;
    assert!(!device.is_let_in(&told).await, "the file that was named says nothing of it");

    // Where they do, it is written too, though the servers have lost the account.
    let server = NatsServer::start(Settings { version, ..operator.settings() }).await;
    fs::write(&file, accounts).unwrap();
    let pushed = Harmonyctl::new(server.url()).run(&["nats", "push", "--operator", path]).await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert!(pushed.stderr.contains(file.to_str().unwrap()), "{pushed:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), current);
}
