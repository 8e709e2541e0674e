//! What gives way to the container before it, and how that is kept. Pure.

use agent_model::{Failure, Plan, Retry, Standing};

use super::{
    super::{
        failures,
        observation::{Found, Image, State},
        record::{ContainerRecord, Refused},
        step::ContainerStep,
    },
    Case, ContainerPlan, backoff, blocked,
};

impl Case<'_> {
    /// What was declared before and did not start, if that is what is declared still.
    pub(super) fn refused(&self) -> Option<&Refused> {
        let refused = self.record?.refused.as_ref().filter(|refused| refused.digest == self.wanted)?;
        match &self.observed.image {
            Image::Present { id, .. } if !refused.image.is_empty() && *id != refused.image => None,
            _ => Some(refused),
        }
    }

    /// What is declared does not start: the one before it is brought back, once.
    pub(super) fn roll_back(
        &self,
        new: Option<&Found>,
        previous: &Found,
        failure: &Failure,
    ) -> ContainerPlan {
        let image = match (new, &self.observed.image) {
            (Some(new), _) => new.image.clone(),
            (None, Image::Present { id, .. }) => id.clone(),
            (None, _) => String::new(),
        };
        let refused = Refused {
            digest: self.wanted.clone(),
            image,
            reason: failure.reason.clone().into_owned(),
            message: failure.message.clone(),
        };
        let remove = |new: &Found| ContainerStep::Remove { id: new.id.clone(), what: "what does not start" };
        self.go_on_rolling_back(new.map(remove).into_iter().collect(), previous, &refused)
    }

    pub(super) fn go_on_rolling_back(
        &self,
        mut steps: Vec<ContainerStep>,
        previous: &Found,
        refused: &Refused,
    ) -> ContainerPlan {
        let is_aside = self.observed.previous.ours() == Some(previous);
        let id = &previous.id;
        steps.extend(is_aside.then(|| ContainerStep::BringBack { id: id.clone() }));
        steps.push(ContainerStep::StartBroughtBack { id: id.clone() });
        let refused = Some(refused.clone());
        let intent = ContainerRecord { refused: refused.clone(), ..ContainerRecord::default() };
        Plan {
            intent: Some(intent),
            steps,
            record: Some(ContainerRecord {
                refused: refused.clone(),
                ..ContainerRecord::of_run(None, &self.observed.boot, 0)
            }),
            then: refused.map_or_else(
                || Standing::pending("Starting", "the container before it has been started again"),
                |refused| Standing::Failed(refused.failure()),
            ),
        }
    }

    /// Keeps what was brought back running. How it was declared is not known any more, so that is as with
    /// `OnFailure`: it is started again after a boot and after a failure.
    pub(super) fn keep(&self, found: &Found, refused: &Refused) -> ContainerPlan {
        let refusing = |record| ContainerRecord { refused: Some(refused.clone()), ..record };
        let failure = refused.failure();
        let is_noted = self.record.is_some_and(|record| record.existed);
        let ended = match &found.state {
            // It has its name back, but the agent ended before it noted that it was started. Where it was, starting
            // it once more does nothing.
            State::Created | State::Ended(_) | State::Running(_) if !is_noted => {
                return self.go_on_rolling_back(vec![], found, refused);
            }
            State::Ended(ended) => ended,
            State::Created | State::Running(_) | State::Paused | State::Stopping | State::Leaving => {
                return blocked(Some(&refusing(self.of_run(found))), failure);
            }
        };
        let again = |crashes| {
            let start = ContainerStep::StartBroughtBack { id: found.id.clone() };
            let plan = self.start(vec![start], crashes, None);
            Plan { record: plan.record.map(refusing), then: Standing::Failed(refused.failure()), ..plan }
        };
        if self.record.is_some_and(|record| record.boot.as_ref() != Some(&self.observed.boot)) {
            return again(0);
        }
        if ended.exit_code == 0 {
            return blocked(self.record, failure);
        }
        let crashes = self.crashes(found, ended);
        match backoff::delay(crashes).checked_sub(ended.ended_ago) {
            Some(delay) if !delay.is_zero() => {
                let retry = Retry::After { delay, attempts: crashes };
                blocked(self.record, Failure { retry, ..failure })
            }
            _ => again(crashes),
        }
    }
}

impl Refused {
    /// Why it is not tried again.
    pub(super) fn failure(&self) -> Failure {
        failures::refused(&self.reason, &self.message)
    }
}
