//! What a newer agent made of kinds that this one does not know.

use std::collections::BTreeSet;

use agent_model::Claim;

use super::LedgerBody;

/// The reason of what is left to a newer agent, in one word.
pub(crate) const KIND_UNKNOWN: &str = "KindUnknown";

impl LedgerBody {
    /// The kind and the name of each.
    pub(crate) fn of_unknown_kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unknown_claims.iter().map(|(claim, entry)| {
            let (kind, target) = claim.split_once(':').unwrap_or((claim, claim));
            (kind, entry["name"].as_str().unwrap_or(target))
        })
    }

    /// What they need: none of it is removed before them.
    pub(crate) fn needed_by_unknown_kinds(&self) -> BTreeSet<Claim> {
        let lists = self.unknown_claims.values().filter_map(|entry| entry["dependsOn"].as_array());
        lists.flatten().filter_map(|claim| claim.as_str()?.parse().ok()).collect()
    }
}
