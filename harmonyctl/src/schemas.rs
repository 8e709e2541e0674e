//! The JSON Schemas of every version that this program knows, by name.

use agent_model::did_you_mean;
use semver::Version;

use crate::formats;

/// The schema of one version of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) kind: &'static str,
    pub(crate) version: &'static Version,
    /// Byte for byte as it is committed.
    pub(crate) text: &'static str,
}

impl Schema {
    /// `KIND@VERSION`.
    pub(crate) fn name(&self) -> String {
        format!("{}@{}", self.kind, self.version)
    }

    /// Whether there is none newer of its kind.
    pub(crate) fn is_newest(&self) -> bool {
        newest(self.kind).is_some_and(|newest| newest.version == self.version)
    }
}

/// All of them, kind by kind, oldest first.
pub(crate) fn all() -> impl Iterator<Item = Schema> {
    let of_kind = |(kind, schemas): (&'static str, &'static [(Version, &'static str)])| {
        schemas.iter().map(move |(version, text)| Schema { kind, version, text })
    };
    formats::SCHEMAS.into_iter().flat_map(of_kind)
}

fn newest(kind: &str) -> Option<Schema> {
    all().filter(|schema| schema.kind == kind).last()
}

/// The schema that `KIND@VERSION` names, or the newest of `KIND`.
///
/// # Errors
/// There is none: what there is instead, for a person.
pub(crate) fn named(name: &str) -> Result<Schema, String> {
    let (kind, version) = match name.split_once('@') {
        Some((kind, version)) => (kind, Some(version)),
        None => (name, None),
    };
    let Some(newest) = newest(kind) else {
        let kinds = formats::SCHEMAS.map(|(kind, _)| kind);
        return Err(format!("there is no schema of a kind {kind:?}; {}", did_you_mean(kind, &kinds)));
    };
    let Some(version) = version else { return Ok(newest) };
    let known = || all().filter(|schema| schema.kind == kind);
    known().find(|schema| schema.version.to_string() == version).ok_or_else(|| {
        let versions: Vec<String> = known().map(|schema| schema.version.to_string()).collect();
        format!("there is no schema {kind} {version:?} here; this harmonyctl has {}", versions.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use agent_core::dispatcher::are_of_one_line;
    use agent_model::Digest;

    use super::*;
    use crate::visible;

    /// The files of a folder like `schemas/`, by kind and version.
    fn committed(folder: &Path) -> BTreeMap<(String, Version), String> {
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.collect::<Vec<_>>()
        };
        let mut files = BTreeMap::new();
        for kind in names(folder) {
            for file in names(&kind) {
                let version = file.file_name().unwrap().to_str().unwrap().strip_suffix(".json").unwrap();
                let kind = kind.file_name().unwrap().to_str().unwrap().to_owned();
                files.insert((kind, version.parse().unwrap()), fs::read_to_string(&file).unwrap());
            }
        }
        files
    }

    fn schemas_folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas")
    }

    /// Schemas that never change again, with the SHA-256 of their files. A digest here is never updated: what
    /// changes belongs into the next version.
    const FROZEN: &[(&str, &str)] = &[
        ("AgentManifest@1.0.0", "eb858bef992bd632e145368158fd53cb51a8ccd9e670b07e7a83b9746fef79cd"),
        ("AgentStatus@1.0.0", "4b1b3e30c208e4507fc5b93f021781ed26e7b8df8d28471034a032cc8244b657"),
        ("Score@0.1.0", "348cde43bc26be6e0d467649fd1b9c59e119e38cce510287f6fd1c9db261080d"),
    ];

    /// What is wrong with the files beside what is said to be frozen.
    fn thawed(files: &BTreeMap<(String, Version), String>, frozen: &[(&str, &str)]) -> Vec<String> {
        let digest = |name: &str| frozen.iter().find(|(known, _)| *known == name).map(|(_, digest)| *digest);
        let judged = files.iter().filter_map(|((kind, version), text)| {
            let name = format!("{kind}@{version}");
            let has_newer = files.keys().any(|(other, newer)| other == kind && newer > version);
            match digest(&name) {
                Some(digest) if digest != Digest::of_bytes(text.as_bytes()).hex() => {
                    Some(format!("{name} changed"))
                }
                None if has_newer => Some(format!("{name} has a newer version and is not frozen")),
                _ => None,
            }
        });
        let is_there = |name: &str| files.keys().any(|(kind, version)| format!("{kind}@{version}") == name);
        let gone =
            frozen.iter().filter(|(name, _)| !is_there(name)).map(|(name, _)| format!("{name} is gone"));
        judged.chain(gone).collect()
    }

    #[test]
    fn what_is_committed_of_formats_is_what_is_embedded() {
        let embedded: BTreeMap<_, _> = all()
            .map(|schema| ((schema.kind.to_owned(), schema.version.clone()), schema.text.to_owned()))
            .collect();
        let mut committed = committed(&schemas_folder());
        // What devices write is no format that anybody could write a document in.
        committed.retain(|(kind, _), _| kind != agent_model::status::KIND);
        assert!(embedded == committed, "schemas/ and JSON_SCHEMAS hold different files");
    }

    #[test]
    fn the_schema_of_a_version_that_has_a_newer_one_never_changes() {
        assert_eq!(thawed(&committed(&schemas_folder()), FROZEN), Vec::<String>::new());
    }

    #[test]
    fn a_schema_that_changed_after_all_one_that_was_not_frozen_and_one_that_is_gone_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let kind = folder.path().join("Tea");
        fs::create_dir(&kind).unwrap();
        for version in ["1.0.0", "1.1.0", "1.10.0"] {
            fs::write(kind.join(format!("{version}.json")), version).unwrap();
        }
        let files = committed(folder.path());
        let (first, other) = (Digest::of_bytes(b"1.0.0").hex(), Digest::of_bytes(b"").hex());
        let frozen = [("Tea@1.0.0", first.as_str()), ("Tea@1.1.0", other.as_str())];
        assert_eq!(thawed(&files, &frozen), ["Tea@1.1.0 changed"]);
        assert_eq!(thawed(&files, &frozen[..1]), ["Tea@1.1.0 has a newer version and is not frozen"]);
        fs::remove_file(kind.join("1.0.0.json")).unwrap();
        assert_eq!(thawed(&committed(folder.path()), &frozen), ["Tea@1.1.0 changed", "Tea@1.0.0 is gone"]);
    }

    #[test]
    fn each_format_has_a_schema_of_each_version_that_it_reads_and_none_newer() {
        let advertised = formats::known().advertised();
        assert_eq!(
            advertised.keys().collect::<Vec<_>>(),
            formats::SCHEMAS.map(|(kind, _)| kind).iter().collect::<Vec<_>>()
        );
        for (kind, versions) in advertised {
            assert!(all().filter(|schema| schema.kind == kind).is_sorted_by_key(|schema| schema.version));
            for version in &versions {
                assert_eq!(named(&format!("{kind}@{version}")).unwrap().version.to_string(), *version);
            }
            assert_eq!(named(&kind).unwrap().version.to_string(), *versions.last().unwrap());
        }
    }

    #[test]
    fn each_version_of_a_line_reads_whatever_the_one_before_it_reads() {
        let schemas: Vec<Schema> = all().collect();
        for pair in schemas.windows(2) {
            let [older, newer] = pair else { unreachable!() };
            if older.kind != newer.kind || !are_of_one_line(older.version, newer.version) {
                continue;
            }
            let parsed = [older, newer].map(|schema| serde_json::from_str(schema.text).unwrap());
            let comparison = crate::schema_comparison::Comparison::of(&parsed[0], &parsed[1]).unwrap();
            assert!(comparison.of_older_by_newer().refused.is_empty(), "{comparison:#?}");
        }
    }

    #[test]
    fn printing_one_changes_no_byte() {
        for schema in all() {
            let body = schema.text.strip_suffix('\n').unwrap();
            assert!(!body.ends_with('\n') && !visible::has_hidden(body), "{}", schema.name());
        }
    }

    #[test]
    fn what_there_is_not_is_told_with_what_there_is() {
        assert_eq!(named("AgentManifest@1.0.0").unwrap().name(), "AgentManifest@1.0.0");
        assert!(named("Score").unwrap().is_newest() && !named("Score@0.1.0").unwrap().is_newest());
        assert!(named("agentmanifest").unwrap_err().contains("did you mean \"AgentManifest\"?"));
        assert!(named("Tea").unwrap_err().contains("AgentManifest, Score"));
        assert_eq!(
            named("Score@9.0.0").unwrap_err(),
            "there is no schema Score \"9.0.0\" here; this harmonyctl has 0.1.0, 0.1.1"
        );
        assert!(named("Score@").is_err());
    }
}
