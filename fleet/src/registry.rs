//! What the platform knows about each device: the bucket `agents` (wire contract: Names in NATS), written by
//! compare-and-swap only.
//!
//! What becomes of an entry is decided by functions that read and write nothing.

use std::collections::BTreeMap;

use agent_core::kv::names::{self, REGISTRY_BUCKET};
use agent_model::{AgentId, Timestamp, UserKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Fleet, StoreError,
    compare_and_swap::{Change, compare_and_swap},
    enrollment::Asking,
    store::{self, Entry, Start},
};

/// The annotation with the serial number that a device claimed when it was approved.
pub const SERIAL: &str = "harmony/serial";

/// How a device stands with the platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Somebody wrote something about it, and nobody has let it in yet.
    #[default]
    Pending,
    /// It has credentials.
    Approved,
    /// Its key is no longer good; other hardware may have the id.
    Revoked,
    /// It is gone for good, and its id is given to nobody.
    Retired,
}

/// An entry of the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Registration {
    /// Somebody's words for choosing devices by.
    pub labels: BTreeMap<String, String>,
    /// Other words about it.
    pub annotations: BTreeMap<String, String>,
    /// The key that it was let in with, also when that is no longer good.
    pub public_key: Option<UserKey>,
    /// When that was.
    pub approved_at: Option<Timestamp>,
    /// How it stands.
    pub state: State,
    /// What others wrote there, which stays.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An entry as it lies in the bucket.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its revision: what the next write has to name.
    pub revision: u64,
    /// What is in it; that of a device nobody wrote about where there is none.
    pub registration: Registration,
}

/// Why an entry was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The bucket.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody wrote something else there.
    #[error("the entry of {agent} in the bucket agents cannot be read; correct or delete it")]
    Unreadable {
        /// Whose.
        agent: AgentId,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Why a device is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The id is somebody's.
    #[error(
        "agent/{agent} has another key, {owner}; if the new key is that of new hardware, give it the id with \
         `harmonyctl agents replace {agent}`, which ends the old key"
    )]
    Owned {
        /// The id.
        agent: AgentId,
        /// Who has it.
        owner: UserKey,
    },
    /// The key is one that was revoked.
    #[error(
        "the key {key} of agent/{agent} was revoked; remove the credentials file on the device, so that it asks with a \
         new key, and use `harmonyctl agents replace {agent}`"
    )]
    Revoked {
        /// The id.
        agent: AgentId,
        /// The key.
        key: UserKey,
    },
    /// The id is given to nobody.
    #[error("agent/{agent} was retired, and its id is given to nobody; give the device another one")]
    Retired {
        /// The id.
        agent: AgentId,
    },
    /// There is nothing that could be replaced.
    #[error("agent/{agent} has no key yet; let it in with `harmonyctl agents approve {agent}`")]
    NothingToReplace {
        /// The id.
        agent: AgentId,
    },
}

impl Registration {
    /// With that device let in, which asks with a key that nobody else has for the id. Doing it again changes nothing.
    ///
    /// # Errors
    /// See [`NotApproved`].
    pub fn approve(&self, asking: &Asking, now: Timestamp) -> Result<Self, NotApproved> {
        let agent = asking.agent.clone();
        match (self.state, &self.public_key) {
            (State::Retired, _) => Err(NotApproved::Retired { agent }),
            (State::Revoked, Some(key)) if *key == asking.key => {
                Err(NotApproved::Revoked { agent, key: key.clone() })
            }
            (_, Some(key)) if *key != asking.key => Err(NotApproved::Owned { agent, owner: key.clone() }),
            (State::Approved, Some(_)) => Ok(self.clone()),
            (State::Pending | State::Approved | State::Revoked, _) => Ok(self.given_to(asking, now)),
        }
    }

