//! What is expressed as Scores is lowered to the very same again.

use agent_model::{Declaration, DesiredState, DesiredStateBuilder, FileSpec, Mode, Principal, ResourceName};
use agent_score_bridge::express;
use proptest::{collection, option, prelude::*, sample};
use serde_json::json;

use super::lower;

fn principal() -> impl Strategy<Value = Option<Principal>> {
    option::of(prop_oneof![
        (0..u32::MAX).prop_map(Principal::Id),
        "[a-z_][a-z0-9_-]{0,30}".prop_map(Principal::Name)
    ])
}

fn file_spec() -> impl Strategy<Value = FileSpec> {
    let content = prop_oneof![collection::vec(any::<u8>(), 0..64), ".{0,64}".prop_map(String::into_bytes)];
    ("(/[a-zä .]{1,8}[a-z]){1,3}", content, 0..=0o7777_u32, principal(), principal()).prop_map(
        |(path, content, mode, owner, group)| FileSpec {
            path: path.parse().unwrap(),
            content: content.into(),
            mode: Mode::from_bits(mode),
            owner,
            group,
        },
    )
}

/// States of files that wait only for earlier ones, some of them for one of them twice.
pub(super) fn state() -> impl Strategy<Value = DesiredState> {
    let name = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?";
    let earlier = || collection::vec(any::<sample::Index>(), 0..4);
    let is_chained = any::<bool>();
    let resource = (file_spec(), earlier(), earlier(), is_chained);
    let resources = collection::btree_map(name, resource, 0..10).prop_map(Vec::from_iter).prop_shuffle();
    resources.prop_map(|resources| {
        let mut builder = DesiredStateBuilder::default();
        let mut names: Vec<ResourceName> = Vec::new();
        for (i, (name, (mut file, depends_on, restart_on, is_chained))) in resources.into_iter().enumerate() {
            // Nobody else has a folder of that name.
            file.path = format!("/{i}{}", file.path).parse().unwrap();
            let chosen = |indexes: Vec<sample::Index>| -> Vec<ResourceName> {
                if names.is_empty() {
                    return Vec::new();
                }
                indexes.iter().map(|index| index.get(&names).clone()).collect()
            };
            let (mut depends_on, restart_on) = (chosen(depends_on), chosen(restart_on));
            depends_on.extend(names.last().filter(|_| is_chained).cloned());
            let name: ResourceName = name.parse().unwrap();
            names.push(name.clone());
            builder.declare(Declaration { depends_on, restart_on, ..Declaration::new("", name, file) });
        }
        builder.finish().unwrap()
    })
}

proptest! {
    #[test]
    fn any_state_that_is_expressed_is_lowered_to_itself(state in state()) {
        let spec = json!(express(&state).unwrap());
        let lowered = lower(&spec).unwrap();
        prop_assert_eq!(state.differences(&lowered), vec![]);
        prop_assert_eq!(state.digest(), lowered.digest());
        prop_assert_eq!(state, lowered);
    }
}

#[test]
fn an_expressed_state_says_only_what_is_not_the_default() {
    let mut builder = DesiredStateBuilder::default();
    for (name, depends_on) in [("a", vec![]), ("b", vec!["a".parse().unwrap()])] {
        let file = FileSpec::new(format!("/{name}").parse().unwrap(), "");
        builder.declare(Declaration { depends_on, ..Declaration::new("", name.parse().unwrap(), file) });
    }
    assert_eq!(
        json!(express(&builder.finish().unwrap()).unwrap()),
        json!({"scores": [
            {"score": "File", "version": "0.1.0", "name": "a", "with": {"path": "/a", "content": ""}},
            {"score": "File", "version": "0.1.0", "name": "b", "dependsOn": ["a"], "with": {"path": "/b", "content": ""}},
        ]})
    );
}

#[test]
fn an_empty_state_is_an_empty_list_of_scores() {
    let spec = json!(express(&DesiredState::default()).unwrap());
    assert_eq!(spec, json!({"scores": []}));
    assert_eq!(lower(&spec).unwrap(), DesiredState::default());
}
