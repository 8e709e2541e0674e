//! What is shown while waiting: a live table on a terminal, a line for each change elsewhere.

use std::collections::BTreeMap;

use agent_model::{
    AgentId, Timestamp,
    status::{AgentStatus, ConditionStatus, ConditionType, ResourceState},
};
use fleet::{Agent, Roster, waiting::Goal};

use crate::{
    output::Output,
    table::{Table, row},
    words,
};

/// Shows how devices get on.
pub(crate) struct Progress {
    /// What was printed last for each device, elsewhere than on a terminal.
    printed: BTreeMap<AgentId, String>,
    table: Table,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { printed: BTreeMap::new(), table: Table::new() }
    }

    /// Shows the devices that are still waited for, after this one (or time alone) has changed.
    pub(crate) fn show(
        &mut self,
        output: &mut Output,
        roster: &Roster,
        goals: &BTreeMap<AgentId, Goal>,
        changed: Option<&AgentId>,
    ) {
        match (output.terminal(), changed) {
            (Some((columns, rows)), _) => self.draw(output, roster, goals, columns, rows),
            (None, Some(agent)) => {
                if let Some(goal) = goals.get(agent) {
                    self.print(output, roster, agent, goal);
                }
            }
            (None, None) => {
                for (agent, goal) in goals {
                    self.print(output, roster, agent, goal);
                }
            }
        }
    }

    fn draw(
        &mut self,
        output: &mut Output,
        roster: &Roster,
        goals: &BTreeMap<AgentId, Goal>,
        columns: usize,
        rows: usize,
    ) {
        // One line for the header, one for those that do not fit, one for the cursor.
        let shown = rows.saturating_sub(3).max(1);
        let now = Timestamp::now();
        let mut cells = vec![row(["WAITING FOR", "PHASE", "READY", "LAST-SEEN", "STATUS"])];
        cells.extend(goals.keys().take(shown).map(|id| {
            let agent = roster.get(id);
            let status = agent.and_then(Agent::status);
            row([
                &format!("agent/{id}"),
                &phase(agent),
                &ready(status),
                &agent.and_then(Agent::last_seen).map_or("never".into(), |seen| words::age(now.since(seen))),
                &activity(status, &goals[id]),
            ])
        }));
        let mut lines = self.table.lines(&cells);
        if goals.len() > shown {
            lines.push(format!("… and {} more", goals.len() - shown));
        }
        output.redraw(&lines, columns);
    }

    fn print(&mut self, output: &mut Output, roster: &Roster, id: &AgentId, goal: &Goal) {
        let line = state_line(roster.get(id), goal);
        if self.printed.get(id) != Some(&line) {
            output.message(format_args!("agent/{id}: {line}"));
            self.printed.insert(id.clone(), line);
        }
    }
}

/// Where the device is on its way, in one line.
pub(crate) fn state_line(agent: Option<&Agent>, goal: &Goal) -> String {
    let status = agent.and_then(Agent::status);
    let resources = status.map(|status| format!(", {} ready", ready(Some(status)))).unwrap_or_default();
    let activity = activity(status, goal);
    let activity = if activity.is_empty() { activity } else { format!(", {activity}") };
    format!("{}{resources}{activity}", phase(agent))
}

fn phase(agent: Option<&Agent>) -> String {
    agent.and_then(Agent::phase).unwrap_or_else(|| "no status yet".to_owned())
}

fn ready(status: Option<&AgentStatus>) -> String {
    status.map_or_else(
        || words::NOTHING.to_owned(),
        |status| format!("{}/{}", status.summary.ready, status.summary.total),
    )
}

/// What it is doing, or what keeps it from doing anything.
fn activity(status: Option<&AgentStatus>, goal: &Goal) -> String {
    let Some(status) = status else { return String::new() };
    for (condition_type, hold) in
        [(ConditionType::Paused, "paused"), (ConditionType::SafeMode, "in safe mode")]
    {
        if status.condition(condition_type).is_some_and(|condition| condition.status == ConditionStatus::True)
        {
            return format!("{hold} on the device");
        }
    }
    if let Goal::Converged(target) = goal {
        let seen = status.desired.as_ref().is_some_and(|desired| desired.digest == target.digest);
        let in_force = status.accepted.as_ref().is_some_and(|accepted| accepted.digest == target.digest);
        if !seen && !in_force {
            return "has not seen the document yet".to_owned();
        }
        if !in_force {
            let accepted = status.condition(ConditionType::Accepted);
            let reason = accepted.map(|condition| format!(": {}", condition.reason)).unwrap_or_default();
            return format!("has not accepted the document yet{reason}");
        }
    }
    let busy = |resource: &&agent_model::status::ResourceStatus| {
        !matches!(resource.state, ResourceState::Ready | ResourceState::Skipped)
    };
    let Some(resource) = status.resources.iter().find(busy) else { return String::new() };
    let others = match status.resources.iter().filter(busy).count() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!("{}/{} {:?} ({}){others}", resource.kind, resource.name, resource.state, resource.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::newer_agent;

    #[test]
    fn a_phase_that_only_a_newer_agent_knows_is_shown_by_its_own_word() {
        let line = state_line(Some(&newer_agent()), &Goal::Unassigned);
        assert_eq!(line, "Levitating, 0/1 ready, Lamp/l Unknown (R)");
        assert_eq!(state_line(None, &Goal::Unassigned), "no status yet");
    }
}
