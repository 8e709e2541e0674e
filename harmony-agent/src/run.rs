//! `harmony-agent run`: the daemon.

use std::time::Duration;

use agent_core::{kv::Connection, state_dir::StateDir};
use agent_model::with_causes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    Agent, CommandError, Exit,
    cli::RunArgs,
    configuration,
    configuration::Configuration,
    holds, logging,
    service_manager::ServiceManager,
    serving::{Intervals, Serving, serve},
    wiring,
};

/// More descriptors than the most resources that a document may have can need.
const MOST_OPEN_FILES: u64 = 8192;
/// How long it waits until the service manager was told.
const LAST_WORD: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: RunArgs, program: Agent) -> Result<Exit, CommandError> {
    // Before anything else, so that a signal is never met by its default.
    let stop = stop_requested().map_err(CommandError::failed)?;
    let configuration = Configuration::load(args)?;
    logging::start(configuration.log_format, configuration.log_level);
    for variable in configuration::unknown_variables() {
        tracing::warn!(variable, "this environment variable is no setting and has no effect");
    }
    let state = StateDir::open(&configuration.ground.state_dir).await.map_err(CommandError::failed)?;
    let agent = configuration.agent.clone();
    raise_open_files();
    let mut wired = wiring::wire(program, &agent, &state, configuration.ground, configuration.trust).await?;
    tracing::info!(%agent, version = env!("CARGO_PKG_VERSION"), state_dir = %state.layout().path().display(), "starting");
    // Not by `once`: whoever runs that sees how it ends.
    wired.device.guard_against_crashes(state.layout());
    wired.device.heed_deadlines();

    let connection = Connection::open(&configuration.access, &agent)
        .await
        .map_err(|error| CommandError::Usage(with_causes(&error)))?;
    let intervals = Intervals {
        resync: configuration.resync_interval,
        drift: configuration.drift_interval,
        heartbeat: configuration.heartbeat_interval,
    };
    let (phase, current_phase) = watch::channel(None);
    let informing =
        ServiceManager::from_environment().map(|manager| manager.keep_informed(current_phase, stop.clone()));
    let layout = state.layout().clone();
    let holds = holds::follow(&layout);
    let served = serve(wired, Serving { agent, layout, connection, intervals, holds, phase, stop }).await;
    if let Some(informing) = informing {
        informing.end(LAST_WORD).await;
    }
    served.map(|()| Exit::Done)
}

/// Takes as many descriptors as this program may have: each process that runs needs two, and a device may
/// have a thousand.
pub(crate) fn raise_open_files() {
    let bound = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: bound.maximum.map_or(Some(MOST_OPEN_FILES), |most| Some(most.min(MOST_OPEN_FILES))),
        ..bound
    };
    if bound.current < raised.current
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}

/// Becomes true with the first SIGTERM or SIGINT.
fn stop_requested() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        // Both only note that a signal came, which stays noted whichever is looked at first.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
    });
    Ok(stop)
}
