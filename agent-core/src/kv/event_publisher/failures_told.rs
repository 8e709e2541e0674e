//! Which failures the platform knows of.

use std::collections::BTreeMap;

use agent_model::status::{Event, ResourceRef};

/// The reason with which each resource failed last, as far as it did since the newest document. What is tried
/// again and again and fails in the same way would otherwise push everything else out of the stream, and cost a
/// metered link megabytes a month; how often it was tried is in the status. Forgotten with the process.
#[derive(Debug, Default)]
pub(super) struct FailuresTold(BTreeMap<(String, String), String>);

impl FailuresTold {
    /// Whether the platform does not know of it yet. From here on it does.
    pub(super) fn is_news(&mut self, event: &Event) -> bool {
        let Some(ResourceRef { kind, name }) = &event.resource else {
            if event.event_type == "Accepted" {
                self.0.clear();
            }
            return true;
        };
        let resource = (kind.clone(), name.clone());
        if event.event_type != "Failed" {
            self.0.remove(&resource);
            return true;
        }
        self.0.insert(resource, event.reason.clone()).is_none_or(|before| before != event.reason)
    }
}
