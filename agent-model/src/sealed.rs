//! Values that a document has sealed to one device: nobody on their way can read them.
//!
//! Here is what such a value is and what is known of it; the cryptography is behind [`Unsealer`].

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    Digest, Failure,
    reader::{Field, Findings, decoded_base64},
};

/// What is shown in the place of a sealed value.
pub const SEALED: &str = "<sealed>";

/// The public half of the key that a device opens sealed values with, as NATS writes curve keys: `X` and 55 more
/// characters of base32. Whether its check sum is right is for those to judge who seal with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingKey(String);

/// Why a text is no [`SealingKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no key to seal to: expected X and 55 more of A-Z 2-7, as `harmony-agent status` shows it on the device"
)]
pub struct InvalidSealingKey {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl SealingKey {
    /// Prefix, 32 bytes and check sum, in base32.
    const LENGTH: usize = 56;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SealingKey {
    type Err = InvalidSealingKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
        if text.len() == Self::LENGTH && text.starts_with('X') && text.bytes().all(is_base32) {
            Ok(Self(text.to_owned()))
        } else {
            // Shorter than a seed: one that was given by mistake is not shown whole.
            Err(InvalidSealingKey { given: text.chars().take(12).collect() })
        }
    }
}

impl TryFrom<String> for SealingKey {
    type Error = InvalidSealingKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SealingKey> for String {
    fn from(key: SealingKey) -> Self {
        key.0
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that may be secret: as it is, or sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaybeSealed<T> {
    /// As it is.
    Plain(T),
    /// Sealed to a device.
    Sealed(SealedValue),
}

impl<T> MaybeSealed<T> {
    /// The value, where it is not sealed.
    pub fn plain(&self) -> Option<&T> {
        match self {
            Self::Plain(value) => Some(value),
            Self::Sealed(_) => None,
        }
    }

    /// The box, where it is sealed.
    pub fn sealed(&self) -> Option<&SealedValue> {
        match self {
            Self::Plain(_) => None,
            Self::Sealed(sealed) => Some(sealed),
        }
    }

    pub(crate) fn with_box_tried(&self, holds: Holds, unsealer: &dyn Unsealer) -> Self
    where
        T: Clone,
    {
        match self {
            Self::Plain(value) => Self::Plain(value.clone()),
            Self::Sealed(sealed) => Self::Sealed(sealed.tried(holds, unsealer)),
        }
    }
}

/// What a box must hold for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Whatever.
    Bytes,
    /// What a program can be handed: UTF-8 without NUL.
    Text,
}

/// A sealed value, and what the device that looked into it knows since. `Debug` shows nothing of the box.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue {
    to: SealingKey,
    boxed: Arc<[u8]>,
    known: Known,
}

/// What is known of a box's content.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// Nobody here has tried it, as where documents are only written.
    Nothing,
    /// It opens, and this tells the content from others on this device, and on no other: see [`Unsealer::fingerprint`].
    Fingerprint(KeyedDigest),
    /// It does not open.
    Closed(CannotUnseal),
}

impl SealedValue {
    /// How many bytes a box has more than what is in it: the sender's public key as text, the version, the nonce and the
    /// tag.
    pub const OVERHEAD: usize = SealingKey::LENGTH + 4 + 24 + 16;

    /// A box that was made for that key; `None` where it is too short to be one.
    pub fn new(to: SealingKey, boxed: impl Into<Arc<[u8]>>) -> Option<Self> {
        let boxed = boxed.into();
        (boxed.len() >= Self::OVERHEAD).then_some(Self { to, boxed, known: Known::Nothing })
    }

    /// Whose key it is sealed to.
    pub fn to(&self) -> &SealingKey {
        &self.to
    }

    /// The sender's public key, as text, and what that key has sealed in the manner of xkeys.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        self.boxed.split_at(SealingKey::LENGTH.min(self.boxed.len()))
    }

    /// How many bytes are in it.
    pub fn plain_len(&self) -> usize {
        self.boxed.len() - Self::OVERHEAD
    }

    /// What tells the content from others; `None` unless it was tried and opens.
    pub fn fingerprint(&self) -> Option<KeyedDigest> {
        match self.known {
            Known::Fingerprint(fingerprint) => Some(fingerprint),
            Known::Nothing | Known::Closed(_) => None,
        }
    }

    /// Why it does not open, once that was tried.
    pub(crate) fn closed(&self) -> Option<&CannotUnseal> {
        match &self.known {
            Known::Closed(reason) => Some(reason),
            Known::Nothing | Known::Fingerprint(_) => None,
        }
    }

    /// What is in it.
    ///
    /// # Errors
    /// When it does not open here.
    pub fn open(&self, unsealer: &dyn Unsealer) -> Result<Zeroizing<Vec<u8>>, CannotUnseal> {
        unsealer.open(self)
    }

