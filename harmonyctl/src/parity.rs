//! Whether a device would stay as it is if its document were replaced by Scores.
//!
//! Pure: decides from what the buckets hold. Both sides are lowered with the facts that the device
//! publishes, so that the digests are those which the device itself would find.

use std::time::Duration;

use agent_model::{
    AgentId, DesiredState, DeviceFacts, Difference, Problem, ROLLBACK, Timestamp,
    status::{AgentStatus, ConditionStatus, ConditionType},
    written_deadline,
};
use agent_score_bridge::KIND;
use fleet::{Agent, desired_state::StoredDocument};
use serde_json::{Value, json};

use crate::{
    conversion::to_scores,
    manifest::{Broken, Manifest},
    outcome::Outcome,
    words,
};

/// Longest part of a value that is shown, in characters.
const MAX_SHOWN: usize = 32;
/// How much of what two values have in common is shown before the place where they part.
const CONTEXT: usize = 8;
/// Most problems that are told of a document.
const MAX_PROBLEMS: usize = 5;

/// How a device stands to its document's replacement.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) agent: AgentId,
    pub(crate) parity: Parity,
    /// How many resources the entry asks for; `None` where that cannot be told.
    pub(crate) resources: Option<usize>,
    /// Whether the device could read the Scores today; `None` where it has not told.
    pub(crate) reads_scores: Option<bool>,
    /// What a person should know besides.
    pub(crate) remarks: Vec<String>,
}

/// What would change.
#[derive(Debug, PartialEq)]
pub(crate) enum Parity {
    /// There is no document to replace.
    NoDocument,
    /// Nothing.
    Identical,
    /// This, from the entry to the Scores; never empty.
    Different(Vec<Difference>),
    /// It cannot be told.
    Unknown,
}

impl Parity {
    fn of(entry: &DesiredState, scores: &DesiredState) -> Self {
        match entry.differences(scores) {
            differences if differences.is_empty() => Self::Identical,
            differences => Self::Different(differences),
        }
    }
}

/// Judges a device's entry against these Scores or, where none are given, against its conversion.
pub(crate) fn judge(agent: &Agent, given: Option<&Manifest>, now: Timestamp) -> Verdict {
    let mut verdict = Verdict {
        agent: agent.id.clone(),
        parity: Parity::NoDocument,
        resources: None,
        reads_scores: None,
        remarks: Vec::new(),
    };
    let entry = agent.desired.as_ref().and_then(|entry| entry.document.as_ref());
    match (entry, agent.status()) {
        (None, status) if given.is_none() => {
            if let Some(status) = status {
                verdict.ask(None, status);
            }
        }
        (_, None) => {
            verdict.parity = Parity::Unknown;
            verdict.remarks.push(match agent.report.as_ref().map(|report| &report.status) {
                Some(Err(error)) => format!("its facts are not known: its status cannot be read: {error}"),
                _ => "its facts are not known: it has never published a status".to_owned(),
            });
        }
        (None, Some(status)) => {
            verdict.parity = Parity::Unknown;
            verdict.remarks.push(
                "it has no document; what one that was deleted had put there may still be in force"
                    .to_owned(),
            );
            if let Err(why_not) = verdict.compare_with_nothing(given, status) {
                verdict.ask(given, status);
                verdict.remarks.push(why_not);
            }
        }
        (Some(entry), Some(status)) => {
            verdict.parity = Parity::Unknown;
            verdict.remarks.extend(not_accepted(entry, status));
            let entry = Manifest::of_entry(&agent.id, &entry.envelope, Some(&status.agent_info.facts));
            if let Err(why_not) = verdict.compare(entry.as_ref(), given, status, now) {
                // An entry that consists of Scores is its own conversion.
                verdict.ask(given.or(entry.as_ref().ok()), status);
                verdict.remarks.push(why_not);
            }
        }
    }
    verdict
}

