//! An agent at work: its device joined to the platform, until it is told to stop.
//!
//! What belongs to a process of its own (signals, limits, the log, the service manager) is not here:
//! `run` has that around it, and a [`SimulatedAgent`](crate::SimulatedAgent) goes without.

use std::{error::Error, sync::Arc, time::Duration};

use agent_core::{
    kv::{
        Connection, DesiredWatch, DesiredWatchSettings, EventPublisher, HeartbeatTask, StatusWriter,
        StatusWriterSettings,
    },
    runtime::{self, Channels},
    state_dir::StateLayout,
};
use agent_model::{
    AgentId,
    status::{AgentStatus, Phase},
};
use tokio::sync::watch;

use crate::{CommandError, holds::Holds, wiring::Wired};

/// How long a stopping agent waits for its last report to arrive.
const LAST_REPORT: Duration = Duration::from_secs(2);

/// How often things are done that nothing asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intervals {
    pub(crate) resync: Duration,
    pub(crate) drift: Duration,
    pub(crate) heartbeat: Duration,
}

/// What a wired device works with.
pub(crate) struct Serving {
    pub(crate) agent: AgentId,
    pub(crate) layout: StateLayout,
    pub(crate) connection: Connection,
    pub(crate) intervals: Intervals,
    pub(crate) holds: Holds,
    /// The phase, known without a server too.
    pub(crate) phase: watch::Sender<Option<Phase>>,
    /// Ends the work once it holds true.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Works, whether a server is in reach or not: what was accepted is enforced.
///
/// # Errors
/// When a part of it fails that nothing else can stand in for. Whoever looks after the agent starts it anew.
pub(crate) async fn serve(wired: Wired, serving: Serving) -> Result<(), CommandError> {
    let Serving { agent, layout, connection, intervals, holds, phase, mut stop } = serving;
    let (reports, newest_report) = watch::channel::<Option<Arc<AgentStatus>>>(None);
    let (heartbeats, newest_heartbeat) = watch::channel(None);
    let resync_interval = intervals.resync;
    let mut desired = DesiredWatch::spawn(&connection, &agent, DesiredWatchSettings { resync_interval });
    let mut writer = StatusWriter::spawn(
        &connection,
        StatusWriterSettings {
            agent: agent.clone(),
            instance: wired.instance,
            earlier_epoch: wired.device.ledger().writer_epoch,
            resync_interval,
        },
        newest_report,
    );
    let mut heartbeat = HeartbeatTask::spawn(&connection, &agent, intervals.heartbeat, newest_heartbeat);
    let mut events = EventPublisher::spawn(&connection, &agent, layout.clone(), &wired.audit);
    let channels = Channels {
        entries: desired.entries(),
        prior: writer.prior(),
        standing: writer.standing(),
        reports,
        heartbeats,
        phase,
        pause: holds.pause,
        safe_mode: holds.safe_mode,
    };
    let wakes = wired.registry.wakes();
    let (end, ending) = watch::channel(false);
    let running = runtime::run(wired.device, layout, channels, wakes, intervals.drift, ending);
    let of = |what: &str, error: &dyn Error| format!("the transport of the {what} failed: {error}");
    let until_the_end = async {
        let failed = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => None,
            () = connection.failed() => Some("the NATS client ended by a fault of its own".to_owned()),
            error = desired.failed() => Some(of("desired state", &error)),
            error = writer.failed() => Some(of("status", &error)),
            error = heartbeat.failed() => Some(of("signs of life", &error)),
            error = events.failed() => Some(of("events", &error)),
        };
        // A pass under way ends as at any stop, and so does not count as one that the agent crashed in.
        end.send_replace(true);
        failed
    };
    let ((), failed) = tokio::join!(running, until_the_end);
    tracing::info!("stopping; what runs on this device goes on running");
    if let Some(failed) = failed {
        return Err(CommandError::failed(failed));
    }
    writer.stop(LAST_REPORT).await;
    Ok(())
}
