//! Environment variables.

use std::{collections::BTreeMap, fmt};

/// Variables by name. `Debug` shows the names only: values may be secret and must not reach a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<String, String>);

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
        if name.is_empty() || name.len() > Self::LONGEST_NAME || name.contains(['=', '\0']) {
            return Err(InvalidVariable::Name { given: name.chars().take(80).collect() });
        }
        if value.contains('\0') {
            return Err(InvalidVariable::Value);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many bytes a program takes them in: each as `name=value`, with a NUL at its end.
    pub(crate) fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
