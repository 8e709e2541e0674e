//! Writes the spec of a `SystemdUnit`: as documents have it, and as its digest is taken of it.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{SystemdUnitSpec, UnitState, UnitText};
use crate::written::Written;

impl SystemdUnitSpec {
    /// The spec as the value that its digest is taken of: defaults left out, and of each text only its
    /// digest, because what two documents differ in is shown to people.
    pub(crate) fn canonical(&self) -> Value {
        self.written(|text| text.digest().to_string()).into()
    }

    /// The spec without what has its default, each text as `show` does it.
    pub(super) fn written<'s, T: Into<Value>>(&'s self, show: impl Fn(&'s UnitText) -> T) -> Written {
        let Self { unit, content, drop_ins, enabled, state } = self;
        let drop_ins = drop_ins
            .iter()
            .fold(Written::default(), |written, (name, body)| written.with(name.as_str(), show(body)));
        Written::default()
            .with("unit", unit.as_str())
            .with_some("content", content.as_ref().map(&show))
            .with_filled("dropIns", drop_ins)
            .with_some("enabled", *enabled)
            .with_other_than(UnitState::default(), "state", *state, UnitState::as_str)
    }
}

/// Writes what [`SystemdUnitSpec::read`] reads. Defaults are left out.
impl Serialize for SystemdUnitSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Map::from(self.written(UnitText::as_str)).serialize(serializer)
    }
}
