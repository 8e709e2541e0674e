//! What a document alone says about the parts of a pass: kept for as long as the document is in force.

use std::collections::BTreeMap;

use agent_model::{Claim, DesiredState, Digest, Resource, ResourceName, ResourceSpec};

use super::{Inventory, order::Edge};
use crate::ledger::InventoryEntry;

/// The resources of one document.
#[derive(Default)]
pub(super) struct Declared {
    of: DesiredState,
    resources: Vec<DeclaredResource>,
    /// Places of the resources, in the order of their claims.
    by_claim: Vec<usize>,
    waits: Vec<Vec<Edge>>,
}

/// One resource, with what it means beside the others.
#[derive(Clone)]
pub(super) struct DeclaredResource {
    pub(super) claim: Claim,
    pub(super) name: ResourceName,
    pub(super) spec: ResourceSpec,
    pub(super) spec_digest: Digest,
    /// The effective digest.
    pub(super) wanted: Digest,
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
                wanted: of.effective_digest(resource),
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
        Self { resources, by_claim, waits, of }
    }

    /// Makes it that of `desired`, unless it is already.
    pub(super) fn follow(&mut self, desired: &DesiredState) {
        if !self.of.is_same(desired) {
            *self = Self::new(desired.clone());
        }
    }

    /// The resources, in the document's order.
    pub(super) fn resources(&self) -> &[DeclaredResource] {
        &self.resources
    }

    /// What each resource waits for among the others.
    pub(super) fn waits(&self) -> &[Vec<Edge>] {
        &self.waits
    }

    /// Tells what we hold apart: the entry of each resource, and what is declared no longer. One walk
    /// over both, since both are sorted.
    pub(super) fn tell_apart<'i>(
        &self,
        inventory: &'i Inventory,
    ) -> (Vec<Option<&'i InventoryEntry>>, Vec<(&'i Claim, &'i InventoryEntry)>) {
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
    use crate::fakes::desired;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, sync::Arc};

    fn inventory(paths: &BTreeSet<String>) -> Inventory {
        let entry = |path: &String| {
            let entry = InventoryEntry::unremembered("held".parse().unwrap(), Arc::new(path.as_str().into()));
            (format!("File:{path}").parse().unwrap(), entry)
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
                kept.resources().iter().map(|resource| inventory.get(&resource.claim)).collect();
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
        assert_eq!(declared.waits(), [vec![], vec![Edge::WellDone(0)]]);

        let second = desired(&[("a", "/c", "1", &[])]);
        declared.follow(&second);
        assert_eq!(declared.resources()[0].claim.to_string(), "File:/c");
        assert_eq!(declared.waits(), [vec![]]);
    }
}
