//! Environment variables.

use std::{collections::BTreeMap, fmt};

use crate::{CannotUnseal, Digest, MaybeSealed, SealedValue, Unsealer, sealed::Holds, written::Written};

/// Variables by name. `Debug` shows the names only: values may be secret and must not reach a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<String, MaybeSealed<String>>);

/// Why something cannot be a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariable {
    /// The name.
    #[error("{given:?} is not the name of a variable: use 1 to 255 characters without = and NUL")]
    Name {
        /// What was given, shortened to a length fit for a message.
        given: String,
    },
    /// The value.
    #[error("the value has a NUL character, which no variable can have")]
    Value,
}

impl Environment {
    /// Longest name, in bytes.
    const LONGEST_NAME: usize = 255;

    /// Sets a variable.
    ///
    /// # Errors
    /// When no variable can have that name or value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidVariable> {
        self.insert(name, MaybeSealed::Plain(value.to_owned()))
    }

    /// Sets a variable to what is in a box.
    ///
    /// # Errors
    /// When no variable can have that name.
    pub fn set_sealed(&mut self, name: &str, value: SealedValue) -> Result<(), InvalidVariable> {
        self.insert(name, MaybeSealed::Sealed(value))
    }

    pub(super) fn insert(&mut self, name: &str, value: MaybeSealed<String>) -> Result<(), InvalidVariable> {
        if name.is_empty() || name.len() > Self::LONGEST_NAME || name.contains(['=', '\0']) {
            return Err(InvalidVariable::Name { given: name.chars().take(80).collect() });
        }
        if value.plain().is_some_and(|value| value.contains('\0')) {
            return Err(InvalidVariable::Value);
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// The variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MaybeSealed<String>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The variables as a program is to see them. Only for handing them on: what was sealed is not kept from logs any
    /// more.
    ///
    /// # Errors
    /// When one of them does not open.
    pub fn opened(&self, unsealer: &dyn Unsealer) -> Result<BTreeMap<String, String>, CannotUnseal> {
        let opened = |value: &MaybeSealed<String>| match value {
            MaybeSealed::Plain(text) => Ok(text.clone()),
            MaybeSealed::Sealed(sealed) => sealed.open_text(unsealer).map(|text| text.to_string()),
        };
        self.0.iter().map(|(name, value)| Ok((name.clone(), opened(value)?))).collect()
    }

    /// How many bytes a program takes them in: each as `name=value`, with a NUL at its end.
    pub(crate) fn bytes(&self) -> usize {
        let length = |value: &MaybeSealed<String>| match value {
            MaybeSealed::Plain(text) => text.len(),
            MaybeSealed::Sealed(sealed) => sealed.plain_len(),
        };
        self.iter().map(|(name, value)| name.len() + length(value) + 2).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn boxes(&self) -> impl Iterator<Item = (&str, &SealedValue)> {
        self.iter().filter_map(|(name, value)| Some((name, value.sealed()?)))
    }

    pub(crate) fn with_boxes_tried(&self, unsealer: &dyn Unsealer) -> Self {
        let tried = |value: &MaybeSealed<String>| value.with_box_tried(Holds::Text, unsealer);
        Self(self.0.iter().map(|(name, value)| (name.clone(), tried(value))).collect())
    }

    /// As documents have them.
    pub(crate) fn written(&self) -> Written {
        self.iter().fold(Written::default(), |env, (name, value)| match value {
            MaybeSealed::Plain(text) => env.with(name, text.as_str()),
            MaybeSealed::Sealed(sealed) => env.with(name, sealed.written()),
        })
    }

    /// As digests are taken of them, and differences shown: of each value only its digest.
    pub(crate) fn canonical(&self) -> Written {
        self.iter().fold(Written::default(), |env, (name, value)| match value {
            MaybeSealed::Plain(text) => env.with(name, Digest::of_bytes(text.as_bytes()).to_string()),
            MaybeSealed::Sealed(sealed) => env.with(name, sealed.canonical()),
        })
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
