//! Whether anything still comes about by itself. Pure.

use std::{collections::BTreeSet, time::Duration};

use agent_model::status::{AgentStatus, Phase, ResourceState, ResourceStatus};
use tokio::time::Instant;

/// How long something may be on its way, as a process that does not answer its probe yet, without
/// anything happening.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many failures in a row are enough: the first may have been a matter of order.
const TRIES: u64 = 2;

/// What has come about so far.
#[derive(Debug)]
pub(super) struct Progress {
    /// How those stand that there is hope for.
    standing: Vec<(Key, ResourceState, String)>,
    /// Since when they do.
    since: Instant,
    /// Those that failed however often they were tried.
    hopeless: BTreeSet<Key>,
}

/// Tells the resources of a status apart: what is being removed may have the name of another one.
type Key = (String, bool);

fn key(resource: &ResourceStatus) -> Key {
    (resource.name.clone(), resource.spec_digest.is_none())
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self { standing: Vec::new(), since: now, hopeless: BTreeSet::new() }
    }

    /// When to look again at the latest, where a pass is `due` by itself then; `None` when nothing
    /// progresses.
    pub(super) fn look_again(
        &mut self,
        status: &AgentStatus,
        due: Option<Instant>,
        now: Instant,
    ) -> Option<Instant> {
        if matches!(status.phase, Phase::Converged | Phase::Unassigned) {
            return None;
        }
        let gives_up = |resource: &&ResourceStatus| {
            let tried = resource.attempts >= TRIES || resource.next_retry.is_none();
            resource.state == ResourceState::Failed && tried
        };
        self.hopeless.extend(status.resources.iter().filter(gives_up).map(key));
        let mut standing = Vec::new();
        let (mut under_way, mut failing) = (false, false);
        for resource in status.resources.iter().filter(|resource| !self.hopeless.contains(&key(resource))) {
            under_way |= is_under_way(resource);
            failing |= resource.state == ResourceState::Failed;
            standing.push((key(resource), resource.state, resource.reason.clone()));
        }
        if standing != self.standing {
            (self.standing, self.since) = (standing, now);
        }
        let patience = self.since + PATIENCE;
        match (under_way, failing) {
            (true, _) if now >= patience => None,
            (true, _) => Some(due.map_or(patience, |due| due.min(patience))),
            (false, true) => due,
            (false, false) => None,
        }
    }
}

/// Whether it goes on, or waits for something else than another resource or a person.
fn is_under_way(resource: &ResourceStatus) -> bool {
    match resource.state {
        ResourceState::Applying | ResourceState::Removing | ResourceState::Unknown => true,
        ResourceState::Pending => {
            !matches!(resource.reason.as_str(), "DependencyNotReady" | "Paused" | "SafeMode")
        }
        ResourceState::Ready | ResourceState::Failed | ResourceState::Skipped => false,
    }
}

#[cfg(test)]
mod tests {
    use agent_model::Timestamp;

    use super::*;
    use crate::status::pace::tests::converged;

    const SECOND: Duration = Duration::from_secs(1);

    /// A device whose resources are in these states for these reasons, after so many attempts.
    fn status(resources: &[(ResourceState, &str, u64)]) -> AgentStatus {
        let mut status = converged(resources.len());
        status.phase = Phase::Degraded;
        for (resource, (state, reason, attempts)) in status.resources.iter_mut().zip(resources) {
            (resource.state, resource.reason, resource.attempts) = (*state, (*reason).to_owned(), *attempts);
            resource.next_retry = (*state == ResourceState::Failed).then_some(Timestamp::UNIX_EPOCH);
        }
        status
    }

    use ResourceState::{Failed, Pending, Ready};

    #[test]
    fn what_fails_gets_one_more_try_and_holds_nobody_up_who_is_on_the_way() {
        let now = Instant::now();
        let mut progress = Progress::new(now);
        let mut look_again = |resources: &[(ResourceState, &str, u64)]| {
            progress.look_again(&status(resources), Some(now + SECOND), now)
        };
        assert_eq!(look_again(&[(Failed, "Busy", 1), (Ready, "Running", 0)]), Some(now + SECOND));
        assert_eq!(look_again(&[(Failed, "Busy", 2), (Pending, "Starting", 0)]), Some(now + SECOND));
        // One that is started again and again is on its way each time, and convinces nobody.
        assert_eq!(look_again(&[(Pending, "Starting", 0), (Ready, "Running", 0)]), None);
        assert_eq!(look_again(&[(Failed, "Busy", 3), (Pending, "DependencyNotReady", 0)]), None);
    }

    #[test]
    fn what_is_on_its_way_is_waited_for_as_long_as_something_happens() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let mut look_again = |seconds: u32, reason: &str| {
            let now = start + SECOND * seconds;
            let again = progress.look_again(&status(&[(Pending, reason, 0)]), None, now);
            again.map(|again| again.duration_since(start).as_secs())
        };
        assert_eq!(look_again(0, "Starting"), Some(60));
        assert_eq!(look_again(50, "Starting"), Some(60));
        assert_eq!(look_again(59, "Stopping"), Some(119));
        assert_eq!(look_again(119, "Stopping"), None);
    }

    #[test]
    fn nothing_comes_about_by_itself_where_a_person_or_another_document_is_waited_for() {
        let now = Instant::now();
        let look_again =
            |status: &AgentStatus| Progress::new(now).look_again(status, Some(now + SECOND), now);
        assert_eq!(look_again(&converged(1)), None);
        assert_eq!(look_again(&status(&[(Pending, "Paused", 0)])), None);
        let mut lasting = status(&[(Failed, "Exited", 1)]);
        lasting.resources[0].next_retry = None;
        assert_eq!(look_again(&lasting), None);
    }
}
