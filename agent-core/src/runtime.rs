//! The daemon's loop: waits for a reason, makes a pass, says how things stand.
//!
//! Every pass has a named reason. The loop owns the device, so that nothing can run beside it;
//! everything that comes in does so through channels, so that the loop can be driven without a
//! server and in paused time.

mod teller;

use std::{cell::Cell, collections::BTreeSet, fmt, sync::Arc, time::Duration};

use agent_model::{
    Claim,
    status::{AgentStatus, Heartbeat, Phase},
};
use futures_util::{FutureExt, Stream, StreamExt};
use rand::RngExt;
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};

use self::teller::Teller;
use crate::{
    device::{DesiredValue, Device},
    kv::{Entry, PriorStatus, WriterStanding},
    pause::Pause,
    state_dir::StateLayout,
};

/// The drift timer, unless configured: the net under the wakes.
pub const DEFAULT_DRIFT_INTERVAL: Duration = Duration::from_secs(300);
/// Wakes closer together than this make one pass: somebody who rewrites a file in a loop gets it
/// repaired at this pace and costs no more.
const WAKE_SPACING: Duration = Duration::from_millis(500);
/// Passes that try something again are no closer together, whatever they find.
const RETRY_SPACING: Duration = Duration::from_millis(50);
/// How long a pass may take to end after the agent was told to stop, or the time of its document was up.
const GRACE: Duration = Duration::from_secs(10);
/// How long a device that could read what it said last, and not what it should be, leaves that standing. What it says
/// from then on tells of no document that it does not hold, and of how things stand.
const SILENCE: Duration = Duration::from_secs(120);
/// Claims named in the log line of one wake.
const MAX_WAKE_CLAIMS: usize = 16;

/// Why a pass is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WakeReason {
    /// The agent started.
    Start,
    /// A document is to be put in force.
    NewDocument,
    /// Something happened to these claims.
    Wake(BTreeSet<Claim>),
    /// The drift timer.
    Drift,
    /// A pause began or ended.
    Pause,
    /// Safe mode was ended on the device.
    Resume,
    /// The time of the document in force is up.
    Deadline,
    /// Something that failed or was interrupted is due again.
    Retry,
}

impl fmt::Display for WakeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("Start"),
            Self::NewDocument => f.write_str("NewDocument"),
            Self::Drift => f.write_str("Drift"),
            Self::Pause => f.write_str("Pause"),
            Self::Resume => f.write_str("Resume"),
            Self::Deadline => f.write_str("Deadline"),
            Self::Retry => f.write_str("Retry"),
            Self::Wake(claims) => {
                f.write_str("Wake")?;
                claims.iter().try_for_each(|claim| write!(f, " {claim}"))
            }
        }
    }
}

/// What comes in to the loop and what goes out, to the platform and to people on the device.
#[derive(Debug)]
pub struct Channels {
    /// The newest entry; `None` until it was read.
    pub entries: watch::Receiver<Option<Entry>>,
    /// The status that the platform had of this device at the start; `None` until it was read.
    pub prior: watch::Receiver<Option<PriorStatus>>,
    /// Where this process stands among those that ever wrote this device's status.
    pub standing: watch::Receiver<WriterStanding>,
    /// Reports, the newest of which counts.
    pub reports: watch::Sender<Option<Arc<AgentStatus>>>,
    /// Signs of life, the newest of which counts.
    pub heartbeats: watch::Sender<Option<Heartbeat>>,
    /// The phase, known without a server too: for whoever looks after this process.
    pub phase: watch::Sender<Option<Phase>>,
    /// The pause of this device, if there is one.
    pub pause: watch::Receiver<Option<Pause>>,
    /// Whether the state folder says that this device is in safe mode.
    pub safe_mode: watch::Receiver<bool>,
}

