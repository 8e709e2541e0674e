//! `describe`: everything about a device, for people.

use std::time::Duration;

use agent_model::{
    AgentId, SealingKey, Timestamp,
    status::{AgentStatus, RolledBack},
};
use fleet::{Agent, Events, Fleet, Roster, Selection};

use super::{
    connect,
    events::{self, readable},
    not_found,
};
use crate::{
    agent_words,
    cli::{Connection, Named},
    failure::Failure,
    outcome::Outcome,
    output::Output,
    sealing,
    table::{Table, row},
    words::{self, NOTHING},
};

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Named,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let agents = agent_words::parse_named(&arguments.words).map_err(Failure::Usage)?;
    let fleet = connect(connection).await?;
    let roster = Roster::read(&fleet, Selection::of(&agents)).await?;
    let mut outcome = Outcome::Done;
    let mut is_first = true;
    for id in &agents {
        let Some(agent) = roster.get(id) else {
            outcome = outcome.and(not_found(output, id));
            continue;
        };
        if !is_first {
            output.line("")?;
        }
        is_first = false;
        output.line(description(agent, Timestamp::now(), connection.offline_after).join("\n"))?;
        let events = last_events(&fleet, id, output).await;
        output.line(events.join("\n"))?;
    }
    Ok(outcome)
}

/// How many events are shown.
const EVENTS: usize = 10;

/// The last events. All else is worth knowing without them: where they cannot be read, it is said
/// why.
async fn last_events(fleet: &Fleet, agent: &AgentId, output: &mut Output) -> Vec<String> {
    let stored = match Events::open(fleet, agent).await {
        Ok(mut events) => {
            let stored = events.take_present();
            events.close().await;
            stored
        }
        Err(error) => return vec![String::new(), format!("Events:   <unknown>: {error}")],
    };
    let mut events: Vec<_> = stored.into_iter().filter_map(|stored| readable(stored, output)).collect();
    events.drain(..events.len().saturating_sub(EVENTS));
    if events.is_empty() {
        return vec![String::new(), "Events:   <none>".to_owned()];
    }
    let now = Timestamp::now();
    let rows = events.iter().map(|(event, _)| events::cells(event, now, false));
    section("Events:", [events::header(false)].into_iter().chain(rows).collect())
}

fn description(agent: &Agent, now: Timestamp, offline_after: Duration) -> Vec<String> {
    let status = agent.status();
    let mut head = vec![
        row(["Name:", agent.id.as_str()]),
        row(["Phase:", &agent.phase().unwrap_or_else(|| "Unknown".to_owned())]),
        row(["Last seen:", &last_seen(agent, now, offline_after)]),
        row(["Entry:", &entry(agent)]),
    ];
    match status {
        Some(status) => {
            head.extend(documents(status));
            let mut lines = Table::new().lines(&head);
            lines.extend(status.rolled_back.as_ref().map(rolled_back).unwrap_or_default());
            lines.extend(section("Conditions:", conditions(status, now)));
            lines.extend(section(&resources_title(status), resources(status, now)));
            lines.extend(section("Agent:", agent_info(status, now)));
            lines
        }
        None => {
            let why = match agent.report.as_ref().map(|report| &report.status) {
                Some(Err(error)) => format!("cannot be read: {error}"),
                _ => "none was ever written".to_owned(),
            };
            head.push(row(["Status:", &why]));
            Table::new().lines(&head)
        }
    }
}

/// Indented below its title; left out when there is nothing but the header.
fn section(title: &str, rows: Vec<Vec<String>>) -> Vec<String> {
    let mut lines = vec![String::new(), title.to_owned()];
    lines.extend(Table::new().lines(&rows).iter().map(|line| format!("  {line}")));
    lines
}

fn last_seen(agent: &Agent, now: Timestamp, offline_after: Duration) -> String {
    let seen = words::last_seen(agent.last_seen(), now, offline_after);
    agent.last_seen().map_or_else(|| seen.clone(), |time| format!("{seen}, at {time}"))
}

