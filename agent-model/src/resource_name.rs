//! The name by which a document's resources refer to one another.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A resource's name within its document: a DNS label (RFC 1123). Shared, because a pass over many
/// resources hands each name around.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(Arc<str>);

/// Why a text is no resource name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a resource name: use 1 to 63 of the characters a-z 0-9 -, starting and ending with a letter or digit"
)]
pub struct InvalidResourceName {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl ResourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceName {
    type Err = InvalidResourceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = (1..=63).contains(&text.len())
            && text.bytes().all(|b| plain(b) || b == b'-')
            && text.bytes().next().is_some_and(plain)
            && text.bytes().last().is_some_and(plain);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidResourceName { given: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for ResourceName {
    type Error = InvalidResourceName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ResourceName> for String {
    fn from(name: ResourceName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dns_labels_are_names() {
        for name in ["a", "app-config", "0a", &"x".repeat(63)] {
            assert!(name.parse::<ResourceName>().is_ok(), "{name:?} was refused");
        }
        for name in ["", "-a", "a-", "App", "a.b", "a_b", "ä", &"x".repeat(64)] {
            assert!(name.parse::<ResourceName>().is_err(), "{name:?} was accepted");
        }
    }
}
