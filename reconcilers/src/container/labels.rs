//! What marks a container as an agent's: labels, which the runtime keeps whatever becomes of the agent.

use std::collections::HashMap;

use agent_model::{AgentId, ResourceName};

/// The id of the agent that made it.
pub(super) const AGENT: &str = "io.harmony.agent";
/// The name of the resource that it was made for.
pub(super) const RESOURCE: &str = "io.harmony.resource";
/// The effective digest that it was made for.
pub(super) const DIGEST: &str = "io.harmony.digest";

/// What the labels of one of our containers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) resource: ResourceName,
    pub(super) digest: String,
}

impl Mark {
    /// What labels say; `None` for a container that this agent did not make.
    pub(super) fn read(agent: &AgentId, labels: &HashMap<String, String>) -> Option<Self> {
        if labels.get(AGENT)? != agent.as_str() {
            return None;
        }
        Some(Self {
            resource: labels.get(RESOURCE)?.parse().ok()?,
            digest: labels.get(DIGEST).cloned().unwrap_or_default(),
        })
    }

    /// The labels.
    pub(super) fn labels(&self, agent: &AgentId) -> [(String, String); 3] {
        [(AGENT, agent.as_str()), (RESOURCE, self.resource.as_str()), (DIGEST, &self.digest)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

/// What a container is called while the one that replaces it has yet to show that it works. The name of a
/// resource has no dot, so none can be in its way.
pub(super) fn previous_name(name: &ResourceName) -> String {
    format!("{name}.harmony-previous")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_ours_by_the_agent_that_made_it_and_by_nothing_else() {
        let (own, other): (AgentId, AgentId) = ("edge-1".parse().unwrap(), "edge-2".parse().unwrap());
        let mark = Mark { resource: "web".parse().unwrap(), digest: "sha256:1".to_owned() };
        let labels = HashMap::from(mark.labels(&own));
        assert_eq!(Mark::read(&own, &labels), Some(mark));
        assert_eq!(Mark::read(&other, &labels), None);
        for (label, value) in [(AGENT, None), (RESOURCE, None), (RESOURCE, Some("No Name"))] {
            let mut labels = labels.clone();
            labels.remove(label);
            labels.extend(value.map(|value| (label.to_owned(), value.to_owned())));
            assert_eq!(Mark::read(&own, &labels), None, "{labels:?}");
        }
    }
}