/// Runs until `stop` holds true. What runs on the device goes on running.
pub async fn run(
    mut device: Device,
    layout: StateLayout,
    mut channels: Channels,
    mut wakes: impl Stream<Item = Claim> + Unpin,
    drift_interval: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut teller = Teller::new(layout, &channels);
    device.set_pause(*channels.pause.borrow_and_update());
    // It may have been ended between the start and this.
    if !*channels.safe_mode.borrow_and_update() {
        device.end_safe_mode();
    }
    let mut reason = Some(WakeReason::Start);
    let mut drift_at = jittered(drift_interval);
    let mut wakes_from = Instant::now();
    let mut retries_from = Instant::now();
    let mut silent_until = None;
    loop {
        if let Some(reason) = reason.take() {
            tracing::info!(%reason, "pass");
            let superseded =
                superseded(&device, channels.entries.clone(), channels.pause.clone(), stop.clone());
            let speaks = speaks(&device, silent_until);
            let overdue = device.overdue(GRACE);
            tokio::select! {
                () = device.pass(superseded, |status| {
                    teller.tell(status, speaks, None);
                    teller.leave_a_copy();
                }) => {}
                // Both as a power cut would, for which every step is made: a step hangs, or the disk.
                () = overdue => {
                    tracing::warn!("the time of the document is up in the middle of a pass that does not end");
                    device.pass_was_dropped();
                }
                () = stopped_for(stop.clone(), GRACE) => {
                    tracing::warn!("stopping in the middle of a pass that does not end");
                    device.pass_was_dropped();
                    return;
                }
            }
            drift_at = jittered(drift_interval);
            retries_from = Instant::now() + RETRY_SPACING;
        }
        if let Some(over) = device.pause_that_is_over() {
            tracing::info!("the pause is over");
            if let Err(error) = over.clear(&teller.layout) {
                tracing::warn!(%error, "the pause is over, but its file cannot be removed");
            }
        }
        if silent_until.is_none() && channels.prior.borrow().is_some() {
            silent_until = Some(Instant::now() + SILENCE);
        }
        let speaks = speaks(&device, silent_until);
        teller.tell(device.report(), speaks, device.pause_in_force());
        // The platform first: what sends it off has its turn before the disk has.
        yield_now().await;
        teller.leave_a_copy();
        let retry_at = device.due().map_or(drift_at, |due| due.max(retries_from));
        let prior_matters = device.asks_for_floor() || silent_until.is_none();
        // Each arm waits on a channel, a timer or a stream that keeps what it has until it is
        // taken, so that dropping an arm loses nothing. An arm whose channel is closed is out.
        reason = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            Ok(()) = channels.entries.changed() => {
                let entry = channels.entries.borrow_and_update().clone();
                let value = entry.and_then(desired_value);
                value.is_some_and(|value| device.take_entry(value)).then_some(WakeReason::NewDocument)
            }
            Ok(()) = channels.prior.changed(), if prior_matters => {
                let prior = *channels.prior.borrow_and_update();
                let ready = prior.is_some_and(|PriorStatus { highest }| device.take_floor(highest));
                ready.then_some(WakeReason::NewDocument)
            }
            Ok(()) = channels.pause.changed() => {
                device.set_pause(*channels.pause.borrow_and_update());
                Some(WakeReason::Pause)
            }
            Ok(()) = channels.safe_mode.changed() => {
                let ended = !*channels.safe_mode.borrow_and_update() && device.end_safe_mode();
                ended.then_some(WakeReason::Resume)
            }
            Ok(()) = channels.standing.changed() => {
                let standing = channels.standing.borrow_and_update().clone();
                teller.stands(&standing, &mut device);
                None
            }
            () = sleep_until(silent_until.unwrap_or_else(Instant::now)), if silent_until.is_some() && !speaks => None,
            Some(claim) = next_wake(&mut wakes, wakes_from) => {
                wakes_from = Instant::now() + WAKE_SPACING;
                Some(WakeReason::Wake(with_queued(claim, &mut wakes)))
            }
            () = sleep_until(retry_at.min(drift_at)) => {
                Some(match retry_at < drift_at {
                    _ if device.time_is_up() => WakeReason::Deadline,
                    true => WakeReason::Retry,
                    false => WakeReason::Drift,
                })
            }
        };
    }
}

/// Whether what the device reports is for the platform: it knows its newest entry and its floor, or had time enough
/// to learn of the first.
fn speaks(device: &Device, silent_until: Option<Instant>) -> bool {
    let waited = silent_until.is_some_and(|until| until <= Instant::now());
    device.is_oriented() || waited && !device.asks_for_floor()
}

/// Tells whether a pass should end early: the agent stops, a pause begins or ends, or a newer document
/// has come in that would be put in force. One that would be refused disturbs nothing. Each entry is judged once.
fn superseded(
    device: &Device,
    entries: watch::Receiver<Option<Entry>>,
    pause: watch::Receiver<Option<Pause>>,
    stop: watch::Receiver<bool>,
) -> impl Fn() -> bool + use<> {
    let is_successor = device.successor_test();
    let judged = Cell::new((None, false));
    move || {
        if *stop.borrow() || pause.has_changed().unwrap_or(false) {
            return true;
        }
        let entry = entries.borrow();
        let Some(Entry::Present { revision, value }) =
            entry.as_ref().filter(|_| entries.has_changed().unwrap_or(false))
        else {
            return false;
        };
        if judged.get().0 != Some(*revision) {
            judged.set((Some(*revision), is_successor(value)));
        }
        judged.get().1
    }
}

/// Ready when the agent was told to stop so long ago.
async fn stopped_for(mut stop: watch::Receiver<bool>, grace: Duration) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(grace).await;
}

fn desired_value(entry: Entry) -> Option<DesiredValue> {
    Some(match entry {
        Entry::Absent | Entry::Deleted { .. } => DesiredValue::None,
        Entry::Present { revision, value } => DesiredValue::Some { revision, raw: value.to_vec() },
    })
}

/// The next wake, but none before `from`. Cancel-safe, as both the timer and the stream are.
async fn next_wake(wakes: &mut (impl Stream<Item = Claim> + Unpin), from: Instant) -> Option<Claim> {
    sleep_until(from).await;
    wakes.next().await
}

/// All claims whose wakes are queued by now; the log names so many of them.
fn with_queued(first: Claim, wakes: &mut (impl Stream<Item = Claim> + Unpin)) -> BTreeSet<Claim> {
    let mut claims = BTreeSet::from([first]);
    while let Some(Some(claim)) = wakes.next().now_or_never() {
        if claims.len() < MAX_WAKE_CLAIMS {
            claims.insert(claim);
        }
    }
    claims
}

/// A tenth more or less, so that the devices of a fleet do not look around all at once.
fn jittered(interval: Duration) -> Instant {
    Instant::now() + interval.mul_f64(rand::rng().random_range(0.9..=1.1))
}

#[cfg(test)]
mod tests;
