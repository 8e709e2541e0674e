//! `get`: devices as a table, or their statuses as they are. `documents` has what it shows of documents.

use std::collections::BTreeMap;

use agent_model::{
    AgentId, Digest, Timestamp,
    status::{API_VERSION, AgentStatus, ConditionStatus, ConditionType, KIND, SCHEMA_VERSION},
    with_causes,
};
use fleet::{Agent, Roster};
use serde_json::{Value, json};

use super::{connect, documents, found, selection};
use crate::{
    agent_words::{self, Shown, Wanted},
    cli::{Connection, Format, Get},
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    table::{Table, row},
    words::{self, NOTHING},
};

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Get,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let wanted = match agent_words::parse_shown(&arguments.words).map_err(Failure::Usage)? {
        Shown::Agents(wanted) => wanted,
        Shown::Document(agent) => return documents::run(connection, &agent, arguments, output).await,
    };
    if arguments.revision.is_some() || arguments.raw {
        return Err(Failure::Usage(
            "--revision and --raw are for documents: harmonyctl get document ID".to_owned(),
        ));
    }
    let fleet = connect(connection).await?;
    let mut roster = Roster::read(&fleet, selection(&wanted)).await?;
    let mut listing = Listing {
        format: arguments.output,
        offline_after: connection.offline_after,
        table: Table::new(),
        is_watching: arguments.watch,
        printed: BTreeMap::new(),
    };
    let outcome = listing.print_all(&roster, &wanted, output)?;
    if arguments.watch {
        watch(&mut roster, &wanted, &mut listing, output).await?;
    }
    Ok(outcome)
}

/// Prints what changes, until the user or the reader has enough.
async fn watch(
    roster: &mut Roster,
    wanted: &Wanted,
    listing: &mut Listing,
    output: &mut Output,
) -> Result<(), Failure> {
    loop {
        match roster.changed().await {
            Ok(id) if is_wanted(wanted, &id) => {
                if let Some(agent) = roster.get(&id) {
                    listing.print_change(agent, output)?;
                }
            }
            Ok(_) => {}
            Err(error) => {
                output.message(format_args!("watching again after: {}", with_causes(&error)));
                roster.read_again(error, None).await?;
                // What changed meanwhile is not told again.
                for agent in roster.agents().filter(|agent| is_wanted(wanted, &agent.id)) {
                    listing.print_change(agent, output)?;
                }
            }
        }
    }
}

fn is_wanted(wanted: &Wanted, id: &AgentId) -> bool {
    match wanted {
        Wanted::All => true,
        Wanted::These(agents) => agents.contains(id),
    }
}

struct Listing {
    format: Format,
    offline_after: std::time::Duration,
    table: Table,
    /// Whether what changes is printed too.
    is_watching: bool,
    /// What was printed last of each, without what changes by itself.
    printed: BTreeMap<AgentId, Digest>,
}

impl Listing {
    fn print_all(
        &mut self,
        roster: &Roster,
        wanted: &Wanted,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        let (agents, outcome) = found(roster, wanted, output);
        for agent in &agents {
            if self.is_watching {
                self.printed.insert(agent.id.clone(), self.fingerprint(agent));
            }
            warn_unreadable(agent, output);
        }
        match self.format {
            Format::Table | Format::Wide if agents.is_empty() => {
                if outcome == Outcome::Done {
                    output.message("No agents found.");
                }
            }
            Format::Table | Format::Wide => {
                let mut rows = vec![self.header()];
                rows.extend(agents.iter().map(|agent| self.row(agent)));
                output.line(self.table.lines(&rows).join("\n"))?;
            }
            Format::Name => {
                for agent in &agents {
                    output.line(format_args!("agent/{}", agent.id))?;
                }
            }
            Format::Json => self.print_documents(Notation::Json, &agents, wanted, output)?,
            Format::Yaml => self.print_documents(Notation::Yaml, &agents, wanted, output)?,
        }
        Ok(outcome)
    }

    fn print_documents(
        &self,
        notation: Notation,
        agents: &[&Agent],
        wanted: &Wanted,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let is_single = matches!(wanted, Wanted::These(ids) if ids.len() == 1);
        notation.print(WHAT, agents.iter().map(|agent| document(agent)), is_single, output)
    }

