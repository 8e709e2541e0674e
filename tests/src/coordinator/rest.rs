//! Judges a device on which nothing is done any more: the last acceptable document is in force there, its
//! status says so, and is right.

use agent_model::{
    Digest,
    status::{AgentStatus, ConditionStatus, ConditionType, Heartbeat, Phase},
};

use super::{
    documents::Documents,
    record::{BY_HAND, Contents, accepted},
    verdict::Verdict,
};

/// The last entry of a device in `desired-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEntry {
    /// Its revision.
    pub revision: u64,
    /// Of its bytes.
    pub digest: Digest,
}

/// What is known of one device at rest.
#[derive(Debug)]
pub struct AtRest<'a> {
    /// Which device.
    pub device: usize,
    /// Its last entry; `None` when there is none, or a deletion.
    pub entry: Option<LastEntry>,
    /// The highest generation that it ever said to have in force.
    pub floor: u64,
    /// Its last status; `None` when there is none.
    pub status: Option<&'a AgentStatus>,
    /// The last heartbeat of the process that wrote this status; `None` when there was none yet.
    pub heartbeat: Option<&'a Heartbeat>,
    /// What it has, processes included.
    pub contents: &'a Contents,
}

impl AtRest<'_> {
    /// Whether this is how the device should stand.
    ///
    /// # Errors
    /// With what it is guilty of if it stays so.
    pub fn judge(&self, documents: &Documents) -> Result<(), Verdict> {
        self.last_is_in_force(documents)
            .map_err(|evidence| Verdict::LostDocument { device: self.device, evidence })?;
        self.status_is_right(documents)
            .and_then(|()| self.heartbeat_says_the_same())
            .map_err(|evidence| Verdict::FalseStatus { device: self.device, evidence })
    }

    fn last_is_in_force(&self, documents: &Documents) -> Result<(), String> {
        let Some(status) = self.status else { return Err("there is no status".to_owned()) };
        let in_force = accepted(status).map_or(0, |(generation, _)| generation);
        if in_force < self.floor {
            return Err(format!("{in_force} is in force, after {} was", self.floor));
        }
        let Some(entry) = self.entry else { return Ok(()) };
        if status.desired.as_ref().map(|desired| desired.revision) != Some(entry.revision) {
            return Err(format!("the device never saw the entry of revision {}", entry.revision));
        }
        match documents.find(self.device, entry.digest).filter(|document| document.acceptable) {
            Some(last) if last.generation > in_force => {
                Err(format!("{in_force} is in force, though {} is there", last.generation))
            }
            _ => Ok(()),
        }
    }

    fn status_is_right(&self, documents: &Documents) -> Result<(), String> {
        let Some(status) = self.status else { return Ok(()) };
        let in_force = accepted(status);
        let phase = match (self.entry, in_force) {
            (Some(_), Some(_)) => Phase::Converged,
            _ => Phase::Unassigned,
        };
        if status.phase != phase {
            return Err(format!("the phase is {:?}, not {phase:?}", status.phase));
        }
        let (accepted, why) = status
            .condition(ConditionType::Accepted)
            .map(|condition| (condition.status, condition.reason.as_str()))
            .ok_or("there is no condition Accepted")?;
        let digest = in_force.map(|(_, digest)| digest);
        let is_last = self.entry.is_some_and(|entry| Some(entry.digest) == digest);
        if self.entry.is_some() && (accepted == ConditionStatus::True) != is_last {
            return Err(format!(
                "Accepted is {accepted:?} ({why}), and the last entry is in force: {is_last}"
            ));
        }
        let Some(digest) = digest else {
            return self.contents_are(|_| None, "nothing");
        };
        if status.applied.as_ref().map(|applied| applied.digest) != Some(digest) {
            return Err("what is in force is not applied".to_owned());
        }
        let document = documents.find(self.device, digest).filter(|document| document.acceptable);
        let Some(document) = document else {
            return Err("a document is in force that is not in order".to_owned());
        };
        self.contents_are(
            |claim| document.declares.get(claim),
            &format!("generation {}", document.generation),
        )
    }

    fn heartbeat_says_the_same(&self) -> Result<(), String> {
        let Some(status) = self.status else { return Ok(()) };
        let accepted = status.accepted.as_ref().map(|accepted| accepted.generation);
        let (epoch, phase) = (status.writer.epoch, status.phase);
        let right = Heartbeat { epoch, accepted_generation: accepted, phase };
        if self.heartbeat == Some(&right) {
            return Ok(());
        }
        Err(format!("the last heartbeat is {:?}, and by its status it is {right:?}", self.heartbeat))
    }

    fn contents_are<'d>(
        &self,
        declared: impl Fn(&str) -> Option<&'d String>,
        by: &str,
    ) -> Result<(), String> {
        for (claim, content) in self.contents {
            let declared = declared(claim);
            // What nobody declares may be what somebody left there before.
            let left = declared.is_none() && content.as_ref().is_some_and(|it| it.starts_with(BY_HAND));
            if content.as_ref() != declared && !left {
                return Err(format!("{claim} is {content:?}, and {by} declares {declared:?}"));
            }
        }
        Ok(())
    }
}
