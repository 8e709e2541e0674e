//! `agents revoke` and `agents retire`: end the credentials of devices.
//!
//! This is the emergency brake. The key ends first, and what the registry says, or whether it can be read, stops that
//! no further than that the key has to be known from somewhere.

use agent_model::{AgentId, UserKey, with_causes};
use fleet::{
    Fleet,
    registry::{self, RegistryError, State},
};

use super::{Office, connect, for_each, ids, refuse};
use crate::{
    cli::{
        Connection,
        agents::{Retire, Revoke},
    },
    command::read_or_not,
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

/// What a device is told whose key has ended.
const REASON: &str = "this key is no longer good";

pub(super) async fn revoke(
    connection: &Connection,
    arguments: &Revoke,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let office = Office::needed(connection, &arguments.operator)?;
    if let Some(key) = &arguments.key {
        return revoke_key(connection, &office, key, output).await;
    }
    let ids = ids(&arguments.agents)?;
    let fleet = connect(connection, Some(&office)).await.map_err(nothing_ended)?;
    for_each(&ids, output, async |id, output| end(&fleet, Some(&office), id, State::Revoked, output).await)
        .await
}

pub(super) async fn retire(
    connection: &Connection,
    arguments: &Retire,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let office = Office::open(connection, &arguments.operator)?;
    let ids = ids(&arguments.agents)?;
    let fleet = connect(connection, office.as_ref()).await.map_err(nothing_ended)?;
    let office = office.as_ref();
    for_each(&ids, output, async |id, output| end(&fleet, office, id, State::Retired, output).await).await
}

async fn end(
    fleet: &Fleet,
    office: Option<&Office>,
    agent: &AgentId,
    state: State,
    output: &mut Output,
) -> Result<(), Failure> {
    let read = match registry::read(fleet, agent).await {
        Ok((read, true)) => read,
        Ok((_, false)) => {
            return Err(Failure::Refused(format!(
                "agent/{agent} has no entry in the registry, and nothing was ended; `harmonyctl agents list` lists those \
                 that have, and `harmonyctl agents revoke --key KEY` ends a key without one"
            )));
        }
        Err(error @ RegistryError::Unreadable { .. }) => {
            return end_unreadable(fleet, office, agent, &error, output).await;
        }
        Err(error) => return Err(nothing_ended(error)),
    };
    let registration = &read.registration;
    match (&registration.public_key, office) {
        (Some(key), Some(office)) => end_key_of(fleet, office, agent, key).await?,
        (Some(_), None) => return Err(needs_the_folder(agent)),
        (None, _) if state == State::Revoked => {
            return Err(Failure::Refused(format!(
                "agent/{agent} has no key in the registry, and nothing was ended; if it has one all the same, end that \
                 with `harmonyctl agents revoke --key KEY`"
            )));
        }
        (None, _) => {}
    }
    if registration.state == State::Retired && state != State::Retired {
        return read_or_not(
            output.line(format_args!("agent/{agent} revoked (it stays retired, which is more than that)")),
        );
    }
    let ended = registration.in_state(state);
    if ended != *registration {
        registry::write(fleet, agent, &read, &ended).await?;
    }
    read_or_not(output.line(format_args!("agent/{agent} {}", format!("{state:?}").to_lowercase())))
}

/// Ends what of an entry can be found out that cannot be read. The entry itself is somebody's to look at.
async fn end_unreadable(
    fleet: &Fleet,
    office: Option<&Office>,
    agent: &AgentId,
    error: &RegistryError,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(key) = registry::last_key(fleet, agent).await.map_err(nothing_ended)? else {
        return Err(Failure::Refused(format!(
            "nothing was ended: {}, nor does an earlier one name a key; if you know it, end it with \
             `harmonyctl agents revoke --key KEY`",
            with_causes(error)
        )));
    };
    end_key_of(fleet, office.ok_or_else(|| needs_the_folder(agent))?, agent, &key).await?;
    read_or_not(output.line(format_args!("key {key} revoked, the last that agent/{agent} was let in with")))?;
    Err(Failure::Refused(format!("the entry was left as it is: {}", with_causes(error))))
}

async fn end_key_of(fleet: &Fleet, office: &Office, agent: &AgentId, key: &UserKey) -> Result<(), Failure> {
    office.revoke(key).await?;
    let told = refuse(fleet, agent, key, REASON).await;
    told.map_err(|failure| {
        Failure::Refused(format!(
            "the key {key} of agent/{agent} was revoked, and its entry in the registry is as it was: {}",
            with_causes(&failure)
        ))
    })
}

fn nothing_ended(why: impl Into<Failure>) -> Failure {
    Failure::NothingEnded(Box::new(why.into()))
}

fn needs_the_folder(agent: &AgentId) -> Failure {
    Failure::Usage(format!(
        "agent/{agent} has a key, which is ended with the operator's folder; give --operator DIR"
    ))
}

/// Ends a key, and has the entries say so that name it.
async fn revoke_key(
    connection: &Connection,
    office: &Office,
    key: &UserKey,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if let Some(user) = office.folder.user_with(key).map_err(nothing_ended)? {
        return Err(Failure::Usage(format!(
            "nothing was ended: this is the key of {user}.creds in the operator's folder, and of no device; end it with \
             `harmonyctl nats renew {user}`"
        )));
    }
    office.revoke(key).await?;
    // Output that cannot be written keeps nothing from being done.
    let printed = read_or_not(output.line(format_args!("key {key} revoked in the devices' account")));
    let noted = note_revoked(connection, office, key, output).await.map_err(|failure| {
        Failure::Refused(format!(
            "the key was revoked, and the registry does not say so: {}",
            with_causes(&failure)
        ))
    })?;
    printed?;
    Ok(noted)
}

async fn note_revoked(
    connection: &Connection,
    office: &Office,
    key: &UserKey,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let fleet = connect(connection, Some(office)).await?;
    let mut theirs = Vec::new();
    for (agent, read) in registry::read_all(&fleet).await? {
        match read {
            Ok(read) if read.registration.public_key.as_ref() == Some(key) => theirs.push((agent, read)),
            Ok(_) => {}
            Err(error) => output.message(format_args!("warning: {}", with_causes(&error))),
        }
    }
    if theirs.is_empty() {
        output.message("No entry of the registry that can be read names this key; none was changed.");
    }
    for_each(theirs, output, async |(agent, read), output| {
        let state = read.registration.state;
        if state == State::Approved {
            registry::write(&fleet, &agent, &read, &read.registration.in_state(State::Revoked)).await?;
        }
        refuse(&fleet, &agent, key, REASON).await?;
        if state == State::Approved {
            return read_or_not(output.line(format_args!("agent/{agent} revoked")));
        }
        let state = format!("{state:?}").to_lowercase();
        output.message(format_args!("agent/{agent} names this key, and stays {state}."));
        Ok(())
    })
    .await
}
