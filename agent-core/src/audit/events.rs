//! What the platform is to know of a record.

use agent_model::{
    Generation, Timestamp,
    status::{Event, ResourceRef},
};
use serde::Deserialize;

use super::{AuditRecord, Happening};
use crate::executor::StepEffect;

impl AuditRecord {
    /// The event that tells of this record; `None` for what is of no interest from afar.
    pub fn event(&self) -> Option<Event> {
        let (event_type, reason, message) = match &self.happening {
            Happening::Done { step, effect, .. } => {
                let event_type = match effect {
                    StepEffect::Changed => "Applied",
                    StepEffect::Repaired => "Drift",
                    StepEffect::Restarted => "Restarted",
                    StepEffect::Removed => "Removed",
                    StepEffect::Concluded(_) => "Job",
                    StepEffect::Auxiliary => return None,
                };
                let reason = match effect {
                    StepEffect::Concluded(conclusion) => conclusion.as_str().to_owned(),
                    effect => format!("{effect:?}"),
                };
                (event_type, reason, step.clone())
            }
            Happening::Failed { step, reason, message, .. } => {
                ("Failed", reason.clone(), format!("{step}: {message}"))
            }
            Happening::Blocked { reason, message } => ("Failed", reason.clone(), message.clone()),
            Happening::Accepted => ("Accepted", "Accepted".to_owned(), String::new()),
            Happening::Rejected { reason, message, .. } => ("Rejected", reason.clone(), message.clone()),
            Happening::RolledBack { reason, message } => ("RolledBack", reason.clone(), message.clone()),
            Happening::DuplicateIdentity { message } => {
                ("DuplicateIdentity", "Superseded".to_owned(), message.clone())
            }
            Happening::SafeMode { message } => ("SafeMode", "RepeatedCrashes".to_owned(), message.clone()),
            Happening::LogRecovered { message } => ("LogRecovered", "Damaged".to_owned(), message.clone()),
            Happening::Begun { .. } | Happening::NotRun { .. } | Happening::Interrupted { .. } => {
                return None;
            }
        };
        Some(Event {
            seq: self.seq,
            time: self.time,
            event_type: event_type.to_owned(),
            reason,
            message,
            resource: self.resource.clone(),
            generation: self.generation,
        })
    }
}

/// The event that tells of a line which only a newer agent can read in full: by its outcome.
pub(super) fn of_newer_agent(line: &[u8]) -> Option<Event> {
    #[derive(Deserialize)]
    struct Readable {
        seq: u64,
        time: Timestamp,
        outcome: String,
        reason: Option<String>,
        effect: Option<String>,
        message: Option<String>,
        step: Option<String>,
        resource: Option<ResourceRef>,
        generation: Option<Generation>,
    }
    let Readable { seq, time, outcome, reason, effect, message, step, resource, generation } =
        serde_json::from_slice(line).ok()?;
    Some(Event {
        seq,
        time,
        reason: reason.or(effect).unwrap_or_else(|| outcome.clone()),
        event_type: outcome,
        message: message.or(step).unwrap_or_default(),
        resource,
        generation,
    })
}