    /// With the id given to other hardware. The key before has to be ended first. Doing it again changes nothing.
    ///
    /// # Errors
    /// See [`NotApproved`].
    pub fn replace(&self, asking: &Asking, now: Timestamp) -> Result<Self, NotApproved> {
        let agent = asking.agent.clone();
        match (self.state, &self.public_key) {
            (State::Retired, _) => Err(NotApproved::Retired { agent }),
            (_, None) => Err(NotApproved::NothingToReplace { agent }),
            (State::Revoked, Some(key)) if *key == asking.key => {
                Err(NotApproved::Revoked { agent, key: key.clone() })
            }
            (_, Some(key)) if *key == asking.key => Ok(self.clone()),
            (_, Some(_)) => Ok(self.given_to(asking, now)),
        }
    }

    fn given_to(&self, asking: &Asking, now: Timestamp) -> Self {
        let mut given = Self {
            public_key: Some(asking.key.clone()),
            approved_at: Some(now),
            state: State::Approved,
            ..self.clone()
        };
        match asking.serial() {
            Some(serial) => given.annotations.insert(SERIAL.to_owned(), serial.to_owned()),
            None => given.annotations.remove(SERIAL),
        };
        given
    }

    /// In that state.
    #[must_use]
    pub fn in_state(&self, state: State) -> Self {
        Self { state, ..self.clone() }
    }
}

fn read_entry(entry: &Entry) -> Result<Registered, RegistryError> {
    let registration = match &entry.value {
        None => Registration::default(),
        Some(value) => serde_json::from_slice(value)
            .map_err(|source| RegistryError::Unreadable { agent: entry.agent.clone(), source })?,
    };
    Ok(Registered { revision: entry.revision, registration })
}

/// How the device of an entry stands, as far as that can be read.
pub(crate) fn state_of(entry: &Entry) -> State {
    read_entry(entry).map(|registered| registered.registration.state).unwrap_or_default()
}

/// The entry of a device, and whether there is one.
///
/// # Errors
/// See [`RegistryError`].
pub async fn read(fleet: &Fleet, agent: &AgentId) -> Result<(Registered, bool), RegistryError> {
    let entry = store::read(fleet, REGISTRY_BUCKET, agent).await?;
    let exists = entry.as_ref().is_some_and(|entry| entry.value.is_some());
    let none = || Registered { revision: 0, registration: Registration::default() };
    Ok((entry.as_ref().map(read_entry).transpose()?.unwrap_or_else(none), exists))
}

/// The key that a device was let in with last, as far as its entry tells, or an earlier one of those that the bucket
/// keeps. For when the entry cannot be read, and its key has to end all the same.
///
/// # Errors
/// [`StoreError`], but for `Conflict` and `Refused`.
pub async fn last_key(fleet: &Fleet, agent: &AgentId) -> Result<Option<UserKey>, StoreError> {
    let subjects = vec![names::entry_subject(REGISTRY_BUCKET, agent)];
    let mut history = store::follow(fleet, REGISTRY_BUCKET, subjects, Start::First).await?;
    let entries = std::mem::take(&mut history.present);
    history.end().await;
    Ok(entries.iter().rev().find_map(|entry| key_in(&entry.payload)))
}

/// The key in an entry, whatever else is in it.
fn key_in(entry: &[u8]) -> Option<UserKey> {
    let entry: Value = serde_json::from_slice(entry).ok()?;
    entry.get("publicKey")?.as_str()?.parse().ok()
}

/// All entries. One that cannot be read is an error of its own, and its neighbours are there all the same.
///
/// # Errors
/// [`StoreError`], but for `Conflict` and `Refused`.
pub async fn read_all(
    fleet: &Fleet,
) -> Result<BTreeMap<AgentId, Result<Registered, RegistryError>>, StoreError> {
    let watch = store::watch(fleet, REGISTRY_BUCKET, vec![format!("$KV.{REGISTRY_BUCKET}.*")]).await?;
    let present = watch.present.iter().filter(|entry| entry.value.is_some());
    Ok(present.map(|entry| (entry.agent.clone(), read_entry(entry))).collect())
}

