//! What a document alone says about the parts of a pass: kept for as long as the document is in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use agent_model::{Claim, DesiredState, Digest, Resource, ResourceKind, ResourceName, ResourceSpec};

use super::{Inventory, order::Edge};
use crate::ledger::InventoryEntry;

/// What we hold of one claim.
type Held = Arc<InventoryEntry>;

/// The resources of one document.
#[derive(Default)]
pub(super) struct Declared {
    of: DesiredState,
    resources: Vec<DeclaredResource>,
    /// Places of the resources, in the order of their claims.
    by_claim: Vec<usize>,
    waits: Vec<Vec<Edge>>,
    /// Places of the files that do not open.
    closed_files: BTreeSet<usize>,
    /// Places of what restarts with something that does not open.
    restart_with_closed: BTreeSet<usize>,
}

/// One resource, with what it means beside the others.
pub(super) struct DeclaredResource {
    pub(super) claim: Claim,
    pub(super) name: ResourceName,
    pub(super) spec: ResourceSpec,
    pub(super) spec_digest: Digest,
    pub(super) effective_digest: Digest,
    /// The claims of the resources that it waits for.
    pub(super) depends_on: Vec<Claim>,
}

impl Declared {
    fn new(of: DesiredState) -> Self {
        let places: BTreeMap<&ResourceName, usize> =
            of.resources().iter().enumerate().map(|(place, resource)| (&resource.name, place)).collect();
        let waits_for = |resource: &Resource| -> Vec<usize> {
            resource.waits_for().filter_map(|name| places.get(name).copied()).collect()
        };
        let resources: Vec<DeclaredResource> = of
            .resources()
            .iter()
            .map(|resource| DeclaredResource {
                claim: resource.claim(),
                name: resource.name.clone(),
                spec: resource.spec.clone(),
                spec_digest: resource.spec_digest(),
                effective_digest: of.effective_digest(resource),
                depends_on: waits_for(resource)
                    .into_iter()
                    .map(|place| of.resources()[place].claim())
                    .collect(),
            })
            .collect();
        let waits = of
            .resources()
            .iter()
            .map(|resource| waits_for(resource).into_iter().map(Edge::WellDone).collect())
            .collect();
        let mut by_claim: Vec<usize> = (0..resources.len()).collect();
        by_claim.sort_unstable_by_key(|place| &resources[*place].claim);
        let all = of.resources();
        let is_closed = |place: &usize| all[*place].cannot_unseal().is_some();
        let is_file = |place: &usize| all[*place].kind() == ResourceKind::File;
        let restarts_with_closed =
            |place: &usize| all[*place].restart_on.iter().filter_map(|name| places.get(name)).any(is_closed);
        let closed_files = (0..all.len()).filter(is_closed).filter(is_file).collect();
        let restart_with_closed = (0..all.len()).filter(restarts_with_closed).collect();
        Self { resources, by_claim, waits, closed_files, restart_with_closed, of }
    }

    /// Makes it that of `desired`, unless it is already.
    pub(super) fn follow(&mut self, desired: &DesiredState) {
        if !self.of.is_same(desired) {
            *self = Self::new(desired.clone());
        }
    }

    /// The resource at that place, and the effective digest that is wanted of it beside what is held. Where all of the
    /// document was there once, and something does not open since that this one restarts with, nobody can tell that it
    /// has changed: it is wanted as it was.
    pub(super) fn beside(
        &self,
        place: usize,
        held: Option<&Held>,
        was_there: bool,
    ) -> (&DeclaredResource, Digest) {
        let resource = &self.resources[place];
        let as_it_was = held
            .filter(|_| was_there && self.restart_with_closed.contains(&place))
            .and_then(|entry| entry.applied_digest);
        (resource, as_it_was.unwrap_or(resource.effective_digest))
    }

    /// What each resource waits for among the others. Where all of the document was there once, nothing waits for a file
    /// that does not open since: it is left as it is, and so what needs it can be kept running. Of what runs that says
    /// nothing: it may have ended.
    pub(super) fn waits(&self, was_there: bool) -> Vec<Vec<Edge>> {
        let mut waits = self.waits.clone();
        if was_there && !self.closed_files.is_empty() {
            let is_wait =
                |edge: &Edge| !matches!(edge, Edge::WellDone(needed) if self.closed_files.contains(needed));
            waits.iter_mut().for_each(|edges| edges.retain(is_wait));
        }
        waits
    }