    fn print_change(&mut self, agent: &Agent, output: &mut Output) -> Result<(), Failure> {
        let fingerprint = self.fingerprint(agent);
        if self.printed.get(&agent.id) == Some(&fingerprint) {
            return Ok(());
        }
        self.printed.insert(agent.id.clone(), fingerprint);
        warn_unreadable(agent, output);
        match self.format {
            Format::Table | Format::Wide => {
                let row = self.row(agent);
                output.line(self.table.lines(&[row]).join("\n"))
            }
            Format::Name => output.line(format_args!("agent/{}", agent.id)),
            Format::Json => output.line(Notation::Json.written(WHAT, &document(agent))?),
            Format::Yaml => {
                output.line(format_args!("---\n{}", Notation::Yaml.written(WHAT, &document(agent))?))
            }
        }
    }

    /// What is printed of an agent but for when it was last seen, which alone is no news.
    fn fingerprint(&self, agent: &Agent) -> Digest {
        let printed = match self.format {
            Format::Json | Format::Yaml => document(agent).to_string(),
            Format::Name => agent.id.to_string(),
            Format::Table | Format::Wide => {
                let mut cells = self.row(agent);
                cells.remove(LAST_SEEN);
                cells.join("\n")
            }
        };
        Digest::of_bytes(printed.as_bytes())
    }

    fn header(&self) -> Vec<String> {
        let mut cells = row(["NAME", "PHASE", "GENERATION", "APPLIED", "READY", "LAST-SEEN"]);
        if self.format == Format::Wide {
            cells.extend(row(["ACCEPTED", "FORMAT", "FAILED", "VERSION", "OS", "ARCH", "CONDITIONS"]));
        }
        cells
    }

    fn row(&self, agent: &Agent) -> Vec<String> {
        let status = agent.status();
        let written = agent.desired.as_ref().and_then(|entry| entry.document.as_ref());
        let of_status = |text: fn(&AgentStatus) -> String| status.map_or_else(|| NOTHING.to_owned(), text);
        let mut cells = vec![
            agent.id.to_string(),
            agent.phase().unwrap_or_else(|| "Unknown".to_owned()),
            words::generation(written.and_then(|document| document.glance.generation)),
            words::generation(
                status.and_then(|status| status.applied.as_ref()).map(|applied| applied.generation),
            ),
            of_status(|status| format!("{}/{}", status.summary.ready, status.summary.total)),
            words::last_seen(agent.last_seen(), Timestamp::now(), self.offline_after),
        ];
        if self.format == Format::Wide {
            cells.extend([
                words::generation(
                    status.and_then(|status| status.accepted.as_ref()).map(|accepted| accepted.generation),
                ),
                of_status(accepted_format),
                of_status(|status| status.summary.failed.to_string()),
                of_status(|status| status.agent_info.version.clone()),
                of_status(|status| fact(status, "os")),
                of_status(|status| fact(status, "arch")),
                of_status(remarkable_conditions),
            ]);
        }
        cells
    }
}

/// What the documents are, for a message.
const WHAT: &str = "the status";

/// Which of the columns tells when the device was last seen.
const LAST_SEEN: usize = 5;

fn warn_unreadable(agent: &Agent, output: &mut Output) {
    if let Some(Err(error)) = agent.report.as_ref().map(|report| &report.status) {
        output.message(format_args!("warning: the status of agent/{} cannot be read: {error}", agent.id));
    }
}

/// In which format the document in force is written.
fn accepted_format(status: &AgentStatus) -> String {
    let format = status.accepted.as_ref().map(|it| format!("{} {}", it.kind, it.schema_version));
    format.unwrap_or_else(|| NOTHING.to_owned())
}

fn fact(status: &AgentStatus, name: &str) -> String {
    status.agent_info.facts.get(name).cloned().unwrap_or_else(|| NOTHING.to_owned())
}

