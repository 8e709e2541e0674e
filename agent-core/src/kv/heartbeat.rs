//! The device's sign of life: small, unacknowledged, and replaced by the next one.

use std::time::Duration;

use agent_model::{AgentId, status::Heartbeat};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::JoinError,
    time::{Instant, sleep_until},
};

use super::{Connection, jitter::spread, names, owned_task::OwnedTask};

/// Shortest time between two heartbeats, however often the phase changes.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Publishes heartbeats until it is dropped.
#[derive(Debug)]
pub struct HeartbeatTask {
    /// Ends its task when dropped.
    task: OwnedTask,
}

impl HeartbeatTask {
    /// The usual pause between two heartbeats (wire contract: Heartbeat).
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);

    /// Begins to publish what `heartbeat` holds: when a server is reached, when the value
    /// changes, and else every `interval`, a quarter more or less. Nothing is sent without a
    /// server, nor while it is `None`, as for a device that was superseded.
    pub fn spawn(
        connection: &Connection,
        agent: &AgentId,
        interval: Duration,
        heartbeat: watch::Receiver<Option<Heartbeat>>,
    ) -> Self {
        let schedule = BeatSchedule::new(interval, StdRng::from_rng(&mut rand::rng()), Instant::now());
        let subject = names::entry_subject(names::HEARTBEAT_BUCKET, agent);
        let task = OwnedTask::spawn(beat(connection.clone(), subject, schedule, heartbeat));
        Self { task }
    }

    /// Ready when its task panicked, which ought to end the agent: it would give no more signs of life. Cancel safe.
    pub async fn failed(&mut self) -> JoinError {
        self.task.failed().await
    }
}

/// What the loop woke up for.
enum Wake {
    /// The link was lost or made.
    Link,
    /// There may be another heartbeat.
    Heartbeat,
    /// It is time to send.
    Due,
    /// One of the sources is gone.
    End,
}

async fn beat(
    connection: Connection,
    subject: String,
    mut schedule: BeatSchedule<StdRng>,
    mut heartbeat: watch::Receiver<Option<Heartbeat>>,
) {
    let mut link = connection.link();
    link.mark_changed();
    let mut connects = None;
    let mut current = heartbeat.borrow_and_update().clone();
    loop {
        let due = schedule.next_beat().filter(|_| current.is_some());
        let wake = tokio::select! {
            // Cancel-safe: a change that was not returned is still unseen.
            changed = link.changed() => changed.map_or(Wake::End, |()| Wake::Link),
            // Cancel-safe, likewise.
            changed = heartbeat.changed() => changed.map_or(Wake::End, |()| Wake::Heartbeat),
            // Cancel-safe: the next round computes the time anew.
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Wake::Due,
        };
        let now = Instant::now();
        match wake {
            Wake::Link => {
                let link = *link.borrow_and_update();
                if !link.connected {
                    schedule.disconnected();
                    connects = None;
                } else if connects.replace(link.connects) != Some(link.connects) {
                    schedule.connected(now);
                }
            }
            Wake::Heartbeat => {
                let newest = heartbeat.borrow_and_update().clone();
                if newest != current {
                    schedule.changed(now);
                    current = newest;
                }
            }
            Wake::Due => {
                schedule.sent(now);
                publish(&connection, &subject, current.as_ref()).await;
            }
            Wake::End => return,
        }
    }
}

async fn publish(connection: &Connection, subject: &str, heartbeat: Option<&Heartbeat>) {
    let sent: Result<(), Box<dyn std::error::Error + Send + Sync>> = async {
        let payload = serde_json::to_vec(&heartbeat)?;
        Ok(connection.client().publish(subject.to_owned(), payload.into()).await?)
    }
    .await;
    if let Err(error) = sent {
        tracing::warn!(error = &*error as &dyn std::error::Error, "cannot send a heartbeat");
    }
}

/// When to send next. Pure: time comes in, a time comes out.
#[derive(Debug)]
struct BeatSchedule<R> {
    interval: Duration,
    rng: R,
    connected: bool,
    due: Instant,
    not_before: Instant,
}

impl<R: Rng> BeatSchedule<R> {
    fn new(interval: Duration, rng: R, now: Instant) -> Self {
        Self { interval, rng, connected: false, due: now, not_before: now }
    }

    fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.due = now;
    }

    fn disconnected(&mut self) {
        self.connected = false;
    }

    fn changed(&mut self, now: Instant) {
        self.due = now;
    }

    /// When to send; `None` without a server.
    fn next_beat(&self) -> Option<Instant> {
        self.connected.then(|| self.due.max(self.not_before))
    }

    fn sent(&mut self, now: Instant) {
        self.due = now + spread(self.interval, &mut self.rng);
        self.not_before = now + SHORTEST_PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = HeartbeatTask::DEFAULT_INTERVAL;

    fn schedule(now: Instant) -> BeatSchedule<StdRng> {
        BeatSchedule::new(INTERVAL, StdRng::seed_from_u64(1), now)
    }

    #[test]
    fn nothing_is_sent_without_a_server_and_one_at_once_with_it() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        schedule.changed(now);
        assert_eq!(schedule.next_beat(), None);
        schedule.connected(now);
        assert_eq!(schedule.next_beat(), Some(now));
        schedule.sent(now);
        schedule.disconnected();
        assert_eq!(schedule.next_beat(), None);
    }

    #[test]
    fn the_usual_pause_is_the_interval_spread_by_a_quarter() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        schedule.connected(now);
        let pauses: Vec<Duration> = (0..100)
            .map(|_| {
                schedule.sent(now);
                schedule.next_beat().unwrap() - now
            })
            .collect();
        assert!(pauses.iter().all(|pause| (INTERVAL.mul_f64(0.75)..INTERVAL.mul_f64(1.25)).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < INTERVAL) && pauses.iter().any(|pause| *pause > INTERVAL));
    }

    #[test]
    fn an_interval_of_nothing_still_leaves_the_shortest_pause() {
        let now = Instant::now();
        let mut schedule = BeatSchedule::new(Duration::ZERO, StdRng::seed_from_u64(1), now);
        schedule.connected(now);
        schedule.sent(now);
        assert_eq!(schedule.next_beat(), Some(now + SHORTEST_PAUSE));
    }

    proptest! {
        #[test]
        fn flapping_sends_at_most_one_a_second_and_the_last_change_always(
            changes in proptest::collection::vec((0_u64..700, any::<bool>()), 1..100),
        ) {
            let mut now = Instant::now();
            let mut schedule = schedule(now);
            schedule.connected(now);
            let mut sent: Vec<Instant> = Vec::new();
            for (pause, reconnects) in changes {
                let later = now + Duration::from_millis(pause);
                while let Some(due) = schedule.next_beat().filter(|due| *due <= later) {
                    schedule.sent(due);
                    sent.push(due);
                }
                now = later;
                if reconnects {
                    schedule.disconnected();
                    schedule.connected(now);
                } else {
                    schedule.changed(now);
                }
            }
            prop_assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= SHORTEST_PAUSE));
            prop_assert!(schedule.next_beat().unwrap() <= now + SHORTEST_PAUSE);
        }
    }
}
