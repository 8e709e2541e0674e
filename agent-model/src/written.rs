//! Writes objects that leave out whatever has its default: as documents show them, and as digests
//! are taken of them, so that a field added later changes no digest where it is not used.

use serde_json::{Map, Value};

/// An object in the making.
#[derive(Debug, Default)]
pub(crate) struct Written(Map<String, Value>);

impl Written {
    /// A field that is always written.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// A field that is written where it has a value.
    #[must_use]
    pub(crate) fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// A field that is written, as `write` does it, where it differs from its default.
    #[must_use]
    pub(crate) fn with_other_than<T: PartialEq, V: Into<Value>>(
        self,
        default: T,
        key: &str,
        value: T,
        write: impl FnOnce(T) -> V,
    ) -> Self {
        if value == default { self } else { self.with(key, write(value)) }
    }

    /// A list that is written where anything is in it.
    #[must_use]
    pub(crate) fn with_items<V: Into<Value>>(self, key: &str, items: impl Iterator<Item = V>) -> Self {
        let items: Vec<Value> = items.map(Into::into).collect();
        if items.is_empty() { self } else { self.with(key, items) }
    }

    /// An object within this one, which is written where anything is in it.
    #[must_use]
    pub(crate) fn with_filled(self, key: &str, object: Self) -> Self {
        if object.0.is_empty() { self } else { self.with(key, object) }
    }
}

impl From<Written> for Map<String, Value> {
    fn from(written: Written) -> Self {
        written.0
    }
}

impl From<Written> for Value {
    fn from(written: Written) -> Self {
        written.0.into()
    }
}
