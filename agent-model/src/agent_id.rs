//! The name of a device, as it appears in NATS subjects and KV keys.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest agent id, in bytes: it must also serve as a DNS label.
const MAX_LEN: usize = 63;

/// The name of one device: `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`.
///
/// It is one NATS subject token, so it can hold neither a dot nor a wildcard. That is a matter of
/// security, not of taste: a user named `*` would be granted the subjects of every device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId(String);

/// Why a text is no agent id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not an agent id: use 1 to 63 of the characters A-Z a-z 0-9 _ -, starting with a letter or digit"
)]
pub struct InvalidAgentId {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl AgentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = InvalidAgentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest_is_well = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if starts_well && rest_is_well && text.len() <= MAX_LEN {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAgentId { given: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for AgentId {
    type Error = InvalidAgentId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AgentId> for String {
    fn from(id: AgentId) -> Self {
        id.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_fit_one_subject_token_are_accepted() {
        for id in ["a", "edge-0042", "0", "A_b-C", &"x".repeat(63)] {
            assert_eq!(id.parse::<AgentId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn ids_that_could_reach_another_device_are_refused() {
        for id in ["", "*", ">", "a.b", "a b", "-a", "_a", "a\0", "é", "a\n", &"x".repeat(64)] {
            assert!(id.parse::<AgentId>().is_err(), "{id:?} was accepted");
        }
    }
}
