//! Which format reads a document, and what it makes of it.

use std::{collections::BTreeMap, sync::Arc};

use agent_model::{DeviceFacts, Lowered, ManifestFormat, RefusalReason, SpecDocument, UnknownKeys};
use semver::Version;

use crate::envelope::{Envelope, Refusal};

/// The formats that are built in: the only list of them.
#[derive(Clone, Default)]
pub struct Formats {
    enabled: Vec<Arc<dyn ManifestFormat>>,
    /// Kinds that are built in and switched off, each with what would switch it on.
    disabled: Vec<(&'static str, &'static str)>,
}

impl Formats {
    /// No format at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// These and one more, which takes the place of one of the same kind.
    #[must_use]
    pub fn with(mut self, format: impl ManifestFormat) -> Self {
        self.enabled.retain(|known| known.kind() != format.kind());
        self.enabled.push(Arc::new(format));
        self
    }

    /// These, without the one of that kind. `remedy` as for [`with_disabled`](Self::with_disabled).
    #[must_use]
    pub fn without(mut self, kind: &str, remedy: &'static str) -> Self {
        let off =
            self.enabled.iter().position(|format| format.kind() == kind).map(|at| self.enabled.remove(at));
        self.disabled.extend(off.map(|format| (format.kind(), remedy)));
        self
    }

    /// These, and a kind that could be read if it were switched on. `remedy` says how, in words that
    /// follow "is switched off on this device: ".
    #[must_use]
    pub fn with_disabled(mut self, kind: &'static str, remedy: &'static str) -> Self {
        self.disabled.push((kind, remedy));
        self
    }

    /// The format that reads that kind.
    pub fn get(&self, kind: &str) -> Option<&dyn ManifestFormat> {
        self.enabled.iter().find(|format| format.kind() == kind).map(AsRef::as_ref)
    }

    /// The newest schema version of that kind that can be read.
    pub fn newest_schema_version(&self, kind: &str) -> Option<Version> {
        self.get(kind)?.schema_versions().pop()
    }

    /// Kind and schema versions of each, for the status.
    pub fn advertised(&self) -> BTreeMap<String, Vec<String>> {
        let versions = |format: &Arc<dyn ManifestFormat>| {
            format.schema_versions().iter().map(Version::to_string).collect::<Vec<_>>()
        };
        self.enabled.iter().map(|format| (format.kind().to_owned(), versions(format))).collect()
    }

    /// Lowers the spec by the format that its kind and schema version choose.
    ///
    /// # Errors
    /// `UnsupportedKind`, `UnsupportedSchema` or `Invalid`.
    pub fn lower(&self, envelope: &Envelope, facts: &DeviceFacts) -> Result<Lowered, Refusal> {
        let format = self.get(&envelope.kind).ok_or_else(|| self.unsupported(&envelope.kind))?;
        let reader = choose_reader(&format.schema_versions(), envelope)
            .map_err(|message| Refusal::new(RefusalReason::UnsupportedSchema, message))?;
        let Some(spec) = &envelope.spec else {
            return Err(Refusal::new(RefusalReason::Invalid, "/spec: missing"));
        };
        let unknown_keys =
            if envelope.schema_version > reader { UnknownKeys::AreIgnored } else { UnknownKeys::AreProblems };
        format
            .lower(&SpecDocument { spec, schema_version: &envelope.schema_version, unknown_keys, facts })
            .map_err(|invalid| Refusal::new(RefusalReason::Invalid, invalid.to_string()))
    }

    fn unsupported(&self, kind: &str) -> Refusal {
        let message = match self.disabled.iter().find(|(disabled, _)| *disabled == kind) {
            Some((_, remedy)) => format!("the kind {kind:?} is switched off on this device: {remedy}"),
            None => {
                let kinds: Vec<&str> = self.enabled.iter().map(|format| format.kind()).collect();
                let kind: String = kind.chars().take(80).collect();
                format!("no format reads the kind {kind:?}; this agent reads {}", kinds.join(", "))
            }
        };
        Refusal::new(RefusalReason::UnsupportedKind, message)
    }
}

/// The line that a schema version belongs to: its major version and, below 1.0.0, where minor versions may break, also
/// the minor one.
pub fn line_of(version: &Version) -> (u64, Option<u64>) {
    (version.major, (version.major == 0).then_some(version.minor))
}

/// Whether a reader of one of these schema versions may read documents of the other.
pub fn are_of_one_line(one: &Version, other: &Version) -> bool {
    line_of(one) == line_of(other)
}

/// The newest of a reader's versions that may read the document: it is of the same line, and at least the
/// version that the author says is needed.
///
/// # Errors
/// Why none may, in words for a person.
pub fn choose_reader(versions: &[Version], envelope: &Envelope) -> Result<Version, String> {
    let Envelope { kind, schema_version: written, min_schema_version: needed, .. } = envelope;
    let reader =
        versions.iter().filter(|reader| are_of_one_line(reader, written)).max().ok_or_else(|| {
            let versions: Vec<String> = versions.iter().map(Version::to_string).collect();
            format!(
                "{kind} {written} is of another version line than this reader, which reads {}",
                versions.join(", ")
            )
        })?;
    if reader < needed {
        return Err(format!("{kind} {written} needs a reader of at least {needed}; this one reads {reader}"));
    }
    Ok(reader.clone())
}

