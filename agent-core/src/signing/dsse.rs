//! The sealed form of a document: a DSSE envelope (Dead Simple Signing Envelope 1.0, protocol.md), with ed25519.

use agent_model::{did_you_mean, json_type, pointer_to};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Map, Value, json};

use super::{KeyId, PublicKey, SecretKey};

/// What is sealed: it is signed along with the payload, so that nothing signed for another purpose passes for a
/// document.
pub const PAYLOAD_TYPE: &str = "application/vnd.harmony.envelope.v1+json";
/// More signatures than anybody needs who rotates keys. With the most keys that a device trusts this bounds what a
/// hostile entry can make it compute.
const MAX_SIGNATURES: usize = 8;
const KEYS: [&str; 3] = ["payload", "payloadType", "signatures"];
const SIGNATURE_KEYS: [&str; 2] = ["keyid", "sig"];

/// A sealed document. Nobody has verified it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// A hint by which a key is found; no part of what is signed.
    pub(super) key_id: Option<String>,
    pub(super) bytes: Vec<u8>,
}

impl Sealed {
    /// Whether this is meant to be a sealed document: the plain form has none of its keys.
    pub fn is_meant(fields: &Map<String, Value>) -> bool {
        KEYS.iter().any(|key| fields.contains_key(*key))
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, with the place.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, String> {
        known_keys("", fields, &KEYS)?;
        let signatures = match fields.get("signatures") {
            Some(Value::Array(signatures)) if signatures.len() > MAX_SIGNATURES => {
                return Err(format!("/signatures: {} of them; at most {MAX_SIGNATURES}", signatures.len()));
            }
            Some(Value::Array(signatures)) => signatures,
            Some(other) => return Err(format!("/signatures: expected an array, found {}", json_type(other))),
            None => return Err("/signatures: missing".to_owned()),
        };
        Ok(Self {
            payload_type: text("", fields, "payloadType")?.to_owned(),
            payload: decoded("", fields, "payload")?,
            signatures: signatures.iter().enumerate().map(signature).collect::<Result<_, _>>()?,
        })
    }

    /// The sealed form of these bytes of an envelope, signed with that key.
    pub fn seal(payload: &[u8], key: &SecretKey) -> Vec<u8> {
        let signature = key.sign(&to_be_signed(PAYLOAD_TYPE, payload));
        let sealed = json!({
            "payloadType": PAYLOAD_TYPE,
            "payload": STANDARD.encode(payload),
            "signatures": [{"keyid": key.public().id().to_string(), "sig": STANDARD.encode(signature)}],
        });
        sealed.to_string().into_bytes()
    }

    /// What is sealed. Only what was verified may be parsed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether that key has signed it.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = self.to_be_signed();
        self.has_our_type()
            && self.signatures.iter().any(|signature| key.verifies(&message, &signature.bytes))
    }

    /// The keys that are said to have signed it.
    pub fn claimed_keys(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().filter_map(|signature| signature.key_id.as_deref()?.parse().ok())
    }

    pub(super) fn has_our_type(&self) -> bool {
        self.payload_type == PAYLOAD_TYPE
    }

    pub(super) fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        to_be_signed(&self.payload_type, &self.payload)
    }
}

/// The pre-authentication encoding of DSSE 1.0.
fn to_be_signed(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

fn signature((i, value): (usize, &Value)) -> Result<Signature, String> {
    let place = pointer_to("/signatures", i);
    let Value::Object(fields) = value else {
        return Err(format!("{place}: expected an object, found {}", json_type(value)));
    };
    known_keys(&place, fields, &SIGNATURE_KEYS)?;
    let key_id = match fields.get("keyid") {
        None => None,
        Some(_) => Some(text(&place, fields, "keyid")?).filter(|id| !id.is_empty()).map(str::to_owned),
    };
    Ok(Signature { key_id, bytes: decoded(&place, fields, "sig")? })
}

fn known_keys(parent: &str, fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key: String = key.chars().take(80).collect();
            Err(format!("{}: unknown key; {}", pointer_to(parent, &key), did_you_mean(&key, known)))
        }
    }
}

fn text<'a>(parent: &str, fields: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    let place = pointer_to(parent, key);
    match fields.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("{place}: expected a string, found {}", json_type(other))),
        None => Err(format!("{place}: missing")),
    }
}

/// Both alphabets of RFC 4648 are read, as DSSE wants it.
fn decoded(parent: &str, fields: &Map<String, Value>, key: &str) -> Result<Vec<u8>, String> {
    let text = text(parent, fields, key)?;
    let decoded = STANDARD.decode(text).or_else(|error| URL_SAFE.decode(text).map_err(|_| error));
    decoded.map_err(|error| format!("{}: no base64: {error}", pointer_to(parent, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<Sealed, String> {
        Sealed::read(value.as_object().unwrap())
    }

    fn sealed(payload: &[u8], key: &SecretKey) -> Value {
        serde_json::from_slice(&Sealed::seal(payload, key)).unwrap()
    }

    #[test]
    fn what_is_signed_is_what_the_protocol_says() {
        // The example of DSSE's protocol.md, section "Test vectors".
        let encoded = to_be_signed("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn what_was_sealed_is_read_back_and_is_signed_by_that_key_alone() {
        let [key, other] = [(); 2].map(|()| SecretKey::generate().unwrap());
        let sealed = read(&sealed(b"{}", &key)).unwrap();
        assert_eq!(sealed.payload(), b"{}");
        assert!(sealed.is_signed_by(&key.public()) && !sealed.is_signed_by(&other.public()));
        assert_eq!(sealed.claimed_keys().collect::<Vec<_>>(), [key.public().id()]);
    }

    #[test]
    fn both_alphabets_are_read() {
        let key = SecretKey::generate().unwrap();
        let payload = [0xfb_u8; 3];
        let mut value = sealed(&payload, &key);
        value["payload"] = URL_SAFE.encode(payload).into();
        assert!(read(&value).unwrap().is_signed_by(&key.public()));
    }

    #[test]
    fn whatever_else_is_refused_with_its_place() {
        let good = sealed(b"{}", &SecretKey::generate().unwrap());
        for (pointer, value, words) in [
            ("/payload", json!("e30"), "/payload: no base64"),
            ("/payload", json!("e31="), "/payload: no base64"),
            ("/payload", json!(1), "/payload: expected a string, found a number"),
            ("/signatures", json!({}), "/signatures: expected an array"),
            ("/signatures", json!(vec![good["signatures"][0].clone(); 9]), "/signatures: 9 of them"),
            ("/signatures/0", json!("x"), "/signatures/0: expected an object"),
            ("/signatures/0", json!({}), "/signatures/0/sig: missing"),
            (
                "/signatures/0",
                json!({"sig": "", "keyId": ""}),
                "/signatures/0/keyId: unknown key; did you mean",
            ),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            let problem = read(&bad).unwrap_err();
            assert!(problem.starts_with(words), "{pointer}: {problem}");
        }
        for key in KEYS {
            let mut bad = good.clone();
            bad.as_object_mut().unwrap().remove(key);
            assert_eq!(read(&bad).unwrap_err(), format!("/{key}: missing"));
        }
    }
}
