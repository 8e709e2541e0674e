//! The counter that orders the documents of one device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The generation of a desired-state document: 1 to 2^53 − 1, so that it survives every JSON
/// reader that keeps numbers as doubles. A device accepts no document with a lower one than the
/// highest it has accepted; that is what makes replaying an old document useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Generation(u64);

/// Why a number is no generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is not a generation: use a whole number from 1 to {max}", max = Generation::MAX)]
pub struct InvalidGeneration {
    /// What was given.
    pub given: u64,
}

impl Generation {
    /// The generation of a device's first document.
    pub const FIRST: Self = Self(1);
    /// The highest generation there is.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The generation as a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The next generation, or `None` at the highest.
    pub fn next(self) -> Option<Self> {
        Self::try_from(self.0 + 1).ok()
    }
}

impl TryFrom<u64> for Generation {
    type Error = InvalidGeneration;

    fn try_from(given: u64) -> Result<Self, Self::Error> {
        if (1..=Self::MAX.0).contains(&given) { Ok(Self(given)) } else { Err(InvalidGeneration { given }) }
    }
}

impl From<Generation> for u64 {
    fn from(generation: Generation) -> Self {
        generation.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_fit_a_double_and_start_at_one() {
        assert!(Generation::try_from(0).is_err());
        assert!(Generation::try_from(1 << 53).is_err());
        assert_eq!(Generation::MAX.get(), 9_007_199_254_740_991);
        assert_eq!(Generation::MAX.next(), None);
        assert_eq!(Generation::FIRST.next().map(Generation::get), Some(2));
    }
}