#[cfg(test)]
mod tests {
    use agent_model::Invalid;
    use serde_json::json;

    use super::*;
    use crate::envelope::Received;

    struct Format(&'static str, &'static [&'static str]);

    impl ManifestFormat for Format {
        fn kind(&self) -> &'static str {
            self.0
        }

        fn schema_versions(&self) -> Vec<Version> {
            self.1.iter().map(|version| version.parse().unwrap()).collect()
        }

        /// Reports the leniency it was given as the one ignored key.
        fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
            Ok(Lowered { ignored: vec![format!("{:?}", document.unknown_keys)], ..Lowered::default() })
        }
    }

    fn lower(kind: &str, written: &str, needed: &str) -> Result<String, RefusalReason> {
        let formats = Formats::none().with(Format("A", &["1.2.0"])).with(Format("B", &["0.3.1", "2.0.0"]));
        let document = json!({
            "apiVersion": "harmony/v1", "kind": kind, "schemaVersion": written, "minSchemaVersion": needed,
            "metadata": {"name": "a", "generation": 1}, "spec": {},
        });
        let envelope = Envelope::open(Received::read(document.to_string().as_bytes())).unwrap();
        match formats.lower(&envelope, &DeviceFacts::new()) {
            Ok(lowered) => Ok(lowered.ignored.concat()),
            Err(refusal) => Err(refusal.reason),
        }
    }

    #[test]
    fn a_reader_reads_its_own_version_line_from_the_version_that_is_needed() {
        assert_eq!(lower("A", "1.0.0", "1.0.0").as_deref(), Ok("AreProblems"));
        assert_eq!(lower("A", "1.2.0", "1.2.0").as_deref(), Ok("AreProblems"));
        assert_eq!(lower("A", "1.9.0", "1.2.0").as_deref(), Ok("AreIgnored"));
        assert_eq!(lower("A", "1.9.0", "1.3.0"), Err(RefusalReason::UnsupportedSchema));
        assert_eq!(lower("A", "2.0.0", "1.0.0"), Err(RefusalReason::UnsupportedSchema));
    }

    #[test]
    fn below_one_each_minor_version_is_a_line_of_its_own() {
        assert_eq!(lower("B", "0.3.0", "0.3.0").as_deref(), Ok("AreProblems"));
        assert_eq!(lower("B", "0.2.0", "0.2.0"), Err(RefusalReason::UnsupportedSchema));
        assert_eq!(lower("B", "0.4.0", "0.3.0"), Err(RefusalReason::UnsupportedSchema));
        assert_eq!(lower("B", "2.0.0", "2.0.0").as_deref(), Ok("AreProblems"));
    }

    #[test]
    fn an_unknown_kind_is_named_with_what_there_is() {
        assert_eq!(lower("C", "1.0.0", "1.0.0"), Err(RefusalReason::UnsupportedKind));
    }

    #[test]
    fn a_kind_that_is_switched_off_is_not_advertised_and_the_refusal_says_how_to_switch_it_on() {
        let formats = Formats::none().with(Format("A", &["1.0.0"])).with_disabled("B", "set b");
        assert_eq!(formats.advertised().into_keys().collect::<Vec<_>>(), ["A"]);
        let document = json!({
            "apiVersion": "harmony/v1", "kind": "B", "schemaVersion": "1.0.0",
            "metadata": {"name": "a", "generation": 1}, "spec": {},
        });
        let envelope = Envelope::open(Received::read(document.to_string().as_bytes())).unwrap();
        let refusal = formats.lower(&envelope, &DeviceFacts::new()).unwrap_err();
        assert_eq!(refusal.reason, RefusalReason::UnsupportedKind);
        assert_eq!(refusal.message, "the kind \"B\" is switched off on this device: set b");
    }

    #[test]
    fn a_format_that_is_taken_out_is_told_apart_from_one_that_never_was() {
        let formats = Formats::none().with(Format("A", &["1.0.0"])).with(Format("B", &["1.0.0"]));
        let formats = formats.without("A", "set a").without("C", "set c");
        assert_eq!(formats.advertised().into_keys().collect::<Vec<_>>(), ["B"]);
        assert_eq!(formats.unsupported("A").message, "the kind \"A\" is switched off on this device: set a");
        assert_eq!(formats.unsupported("C").message, "no format reads the kind \"C\"; this agent reads B");
    }

    #[test]
    fn a_missing_spec_is_invalid_and_an_unreadable_schema_comes_first() {
        let formats = Formats::none().with(Format("A", &["1.0.0"]));
        let open = |version: &str| {
            let document = json!({
                "apiVersion": "harmony/v1", "kind": "A", "schemaVersion": version,
                "metadata": {"name": "a", "generation": 1},
            });
            Envelope::open(Received::read(document.to_string().as_bytes())).unwrap()
        };
        let reason = |version| formats.lower(&open(version), &DeviceFacts::new()).unwrap_err().reason;
        assert_eq!(reason("1.0.0"), RefusalReason::Invalid);
        assert_eq!(reason("3.0.0"), RefusalReason::UnsupportedSchema);
    }
}
