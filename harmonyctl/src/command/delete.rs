//! `delete`: unassigns devices, or has them remove everything.

use agent_core::authoring::AuthoredDocument;
use agent_manifest_v1::KIND;
use agent_model::{AgentId, status::API_VERSION, with_causes};
use fleet::{Roster, Selection, desired_state};
use serde_json::{Value, json};

use super::{
    apply::{self, Unfit},
    connect, not_found, read_or_not,
};
use crate::{
    agent_words,
    cli::{Connection, Delete},
    failure::Failure,
    manifest::Manifest,
    outcome::Outcome,
    output::Output,
    sealing::Sealing,
};

/// What to do about a device that does not read the empty document.
const TEARDOWN_BY_HAND: &str =
    "for one that reads only Scores, `harmonyctl apply` a document of the kind Score with \"scores\": []";

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Delete,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let sealing = Sealing::with(arguments.sign_key.as_deref(), output)?;
    let agents = agent_words::parse_named(&arguments.agents.words).map_err(Failure::Usage)?;
    let fleet = connect(connection).await?;
    let roster = Roster::read(&fleet, Selection::of(&agents)).await?;
    let mut outcome = Outcome::Done;
    let mut known = Vec::with_capacity(agents.len());
    for agent in agents {
        // Of a device that has never reported, only the marker is left once it was unassigned. It
        // may have the document all the same.
        if roster.get(&agent).is_some() || roster.entry(&agent).is_some() {
            known.push(agent);
        } else {
            outcome = outcome.and(not_found(output, &agent));
        }
    }
    if arguments.teardown {
        let empty = known.iter().map(empty_document).collect::<Result<Vec<_>, _>>()?;
        if empty.is_empty() {
            return Ok(outcome);
        }
        let (offline_after, waiting) = (connection.offline_after, &arguments.waiting);
        let unfit = Unfit::Refused(TEARDOWN_BY_HAND);
        let submitted =
            apply::submit(roster, &empty, &sealing, unfit, offline_after, waiting, output).await?;
        return Ok(outcome.and(submitted));
    }
    for agent in known {
        outcome = outcome.and(unassign(&roster, &agent, output).await?);
    }
    Ok(outcome)
}

async fn unassign(roster: &Roster, agent: &AgentId, output: &mut Output) -> Result<Outcome, Failure> {
    let Some(entry) = roster.entry(agent).filter(|entry| entry.document.is_some()) else {
        output.error(format_args!("agent/{agent} has no document; there is nothing to delete"));
        return Ok(Outcome::Error);
    };
    match desired_state::delete(roster.fleet(), agent, entry).await {
        Ok(_) => {
            read_or_not(output.line(format_args!("agent/{agent} unassigned")))?;
            // Of a name under which nobody was ever heard, that would tell of a device that there is not.
            if roster.get(agent).is_some_and(|known| known.last_seen().is_some()) {
                output.message(format_args!(
                    "What is on {agent} stays and is enforced; `harmonyctl delete agent {agent} --teardown` removes it."
                ));
            }
            Ok(Outcome::Done)
        }
        Err(error) => {
            let failure = Failure::Store(error);
            output.error(format_args!("agent/{agent}: {}", with_causes(&failure)));
            Ok(failure.outcome())
        }
    }
}

/// The document that has a device remove everything it was ever given.
fn empty_document(agent: &AgentId) -> Result<Manifest, Failure> {
    let document = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": agent},
        "spec": {"resources": []},
    });
    let Value::Object(fields) = document else {
        return Err(Failure::InvalidDocuments("the empty document is no object".to_owned()));
    };
    Manifest::check(AuthoredDocument::from_fields("--teardown", fields)).map_err(|broken| {
        let problems: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
        Failure::InvalidDocuments(format!("{}: {}", broken.place, problems.join("; ")))
    })
}
