//! What the platform is to know of a record.

use agent_model::status::Event;

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