/// Writes an entry in the place of the one that was read.
///
/// # Errors
/// See [`StoreError`]; [`StoreError::Conflict`] when somebody else wrote meanwhile.
pub async fn write(
    fleet: &Fleet,
    agent: &AgentId,
    read: &Registered,
    registration: &Registration,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(registration).map_err(|error| StoreError::Refused {
        bucket: REGISTRY_BUCKET,
        agent: agent.clone(),
        said: error.to_string(),
    })?;
    compare_and_swap(fleet, names::REGISTRY_BUCKET, agent, read.revision, &Change::Put(bytes.into())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use agent_core::enrollment::{DeviceKey, Facts};

    use super::*;

    fn asking(serial: Option<&str>) -> Asking {
        Asking {
            agent: "edge-1".parse().unwrap(),
            key: DeviceKey::generate().unwrap().public(),
            facts: serial
                .map(|serial| ("serial".to_owned(), serial.to_owned()))
                .into_iter()
                .collect::<Facts>(),
            since: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
        }
    }

    fn approved(asking: &Asking) -> Registration {
        Registration::default().approve(asking, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn an_approved_key_is_approved_again_without_a_change_and_no_other_key_is() {
        let (first, second) = (asking(Some("SN-1")), asking(None));
        let entry = approved(&first);
        assert_eq!((entry.state, entry.public_key.as_ref()), (State::Approved, Some(&first.key)));
        assert_eq!(entry.annotations[SERIAL], "SN-1");
        let later = Timestamp::now();
        assert_eq!(entry.approve(&first, later), Ok(entry.clone()));
        assert!(matches!(entry.approve(&second, later), Err(NotApproved::Owned { .. })));
        let replaced = entry.replace(&second, later).unwrap();
        assert_eq!((replaced.public_key.as_ref(), replaced.approved_at), (Some(&second.key), Some(later)));
        assert!(!replaced.annotations.contains_key(SERIAL), "the serial number of the hardware before stays");
        assert_eq!(replaced.replace(&second, later), Ok(replaced.clone()));
        assert!(matches!(
            Registration::default().replace(&second, later),
            Err(NotApproved::NothingToReplace { .. })
        ));
    }

    #[test]
    fn a_revoked_key_is_not_let_in_again_and_a_retired_id_is_given_to_nobody() {
        let (first, second) = (asking(None), asking(None));
        let now = Timestamp::now();
        let revoked = approved(&first).in_state(State::Revoked);
        for refused in [revoked.approve(&first, now), revoked.replace(&first, now)] {
            assert!(matches!(refused, Err(NotApproved::Revoked { .. })), "{refused:?}");
        }
        assert!(matches!(revoked.approve(&second, now), Err(NotApproved::Owned { .. })));
        assert_eq!(revoked.replace(&second, now).unwrap().state, State::Approved);
        for retired in
            [approved(&first).in_state(State::Retired), Registration::default().in_state(State::Retired)]
        {
            for refused in [retired.approve(&first, now), retired.replace(&second, now)] {
                assert!(matches!(refused, Err(NotApproved::Retired { .. })), "{refused:?}");
            }
        }
    }

    #[test]
    fn what_others_wrote_in_an_entry_stays_and_null_is_none() {
        let text = r#"{"labels": {"a": "b"}, "publicKey": null, "note": {"by": "hand"}}"#;
        let entry: Registration = serde_json::from_str(text).unwrap();
        assert_eq!((entry.state, entry.labels["a"].as_str()), (State::Pending, "b"));
        let written = serde_json::to_value(&entry).unwrap();
        assert_eq!(written["note"]["by"], "hand");
        for key in ["labels", "annotations", "publicKey", "approvedAt", "state"] {
            assert!(written.get(key).is_some(), "{key} is left out");
        }
    }
}
