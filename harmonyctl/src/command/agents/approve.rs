//! `agents approve`: lets devices in that ask.

use fleet::{
    Fleet,
    enrollment::Asking,
    registry::{self, Registration},
};

use super::{
    Office, admit, all, asking, connect, for_each, in_advance,
    named::{Named, with_keys},
    now,
    owners::Owners,
};
use crate::{
    cli::{Connection, agents::Approve},
    command::read_or_not,
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(super) async fn run(
    connection: &Connection,
    arguments: &Approve,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let named = Named::read(&arguments.agents, arguments.key.key.as_deref())?;
    let office = Office::needed(connection, &arguments.operator)?;
    let fleet = connect(connection, Some(&office)).await?;
    match (&arguments.from, arguments.all) {
        (Some(file), _) => in_advance::run(&fleet, &office, file, arguments.watch, output).await,
        (None, true) => all::run(&fleet, &office, arguments.yes.as_deref(), output).await,
        (None, false) => these(&fleet, &office, named, output).await,
    }
}

async fn these(
    fleet: &Fleet,
    office: &Office,
    named: Vec<Named>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let named = with_keys(fleet, Some(office), "approve", named).await?;
    let mut owners = Owners::read(fleet).await?;
    for_each(named, output, async |(agent, key), output| {
        let asking = asking(fleet, &agent, &key).await?;
        approve(fleet, office, &mut owners, &asking, output).await.map(drop)
    })
    .await
}

/// Approves one that a person, or a list that a person made, has chosen; what the registry says of it then.
pub(super) async fn approve(
    fleet: &Fleet,
    office: &Office,
    owners: &mut Owners,
    asking: &Asking,
    output: &mut Output,
) -> Result<Registration, Failure> {
    owners.refuse_second_id(asking)?;
    let (read, _) = registry::read(fleet, &asking.agent).await?;
    let registration = read.registration.approve(asking, now())?;
    let jwt = office.sign(asking).await?;
    admit(fleet, jwt, asking, &read, &registration).await?;
    owners.note(asking);
    read_or_not(output.line(format_args!("agent/{} approved (key {})", asking.agent, asking.key)))?;
    Ok(registration)
}