    /// The text that is in it.
    ///
    /// # Errors
    /// When it does not open here, or when no program could be handed what is in it.
    pub fn open_text(&self, unsealer: &dyn Unsealer) -> Result<Zeroizing<String>, CannotUnseal> {
        let bytes = self.open(unsealer)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains('\0') => Ok(Zeroizing::new(text.to_owned())),
            _ => Err(CannotUnseal::NotText),
        }
    }

    fn tried(&self, holds: Holds, unsealer: &dyn Unsealer) -> Self {
        let digest = match holds {
            Holds::Bytes => self.open(unsealer).map(|bytes| Digest::of_bytes(&bytes)),
            Holds::Text => self.open_text(unsealer).map(|text| Digest::of_bytes(text.as_bytes())),
        };
        let fingerprint = digest.and_then(|digest| unsealer.fingerprint(digest).ok_or(CannotUnseal::NoKey));
        let known = fingerprint.map_or_else(Known::Closed, Known::Fingerprint);
        Self { known, ..self.clone() }
    }

    pub(crate) fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        field.object(findings, |fields| {
            fields.required("sealed", |sealed, findings| {
                sealed.object(findings, |fields| {
                    let to = fields.required("to", Field::parsed);
                    let pointer = crate::pointer_to(&fields.pointer, "box");
                    let boxed = fields.required("box", |field, findings| {
                        let text = field.text(findings)?;
                        decoded_base64(&field, text, findings)
                    });
                    let (to, boxed) = (to?, boxed?);
                    let length = boxed.len();
                    let sealed = Self::new(to, boxed);
                    if sealed.is_none() {
                        let message = format!(
                            "{length} bytes are too few for a box, which has {} more than what is in it; is it cut off?",
                            Self::OVERHEAD
                        );
                        fields.findings.problem(pointer, message);
                    }
                    sealed
                })
            })
        })
    }

    /// What [`MaybeSealed`] is read from, as documents have it.
    pub fn written(&self) -> Value {
        json!({"sealed": {"to": self.to.as_str(), "box": STANDARD.encode(&self.boxed)}})
    }

    /// What stands for it where digests are taken and differences are shown: of its content where that is known, so
    /// that sealing the same anew is no difference.
    pub(crate) fn canonical(&self) -> Value {
        match &self.known {
            Known::Fingerprint(fingerprint) => format!("{SEALED} hmac-{}", fingerprint.digest),
            Known::Nothing | Known::Closed(_) => {
                format!("{SEALED} {}", Digest::of_value("harmony/sealed", &self.written()))
            }
        }
        .into()
    }
}

impl fmt::Debug for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SEALED)
    }
}

/// Opens what is sealed to this device.
pub trait Unsealer: fmt::Debug + Send + Sync + 'static {
    /// What is in the box.
    ///
    /// # Errors
    /// When it does not open.
    fn open(&self, sealed: &SealedValue) -> Result<Zeroizing<Vec<u8>>, CannotUnseal>;

    /// What tells a content of that digest from others on this device. Whoever does not have the device's key cannot
    /// find out by guessing which content it is of. `None` without a key.
    fn fingerprint(&self, content: Digest) -> Option<KeyedDigest>;
}

/// What tells a content from others for whoever has the key, and helps nobody else who guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedDigest {
    /// Of the content, under the key.
    pub digest: Digest,
    /// A mark of the key, from which nothing of it can be told. Digests of different marks cannot be compared.
    pub key: Digest,
}

/// Why a box does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotUnseal {
    /// It is another device's, or was sealed before this one lost its key.
    #[error(
        "it is sealed to {to}, and the key of this device is {own}; seal it anew: harmonyctl secret seal --to {own}"
    )]
    AnotherKey {
        /// Whose it is.
        to: SealingKey,
        /// That of this device.
        own: SealingKey,
    },
    /// It is said to be sealed to this device's key, and that does not open it.
    #[error(
        "its box does not open with the key that it names: it was altered or cut off on its way; seal it anew"
    )]
    Damaged,
    /// There is nothing to open it with.
    #[error(
        "this device has no key to open it with, because its state folder could not be read or written when the agent \
         started; the agent's log says why; start the agent again when that is mended"
    )]
    NoKey,
    /// A variable's value is no text.
    #[error("what is sealed is no text in UTF-8 or has a NUL character, and so cannot be a variable's value")]
    NotText,
}

impl CannotUnseal {
    /// One PascalCase word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AnotherKey { .. } => "SealedToAnotherKey",
            Self::Damaged => "BoxDamaged",
            Self::NoKey => "NoSealingKey",
            Self::NotText => "SealedNotText",
        }
    }
}

impl From<CannotUnseal> for Failure {
    /// It lasts until the document or the device's key is another.
    fn from(why: CannotUnseal) -> Self {
        Self::lasting(why.reason(), why.to_string())
    }
}

#[cfg(test)]
mod tests;
