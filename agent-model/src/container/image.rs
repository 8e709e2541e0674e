//! Images, and when they are fetched.

use std::{fmt, str::FromStr};

/// The reference of an image as its author wrote it, for example `registry.example.com:5000/team/app:1.2` or
/// `app@sha256:…`, known to be well-formed (the grammar of `distribution/reference`), so that none can be
/// taken for an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference(String);

/// Why a text is no reference of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no image reference; write it like \"registry.example.com/app:1.2\"")]
pub struct InvalidImageReference {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl ImageReference {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!("declaring")
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// When the device has none of that reference.
    #[default]
    IfNotPresent,
    /// Before every creation of the container; where the registry cannot be reached, that fails.
    Always,
    /// Never: it must be there.
    Never,
}
