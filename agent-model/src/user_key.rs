//! The public key of a user of NATS, which a device is known by.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

/// A user's public key as NATS writes it: `U` and 55 characters more of base32. It is one subject token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserKey(String);

/// Why a text is no user's public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the public key of a user: expected U and 55 more of the characters A-Z 2-7")]
pub struct InvalidUserKey {
    /// What was given, shortened to a length fit for a message, and shorter than a seed.
    pub given: String,
}

/// As many characters as nobody makes another key for by trying: 75 bits.
const FINGERPRINT: usize = 16;

/// What a user's key begins with, before it is written as `U` (nkeys: `PrefixByteUser`).
const USER: u8 = 20 << 3;

/// A byte for the kind, the key, and two bytes of check sum.
const DECODED: usize = 1 + 32 + 2;

impl UserKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its beginning, for people to compare.
    pub fn fingerprint(&self) -> &str {
        self.0.get(..FINGERPRINT).unwrap_or(&self.0)
    }
}

impl FromStr for UserKey {
    type Err = InvalidUserKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match BASE32_NOPAD.decode(text.as_bytes()).as_deref() {
            // 280 bits are 56 characters without a bit left over, so each key has one text.
            Ok(bytes @ [USER, .., low, high])
                if bytes.len() == DECODED
                    && crc16(&bytes[..DECODED - 2]) == u16::from_le_bytes([*low, *high]) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidUserKey { given: text.chars().take(12).collect() }),
        }
    }
}

/// CRC-16/XMODEM, which finds what was mistyped.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        })
    })
}

impl TryFrom<String> for UserKey {
    type Error = InvalidUserKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UserKey> for String {
    fn from(key: UserKey) -> Self {
        key.0
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::*;

    #[test]
    fn only_a_users_public_key_is_one() {
        for _ in 0..8 {
            let user = KeyPair::new_user().public_key();
            assert_eq!(user.parse::<UserKey>().unwrap().as_str(), user);
            let mut altered = user.clone();
            altered.replace_range(5..6, if &altered[5..6] == "A" { "B" } else { "A" });
            for text in [
                String::new(),
                "*".to_owned(),
                ">".to_owned(),
                "U".to_owned(),
                "U".repeat(56),
                KeyPair::new_user().seed().unwrap(),
                user.to_lowercase(),
                format!("{user} "),
                format!("{user}A"),
                user[..55].to_owned(),
                KeyPair::new_account().public_key(),
                altered,
            ] {
                assert!(text.parse::<UserKey>().is_err(), "{text:?} was taken");
            }
        }
    }

    #[test]
    fn a_seed_that_was_given_by_mistake_is_not_shown_whole() {
        let seed = KeyPair::new_user().seed().unwrap();
        assert!(!seed.parse::<UserKey>().unwrap_err().to_string().contains(&seed[..20]));
    }
}
