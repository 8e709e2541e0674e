//! `agents deny`: tells devices that they are not let in.

use fleet::{
    Fleet,
    enrollment::{self, Asking},
    registry::{self, State},
};

use super::{
    asking, connect, for_each,
    named::{Named, with_keys},
    refuse,
};
use crate::{
    cli::{Connection, agents::Deny},
    command::read_or_not,
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(super) async fn run(
    connection: &Connection,
    arguments: &Deny,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let named = Named::read(&arguments.agents, arguments.key.key.as_deref())?;
    let fleet = connect(connection, None).await?;
    let named = with_keys(&fleet, None, "deny", named).await?;
    for_each(named, output, async |(agent, key), output| {
        let asking = asking(&fleet, &agent, &key).await?;
        deny(&fleet, &asking, &arguments.reason, output).await
    })
    .await
}

async fn deny(fleet: &Fleet, asking: &Asking, reason: &str, output: &mut Output) -> Result<(), Failure> {
    let (read, _) = registry::read(fleet, &asking.agent).await?;
    let registration = read.registration;
    if registration.state == State::Approved && registration.public_key.as_ref() == Some(&asking.key) {
        return Err(Failure::Refused(format!(
            "agent/{} was approved with this key; end that with `harmonyctl agents revoke {}`",
            asking.agent, asking.agent
        )));
    }
    refuse(fleet, &asking.agent, &asking.key, reason).await?;
    enrollment::forget(fleet, &asking.agent, &asking.key).await?;
    read_or_not(output.line(format_args!("agent/{} denied (key {})", asking.agent, asking.key)))
}
