//! What a device asks with.

use std::collections::BTreeMap;

use agent_model::{AgentId, UserKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, KeyError};

/// Largest request in bytes.
pub const MAX_REQUEST_BYTES: usize = 4 << 10;

/// What is put in front of what is signed, so that a signature for another purpose is none for this one.
const CONTEXT: &[u8] = b"harmony-enrollment-request-v1\0";

/// What a device tells about itself. Nobody has verified any of it.
pub type Facts = BTreeMap<String, String>;

/// Somebody who holds `public_key` asks to be let in as `agent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// As whom.
    pub agent: AgentId,
    /// With which key.
    pub public_key: UserKey,
    /// What it tells about itself.
    #[serde(default)]
    pub facts: Facts,
}

/// A request as it travels.
#[derive(Serialize, Deserialize)]
struct Signed {
    request: String,
    signature: String,
}

/// Why a message is no request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// It is larger than any device's.
    #[error("it has {0} bytes; a request has at most {MAX_REQUEST_BYTES}")]
    TooLarge(usize),
    /// It is nothing that can be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It asks for another id than the subject that it came on.
    #[error("it asks for another id than that of its subject")]
    OtherAgent,
    /// The key that it asks for has not signed it.
    #[error("it is not signed with the key that it asks for")]
    Unsigned,
}

impl Request {
    /// The request as it travels, signed with the device's key.
    ///
    /// # Errors
    /// The key cannot sign, which no user's key does.
    pub fn sign(&self, key: &DeviceKey) -> Result<Vec<u8>, KeyError> {
        let bytes = serde_json::to_vec(self).map_err(KeyError::unusable)?;
        let signed = Signed {
            signature: STANDARD.encode(key.sign(&message(&bytes))?),
            request: STANDARD.encode(bytes),
        };
        serde_json::to_vec(&signed).map_err(KeyError::unusable)
    }

    /// Reads what came on the subject of that id.
    ///
    /// # Errors
    /// See [`InvalidRequest`].
    pub fn read(agent: &AgentId, bytes: &[u8]) -> Result<Self, InvalidRequest> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(InvalidRequest::TooLarge(bytes.len()));
        }
        let unreadable = |error: &dyn std::error::Error| InvalidRequest::Unreadable(error.to_string());
        let signed: Signed = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
        let bytes = STANDARD.decode(&signed.request).map_err(|error| unreadable(&error))?;
        let signature = STANDARD.decode(&signed.signature).map_err(|error| unreadable(&error))?;
        let request: Self = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        if !has_signed(&request.public_key, &message(&bytes), &signature) {
            return Err(InvalidRequest::Unsigned);
        }
        if request.agent != *agent {
            return Err(InvalidRequest::OtherAgent);
        }
        Ok(request)
    }
}

fn has_signed(key: &UserKey, message: &[u8], signature: &[u8]) -> bool {
    KeyPair::from_public_key(key.as_str()).is_ok_and(|key| key.verify(message, signature).is_ok())
}

fn message(request: &[u8]) -> Vec<u8> {
    [CONTEXT, request].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &DeviceKey) -> Request {
        Request {
            agent: "edge-1".parse().unwrap(),
            public_key: key.public(),
            facts: Facts::from([("serial".to_owned(), "SN-7".to_owned())]),
        }
    }

    #[test]
    fn what_a_device_asks_is_read_as_it_was_meant() {
        let key = DeviceKey::generate().unwrap();
        let bytes = request(&key).sign(&key).unwrap();
        assert_eq!(Request::read(&"edge-1".parse().unwrap(), &bytes), Ok(request(&key)));
    }

    #[test]
    fn a_request_for_another_id_or_with_a_key_that_has_not_signed_it_is_none() {
        let (key, other) = (DeviceKey::generate().unwrap(), DeviceKey::generate().unwrap());
        let agent: AgentId = "edge-1".parse().unwrap();
        let bytes = request(&key).sign(&key).unwrap();
        assert_eq!(Request::read(&"edge-2".parse().unwrap(), &bytes), Err(InvalidRequest::OtherAgent));
        let forged = request(&key).sign(&other).unwrap();
        assert_eq!(Request::read(&agent, &forged), Err(InvalidRequest::Unsigned));
        // Signed without the words before it, as a server has its nonce signed.
        let plain = serde_json::to_vec(&request(&key)).unwrap();
        let signed = Signed {
            signature: STANDARD.encode(key.sign(&plain).unwrap()),
            request: STANDARD.encode(&plain),
        };
        let bytes = serde_json::to_vec(&signed).unwrap();
        assert_eq!(Request::read(&agent, &bytes), Err(InvalidRequest::Unsigned));
    }

    #[test]
    fn what_is_too_large_or_no_request_is_told_as_such() {
        let agent: AgentId = "edge-1".parse().unwrap();
        let read = |bytes: &[u8]| Request::read(&agent, bytes).unwrap_err();
        assert_eq!(read(&vec![b' '; MAX_REQUEST_BYTES + 1]), InvalidRequest::TooLarge(MAX_REQUEST_BYTES + 1));
        for text in ["", "{}", "[]", r#"{"request": "e30=", "signature": ""}"#, "\u{0}", r#"{"request": 1}"#]
        {
            assert!(matches!(read(text.as_bytes()), InvalidRequest::Unreadable(_)), "{text:?}");
        }
    }
}
