//! In what two desired states differ: for people who want to know before a device finds out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::{DesiredState, Resource, ResourceName};

/// What one desired state has, and has not in common with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// After how long the device goes back to the last document that converged; `None` for never.
    Rollback {
        /// What the first says.
        first: Option<Duration>,
        /// What the second says.
        second: Option<Duration>,
    },
    /// Only the first has it.
    OnlyInFirst(ResourceName),
    /// Only the second has it.
    OnlyInSecond(ResourceName),
    /// Both have it, and not alike.
    Field {
        /// Whose.
        resource: ResourceName,
        /// The field of the resource, or of its spec: `kind`, `dependsOn`, `content` …
        field: String,
        /// What the first says; `None` where it leaves the default. A file's content, and the value of a
        /// variable, is its digest.
        first: Option<Value>,
        /// What the second says.
        second: Option<Value>,
    },
}

impl DesiredState {
    /// In what the two differ, by resource. Empty exactly when their digests are equal.
    pub fn differences(&self, second: &Self) -> Vec<Difference> {
        let deadlines = (self.rollback_deadline(), second.rollback_deadline());
        let rollback = (deadlines.0 != deadlines.1)
            .then_some(Difference::Rollback { first: deadlines.0, second: deadlines.1 });
        let (ours, theirs) = (by_name(self), by_name(second));
        let names: BTreeSet<&ResourceName> = ours.keys().chain(theirs.keys()).copied().collect();
        let of_resources = names.into_iter().flat_map(|name| match (ours.get(name), theirs.get(name)) {
            (Some(first), Some(second)) => differing_fields(first, second),
            (Some(_), None) => vec![Difference::OnlyInFirst(name.clone())],
            (None, _) => vec![Difference::OnlyInSecond(name.clone())],
        });
        rollback.into_iter().chain(of_resources).collect()
    }
}

fn by_name(state: &DesiredState) -> BTreeMap<&ResourceName, &Resource> {
    state.resources().iter().map(|resource| (&resource.name, resource)).collect()
}

fn differing_fields(first: &Resource, second: &Resource) -> Vec<Difference> {
    let (ours, theirs) = (fields(first), fields(second));
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    names
        .into_iter()
        .filter(|field| ours.get(*field) != theirs.get(*field))
        .map(|field| Difference::Field {
            resource: first.name.clone(),
            field: field.clone(),
            first: ours.get(field).cloned(),
            second: theirs.get(field).cloned(),
        })
        .collect()
}

/// All that the digest of the whole covers of one resource, its spec field by field.
fn fields(resource: &Resource) -> BTreeMap<String, Value> {
    let mut fields: BTreeMap<String, Value> = match resource.spec.canonical() {
        Value::Object(spec) => spec.into_iter().collect(),
        other => BTreeMap::from([("spec".to_owned(), other)]),
    };
    fields.extend(resource.canonical_without_spec());
    fields
}

#[cfg(test)]
mod tests {
    use proptest::{collection, option, prelude::*};
    use serde_json::json;

    use super::*;
    use crate::{Declaration, DesiredStateBuilder, FileSpec, Mode, Principal, ProcessSpec};

    fn name(text: &str) -> ResourceName {
        text.parse().unwrap()
    }

    fn state(resources: Vec<(&str, FileSpec, Vec<ResourceName>)>) -> DesiredState {
        state_with(None, resources)
    }

    fn state_with(
        deadline: Option<Duration>,
        resources: Vec<(&str, FileSpec, Vec<ResourceName>)>,
    ) -> DesiredState {
        let mut builder = DesiredStateBuilder::default();
        deadline.into_iter().for_each(|deadline| builder.roll_back_after(deadline));
        for (resource, file, depends_on) in resources {
            builder.declare(Declaration { depends_on, ..Declaration::new("", name(resource), file) });
        }
        builder.finish().unwrap()
    }

    fn file(path: &str, content: &str) -> FileSpec {
        FileSpec::new(path.parse().unwrap(), content)
    }

    #[test]
    fn each_differing_field_is_named_with_both_values() {
        let first = state(vec![("a", file("/a", "1"), vec![]), ("b", file("/b", "1"), vec![])]);
        let owned = FileSpec { owner: Some(Principal::Id(7)), ..file("/a", "1") };
        let second = state(vec![("c", file("/c", "1"), vec![]), ("a", owned, vec![name("c")])]);
        let field = |field: &str, second| Difference::Field {
            resource: name("a"),
            field: field.to_owned(),
            first: None,
            second: Some(second),
        };
        assert_eq!(
            first.differences(&second),
            [
                field("dependsOn", json!(["c"])),
                field("owner", json!("7")),
                Difference::OnlyInFirst(name("b")),
                Difference::OnlyInSecond(name("c")),
            ]
        );
    }

    #[test]
    fn when_the_device_goes_back_is_a_difference_of_the_whole() {
        let minute = Some(Duration::from_secs(60));
        let resources = || vec![("a", file("/a", "1"), vec![])];
        assert_eq!(
            state_with(minute, resources()).differences(&state(resources())),
            [Difference::Rollback { first: minute, second: None }]
        );
    }

    #[test]
    fn neither_the_content_of_a_file_nor_the_value_of_a_variable_is_shown() {
        let differing = |secret: &str| {
            let mut process = ProcessSpec::new(vec!["/bin/app".into()]);
            process.env.set("TOKEN", secret).unwrap();
            let mut builder = DesiredStateBuilder::default();
            builder.declare(Declaration::new("", name("f"), file("/f", secret)));
            builder.declare(Declaration::new("", name("p"), process));
            builder.finish().unwrap()
        };
        let differences = differing("hunter2").differences(&differing("hunter3"));
        assert_eq!(differences.len(), 2, "{differences:?}");
        let shown = format!("{differences:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter"), "{shown}");
    }

    fn any_state() -> impl Strategy<Value = DesiredState> {
        let resource = (0..3_usize, "[xy]", 0..2_u32, collection::vec(Just("r0"), 0..3));
        let deadline = option::of((1..3_u64).prop_map(Duration::from_secs));
        (deadline, collection::vec(resource, 0..3)).prop_map(|(deadline, resources)| {
            let names = ["r0", "r1", "r2"];
            let chosen = resources.into_iter().enumerate().map(|(i, (path, content, mode, depends_on))| {
                let mut file = file(&format!("/{i}/{path}"), &content);
                file.mode = Mode::from_bits(0o644 + mode);
                let depends_on = if i == 0 { vec![] } else { depends_on.into_iter().map(name).collect() };
                (names[i], file, depends_on)
            });
            state_with(deadline, chosen.collect())
        })
    }

    proptest! {
        #[test]
        fn there_is_no_difference_exactly_where_the_digests_are_equal(a in any_state(), b in any_state()) {
            prop_assert_eq!(a.differences(&b).is_empty(), a.digest() == b.digest());
            prop_assert_eq!(a.differences(&a), vec![]);
        }
    }
}
