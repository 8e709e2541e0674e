//! `agents replace`: new hardware for an id.

use fleet::{registry, registry::State};

use super::{
    Office, admit, asking, connect,
    named::{Named, with_keys},
    now,
    owners::Owners,
    refuse,
};
use crate::{
    cli::{Connection, agents::Replace},
    command::read_or_not,
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(super) async fn run(
    connection: &Connection,
    arguments: &Replace,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let named = Named::read(std::slice::from_ref(&arguments.agent), arguments.key.key.as_deref())?;
    let office = Office::needed(connection, &arguments.operator)?;
    let fleet = connect(connection, Some(&office)).await?;
    let named = with_keys(&fleet, Some(&office), "replace", named).await?;
    let [(agent, key)] = named.as_slice() else {
        return Err(Failure::Usage("say one only: ID or agent/ID".to_owned()));
    };
    let asking = &asking(&fleet, agent, key).await?;
    Owners::read(&fleet).await?.refuse_second_id(asking)?;
    let (read, _) = registry::read(&fleet, agent).await?;
    let registration = read.registration.replace(asking, now())?;
    // Before the old key ends: one that is not signed leaves things as they are.
    let jwt = office.sign(asking).await?;
    // One that is revoked is not good either way; that of a lost push is pushed again.
    if let Some(old) = read.registration.public_key.as_ref().filter(|old| **old != asking.key) {
        office.revoke(old).await?;
        if read.registration.state != State::Revoked {
            refuse(&fleet, agent, old, "this id was given to other hardware").await?;
        }
    }
    admit(&fleet, jwt, asking, &read, &registration).await?;
    read_or_not(output.line(format_args!("agent/{agent} replaced (key {})", asking.key)))?;
    Ok(Outcome::Done)
}
