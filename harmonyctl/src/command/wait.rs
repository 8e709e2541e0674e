//! `wait`: until devices have applied what is in the bucket, or have noticed that nothing is.

use std::collections::BTreeMap;

use fleet::{
    Roster, Selection,
    waiting::{Goal, Target},
};

use super::{connect, not_found};
use crate::{
    agent_words,
    cli::{Condition, Connection, Wait},
    failure::Failure,
    following::Following,
    outcome::Outcome,
    output::Output,
    sealing::Sealing,
};

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Wait,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let agents = agent_words::parse_named(&arguments.agents.words).map_err(Failure::Usage)?;
    let fleet = connect(connection).await?;
    let roster = Roster::read(&fleet, Selection::of(&agents)).await?;
    let mut outcome = Outcome::Done;
    let mut goals = BTreeMap::new();
    for agent in agents {
        if roster.get(&agent).is_none() {
            outcome = outcome.and(not_found(output, &agent));
            continue;
        }
        let goal = match arguments.condition {
            Condition::Unassigned => Some(Goal::Unassigned),
            Condition::Converged => roster.entry(&agent).and_then(Target::of).map(Goal::Converged),
        };
        match goal {
            Some(goal) => {
                goals.insert(agent, goal);
            }
            None => {
                output.error(format_args!("agent/{agent} has no document that it could apply"));
                outcome = outcome.and(Outcome::Error);
            }
        }
    }
    let following = Following {
        roster,
        sealing: &Sealing::with(None, output)?,
        goals,
        resubmittable: BTreeMap::new(),
        timeout: arguments.limit.timeout,
        offline_after: connection.offline_after,
        waits_for_offline: true,
        on_interrupt: "No longer waiting.",
    };
    Ok(outcome.and(following.finish(output).await?))
}
