//! `init`: the buckets and the stream; or, with `--operator`, what servers in operator mode need.

use fleet::provisioning::{Change, Layout, provision};

use super::{connect, operator};
use crate::{
    cli::{Connection, Init},
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Init,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if let Some(folder) = &arguments.operator {
        return operator::make(folder, output);
    }
    let fleet = connect(connection).await?;
    let layout = Layout {
        replicas: arguments.replicas.map(usize::from),
        events_max_bytes: arguments.events_max_bytes,
    };
    for provisioned in provision(&fleet, &layout).await? {
        let change = match provisioned.change {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Unchanged => "unchanged",
        };
        output.line(format_args!("{} {change}", provisioned.name))?;
    }
    Ok(Outcome::Done)
}
