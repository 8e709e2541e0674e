//! The keys that documents are signed with: ed25519 (RFC 8032), in the PEM files that `openssl genpkey` writes.

use std::{fmt, ops::Deref, str::FromStr};

use ed25519_dalek::{
    Signer, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
        spki::der::pem::LineEnding,
    },
};
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a key is known by: the first 16 bytes of the SHA-256 of the raw public key. As text, 32 hexadecimal digits
/// in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 16]);

/// Why a text is no id of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the id of a key: 32 hexadecimal digits in lower case")]
pub struct InvalidKeyId {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidKeyId { given: text.chars().take(40).collect() };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_hex) {
            return Err(invalid());
        }
        let mut id = [0; 16];
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidKeyId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// Why a text is no key.
#[derive(Debug, thiserror::Error)]
#[error("no {wanted}: {problem}")]
pub struct InvalidKey {
    /// What it should be.
    pub wanted: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// A key that signatures are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a PEM text with a SubjectPublicKeyInfo (RFC 8410), as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// It is none, or one of another algorithm, or one with which anything could be signed.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKey> {
        let invalid = |problem| InvalidKey { wanted: "ed25519 public key in PEM", problem };
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|error| invalid(error.to_string()))?;
        if key.is_weak() {
            return Err(invalid("it is a weak key, whose signatures anybody can make".to_owned()));
        }
        Ok(Self(key))
    }

    /// As a PEM text.
    ///
    /// # Errors
    /// Only where there is no memory for it.
    pub fn to_pem(&self) -> Result<String, InvalidKey> {
        let invalid = |problem| InvalidKey { wanted: "way to write the public key", problem };
        self.0.to_public_key_pem(LineEnding::LF).map_err(|error| invalid(error.to_string()))
    }

    /// What it is known by.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        KeyId(id)
    }

    /// Whether this is the signature of the message by this key. No signature has a second form that passes
    /// (RFC 8032, section 8.4).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// A key to sign with. It is wiped from memory when it goes, and `Debug` does not show it.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut seed = [0; 32];
        let invalid = |problem| InvalidKey { wanted: "new key", problem };
        SysRng.try_fill_bytes(&mut seed).map_err(|error| invalid(error.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a PEM text with a private key in PKCS#8, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// It is none, or is encrypted, or one of another algorithm.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKey> {
        let invalid = |problem| InvalidKey { wanted: "ed25519 private key in PEM, not encrypted", problem };
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|error| invalid(error.to_string()))
    }

    /// As a PEM text, in the version of PKCS#8 without the public key: openssl reads no other.
    ///
    /// # Errors
    /// Only where there is no memory for it.
    pub fn to_pem(&self) -> Result<impl Deref<Target = String> + use<>, InvalidKey> {
        let invalid = |problem| InvalidKey { wanted: "way to write the private key", problem };
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| invalid(error.to_string()))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public().id()).finish()
    }
}
