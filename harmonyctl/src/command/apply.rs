//! `apply`: writes documents and waits until they are applied.
//!
//! Everything is read, checked and decided before anything is written. From then on each document
//! stands for itself: what goes wrong with one keeps none of the others from being written.

use std::{collections::BTreeMap, time::Duration};

use agent_model::{AgentId, Timestamp};
use fleet::{
    Agent, Roster, Selection, desired_state,
    generation::{self, Writing},
    waiting::{Goal, Target},
};

use super::{all_valid, connect, read_or_not};
use crate::{
    cli::{Apply, Connection, Waiting},
    failure::{Failure, with_causes},
    following::Following,
    manifest::Manifest,
    outcome::Outcome,
    output::Output,
    reading,
};

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Apply,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let manifests = all_valid(reading::read(&arguments.files.filename)?, output)?;
    let fleet = connect(connection).await?;
    let selection = Selection::of(manifests.iter().map(|manifest| &manifest.agent));
    let roster = Roster::read(&fleet, selection).await?;
    if arguments.dry_run {
        for (manifest, writing) in plan(&manifests, &roster, output)? {
            output.line(format_args!("agent/{} {} (dry run)", manifest.agent, told(writing)))?;
        }
        return Ok(Outcome::Done);
    }
    submit(roster, &manifests, connection.offline_after, &arguments.waiting, output).await
}

/// Writes the documents, and waits. The roster holds their devices.
pub(super) async fn submit(
    mut roster: Roster,
    manifests: &[Manifest],
    offline_after: Duration,
    waiting: &Waiting,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let planned = plan(manifests, &roster, output)?;
    let mut outcome = Outcome::Done;
    let mut goals = BTreeMap::new();
    for (manifest, writing) in planned {
        match write(manifest, writing, &mut roster).await {
            Ok(target) => {
                read_or_not(output.line(format_args!("agent/{} {}", manifest.agent, told(writing))))?;
                goals.extend(target.map(|target| (manifest.agent.clone(), Goal::Converged(target))));
            }
            Err(failure) => {
                output.error(format_args!("agent/{}: {}", manifest.agent, with_causes(&failure)));
                outcome = outcome.and(failure.outcome());
            }
        }
    }
    if waiting.no_wait {
        return Ok(outcome);
    }
    let written: BTreeMap<AgentId, &Manifest> =
        manifests.iter().map(|manifest| (manifest.agent.clone(), manifest)).collect();
    let following = Following {
        roster,
        resubmittable: written.into_iter().filter(|(agent, _)| goals.contains_key(agent)).collect(),
        goals,
        timeout: waiting.limit.timeout,
        offline_after,
        waits_for_offline: false,
        on_interrupt: "No longer waiting. What was written stays written, and the devices go on applying it; \
                       see `harmonyctl get agents`.",
    };
    Ok(outcome.and(following.finish(output).await?))
}

/// Decides about every document, once it is sure that all devices can read theirs, each with its own
/// Scores and facts.
fn plan<'a>(
    manifests: &'a [Manifest],
    roster: &Roster,
    output: &mut Output,
) -> Result<Vec<(&'a Manifest, Writing)>, Failure> {
    let mut unreadable = 0;
    let mut planned = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let status = roster.get(&manifest.agent).and_then(Agent::status);
        let problems = status.map(|status| manifest.problems_on(status)).unwrap_or_default();
        unreadable += usize::from(!problems.is_empty());
        for problem in problems {
            output.error(format_args!("{}: {problem}", manifest.place()));
        }
        let writing = generation::decide(manifest.intent(), roster.entry(&manifest.agent), status)
            .map_err(|source| Failure::Exhausted { agent: manifest.agent.clone(), source })?;
        planned.push((manifest, writing));
    }
    if unreadable > 0 {
        return Err(Failure::InvalidDocuments(format!("{unreadable} cannot be accepted by their devices")));
    }
    Ok(planned)
}

/// Brings the entry about, and returns what to wait for.
async fn write(
    manifest: &Manifest,
    writing: Writing,
    roster: &mut Roster,
) -> Result<Option<Target>, Failure> {
    let agent = &manifest.agent;
    let replaced = roster.entry(agent);
    if matches!(writing, Writing::Unchanged(_)) {
        return Ok(replaced.and_then(Target::of));
    }
    let document = manifest.complete(writing.generation(), Timestamp::now());
    let entry = desired_state::write(roster.fleet(), agent, replaced, document).await?;
    let target = Target::of(&entry);
    roster.note_written(agent, entry);
    Ok(target)
}

fn told(writing: Writing) -> String {
    let verb = match writing {
        Writing::Create(_) => "created",
        Writing::Configure(_) => "configured",
        Writing::Unchanged(_) => "unchanged",
    };
    format!("{verb} (generation {})", writing.generation())
}