/// What is in the bucket, which the device may not have seen yet.
fn entry(agent: &Agent) -> String {
    let Some(entry) = &agent.desired else { return "none".to_owned() };
    match &entry.document {
        None => format!("deleted at {}", entry.written_at),
        Some(document) => format!(
            "generation {}, revision {}, {} {}, {}, {}, written at {}",
            words::generation(document.glance.generation),
            entry.revision,
            document.glance.kind.as_deref().unwrap_or(NOTHING),
            document.glance.schema_version.as_deref().unwrap_or(NOTHING),
            document.digest,
            if document.is_sealed() {
                format!("signed by {}", sealing::signers(document))
            } else {
                "not signed".to_owned()
            },
            entry.written_at
        ),
    }
}

/// The three documents as the device knows them.
fn documents(status: &AgentStatus) -> Vec<Vec<String>> {
    let desired = status.desired.as_ref().map(|desired| {
        format!(
            "generation {}, revision {}, {}",
            words::generation(desired.generation),
            desired.revision,
            desired.digest
        )
    });
    let accepted = status.accepted.as_ref().map(|accepted| {
        format!(
            "generation {}, {} {}, {}, at {}",
            accepted.generation, accepted.kind, accepted.schema_version, accepted.digest, accepted.at
        )
    });
    let applied = status
        .applied
        .as_ref()
        .map(|applied| format!("generation {}, {}, at {}", applied.generation, applied.digest, applied.at));
    [("Desired:", desired), ("Accepted:", accepted), ("Applied:", applied)]
        .into_iter()
        .map(|(name, value)| row([name, value.as_deref().unwrap_or("none")]))
        .chain([row(["Highest generation:", &words::generation(status.highest_generation)])])
        .collect()
}

/// From what the device went back, why, and what was not ready then with the last lines that it wrote.
fn rolled_back(from: &RolledBack) -> Vec<String> {
    let mut lines = section(
        "Rolled back:",
        vec![
            row(["From:", &format!("generation {}, {}", from.generation, from.digest)]),
            row(["At:", &from.at.to_string()]),
            row(["Reason:", &from.reason]),
            row(["Message:", &from.message]),
        ],
    );
    if !from.resources.is_empty() {
        let header = row(["KIND", "NAME", "STATE", "REASON", "MESSAGE"]);
        let rows = from.resources.iter().map(|resource| {
            let state = format!("{:?}", resource.state);
            row([&resource.kind, &resource.name, &state, &resource.reason, &resource.message])
        });
        lines.extend(section(
            "Not ready when it was rolled back:",
            [header].into_iter().chain(rows).collect(),
        ));
    }
    for resource in &from.resources {
        let Some(tail) = resource.log_tail.as_deref().filter(|tail| !tail.is_empty()) else { continue };
        let rows = tail.lines().map(|line| row([line])).collect();
        lines.extend(section(&format!("Last lines of {}/{}:", resource.kind, resource.name), rows));
    }
    lines
}

fn conditions(status: &AgentStatus, now: Timestamp) -> Vec<Vec<String>> {
    let header = row(["TYPE", "STATUS", "REASON", "SINCE", "GENERATION", "MESSAGE"]);
    let rows = status.conditions.iter().map(|condition| {
        row([
            &format!("{:?}", condition.condition_type),
            &format!("{:?}", condition.status),
            &condition.reason,
            &words::age(now.since(condition.last_transition_time)),
            &words::generation(condition.observed_generation),
            &condition.message,
        ])
    });
    [header].into_iter().chain(rows).collect()
}

fn resources_title(status: &AgentStatus) -> String {
    let summary = &status.summary;
    let truncated = if status.truncated { "; not all are listed" } else { "" };
    format!(
        "Resources: {} ({} ready, {} failed, {} pending{truncated})",
        summary.total, summary.ready, summary.failed, summary.pending
    )
}

fn resources(status: &AgentStatus, now: Timestamp) -> Vec<Vec<String>> {
    let header =
        row(["KIND", "NAME", "STATE", "REASON", "SINCE", "CHANGES", "DRIFT", "RESTARTS", "RETRY", "MESSAGE"]);
    let rows = status.resources.iter().map(|resource| {
        let retry = resource.next_retry.map_or_else(
            || NOTHING.to_owned(),
            |retry| format!("in {} ({} failed)", words::age(retry.since(now)), resource.attempts),
        );
        row([
            &resource.kind,
            &resource.name,
            &format!("{:?}", resource.state),
            &resource.reason,
            &words::age(now.since(resource.since)),
            &resource.changes.to_string(),
            &resource.drift_corrections.to_string(),
            &resource.restarts.to_string(),
            &retry,
            &resource.message,
        ])
    });
    if status.resources.is_empty() { Vec::new() } else { [header].into_iter().chain(rows).collect() }
}

