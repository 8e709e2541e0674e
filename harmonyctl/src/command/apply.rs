//! `apply`: writes documents and waits until they are applied.
//!
//! Everything is read, checked and decided before anything is written. From then on each document
//! stands for itself: what goes wrong with one keeps none of the others from being written.

use std::{collections::BTreeMap, time::Duration};

use agent_model::{AgentId, with_causes};
use fleet::{
    Agent, Roster, Selection, desired_state,
    generation::Writing,
    registry::State,
    waiting::{Goal, Target},
};

use super::{all_valid, connect, nearest_known, read_or_not};
use crate::{
    cli::{Apply, Connection, Waiting},
    failure::Failure,
    following::Following,
    manifest::Manifest,
    outcome::Outcome,
    output::Output,
    reading,
    sealing::Sealing,
    words,
};

/// What becomes of documents that their devices, as they describe themselves, cannot accept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unfit {
    /// They are written all the same.
    Written,
    /// Nothing is written. What else there is to do, for a person.
    Refused(&'static str),
}

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Apply,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let sealing = Sealing::with(arguments.sign_key.as_deref(), output)?;
    let manifests = all_valid(reading::read(&arguments.files.filename)?, output)?;
    let fleet = connect(connection).await?;
    let selection = Selection::of(manifests.iter().map(|manifest| &manifest.agent));
    let roster = Roster::read(&fleet, selection).await?;
    let unfit = match arguments.force {
        true => Unfit::Written,
        false => Unfit::Refused("`harmonyctl apply --force` writes them all the same"),
    };
    if arguments.dry_run {
        for (manifest, writing) in plan(&manifests, &sealing, &roster, unfit, output).await? {
            output.line(format_args!("agent/{} {} (dry run)", manifest.agent, told(writing)))?;
        }
        return Ok(Outcome::Done);
    }
    let (offline_after, waiting) = (connection.offline_after, &arguments.waiting);
    submit(roster, &manifests, &sealing, unfit, offline_after, waiting, output).await
}

/// Writes the documents, and waits. The roster holds their devices.
pub(super) async fn submit(
    mut roster: Roster,
    manifests: &[Manifest],
    sealing: &Sealing,
    unfit: Unfit,
    offline_after: Duration,
    waiting: &Waiting,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let planned = plan(manifests, sealing, &roster, unfit, output).await?;
    let mut outcome = Outcome::Done;
    let mut goals = BTreeMap::new();
    for (manifest, writing) in planned {
        match write(manifest, writing, sealing, &mut roster).await {
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
        sealing,
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

/// Decides about every document, once it is sure that all devices can accept theirs, each with its own
/// Scores, reconcilers and facts, or that they are to get them all the same.
async fn plan<'a>(
    manifests: &'a [Manifest],
    sealing: &Sealing,
    roster: &Roster,
    unfit: Unfit,
    output: &mut Output,
) -> Result<Vec<(&'a Manifest, Writing)>, Failure> {
    let mut refused = 0;
    let mut planned = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let status = roster.get(&manifest.agent).and_then(Agent::status);
        let problems = status.map(|status| manifest.problems_on(status)).unwrap_or_default();
        refused += usize::from(!problems.is_empty());
        for problem in problems {
            match unfit {
                Unfit::Written => output.message(format_args!("warning: {}: {problem}", manifest.place())),
                Unfit::Refused(_) => output.error(format_args!("{}: {problem}", manifest.place())),
            }
        }
        let entry = roster.entry(&manifest.agent);
        let writing = sealing.decide(manifest, entry, status)?;
        if let Some(signers) = sealing.downgraded(writing, entry) {
            output.message(format_args!(
                "warning: agent/{}: the document that is there is signed by {signers}, and this one is not signed; a device \
                 that asks for signatures refuses it: give --sign-key FILE",
                manifest.agent
            ));
        }
        planned.push((manifest, writing));
    }
    warn_of_strangers(manifests, roster, output).await;
    match unfit {
        Unfit::Refused(hint) if refused > 0 => {
            Err(Failure::InvalidDocuments(format!("{refused} cannot be accepted by their devices; {hint}")))
        }
        Unfit::Written | Unfit::Refused(_) => Ok(planned),
    }
}

/// Tells of devices that may never read their documents, or of which it is not known whether they can accept them.
async fn warn_of_strangers(manifests: &[Manifest], roster: &Roster, output: &mut Output) {
    let those = |is_one: fn(Option<&Agent>) -> bool| {
        let ids = manifests.iter().map(|manifest| &manifest.agent);
        ids.filter(|id| is_one(roster.get(id))).collect::<Vec<_>>()
    };
    match those(|agent| !agent.is_some_and(Agent::is_seen_or_registered)).as_slice() {
        [] => {}
        [agent] => {
            let hint = nearest_known(roster.fleet(), agent).await;
            output.message(format_args!(
                "warning: no device {agent} was ever seen here; check metadata.name{hint}"
            ));
        }
        several => output.message(format_args!(
            "warning: no devices of these names were ever seen here; check metadata.name: {}",
            words::some_of(several)
        )),
    }
    for (these, what) in [
        (
            those(has_no_status),
            "has no status that can be read here, so that nobody knows whether it accepts its document",
        ),
        (
            those(|agent| stands(agent) == Some(State::Retired)),
            "is retired: no device reads its document any more",
        ),
        (
            those(|agent| stands(agent) == Some(State::Revoked)),
            "is revoked: no device reads its document until `harmonyctl agents replace` gives the id to one",
        ),
    ] {
        if !these.is_empty() {
            output.message(format_args!("warning: {} {what}", words::some_of(&these)));
        }
    }
}

fn stands(agent: Option<&Agent>) -> Option<State> {
    agent?.registered
}

/// Whether it may well read its document, and has not said what it reads.
fn has_no_status(agent: Option<&Agent>) -> bool {
    agent.is_some_and(|it| it.is_seen_or_registered() && it.status().is_none())
        && !matches!(stands(agent), Some(State::Retired | State::Revoked))
}

/// Brings the entry about, and returns what to wait for.
async fn write(
    manifest: &Manifest,
    writing: Writing,
    sealing: &Sealing,
    roster: &mut Roster,
) -> Result<Option<Target>, Failure> {
    let agent = &manifest.agent;
    let replaced = roster.entry(agent);
    if matches!(writing, Writing::Unchanged(_)) {
        return Ok(replaced.and_then(Target::of));
    }
    let document = sealing.value(manifest, writing, replaced)?;
    let entry = desired_state::write(roster.fleet(), agent, replaced, document).await?;
    let target = Target::of(&entry);
    roster.note_written(agent, entry);
    Ok(target)
}

fn told(writing: Writing) -> String {
    let verb = match writing {
        Writing::Create(_) => "created",
        Writing::Configure(_) => "configured",
        Writing::Sign(_) => "signed",
        Writing::Unchanged(_) => "unchanged",
    };
    format!("{verb} (generation {})", writing.generation())
}
