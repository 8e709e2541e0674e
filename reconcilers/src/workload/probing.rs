//! Finding out by its probes how a workload is, as Kubernetes means them.
//!
//! ```text
//! startup ─ succeeds ─▶ readiness, for as long as it runs ─▶ Ready | NotReady
//!    └ fails ─▶ GivenUp └▶ liveness, likewise              ─▶ GivenUp
//! ```
//!
//! Until a startup or readiness probe has succeeded it is asked more often than its interval says, so
//! that what is quick counts as ready quickly. Only tries at the pace of the interval count as failures.

mod http;
mod tcp;

use std::{future::Future, net::SocketAddr, time::Duration};

use agent_model::{Probe, ProbeAction, Probes};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::health::{Health, Meaning, Tally};

/// A workload with neither a startup nor a readiness probe counts as ready when it has been up for so
/// long: what ends at once was never ready.
const SETTLED: Duration = Duration::from_secs(1);
/// The first pause between two tries before the first interval is over; each is twice the one before.
const FIRST_EARLY_PAUSE: Duration = Duration::from_millis(100);

/// A workload whose probes are asked.
pub(crate) trait Probed: Sync {
    /// Its probes.
    fn probes(&self) -> &Probes;

    /// For how long it has been up.
    fn up_for(&self) -> Duration;

    /// What is known of it from before.
    fn known(&self) -> Known;

    /// Where its port is reached, or why it is not.
    fn address_of(&self, port: u16) -> Result<SocketAddr, String>;

    /// Runs the command as the workload's own and is content when it ends with 0. Dropped before its end,
    /// it leaves no more than a bounded number of such commands running.
    fn exec(&self, command: &[String]) -> impl Future<Output = Result<(), String>> + Send;
}

/// What an earlier look has found out, perhaps that of an earlier agent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// It has shown that it has started.
    pub(crate) started: bool,
    /// It was ready.
    pub(crate) ready: bool,
}

impl Known {
    /// How it is, until it is asked.
    pub(crate) fn health(self) -> Health {
        match self {
            Self { ready: true, .. } => Health::Ready,
            Self { started: true, .. } => {
                Health::NotReady { message: "it was not ready when it was looked at last".to_owned() }
            }
            _ => Health::Starting { message: String::new() },
        }
    }
}

/// Reports how the workload is, each time that it becomes otherwise. Ends when there is nothing more to
/// find out.
pub(crate) async fn find_health(workload: &impl Probed, report: &(impl Fn(Health) + Sync)) {
    let probes = workload.probes();
    if !workload.known().started
        && let Err(given_up) = start_up(workload, report).await
    {
        return report(given_up);
    }
    let readiness = async {
        match &probes.readiness {
            Some(readiness) => watch_readiness(workload, readiness, report).await,
            None => report(Health::Ready),
        }
        std::future::pending::<()>().await;
    };
    let liveness = async {
        match &probes.liveness {
            Some(liveness) => watch_liveness(workload, liveness).await,
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
async fn start_up(workload: &impl Probed, report: &(impl Fn(Health) + Sync)) -> Result<(), Health> {
    match &workload.probes().startup {
        Some(startup) => {
            let mut last = String::new();
            let started = ask_until(workload, startup, Pace::EagerUntilSuccess, |meaning, message| {
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
            if workload.probes().readiness.is_none() {
                sleep(SETTLED.saturating_sub(workload.up_for())).await;
            }
            Ok(())
        }
    }
}

async fn watch_readiness(workload: &impl Probed, readiness: &Probe, report: &(impl Fn(Health) + Sync)) {
    let mut was_ready = workload.known().ready;
    ask_until(workload, readiness, Pace::EagerUntilSuccess, |meaning, message| -> Option<()> {
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

async fn watch_liveness(workload: &impl Probed, liveness: &Probe) -> Health {
    ask_until(workload, liveness, Pace::Even, |meaning, message| match meaning {
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
    workload: &impl Probed,
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
        let answer = match timeout(probe.timeout, ask(workload, &probe.action)).await {
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
        let meaning = tally.take(answer.is_ok(), workload.up_for(), counts);
        if let Some(judgement) = judge(meaning, answer.err().as_deref().unwrap_or_default()) {
            return judgement;
        }
    }
}

/// Asks once.
async fn ask(workload: &impl Probed, action: &ProbeAction) -> Result<(), String> {
    match action {
        ProbeAction::Exec { command } => workload.exec(command).await,
        ProbeAction::Http { port, path, scheme } => {
            http::ask(workload.address_of(*port)?, *port, path, *scheme).await
        }
        ProbeAction::Tcp { port } => tcp::connect(workload.address_of(*port)?, *port).await.map(drop),
    }
}
