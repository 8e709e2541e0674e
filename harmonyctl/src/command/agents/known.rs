//! What is known about a device that is let in or asks to be.

use std::collections::BTreeMap;

use agent_model::{AgentId, with_causes};
use fleet::{
    Fleet,
    enrollment::{Asking, Requests},
    registry::{self, Registration, RegistryError, State},
};
use serde_json::{Value, json};

use crate::{failure::Failure, output::Output};

/// One id: its entry in the registry, and those who ask for it.
pub(super) struct Known {
    pub(super) id: AgentId,
    /// `None` where nobody wrote anything about it.
    pub(super) registration: Option<Registration>,
    pub(super) asking: Vec<Asking>,
}

impl Known {
    /// All there are, by name. Warns of entries that cannot be read, and of messages that are no requests.
    ///
    /// # Errors
    /// The registry or the requests cannot be read.
    pub(super) async fn read_all(fleet: &Fleet, output: &mut Output) -> Result<Vec<Self>, Failure> {
        let requests = Requests::read(fleet).await?;
        if requests.passed_over > 0 {
            output.message(format_args!(
                "warning: {} messages are no requests, or not signed with the key that they name: somebody with \
                 bootstrap credentials left them",
                requests.passed_over
            ));
        }
        let mut known: BTreeMap<AgentId, Self> = BTreeMap::new();
        for (id, registered) in registry::read_all(fleet).await? {
            match registered {
                Ok(registered) => Self::of(&mut known, &id).registration = Some(registered.registration),
                Err(error @ RegistryError::Unreadable { .. }) => {
                    output.message(format_args!("warning: {}", with_causes(&error)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        for asking in requests.iter() {
            Self::of(&mut known, &asking.agent).asking.push(asking.clone());
        }
        Ok(known.into_values().collect())
    }

    fn of<'a>(all: &'a mut BTreeMap<AgentId, Self>, id: &AgentId) -> &'a mut Self {
        all.entry(id.clone()).or_insert_with(|| Self {
            id: id.clone(),
            registration: None,
            asking: Vec::new(),
        })
    }

    /// Adds one who asks to those that were read by name, unless they are among them: others may have pushed the request
    /// out of the stream since.
    pub(super) fn add(all: &mut Vec<Self>, asking: &Asking) {
        let i = all.binary_search_by(|known| known.id.cmp(&asking.agent)).unwrap_or_else(|i| {
            all.insert(i, Self { id: asking.agent.clone(), registration: None, asking: Vec::new() });
            i
        });
        if let Some(known) = all.get_mut(i)
            && known.asking.iter().all(|other| other.key != asking.key)
        {
            known.asking.push(asking.clone());
        }
    }

    /// How it stands.
    pub(super) fn state(&self) -> State {
        self.registration.as_ref().map(|it| it.state).unwrap_or_default()
    }

    /// Whether this one asks for an id that somebody else has.
    pub(super) fn has_another_owner(&self, asking: &Asking) -> bool {
        let owner = self.registration.as_ref().and_then(|it| it.public_key.as_ref());
        owner.is_some_and(|owner| *owner != asking.key)
    }

    /// What somebody should know before deciding about this one.
    pub(super) fn caution(&self, asking: &Asking) -> &'static str {
        let owns = self.registration.as_ref().is_some_and(|it| it.public_key.as_ref() == Some(&asking.key));
        match (self.state(), self.asking.len()) {
            (State::Retired, _) => "the id is retired",
            (State::Revoked, _) if owns => "the key is revoked",
            (State::Approved, _) if owns => "approved, and asks again",
            _ if self.has_another_owner(asking) => "THE ID HAS ANOTHER KEY",
            (_, 2..) => "SEVERAL KEYS ASK",
            _ => "",
        }
    }

    /// As a document.
    pub(super) fn document(&self) -> Value {
        let registration = self.registration.clone().unwrap_or_default();
        let requests: Vec<Value> = self
            .asking
            .iter()
            .map(|asking| {
                json!({
                    "publicKey": asking.key,
                    "since": asking.since,
                    "last": asking.last,
                    "caution": self.caution(asking),
                    "claims": asking.facts,
                })
            })
            .collect();
        let mut document = serde_json::to_value(&registration).unwrap_or_default();
        if let Value::Object(fields) = &mut document {
            fields.insert("agent".to_owned(), json!(self.id));
            fields.insert("requests".to_owned(), requests.into());
        }
        document
    }
}