/// Conditions that are not as they should be; `-` when all are.
fn remarkable_conditions(status: &AgentStatus) -> String {
    let remarkable: Vec<String> = status
        .conditions
        .iter()
        .filter(|condition| {
            let good = match condition.condition_type {
                ConditionType::Paused | ConditionType::SafeMode => ConditionStatus::False,
                ConditionType::Accepted | ConditionType::Converged | ConditionType::StateStore => {
                    ConditionStatus::True
                }
                // Nobody here can tell what is good.
                ConditionType::Unknown => return false,
            };
            condition.status != good && condition.status != ConditionStatus::Unknown
        })
        .map(|condition| format!("{:?}={}", condition.condition_type, condition.reason))
        .collect();
    if remarkable.is_empty() { NOTHING.to_owned() } else { remarkable.join(",") }
}

/// The status as the device wrote it, with every key. A device that has never written one gets a
/// status in which everything is unknown, so that a list has no gaps.
fn document(agent: &Agent) -> Value {
    let written = agent.report.as_ref().and_then(|report| serde_json::from_slice(&report.bytes).ok());
    written.filter(Value::is_object).unwrap_or_else(|| {
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "schemaVersion": SCHEMA_VERSION,
            "agent": agent.id,
            "writer": null,
            "phase": null,
            "desired": null,
            "highestGeneration": null,
            "accepted": null,
            "applied": null,
            "rolledBack": null,
            "conditions": [],
            "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0},
            "resources": [],
            "agentInfo": null,
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use fleet::{registry::State, roster::Report};

    use super::*;

    /// A device whose status has keys and words of a version that is not known here.
    pub(crate) fn newer_agent() -> Agent {
        let time = "2026-01-31T12:00:00Z";
        let status = json!({
            "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.9.0", "agent": "a",
            "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Levitating", "desired": null,
            "highestGeneration": 8, "accepted": null, "applied": null, "levitation": {"generation": 8},
            "conditions": [{"type": "Levitating", "status": "True", "reason": "NotReady", "message": "not in time",
                            "lastTransitionTime": time, "observedGeneration": 8}],
            "summary": {"total": 1, "ready": 0, "failed": 0, "pending": 1},
            "resources": [{"kind": "Lamp", "name": "l", "state": "Quarantined", "reason": "R", "message": "",
                           "since": time, "specDigest": null, "changes": 0, "driftCorrections": 0, "restarts": 0,
                           "attempts": 0, "nextRetry": null, "details": {}}],
            "agentInfo": {"version": "0.2.0", "formats": {}, "scores": [], "reconcilers": [], "facts": {},
                          "bootId": null, "startedAt": time},
        });
        Agent { report: Some(Report::read(Timestamp::UNIX_EPOCH, status.to_string().into())), ..agent() }
    }

    fn agent() -> Agent {
        Agent {
            id: "a".parse().unwrap(),
            desired: None,
            report: None,
            last_heartbeat: None,
            registered: Some(State::Approved),
        }
    }

    fn listing(format: Format) -> Listing {
        let offline_after = Duration::from_secs(300);
        let table = Table::new();
        Listing { format, offline_after, table, is_watching: true, printed: BTreeMap::new() }
    }

    #[test]
    fn a_device_without_a_status_is_listed_as_unknown() {
        let listing = listing(Format::Table);
        assert_eq!(listing.row(&agent()), row(["a", "Unknown", "-", "-", "-", "never"]));
        assert_eq!(document(&agent())["phase"], Value::Null);
        assert_eq!(document(&agent())["agent"], "a");
    }

    #[test]
    fn a_status_of_a_newer_agent_is_listed_as_far_as_it_is_known_and_printed_as_it_is() {
        let newer = newer_agent();
        for format in [Format::Table, Format::Wide] {
            let row = listing(format).row(&newer);
            assert_eq!(row[1..5], ["Levitating", "-", "-", "0/1"]);
        }
        assert_eq!(document(&newer)["phase"], "Levitating");
        assert_eq!(document(&newer)["levitation"]["generation"], 8);
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for format in [Format::Table, Format::Wide] {
            let listing = listing(format);
            assert_eq!(listing.header().len(), listing.row(&agent()).len(), "{format:?}");
            assert_eq!(listing.header()[LAST_SEEN], "LAST-SEEN");
        }
    }

    #[test]
    fn a_heartbeat_alone_is_no_news() {
        let listing = listing(Format::Wide);
        let later = Agent { last_heartbeat: Some(Timestamp::now()), ..agent() };
        assert_eq!(listing.fingerprint(&agent()), listing.fingerprint(&later));
    }
}
