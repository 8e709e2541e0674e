//! `init`: the buckets and the stream; or, with `--operator`, what servers in operator mode need.

use fleet::provisioning::{Change, DEFAULT_EVENTS_MAX_BYTES, Layout, provision};

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
        let name = provisioned.name;
        let change = match provisioned.change {
            Change::Created | Change::CreatedSmaller { .. } => "created",
            Change::Updated => "updated",
            Change::Unchanged => "unchanged",
        };
        output.line(format_args!("{name} {change}"))?;
        if let Change::CreatedSmaller { max_bytes } = provisioned.change {
            output.message(format_args!(
                "warning: the server has no room for {name} as large as usual ({}Gi); once it has grown to {}Mi, the \
                 oldest events go. Give the server more storage and run init with --events-max-bytes",
                DEFAULT_EVENTS_MAX_BYTES >> 30,
                max_bytes >> 20
            ));
        }
    }
    Ok(Outcome::Done)
}
