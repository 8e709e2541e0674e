//! Waiting for devices, and telling how it ended for each.

use std::{collections::BTreeMap, time::Duration};

use agent_model::{AgentId, Timestamp, with_causes};
use fleet::{
    Roster, StoreError, desired_state,
    waiting::{self, Goal, Patience, Target, Verdict},
};
use tokio::time::Instant;

use crate::{
    command::read_or_not,
    failure::Failure,
    manifest::Manifest,
    outcome::Outcome,
    output::Output,
    progress::{Progress, state_line},
    sealing::Sealing,
    words,
};

/// What a command waits for.
pub(crate) struct Following<'a> {
    pub(crate) roster: Roster,
    pub(crate) sealing: &'a Sealing,
    pub(crate) goals: BTreeMap<AgentId, Goal>,
    /// Documents that may be written once more, under a higher generation, should the device say
    /// that it has seen a newer one.
    pub(crate) resubmittable: BTreeMap<AgentId, &'a Manifest>,
    pub(crate) timeout: Duration,
    pub(crate) offline_after: Duration,
    /// Whether to wait for devices that are offline, too.
    pub(crate) waits_for_offline: bool,
    /// Said when the user stops waiting.
    pub(crate) on_interrupt: &'static str,
}

impl Following<'_> {
    /// Waits until each device has got there or cannot, or time is over.
    ///
    /// # Errors
    /// The server cannot be read any more.
    pub(crate) async fn finish(mut self, output: &mut Output) -> Result<Outcome, Failure> {
        // Dropping `follow` half-way is what an interrupt means: a document being written again is
        // then either written or not, as with any other end of the program.
        tokio::select! {
            outcome = self.follow(output) => return outcome,
            // An error means that there is no way to be told: then Ctrl-C ends the program as usual.
            Ok(()) = tokio::signal::ctrl_c() => {}
        }
        output.message(self.on_interrupt);
        Ok(Outcome::Interrupted)
    }

    async fn follow(&mut self, output: &mut Output) -> Result<Outcome, Failure> {
        let patience = Patience {
            deadline: Instant::now() + self.timeout,
            offline_after: self.offline_after,
            waits_for_offline: self.waits_for_offline,
        };
        let mut progress = Progress::new();
        let mut outcome = Outcome::Done;
        while !self.goals.is_empty() {
            let verdict =
                waiting::next_verdict(&mut self.roster, &self.goals, patience, |roster, changed| {
                    progress.show(output, roster, &self.goals, changed);
                });
            let Some((agent, verdict)) = verdict.await? else { break };
            if verdict.asks_for_higher_generation()
                && let Some(manifest) = self.resubmittable.remove(&agent)
            {
                match self.resubmit(manifest, output).await {
                    Ok(target) => {
                        self.goals.insert(agent, Goal::Converged(target));
                        continue;
                    }
                    Err(failure) => {
                        output.error(format_args!("agent/{agent}: {}", with_causes(&failure)));
                        outcome = outcome.and(failure.outcome());
                    }
                }
                self.goals.remove(&agent);
                continue;
            }
            if let Some(goal) = self.goals.remove(&agent) {
                outcome = outcome.and(tell(output, &agent, &goal, &verdict)?);
            }
        }
        for (agent, goal) in std::mem::take(&mut self.goals) {
            outcome = outcome.and(self.tell_late(output, &agent, &goal)?);
        }
        Ok(outcome)
    }

    /// Writes the document once more, above what the device has by now said it has seen.
    async fn resubmit(&mut self, manifest: &Manifest, output: &mut Output) -> Result<Target, Failure> {
        let agent = &manifest.agent;
        let known = self.roster.get(agent);
        let replaced = self.roster.entry(agent);
        let writing = self.sealing.decide(manifest, replaced, known.and_then(fleet::Agent::status))?;
        let document = self.sealing.value(manifest, writing, replaced)?;
        let entry = desired_state::write(self.roster.fleet(), agent, replaced, document).await?;
        read_or_not(output.line(format_args!(
            "agent/{agent} configured (generation {}, because the device has seen newer ones)",
            writing.generation()
        )))?;
        let target = Target::of(&entry).ok_or_else(|| {
            Failure::Store(StoreError::Conflict { bucket: "desired-state", agent: agent.clone() })
        })?;
        self.roster.note_written(agent, entry);
        Ok(target)
    }

    fn tell_late(&self, output: &mut Output, agent: &AgentId, goal: &Goal) -> Result<Outcome, Failure> {
        let known = self.roster.get(agent);
        let now = Timestamp::now();
        let last_seen = known.and_then(fleet::Agent::last_seen);
        if !known.is_some_and(|agent| agent.is_online(now, self.offline_after)) {
            return tell(output, agent, goal, &Verdict::Offline { last_seen });
        }
        let timeout = humantime::format_duration(self.timeout);
        let state = state_line(known, goal);
        output.error(format_args!("agent/{agent}: timed out after {timeout}: {state}"));
        Ok(Outcome::TimedOut)
    }
}

/// Says how it ended for one device.
fn tell(output: &mut Output, agent: &AgentId, goal: &Goal, verdict: &Verdict) -> Result<Outcome, Failure> {
    let generation = match goal {
        Goal::Converged(target) => words::generation(target.generation),
        Goal::Unassigned => words::NOTHING.to_owned(),
    };
    match verdict {
        Verdict::Reached | Verdict::InProgress => {
            read_or_not(match goal {
                Goal::Converged(_) => {
                    output.line(format_args!("agent/{agent} converged (generation {generation})"))
                }
                Goal::Unassigned => output.line(format_args!("agent/{agent} unassigned")),
            })?;
            return Ok(Outcome::Done);
        }
        Verdict::Refused { reason, message } => {
            output.error(format_args!(
                "agent/{agent}: the device refuses generation {generation}: {reason}: {message}\n  \
                 What it had before stays in force."
            ));
        }
        Verdict::Failed { message } => {
            output.error(format_args!(
                "agent/{agent}: the device cannot apply generation {generation}: {message}\n  \
                 It goes on trying; see `harmonyctl describe agent {agent}`."
            ));
        }
        Verdict::RolledBack { reason, message } => {
            output.error(format_args!(
                "agent/{agent}: the device went back from generation {generation}: {reason}: {message}\n  \
                 Correct the document and apply it again; see `harmonyctl describe agent {agent}`."
            ));
        }
        Verdict::InSafeMode { message } => {
            output.error(format_args!(
                "agent/{agent}: the device is in safe mode and does not apply generation {generation}: {message}"
            ));
        }
        Verdict::Superseded => {
            output.error(format_args!(
                "agent/{agent}: someone else changed the entry before generation {generation} was applied; \
                 see `harmonyctl diff`"
            ));
            return Ok(Outcome::Conflict);
        }
        Verdict::Offline { last_seen } => {
            let seen = match last_seen {
                None => "was never seen".to_owned(),
                Some(seen) => format!("was last seen {} ago", words::age(Timestamp::now().since(*seen))),
            };
            output.error(format_args!(
                "agent/{agent}: the device is offline ({seen}); it applies what is written when it is back"
            ));
            return Ok(Outcome::Offline);
        }
    }
    Ok(Outcome::Rejected)
}
