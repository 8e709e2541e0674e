//! What only those know who look after the servers: their settings, and the accounts that they have.

use std::time::Duration;

use agent_model::Finding;
use nats_operator::Folder;
use serde::Deserialize;

use super::connect_as;
use crate::{Access, Fleet, Login, every_server::ask_every_server, operator::held_by_servers};

pub(super) async fn check(platform: &Fleet, access: &Access, folder: &Folder) -> Vec<Finding> {
    let login = Login::Credentials(folder.system_credentials());
    let system = match connect_as(platform, access, login).await {
        Ok(system) => system,
        Err(error) => {
            let detail = format!(
                "the servers do not know this operator ({error}): start them with {}",
                folder.server_configuration().display()
            );
            return vec![Finding::failed("accounts", detail)];
        }
    };
    let mut findings = settings(&system).await;
    findings.push(accounts(&system, folder).await);
    findings
}

async fn accounts(system: &Fleet, folder: &Folder) -> Finding {
    let accounts = match folder.accounts() {
        Ok(accounts) => accounts,
        Err(error) => return Finding::failed("accounts", error.to_string()),
    };
    for account in &accounts {
        let name = account.account;
        match held_by_servers(system, account).await {
            Err(error) => return Finding::failed("accounts", error.to_string()),
            Ok(Some(held)) if held == account.token => {}
            Ok(_) => {
                let detail = format!(
                    "{name} is another one on the server than in {}: revocations may be missing; run `harmonyctl nats \
                     push --operator {}`",
                    folder.path().display(),
                    folder.path().display()
                );
                return Finding::failed("accounts", detail);
            }
        }
    }
    let names: Vec<&str> = accounts.iter().map(|account| account.account.name()).collect();
    Finding::ok("accounts", format!("{} are as in {}", names.join(", "), folder.path().display()))
}

/// What a server says of itself.
#[derive(Deserialize)]
struct Varz {
    server: Named,
    data: Option<Settings>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    ver: String,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<Storage>,
}

#[derive(Deserialize)]
struct Storage {
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

/// The settings of every server that answers: of one alone nothing would follow about the one that leads a stream.
async fn settings(system: &Fleet) -> Vec<Finding> {
    let answers = match ask_every_server(system, "$SYS.REQ.SERVER.PING.VARZ".to_owned()).await {
        Ok(answers) => answers,
        Err(error) => return vec![Finding::warning("sync", format!("cannot be known: {error}"))],
    };
    let servers: Vec<Varz> =
        answers.iter().filter_map(|answer| serde_json::from_slice(answer).ok()).collect();
    if servers.is_empty() {
        return vec![Finding::warning("sync", "cannot be known: no server says how it is set up")];
    }
    servers.iter().map(|server| sync(&server.server, server.data.as_ref())).collect()
}

fn sync(Named { name, ver }: &Named, settings: Option<&Settings>) -> Finding {
    let server = format!("{name} (nats-server {ver})");
    match settings.and_then(|settings| settings.jetstream.config.as_ref()) {
        None => Finding::ok("sync", format!("{server} stores nothing")),
        Some(Storage { sync_always: true, .. }) => {
            Finding::ok("sync", format!("{server} syncs each write before it is acknowledged"))
        }
        Some(Storage { sync_interval, .. }) => {
            let interval = Duration::from_nanos(*sync_interval).as_secs();
            Finding::warning(
                "sync",
                format!(
                    "{server} syncs every {interval} s: writes that were acknowledged are lost with its power; set \
                     `sync_interval: always` in its jetstream block"
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_model::Verdict;

    use super::*;

    /// As nats-server 2.15.1 answers, shortened.
    #[test]
    fn a_server_that_syncs_now_and_then_is_told_of() {
        let judge = |config: &str| {
            let answer = format!(
                r#"{{"server": {{"name": "a", "ver": "2.15.1"}}, "data": {{"jetstream": {config}}}}}"#
            );
            let Varz { server, data } = serde_json::from_str(&answer).unwrap();
            sync(&server, data.as_ref()).verdict
        };
        assert_eq!(judge(r#"{"config": {"sync_interval": 120000000000, "sync_always": true}}"#), Verdict::Ok);
        assert_eq!(judge(r#"{"config": {"sync_interval": 120000000000}}"#), Verdict::Warning);
        assert_eq!(judge("{}"), Verdict::Ok);
    }
}