impl Verdict {
    /// Compares what the entry and the Scores ask for.
    fn compare(
        &mut self,
        entry: Result<&Manifest, &Broken>,
        given: Option<&Manifest>,
        status: &AgentStatus,
        now: Timestamp,
    ) -> Result<(), String> {
        let facts = &status.agent_info.facts;
        let entry = entry.map_err(|broken| told("the entry is invalid", &broken.problems))?;
        if given.is_none()
            && entry.envelope.kind == KIND
            && let Some(doubts) = entry.doubts()
        {
            // Whatever they come to: an entry that consists of Scores is its own conversion.
            self.parity = Parity::Identical;
            self.ask(Some(entry), status);
            self.remarks.push(doubts);
            return Ok(());
        }
        let first = lowered(entry, facts).map_err(|why| format!("the entry cannot be judged: {why}"))?;
        self.resources = Some(first.resources().len());
        // Those given may be in another format as well.
        let scores = to_scores(given.unwrap_or(entry), facts)
            .map_err(|problems| told("it cannot be converted", &problems))?;
        let second = lowered(&scores, facts).map_err(|why| format!("the Scores cannot be judged: {why}"))?;
        self.ask(Some(&scores), status);
        if scores.intent() != entry.intent() {
            self.remarks.extend(expired(&scores, now));
        }
        self.parity = Parity::of(&first, &second);
        Ok(())
    }

    /// The same where there is no entry: all that Scores declare would be new.
    fn compare_with_nothing(&mut self, given: Option<&Manifest>, status: &AgentStatus) -> Result<(), String> {
        let Some(given) = given else { return Ok(()) };
        let facts = &status.agent_info.facts;
        let scores = to_scores(given, facts).map_err(|problems| told("it cannot be converted", &problems))?;
        let second = lowered(&scores, facts).map_err(|why| format!("the Scores cannot be judged: {why}"))?;
        self.ask(Some(&scores), status);
        self.parity = Parity::of(&DesiredState::default(), &second);
        Ok(())
    }

    /// Notes whether the device can read these Scores or, where they are not known, any.
    fn ask(&mut self, scores: Option<&Manifest>, status: &AgentStatus) {
        let device = &status.agent_info;
        let missing = match scores.filter(|scores| scores.envelope.kind == KIND) {
            Some(scores) => scores.not_readable_by(device),
            None if device.formats.contains_key(KIND) => Vec::new(),
            None => vec![format!("the device reads no {KIND}")],
        };
        self.reads_scores = Some(missing.is_empty());
        self.remarks.extend(missing);
    }

    /// What it comes to for the whole command.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.parity {
            Parity::NoDocument | Parity::Identical => Outcome::Done,
            Parity::Different(_) => Outcome::Differs,
            Parity::Unknown => Outcome::Error,
        }
    }

    /// Each difference in a line.
    pub(crate) fn differences(&self) -> Vec<String> {
        match &self.parity {
            Parity::Different(differences) => differences.iter().map(difference_line).collect(),
            Parity::NoDocument | Parity::Identical | Parity::Unknown => Vec::new(),
        }
    }

    /// The word for the parity, if there is one to speak of.
    pub(crate) fn word(&self) -> Option<&'static str> {
        match self.parity {
            Parity::NoDocument => None,
            Parity::Identical => Some("Identical"),
            Parity::Different(_) => Some("Different"),
            Parity::Unknown => Some("Unknown"),
        }
    }

    /// All of it, for programs.
    pub(crate) fn document(&self) -> Value {
        let differences: Vec<Value> = match &self.parity {
            Parity::Different(differences) => differences.iter().map(difference_value).collect(),
            Parity::NoDocument | Parity::Identical | Parity::Unknown => Vec::new(),
        };
        json!({
            "name": self.agent,
            "parity": self.word(),
            "resources": self.resources,
            "readsScores": self.reads_scores,
            "message": self.remarks.join("; "),
            "differences": differences,
        })
    }
}

fn lowered(manifest: &Manifest, facts: &DeviceFacts) -> Result<DesiredState, String> {
    match manifest.doubts() {
        Some(doubts) => Err(doubts),
        None => manifest.lower(facts).map(|lowered| lowered.state).map_err(|problems| joined(&problems)),
    }
}

