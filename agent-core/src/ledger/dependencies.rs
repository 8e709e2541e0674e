//! What something depended on when it was made.

use agent_model::Claim;
use serde::{Deserialize, Serialize};

/// Claims, on the disk one list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Dependencies {
    /// Those that this agent knows.
    pub known: Vec<Claim>,
    /// Those of kinds that only a newer agent knows. They are kept for it, for as long as we hold what depends on them.
    pub unknown: Vec<String>,
}

impl From<Vec<String>> for Dependencies {
    fn from(claims: Vec<String>) -> Self {
        let mut dependencies = Self::default();
        for claim in claims {
            match claim.parse() {
                Ok(known) => dependencies.known.push(known),
                Err(_) => dependencies.unknown.push(claim),
            }
        }
        dependencies
    }
}

impl From<Dependencies> for Vec<String> {
    fn from(dependencies: Dependencies) -> Self {
        let Dependencies { known, unknown } = dependencies;
        known.iter().map(ToString::to_string).chain(unknown).collect()
    }
}
