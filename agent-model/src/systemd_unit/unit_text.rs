//! What is in a unit's file or in a drop-in.

use std::{fmt, str::FromStr, sync::Arc};

use crate::Digest;

/// Longest text, in bytes. systemd's own are under 4 KiB.
const MAX_LEN: usize = 128 << 10;

/// The text of a unit's file or of a drop-in. `Debug` shows its digest only: `Environment=` may hold a
/// secret, which must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct UnitText(Arc<str>);

/// Why a text is none of a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUnitText {
    /// It holds nothing.
    #[error(
        "it is empty, by which systemd would take the unit for masked; leave it out, or give what belongs there"
    )]
    Empty,
    /// It holds what systemd reads no further than.
    #[error("it has a NUL character, which systemd reads in no unit")]
    Nul,
    /// It is too long.
    #[error(
        "it has {len} bytes, more than the {MAX_LEN} that a unit's text may have; put long values in a file of its own"
    )]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
}

impl UnitText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest of the text.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(self.0.as_bytes())
    }
}

impl FromStr for UnitText {
    type Err = InvalidUnitText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            Err(InvalidUnitText::Empty)
        } else if text.contains('\0') {
            Err(InvalidUnitText::Nul)
        } else if text.len() > MAX_LEN {
            Err(InvalidUnitText::TooLong { len: text.len() })
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Debug for UnitText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitText({} bytes, {})", self.0.len(), self.digest())
    }
}
