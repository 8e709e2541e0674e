//! What a pass writes down of its steps.

use std::time::Duration;

use agent_model::{Digest, Generation};

use super::{AuditLog, Draft, Happening, record::short};
use crate::{
    clock::Clock,
    executor::{AnnouncedStep, StepEnd, Witness},
    ledger::AcceptedDocument,
    signing::KeyId,
};

/// Writes down how the steps of a pass end, each behind the line that announced it.
#[derive(Debug)]
pub struct Trail {
    log: AuditLog,
    clock: Clock,
    generation: Generation,
    document: Digest,
    signer: Option<KeyId>,
    /// Those that have not ended.
    steps: Vec<Option<AnnouncedStep>>,
    /// The number of the line that announced the first step.
    begun: u64,
}

impl Trail {
    /// The trail of a pass for that document, with these steps.
    pub fn new(log: AuditLog, clock: Clock, document: &AcceptedDocument, steps: Vec<AnnouncedStep>) -> Self {
        let AcceptedDocument { generation, digest, signer, .. } = document;
        let steps = steps.into_iter().map(Some).collect();
        Self { log, clock, generation: *generation, document: *digest, signer: *signer, steps, begun: 0 }
    }

    /// The lines that announce the steps.
    pub fn begin(&self) -> Vec<Draft> {
        let begun = |step: &AnnouncedStep| self.draft(step, Happening::Begun { step: short(&step.summary) });
        self.steps.iter().flatten().map(begun).collect()
    }

    /// Those lines were written, the first under that number.
    pub fn begun(&mut self, first: u64) {
        self.begun = first;
    }

    fn draft(&self, step: &AnnouncedStep, happening: Happening) -> Draft {
        Draft {
            time: self.clock.now().wall,
            generation: Some(self.generation),
            document: Some(self.document),
            signer: self.signer,
            resource: Some(step.resource.clone()),
            happening,
        }
    }
}

impl Witness for Trail {
    fn ended(&mut self, number: usize, end: StepEnd) {
        let Some(announced) = self.steps.get_mut(number).and_then(Option::take) else { return };
        let (step, begun) = (short(&announced.summary), self.begun + number as u64);
        let happening = match end {
            StepEnd::Done { effect, took } => {
                Happening::Done { step, begun, duration_ms: millis(took), effect }
            }
            StepEnd::Failed { failure, took } => Happening::Failed {
                step,
                begun,
                duration_ms: millis(took),
                reason: failure.reason.into_owned(),
                message: short(&failure.message),
            },
            StepEnd::NotRun { reason } => Happening::NotRun { step, begun, reason: reason.into_owned() },
        };
        self.log.note(self.draft(&announced, happening));
        // What cannot be written waits, and the end of the pass tells of the disk.
        let _ = self.log.write();
    }
}

impl Drop for Trail {
    /// A pass that is dropped in its middle leaves steps of which nobody will tell how they ended.
    fn drop(&mut self) {
        let announced = self.steps.iter().zip(self.begun..).filter(|_| self.begun > 0);
        for (step, begun) in announced.filter_map(|(step, begun)| Some((step.as_ref()?, begun))) {
            let happening = Happening::Interrupted { step: short(&step.summary), begun };
            self.log.note(self.draft(step, happening));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
