//! `agents`: which devices are let in (ADR-036).
//!
//! ```text
//! ENROLL_REQUESTS ──▶ Known ──▶ a person ──▶ approve, replace ──▶ registry ──▶ operator's folder ──▶ answer
//! registry ─────────────┘               └──▶ revoke, retire ──▶ operator's folder, servers ──▶ registry
//! ```
//!
//! Each step can be done again: whatever a command was interrupted in, the same command finishes.

mod all;
mod approve;
mod deny;
mod describe;
mod end;
mod in_advance;
mod known;
mod label;
mod list;
mod named;
mod owners;
mod replace;
mod serials;

use agent_core::enrollment::{Answer, Decision};
use agent_model::{AgentId, Timestamp, UserKey, with_causes};
use fleet::{
    Endpoint, Fleet, Login,
    enrollment::{self, Asking, Requests},
    operator,
    registry::{self, Registered, Registration},
};
use nats_operator::Folder;

use super::REQUEST_TIMEOUT;
use crate::{
    access, agent_words,
    breaking::warn_of,
    cli::{
        Connection,
        agents::{AgentsCommand, Operator},
    },
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(crate) async fn run(
    connection: &Connection,
    command: &AgentsCommand,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    match command {
        AgentsCommand::List(arguments) => list::run(connection, arguments, output).await,
        AgentsCommand::Describe(arguments) => describe::run(connection, arguments, output).await,
        AgentsCommand::Approve(arguments) => approve::run(connection, arguments, output).await,
        AgentsCommand::Deny(arguments) => deny::run(connection, arguments, output).await,
        AgentsCommand::Revoke(arguments) => end::revoke(connection, arguments, output).await,
        AgentsCommand::Replace(arguments) => replace::run(connection, arguments, output).await,
        AgentsCommand::Retire(arguments) => end::retire(connection, arguments, output).await,
        AgentsCommand::Label(arguments) => label::run(connection, arguments, output).await,
    }
}

/// The operator's folder, and the servers that it belongs to.
struct Office {
    folder: Folder,
    endpoint: Endpoint,
}

impl Office {
    /// Opens the folder that was given, if one was.
    fn open(connection: &Connection, operator: &Operator) -> Result<Option<Self>, Failure> {
        let Some(path) = &operator.operator else { return Ok(None) };
        let folder = Folder::open(path)?;
        let mut endpoint = Endpoint { access: access::of(connection)?, timeout: REQUEST_TIMEOUT };
        endpoint.access.login = Login::Credentials(folder.system_credentials());
        Ok(Some(Self { folder, endpoint }))
    }

    /// The same where there is no way without.
    fn needed(connection: &Connection, operator: &Operator) -> Result<Self, Failure> {
        Self::open(connection, operator)?.ok_or_else(|| {
            Failure::Usage(
                "users are signed and revoked with the operator's folder; give --operator DIR, which `harmonyctl init \
                 --operator DIR` made"
                    .to_owned(),
            )
        })
    }

    /// Signs a user for whoever asks, unless the key was revoked.
    async fn sign(&self, asking: &Asking) -> Result<String, Failure> {
        Ok(operator::sign_device_user(&self.folder, &asking.agent, &asking.key).await?)
    }

    /// Ends a key, on connected devices too. The folder has it before a server is looked for.
    async fn revoke(&self, key: &UserKey) -> Result<(), Failure> {
        operator::revoke_in_folder(&self.folder, key).await?;
        self.push_revocation(key).await.map_err(|failure| {
            Failure::Refused(format!(
                "the key {key} is revoked in the operator's folder, and good until the servers know: run this again, or \
                 `harmonyctl nats push --operator {}`: {}",
                self.folder.path().display(),
                with_causes(&failure)
            ))
        })
    }

    async fn push_revocation(&self, key: &UserKey) -> Result<(), Failure> {
        let system = Fleet::connect(&self.endpoint).await?;
        Ok(operator::revoke(&system, &self.folder, key).await?)
    }
}

/// Connects as the platform: with the operator's credentials for it where nothing else says how to log in.
async fn connect(connection: &Connection, office: Option<&Office>) -> Result<Fleet, Failure> {
    let mut access = access::of(connection)?;
    let says_nothing =
        matches!(access.login, Login::AsInUrls) && !access.urls.iter().any(|url| url.contains('@'));
    if let (true, Some(office)) = (says_nothing, office) {
        access.login = Login::Credentials(office.folder.platform_credentials());
    }
    Ok(Fleet::connect(&Endpoint { access, timeout: REQUEST_TIMEOUT }).await?.telling(warn_of))
}

fn ids(words: &[String]) -> Result<Vec<AgentId>, Failure> {
    agent_words::parse_ids(words).map_err(Failure::Usage)
}

/// The one who asks for that id with the key that begins so.
async fn asking(fleet: &Fleet, agent: &AgentId, key: &str) -> Result<Asking, Failure> {
    let requests = Requests::read_of(fleet, agent).await?;
    let all: Vec<&Asking> = requests.iter().filter(|asking| asking.agent == *agent).collect();
    let found: Vec<&&Asking> = all.iter().filter(|asking| asking.key.as_str().starts_with(key)).collect();
    match found.as_slice() {
        [asking] => Ok((**asking).clone()),
        [] if all.is_empty() => Err(Failure::Refused(format!(
            "nobody asks for agent/{agent}; `harmonyctl agents list` lists those who ask"
        ))),
        [] => Err(Failure::Refused(format!("no key that begins so asks for agent/{agent}; {}", keys(&all)))),
        several => Err(Failure::Refused(format!(
            "{} keys that begin so ask for agent/{agent}; give more of the one that is meant: {}",
            several.len(),
            keys(&all)
        ))),
    }
}

fn keys(asking: &[&Asking]) -> String {
    let keys: Vec<String> = asking.iter().map(|asking| asking.key.to_string()).collect();
    format!("these do: {}", keys.join(", "))
}

/// Lets a device in for which this was signed: registry, then answer. What was done before is found done.
async fn admit(
    fleet: &Fleet,
    jwt: String,
    asking: &Asking,
    read: &Registered,
    registration: &Registration,
) -> Result<(), Failure> {
    if *registration != read.registration {
        registry::write(fleet, &asking.agent, read, registration).await?;
    }
    let decision = Decision::Approved { jwt };
    let answer = Answer { agent: asking.agent.clone(), public_key: asking.key.clone(), decision };
    enrollment::answer(fleet, &answer).await?;
    Ok(enrollment::forget(fleet, &asking.agent, &asking.key).await?)
}

/// Tells whoever holds the key no.
async fn refuse(fleet: &Fleet, agent: &AgentId, key: &UserKey, reason: &str) -> Result<(), Failure> {
    let decision = Decision::Denied { reason: reason.to_owned() };
    let answer = Answer { agent: agent.clone(), public_key: key.clone(), decision };
    Ok(enrollment::answer(fleet, &answer).await?)
}

/// Does the same for each, whatever became of those before.
async fn for_each<Item>(
    all: impl IntoIterator<Item = Item>,
    output: &mut Output,
    mut one: impl AsyncFnMut(Item, &mut Output) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Done;
    for item in all {
        let result = one(item, output).await;
        outcome = outcome.and(settled(result, output)?);
    }
    Ok(outcome)
}

/// What one device came to, when others are waiting: its failure is told, and theirs is their own.
fn settled(result: Result<(), Failure>, output: &mut Output) -> Result<Outcome, Failure> {
    match result {
        Ok(()) => Ok(Outcome::Done),
        Err(Failure::ReaderGone) => Err(Failure::ReaderGone),
        Err(failure) => {
            output.error(with_causes(&failure));
            Ok(failure.outcome())
        }
    }
}

/// By the clock of whoever decides.
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod testing {
    //! Those who ask.

    use agent_core::enrollment::DeviceKey;
    use agent_model::Timestamp;
    use fleet::enrollment::Asking;

    /// One with a new key.
    pub(super) fn asking(agent: &str, serial: Option<&str>) -> Asking {
        Asking {
            agent: agent.parse().unwrap(),
            key: DeviceKey::generate().unwrap().public(),
            facts: serial.map(|serial| ("serial".to_owned(), serial.to_owned())).into_iter().collect(),
            since: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
        }
    }
}
