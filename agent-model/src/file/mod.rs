//! What a `File` resource declares.

mod document;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Digest, MaybeSealed, TargetPath};

/// A regular file with exactly this content, mode and ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Where it lies; the agent's `--root` is put in front.
    pub path: TargetPath,
    /// What is in it.
    pub content: MaybeSealed<Content>,
    /// Its permissions.
    pub mode: Mode,
    /// Its owner; the agent's own user when `None`.
    pub owner: Option<Principal>,
    /// Its group; the agent's own group when `None`.
    pub group: Option<Principal>,
}

impl FileSpec {
    /// A file with this content and all else at its default.
    pub fn new(path: TargetPath, content: impl Into<MaybeSealed<Content>>) -> Self {
        let content = content.into();
        Self { path, mode: Mode::default_for(&content), content, owner: None, group: None }
    }

    /// How many bytes are in it.
    pub fn content_len(&self) -> u64 {
        match &self.content {
            MaybeSealed::Plain(content) => content.len(),
            MaybeSealed::Sealed(sealed) => sealed.plain_len() as u64,
        }
    }

    /// The spec as the value that its digest is taken of: defaults left out, the content by its
    /// digest, so that computing it never copies the content.
    pub(crate) fn canonical(&self) -> serde_json::Value {
        let Self { path, content, mode, owner, group } = self;
        let mut fields = serde_json::Map::new();
        fields.insert("path".into(), path.as_str().into());
        let content_value = match content {
            MaybeSealed::Plain(content) => content.digest().to_string().into(),
            MaybeSealed::Sealed(sealed) => sealed.canonical(),
        };
        fields.insert("content".into(), content_value);
        if *mode != Mode::default_for(content) {
            fields.insert("mode".into(), mode.to_string().into());
        }
        if let Some(owner) = owner {
            fields.insert("owner".into(), owner.to_string().into());
        }
        if let Some(group) = group {
            fields.insert("group".into(), group.to_string().into());
        }
        fields.into()
    }
}

/// The bytes of a file, with their digest computed once. `Debug` shows the digest only: contents
/// may be secret and must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl Content {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of_bytes(&bytes), bytes: bytes.into() }
    }
}

impl<T: Into<Content>> From<T> for MaybeSealed<Content> {
    fn from(content: T) -> Self {
        Self::Plain(content.into())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes, {})", self.bytes.len(), self.digest)
    }
}

/// The permission bits of a file, 0000 to 7777; 0644 by default, and 0600 for what is sealed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u16);

/// Why a text is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a mode: use three or four octal digits in quotes, for example \"0644\"")]
pub struct InvalidMode {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl Mode {
    /// The mode of these bits; whatever is not a permission bit is dropped.
    pub fn from_bits(bits: u32) -> Self {
        Self((bits & 0o7777) as u16)
    }

    /// That of a file which declares none.
    pub fn default_for(content: &MaybeSealed<Content>) -> Self {
        match content {
            MaybeSealed::Plain(_) => Self::default(),
            MaybeSealed::Sealed(_) => Self(0o600),
        }
    }

    /// Whether anybody but the owner may do anything with the file.
    pub(crate) fn is_open_to_others(self) -> bool {
        self.0 & 0o077 != 0
    }

    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0.into()
    }

    /// Whether whoever runs the file has the rights of its owner or group then (set-user-ID, set-group-ID).
    pub fn grants_rights(self) -> bool {
        self.0 & 0o6000 != 0
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self(0o644)
    }
}

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `0?[0-7]{3,4}`: "644", "0644", "4755" and "04755" are modes; "000755" is not.
        let octal = |digits: &str| digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let valid = octal(text)
            && match text.len() {
                3 | 4 => true,
                5 => text.starts_with('0'),
                _ => false,
            };
        match u16::from_str_radix(text, 8) {
            Ok(bits) if valid => Ok(Self(bits)),
            _ => Err(InvalidMode { given: text.chars().take(20).collect() }),
        }
    }
}

impl TryFrom<String> for Mode {
    type Error = InvalidMode;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.to_string()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A user or a group: by name, or by number where the text is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A number, valid whether or not the device knows a name for it.
    Id(u32),
    /// A name, looked up on the device.
    Name(String),
}

/// Why a text names no user or group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} names no user or group: use a number, or a name of at most 32 characters without : / or spaces"
)]
pub struct InvalidPrincipal {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl FromStr for Principal {
    type Err = InvalidPrincipal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPrincipal { given: text.chars().take(40).collect() };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // (uid_t) -1 means "leave as it is" to chown(2) and is nobody's id.
            return text.parse().ok().filter(|id| *id != u32::MAX).map(Self::Id).ok_or_else(invalid);
        }
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '/' | ',');
        if (1..=32).contains(&text.len()) && !text.starts_with('-') && text.chars().all(plain) {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_three_or_four_octal_digits_with_one_more_leading_zero_allowed() {
        for (text, bits) in [("644", 0o644), ("0644", 0o644), ("4755", 0o4755), ("04755", 0o4755), ("000", 0)]
        {
            assert_eq!(text.parse::<Mode>().unwrap().bits(), bits, "{text}");
        }
        for text in ["", "44", "888", "0o644", "00755a", "14755", "000755", "+644", "rw-r--r--"] {
            assert!(text.parse::<Mode>().is_err(), "{text:?} was accepted");
        }
        assert_eq!(Mode::default().to_string(), "0644");
    }

    #[test]
    fn principals_are_names_or_ids() {
        assert_eq!("0".parse(), Ok(Principal::Id(0)));
        assert_eq!("www-data".parse(), Ok(Principal::Name("www-data".into())));
        for text in ["", "a b", "a:b", "-x", "4294967295", "99999999999", "a\0", "a/b"] {
            assert!(text.parse::<Principal>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn content_never_shows_in_debug_output() {
        let content = Content::from(b"hunter2".to_vec());
        assert!(!format!("{content:?}").contains("hunter2"));
    }
}
