//! Finding out by its probes how a process is, as Kubernetes means them.
//!
//! ```text
//! startup ─ succeeds ─▶ readiness, for as long as it runs ─▶ Ready | NotReady
//!    └ fails ─▶ GivenUp └▶ liveness, likewise              ─▶ GivenUp
//! ```
//!
//! Until a startup or readiness probe has succeeded it is asked more often than its interval says, so
//! that what is quick counts as ready quickly. Only tries at the pace of the interval count as failures.

mod exec;
mod http;
mod tcp;

use std::{path::PathBuf, sync::Arc, time::Duration};

use agent_model::{Probe, ProbeAction, ProcessSpec};
use process_shim::{ProcessFolder, boot_time};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::health::{Health, Meaning, Tally};

/// A process with neither a startup nor a readiness probe counts as ready when it has been up for so
/// long: what ends at once was never ready.
const SETTLED: Duration = Duration::from_secs(1);
/// The first pause between two tries before the first interval is over; each is twice the one before.
const FIRST_EARLY_PAUSE: Duration = Duration::from_millis(100);

/// A process whose probes are asked.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) folder: ProcessFolder,
    pub(super) shim: PathBuf,
    /// When it was started, since boot.
    pub(super) started: Duration,
    /// The folders of its control groups, which what is run to probe it enters too.
    pub(super) control_groups: Vec<PathBuf>,
    /// What is known of it from before.
    pub(super) known: Known,
}

/// What an earlier look has found out, perhaps that of an earlier agent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// It has shown that it has started.
    pub(super) started: bool,
    /// It was ready.
    pub(super) ready: bool,
}

impl Known {
    /// How it is, until it is asked.
    pub(super) fn health(self) -> Health {
        match self {
            Self { ready: true, .. } => Health::Ready,
            Self { started: true, .. } => {
                Health::NotReady { message: "it was not ready when it was looked at last".to_owned() }
            }
            _ => Health::Starting { message: String::new() },
        }
    }
}

impl Probed {
    fn up_for(&self) -> Duration {
        boot_time().saturating_sub(self.started)
    }
}

/// Reports how the process is, each time that it becomes otherwise. Ends when there is nothing more to
/// find out.
pub(super) async fn find_health(process: &Probed, report: &(impl Fn(Health) + Sync)) {
    let probes = &process.spec.probes;
    if !process.known.started
        && let Err(given_up) = start_up(process, report).await
    {
        return report(given_up);
    }
    let readiness = async {
        match &probes.readiness {
            Some(readiness) => watch_readiness(process, readiness, report).await,
            None => report(Health::Ready),
        }
        std::future::pending::<()>().await;
    };
    let liveness = async {
        match &probes.liveness {
            Some(liveness) => watch_liveness(process, liveness).await,
            None => std::future::pending().await,
        }
    };
    // Only the second ends, and with it everything.
    tokio::select! {
        () = readiness => {}
        given_up = liveness => report(given_up),
    }
}

/// Waits until it has started, or fails with why it never will.
async fn start_up(process: &Probed, report: &(impl Fn(Health) + Sync)) -> Result<(), Health> {
    match &process.spec.probes.startup {
        Some(startup) => {
            let mut last = String::new();
            let started = ask_until(process, startup, Pace::EagerUntilSuccess, |meaning, message| {
                match meaning {
                    Meaning::Success => return Some(true),
                    Meaning::Failure => {
                        last = format!("its startup probe fails: {message}");
                        return Some(false);
                    }
                    Meaning::Undecided => {}
                }
                report(Health::Starting {
                    message: format!("its startup probe has not succeeded: {message}"),
                });
                None
            });
            match started.await {
                true => Ok(()),
                false => Err(Health::GivenUp { reason: "StartupFailed", message: last }),
            }
        }
        None => {
            if process.spec.probes.readiness.is_none() {
                sleep(SETTLED.saturating_sub(process.up_for())).await;
            }
            Ok(())
        }
    }
}

async fn watch_readiness(process: &Probed, readiness: &Probe, report: &(impl Fn(Health) + Sync)) {
    let mut was_ready = process.known.ready;
    ask_until(process, readiness, Pace::EagerUntilSuccess, |meaning, message| -> Option<()> {
        match meaning {
            Meaning::Success => {
                was_ready = true;
                report(Health::Ready);
            }
            Meaning::Failure => {
                report(Health::NotReady { message: format!("its readiness probe fails: {message}") });
            }
            Meaning::Undecided if !was_ready => {
                report(Health::Starting {
                    message: format!("its readiness probe has not succeeded: {message}"),
                });
            }
            Meaning::Undecided => {}
        }
        None
    })
    .await;
}

async fn watch_liveness(process: &Probed, liveness: &Probe) -> Health {
    ask_until(process, liveness, Pace::Even, |meaning, message| match meaning {
        Meaning::Success | Meaning::Undecided => None,
        Meaning::Failure => Some(Health::GivenUp {
            reason: "LivenessFailed",
            message: format!("its liveness probe fails: {message}"),
        }),
    })
    .await
}

/// How often a probe is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Once in each interval, the first time when one has passed.
    Even,
    /// At once, and several times before the first interval is over, until it succeeds.
    EagerUntilSuccess,
}

/// Asks a probe again and again, until `judge` has made up its mind.
async fn ask_until<T>(
    process: &Probed,
    probe: &Probe,
    pace: Pace,
    mut judge: impl FnMut(Meaning, &str) -> Option<T>,
) -> T {
    let mut tally = Tally::new(probe);
    let begun = Instant::now();
    let mut counted_at = begun + probe.interval;
    let mut early = (pace == Pace::EagerUntilSuccess).then_some((begun, FIRST_EARLY_PAUSE));
    loop {
        let (at, counts) = match early {
            Some((at, _)) if at < counted_at => (at, false),
            _ => (counted_at, true),
        };
        sleep_until(at).await;
        let answer = match timeout(probe.timeout, ask(process, &probe.action)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {}", humantime::format_duration(probe.timeout))),
        };
        if answer.is_ok() || counts {
            early = None;
        } else if let Some((_, pause)) = early {
            early = Some(((at + pause).max(Instant::now()), pause * 2));
        }
        if counts {
            counted_at = (at + probe.interval).max(Instant::now());
        }
        let meaning = tally.take(answer.is_ok(), process.up_for(), counts);
        if let Some(judgement) = judge(meaning, answer.err().as_deref().unwrap_or_default()) {
            return judgement;
        }
    }
}

/// Asks once.
async fn ask(process: &Probed, action: &ProbeAction) -> Result<(), String> {
    match action {
        ProbeAction::Exec { command } => exec::ask(process, command).await,
        ProbeAction::Http { port, path, scheme } => http::ask(*port, path, *scheme).await,
        ProbeAction::Tcp { port } => tcp::connect(*port).await.map(drop),
    }
}