fn agent_info(status: &AgentStatus, now: Timestamp) -> Vec<Vec<String>> {
    let info = &status.agent_info;
    let formats: Vec<String> =
        info.formats.iter().map(|(kind, versions)| format!("{kind} {}", versions.join(", "))).collect();
    let list = |items: &[String]| if items.is_empty() { NOTHING.to_owned() } else { items.join(", ") };
    let mut rows = vec![
        row(["Version:", &info.version]),
        row(["Formats:", &list(&formats)]),
        row(["Scores:", &list(&info.scores)]),
        row(["Reconcilers:", &list(&info.reconcilers)]),
        row(["Started:", &format!("{} ago, at {}", words::age(now.since(info.started_at)), info.started_at)]),
        row(["Sealing key:", info.sealing_key.as_ref().map_or(NOTHING, SealingKey::as_str)]),
        row(["Boot id:", info.boot_id.as_deref().unwrap_or(NOTHING)]),
    ];
    rows.extend(info.facts.iter().map(|(name, value)| row([&format!("{name}:"), value])));
    rows
}

#[cfg(test)]
mod tests {
    use fleet::registry::State;
    use serde_json::json;

    use super::*;
    use crate::command::newer_agent;

    #[test]
    fn a_status_of_a_newer_agent_is_described_as_far_as_it_is_known() {
        let lines = description(&newer_agent(), Timestamp::UNIX_EPOCH, Duration::from_secs(300));
        let row = |name: &str| {
            let line = lines.iter().find(|line| line.split_whitespace().next() == Some(name));
            line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("Phase:"), "Phase: Levitating");
        assert_eq!(row("Unknown"), "Unknown True NotReady 0s 8 not in time");
        assert_eq!(row("Lamp"), "Lamp l Unknown R 0s 0 0 0 -");
        assert_eq!(row("Version:"), "Version: 0.2.0");
    }

    #[test]
    fn what_was_rolled_back_is_told_with_what_was_not_ready_and_what_that_said_last() {
        let resource = |name: &str, log_tail| {
            json!({"kind": "Process", "name": name, "state": "Failed", "reason": "CrashLoop", "message": "ended with 1",
                   "logTail": log_tail})
        };
        let from = json!({
            "generation": 8, "digest": agent_model::Digest::of_bytes(b"8"), "at": "2026-01-31T12:10:00Z",
            "reason": "DeadlineExceeded", "message": "2 of 3 resources were not ready within 90s",
            "resources": [resource("web", Some("starting\n\x1b[31mno such port\n")), resource("api", None)],
        });
        let lines = rolled_back(&serde_json::from_value(from).unwrap());
        assert!(lines[2].starts_with("  From:      generation 8, sha256:"), "{lines:#?}");
        assert_eq!(
            lines[3..],
            [
                "  At:        2026-01-31T12:10:00Z",
                "  Reason:    DeadlineExceeded",
                "  Message:   2 of 3 resources were not ready within 90s",
                "",
                "Not ready when it was rolled back:",
                "  KIND      NAME   STATE    REASON      MESSAGE",
                "  Process   web    Failed   CrashLoop   ended with 1",
                "  Process   api    Failed   CrashLoop   ended with 1",
                "",
                "Last lines of Process/web:",
                "  starting",
                "  \\u{1b}[31mno such port",
            ]
        );
    }

    #[test]
    fn a_device_without_a_status_is_described_as_far_as_it_is_known() {
        let agent = Agent {
            id: "a".parse().unwrap(),
            desired: None,
            report: None,
            last_heartbeat: None,
            registered: Some(State::Approved),
        };
        let lines = description(&agent, Timestamp::UNIX_EPOCH, Duration::from_secs(300));
        assert_eq!(
            lines,
            [
                "Name:        a",
                "Phase:       Unknown",
                "Last seen:   never",
                "Entry:       none",
                "Status:      none was ever written"
            ]
        );
    }
}
