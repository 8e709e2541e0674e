//! What a device is answered.

use agent_model::{AgentId, UserKey};
use serde::{Deserialize, Serialize};

use super::{InvalidUserJwt, UserJwt};

/// Largest answer in bytes. A user's JWT has some 700.
pub const MAX_ANSWER_BYTES: usize = 16 << 10;

/// An answer to whoever holds `public_key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// As whom it asked.
    pub agent: AgentId,
    /// With which key.
    pub public_key: UserKey,
    /// Yes or no.
    #[serde(flatten)]
    pub decision: Decision,
}

/// What somebody decided about a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision")]
pub enum Decision {
    /// It is let in.
    Approved {
        /// A user's JWT for its key. Nobody has verified it.
        jwt: String,
    },
    /// It is not.
    Denied {
        /// For whoever stands before the device.
        #[serde(default)]
        reason: String,
    },
}

/// Why an answer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAnswer {
    /// It is larger than any answer.
    #[error("it has {0} bytes; an answer has at most {MAX_ANSWER_BYTES}")]
    TooLarge(usize),
    /// It is nothing that can be read.
    #[error("it cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// It is for another id.
    #[error("it is for another id")]
    OtherAgent,
    /// It is for another key.
    #[error("it is for another key")]
    OtherKey,
    /// Its JWT cannot be used.
    #[error(transparent)]
    Jwt(#[from] InvalidUserJwt),
}

/// Longest reason that is shown, in characters.
const MAX_REASON: usize = 500;

impl Answer {
    /// Reads an answer to this device: its JWT, or the reason why it is denied.
    ///
    /// # Errors
    /// It is none, or none for this device: it says nothing then.
    pub fn read(
        agent: &AgentId,
        key: &UserKey,
        bytes: &[u8],
    ) -> Result<Result<UserJwt, String>, InvalidAnswer> {
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(InvalidAnswer::TooLarge(bytes.len()));
        }
        let answer: Self = serde_json::from_slice(bytes).map_err(InvalidAnswer::Unreadable)?;
        if answer.agent != *agent {
            return Err(InvalidAnswer::OtherAgent);
        }
        if answer.public_key != *key {
            return Err(InvalidAnswer::OtherKey);
        }
        Ok(match answer.decision {
            Decision::Approved { jwt } => Ok(UserJwt::check(&jwt, agent, key)?),
            Decision::Denied { reason } => Err(reason.chars().take(MAX_REASON).collect()),
        })
    }

    /// The answer as it travels.
    ///
    /// # Errors
    /// Its texts make it larger than a device reads.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidAnswer> {
        let bytes = serde_json::to_vec(self).map_err(InvalidAnswer::Unreadable)?;
        if bytes.len() > MAX_ANSWER_BYTES { Err(InvalidAnswer::TooLarge(bytes.len())) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrollment::user_jwt::tests::{Claims, jwt};

    #[test]
    fn an_answer_for_another_device_or_too_large_or_unreadable_says_nothing() {
        let claims = Claims::default();
        let (agent, key) = (claims.agent(), claims.key());
        let answer =
            Answer { agent, public_key: key.clone(), decision: Decision::Approved { jwt: jwt(&claims) } };
        let read =
            |answer: &Answer| Answer::read(&claims.agent(), &key, &serde_json::to_vec(answer).unwrap());
        assert!(matches!(read(&answer), Ok(Ok(_))));
        let other = Answer { agent: "another".parse().unwrap(), ..answer.clone() };
        assert!(matches!(read(&other), Err(InvalidAnswer::OtherAgent)));
        let other = Answer { public_key: Claims::default().key(), ..answer.clone() };
        assert!(matches!(read(&other), Err(InvalidAnswer::OtherKey)));
        let denied = Answer { decision: Decision::Denied { reason: "x".repeat(9000) }, ..answer.clone() };
        assert_eq!(read(&denied).unwrap().unwrap_err().len(), MAX_REASON);
        let large = Answer { decision: Decision::Denied { reason: "x".repeat(17_000) }, ..answer };
        assert!(matches!(read(&large), Err(InvalidAnswer::TooLarge(_))));
        assert!(large.to_bytes().is_err());
        for text in ["", "{}", "not JSON", r#"{"decision": "Approved"}"#] {
            let read = Answer::read(&claims.agent(), &key, text.as_bytes());
            assert!(matches!(read, Err(InvalidAnswer::Unreadable(_))), "{text:?}");
        }
    }
}
