//! Walks over crash points: the agent is killed at every single one that a change passes, one after the other, and
//! started again each time.
//!
//! ```text
//! round 0:   change A, killed at point 0, started again, looked at   change B, killed at point 0 …   removal …
//! round 1:   change A, killed at point 1, started again, looked at   change B, killed at point 1 …   removal …
//! …          until each change has gone through without being killed
//! ```
//!
//! Each change of a round begins with what the one before has left. Rounds are taken by several devices at the same
//! time, because mostly they wait.

use agent_model::{Timestamp, status::AgentStatus};
use futures_util::future::join_all;
use serde_json::Value;
use tests::{
    agent::{Agent, crashed},
    document::manifest,
    eventually::eventually,
    platform::Platform,
};

/// More crash points than any change passes: beyond it, something repeats without an end.
const TOO_MANY: u32 = 500;

/// The changes of a round, by name, each with the number of its crash points when they were counted last.
pub(crate) type Round<'c> = &'c [(&'static str, u32)];

/// Takes rounds of changes with these devices until each change went through without a crash. `take` makes a change,
/// by its place in the round, with an agent that is killed past so many points (`None`: at none, because all of that
/// change were walked), and says whether it was.
///
/// # Panics
/// When there are clearly fewer crash points than there were; a few come and go with the passes that a change takes.
pub(crate) async fn walk<D>(
    round: Round<'_>,
    devices: Vec<D>,
    take: impl AsyncFn(&mut D, usize, Option<u32>) -> bool,
) {
    let (stride, take) = (devices.len(), &take);
    let walks = devices.into_iter().enumerate().map(async |(first, mut device)| {
        let mut points: Vec<Option<u32>> = vec![None; round.len()];
        for passed in (0..TOO_MANY).skip(first).step_by(stride) {
            for (change, points) in points.iter_mut().enumerate() {
                let is_open = points.is_none();
                let was_killed = take(&mut device, change, is_open.then_some(passed)).await;
                if is_open && !was_killed {
                    *points = Some(passed);
                }
            }
            if points.iter().all(Option::is_some) {
                return points;
            }
        }
        panic!("{TOO_MANY} crash points were not enough");
    });
    let walks: Vec<Vec<Option<u32>>> = join_all(walks).await;
    for (change, (name, known)) in round.iter().enumerate() {
        let points = walks.iter().filter_map(|points| points[change]).min().unwrap_or_default();
        println!("{name}: {points} crash points, {known} when last counted");
        assert!(
            points * 10 >= known * 8,
            "{name}: only {points} crash points of {known}: is this build armed?"
        );
    }
}

/// A device on a walk, whose documents are manifests.
pub(crate) struct Walker<'s> {
    pub(crate) device: Agent,
    platform: &'s Platform,
    generation: u64,
}

impl<'s> Walker<'s> {
    /// One whose agent was never started.
    pub(crate) fn new(device: Agent, platform: &'s Platform) -> Self {
        Self { device, platform, generation: 0 }
    }

    /// Ends the agent in good order, if it runs.
    pub(crate) async fn stop_agent(&mut self) {
        if self.device.is_running() {
            self.device.stop().await;
        }
    }

    /// Puts a document while no agent is there for it; lets an agent begin with it that is killed past so many crash
    /// points, if any, and another one bring it to its end. What that is, `end_of` says of a generation. Returns
    /// whether the first agent was killed, and the status in the end.
    pub(crate) async fn change<E: Fn(&AgentStatus) -> bool>(
        &mut self,
        resources: &[Value],
        passed: Option<u32>,
        end_of: impl FnOnce(u64) -> E,
    ) -> (bool, AgentStatus) {
        self.stop_agent().await;
        let id = self.device.id().to_owned();
        self.generation += 1;
        let is_over = end_of(self.generation);
        self.platform.put(&id, &manifest(&id, self.generation, resources)).await;
        let was_killed = match passed {
            Some(passed) => {
                self.device.start_to_crash_after(passed);
                is_killed_on_its_way(self.platform, &mut self.device, &is_over).await
            }
            None => false,
        };
        // What the one that was killed has said, the next one first repeats.
        let begun = Timestamp::now();
        self.device.start();
        let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= begun && is_over(status);
        let what = format!("the end of generation {}, {}", self.generation, place(passed));
        let status = self.platform.status_where(&id, &what, is_its_own).await;
        (was_killed, status)
    }
}

/// Where an agent was killed, for messages.
pub(crate) fn place(passed: Option<u32>) -> String {
    passed
        .map_or_else(|| "without a crash".to_owned(), |passed| format!("after a crash past {passed} points"))
}

/// Whether the agent was killed before it could be over and stop in good order.
pub(crate) async fn is_killed_on_its_way(
    platform: &Platform,
    device: &mut Agent,
    is_over: impl Fn(&AgentStatus) -> bool,
) -> bool {
    let id = device.id().to_owned();
    let ended = eventually("the agent got to the end or was killed", async || {
        if let Some(status) = device.ended() {
            return Ok(Some(status));
        }
        match platform.status(&id).await {
            Ok(status) if is_over(&status) => Ok(None),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // It may have said that it is over, and have been killed afterwards.
    let status = match ended {
        Some(status) => status,
        None => device.terminate().await,
    };
    crashed(status)
}