/// That the device does not enforce the entry, if it does not.
fn not_accepted(entry: &StoredDocument, status: &AgentStatus) -> Option<String> {
    if status.accepted.as_ref().is_some_and(|accepted| accepted.digest == entry.digest) {
        return None;
    }
    let generation = words::generation(entry.glance.generation);
    if let Some(rolled_back) = status.rolled_back.as_ref().filter(|from| from.digest == entry.digest) {
        return Some(format!("the device went back from generation {generation}: {}", rolled_back.reason));
    }
    let has_judged = status.desired.as_ref().is_some_and(|desired| desired.digest == entry.digest);
    let refusal = status
        .condition(ConditionType::Accepted)
        .filter(|condition| has_judged && condition.status == ConditionStatus::False);
    Some(match refusal {
        Some(refusal) => format!("the device refuses generation {generation}: {}", refusal.reason),
        None => format!("the device has not accepted generation {generation} yet"),
    })
}

/// That the device would not newly accept the Scores, though their document may be in force.
fn expired(scores: &Manifest, now: Timestamp) -> Option<String> {
    let expires_at = scores.expired_at(now)?;
    Some(format!("the device would refuse the Scores as Expired: metadata.expiresAt is {expires_at}"))
}

fn told(what: &str, problems: &[Problem]) -> String {
    format!("{what}: {}", joined(problems))
}

fn joined(problems: &[Problem]) -> String {
    let mut texts: Vec<String> = problems.iter().take(MAX_PROBLEMS).map(ToString::to_string).collect();
    if problems.len() > MAX_PROBLEMS {
        texts.push(format!("and {} more", problems.len() - MAX_PROBLEMS));
    }
    texts.join("; ")
}

fn difference_line(difference: &Difference) -> String {
    match difference {
        Difference::Rollback { first, second } => {
            let told = |deadline: &Option<Duration>| {
                deadline.map_or_else(
                    || "never".to_owned(),
                    |deadline| format!("after {}", written_deadline(deadline)),
                )
            };
            format!("rollback: {} in the entry, {} in the Scores", told(first), told(second))
        }
        Difference::OnlyInFirst(name) => format!("{name}: only in the entry"),
        Difference::OnlyInSecond(name) => format!("{name}: only in the Scores"),
        Difference::Field { resource, field, first, second } => {
            let (first, second) = shortened(first.as_ref(), second.as_ref());
            format!("{resource}: {field} is {first} in the entry, {second} in the Scores")
        }
    }
}

fn difference_value(difference: &Difference) -> Value {
    match difference {
        Difference::Rollback { first, second } => {
            let told = |deadline: &Option<Duration>| deadline.map(written_deadline);
            json!({"field": ROLLBACK, "entry": told(first), "scores": told(second)})
        }
        Difference::OnlyInFirst(name) => json!({"resource": name, "onlyIn": "Entry"}),
        Difference::OnlyInSecond(name) => json!({"resource": name, "onlyIn": "Scores"}),
        Difference::Field { resource, field, first, second } => {
            json!({"resource": resource, "field": field, "entry": first, "scores": second})
        }
    }
}

/// Both values, cut so that it can be seen in what they differ.
fn shortened(first: Option<&Value>, second: Option<&Value>) -> (String, String) {
    let text = |value: Option<&Value>| value.map_or_else(|| "the default".to_owned(), Value::to_string);
    let (first, second) = (text(first), text(second));
    let common = first.chars().zip(second.chars()).take_while(|(one, two)| one == two).count();
    let is_long = first.chars().count().max(second.chars().count()) > MAX_SHOWN;
    let from = if is_long && common > MAX_SHOWN - CONTEXT { common - CONTEXT } else { 0 };
    let cut = |text: &str| {
        let mut shown: String = text.chars().skip(from).take(MAX_SHOWN).collect();
        if text.chars().count() > from + MAX_SHOWN {
            shown.push('…');
        }
        if from > 0 { format!("…{shown}") } else { shown }
    };
    (cut(&first), cut(&second))
}

#[cfg(test)]
mod tests;