    /// Tells what we hold apart: the entry of each resource, and what is declared no longer. One walk
    /// over both, since both are sorted.
    pub(super) fn tell_apart<'i>(
        &self,
        inventory: &'i Inventory,
    ) -> (Vec<Option<&'i Held>>, Vec<(&'i Claim, &'i Held)>) {
        let mut held = vec![None; self.resources.len()];
        let mut dropped = Vec::new();
        let mut declared = self.by_claim.iter().peekable();
        let claim_at = |place: usize| &self.resources[place].claim;
        for (claim, entry) in inventory {
            while declared.next_if(|place| claim_at(**place) < claim).is_some() {}
            match declared.next_if(|place| claim_at(**place) == claim) {
                Some(place) => held[*place] = Some(entry),
                None => dropped.push((claim, entry)),
            }
        }
        (held, dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fakes::desired,
        secrets::{DeviceSecrets, seal},
        state_dir::StateLayout,
    };
    use agent_model::{
        Declaration, DesiredStateBuilder, FileSpec, MaybeSealed, ProcessSpec, SealingKey, Unsealer,
    };
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn inventory(paths: &BTreeSet<String>) -> Inventory {
        let entry = |path: &String| {
            let entry = InventoryEntry::unremembered("held".parse().unwrap(), Arc::new(path.as_str().into()));
            (format!("File:{path}").parse().unwrap(), Arc::new(entry))
        };
        paths.iter().map(entry).collect()
    }

    proptest! {
        #[test]
        fn every_entry_is_of_the_resource_that_claims_it_or_of_none(
            declared in proptest::collection::hash_set("/[a-e]{1,3}", 0..12),
            held in proptest::collection::btree_set("/[a-e]{1,3}", 0..12),
        ) {
            let names: Vec<String> = (0..declared.len()).map(|n| format!("f{n}")).collect();
            let resources: Vec<(&str, &str, &str, &[&str])> = names
                .iter()
                .zip(&declared)
                .map(|(name, path)| (name.as_str(), path.as_str(), "1", [].as_slice()))
                .collect();
            let mut kept = Declared::default();
            kept.follow(&desired(&resources));
            let inventory = inventory(&held);

            let (found, dropped) = kept.tell_apart(&inventory);
            let expected: Vec<_> =
                kept.resources.iter().map(|resource| inventory.get(&resource.claim)).collect();
            prop_assert_eq!(found, expected);
            let dropped: BTreeSet<String> =
                dropped.into_iter().map(|(claim, _)| claim.to_string()).collect();
            let undeclared = held.iter().filter(|path| !declared.contains(*path));
            prop_assert_eq!(dropped, undeclared.map(|path| format!("File:{path}")).collect());
        }
    }

    #[test]
    fn another_document_is_followed_even_where_it_declares_the_same() {
        let resources: &[(&str, &str, &str, &[&str])] = &[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"])];
        let mut declared = Declared::default();
        let first = desired(resources);
        declared.follow(&first);
        assert!(declared.of.is_same(&first.clone()));
        assert_eq!(declared.waits(false), [vec![], vec![Edge::WellDone(0)]]);

        let second = desired(&[("a", "/c", "1", &[])]);
        declared.follow(&second);
        assert_eq!(declared.resources[0].claim.to_string(), "File:/c");
        assert_eq!(declared.waits(false), [vec![]]);
    }

    /// A file with something sealed, what restarts with it, and something else.
    fn sealed_and_its_follower(unsealer: &dyn Unsealer, to: &SealingKey) -> DesiredState {
        let sealed = MaybeSealed::Sealed(seal(b"hunter2", to).unwrap());
        let conf = FileSpec::new("/conf".parse().unwrap(), sealed);
        let process = || ProcessSpec::new(vec!["/app".into()]);
        let mut follower = Declaration::new("/1", "follower".parse().unwrap(), process());
        follower.restart_on = vec!["conf".parse().unwrap()];
        let mut builder = DesiredStateBuilder::default();
        builder.declare(Declaration::new("/0", "conf".parse().unwrap(), conf));
        builder.declare(follower);
        builder.declare(Declaration::new("/2", "other".parse().unwrap(), process()));
        builder.finish().unwrap().with_boxes_tried(unsealer)
    }

    #[test]
    fn what_waits_for_something_that_runs_and_opens_no_longer_waits_on() {
        let folder = tempfile::tempdir().unwrap();
        let device = DeviceSecrets::load_or_make(&StateLayout::of(folder.path()));
        let mut database = ProcessSpec::new(vec!["/db".into()]);
        database.env.set_sealed("PASSWORD", seal(b"hunter2", device.public().unwrap()).unwrap()).unwrap();
        let mut app = Declaration::new("/1", "app".parse().unwrap(), ProcessSpec::new(vec!["/app".into()]));
        app.depends_on = vec!["db".parse().unwrap()];
        let mut builder = DesiredStateBuilder::default();
        builder.declare(Declaration::new("/0", "db".parse().unwrap(), database));
        builder.declare(app);
        let mut declared = Declared::default();
        declared.follow(&builder.finish().unwrap().with_boxes_tried(&DeviceSecrets::default()));
        assert_eq!(declared.waits(true), [vec![], vec![Edge::WellDone(0)]]);
    }

    #[test]
    fn what_restarts_with_what_opens_no_longer_is_wanted_as_it_was_where_all_was_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let device = DeviceSecrets::load_or_make(&StateLayout::of(folder.path()));
        let to = device.public().unwrap();
        let declared = |unsealer: &dyn Unsealer| {
            let mut declared = Declared::default();
            declared.follow(&sealed_and_its_follower(unsealer, to));
            declared
        };
        let (open, closed) = (declared(&device), declared(&DeviceSecrets::default()));
        let (_, before) = open.beside(1, None, true);
        let now = closed.resources[1].effective_digest;
        assert_ne!(now, before, "what cannot be opened has another digest");
        let mut held = InventoryEntry::unremembered("follower".parse().unwrap(), Arc::new("".into()));
        held.applied_digest = Some(before);
        let held = Arc::new(held);

        let wanted = |place, held, was_there| closed.beside(place, held, was_there).1;
        assert_eq!(wanted(1, Some(&held), true), before);
        assert_eq!(closed.waits(true), [vec![], vec![], vec![]]);
        for (place, held, was_there) in [(1, Some(&held), false), (1, None, true), (2, Some(&held), true)] {
            assert_eq!(wanted(place, held, was_there), closed.resources[place].effective_digest);
        }
        for waits in [closed.waits(false), open.waits(true)] {
            assert_eq!(waits, [vec![], vec![Edge::WellDone(0)], vec![]]);
        }
    }
}
