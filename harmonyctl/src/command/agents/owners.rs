//! Which device each key is that of: one key has one id.

use std::collections::BTreeMap;

use agent_model::{AgentId, UserKey};
use fleet::{Fleet, enrollment::Asking, registry};

use super::known::Known;
use crate::failure::Failure;

/// The ids that keys have, of whatever state. Entries that cannot be read are left out.
#[derive(Default)]
pub(super) struct Owners(BTreeMap<UserKey, AgentId>);

impl Owners {
    /// Reads the registry.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn read(fleet: &Fleet) -> Result<Self, Failure> {
        let entries = registry::read_all(fleet).await?;
        let keys = entries.into_iter().filter_map(|(id, it)| Some((it.ok()?.registration.public_key?, id)));
        Ok(Self(keys.collect()))
    }

    /// Those of what was read already.
    pub(super) fn of(all: &[Known]) -> Self {
        let key = |known: &Known| known.registration.as_ref()?.public_key.clone();
        Self(all.iter().filter_map(|known| Some((key(known)?, known.id.clone()))).collect())
    }

    /// The other id that this key has.
    pub(super) fn other_id(&self, asking: &Asking) -> Option<&AgentId> {
        self.0.get(&asking.key).filter(|id| **id != asking.agent)
    }

    /// Refuses a key that has another id.
    ///
    /// # Errors
    /// It has.
    pub(super) fn refuse_second_id(&self, asking: &Asking) -> Result<(), Failure> {
        match self.other_id(asking) {
            Some(id) => Err(Failure::Refused(format!(
                "agent/{} is not let in: its key {} is that of agent/{id}, and a key has one id",
                asking.agent, asking.key
            ))),
            None => Ok(()),
        }
    }

    /// Notes that this one has its id now.
    pub(super) fn note(&mut self, asking: &Asking) {
        self.0.insert(asking.key.clone(), asking.agent.clone());
    }
}
