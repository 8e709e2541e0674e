//! What a crowd goes through, one after the other, and what is measured of it.
//!
//! ```text
//! attach ─▶ power cut, documents ─▶ first converge ─▶ one more document ─▶ idle ─▶ server killed
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use agent_model::status::AgentStatus;
use futures_util::{StreamExt, join, stream};
use tempfile::TempDir;
use tests::platform::{DESIRED_STATE, Platform};
use tokio::time::{sleep, timeout};

use super::{
    Cell, StateOn,
    bare_device::Likeness,
    server::{Counts, Server, consumers},
    statuses::Statuses,
    worker::{Population, id, state_dir},
    workers::Workers,
};
use crate::{convergence::document, samples::Samples};

/// Documents on their way to the server at a time.
const PUTS_IN_FLIGHT: usize = 1000;
/// How long a phase may take. No requirement, only the line between slow and never.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked whether the workers still run.
const LOOK: Duration = Duration::from_secs(1);
/// Until what follows a connect is over: the last of it is one more read, at most 6.25 s later.
const UNTIL_QUIET: Duration = Duration::from_secs(8);
/// How long an idle crowd is watched: each of it gives a sign of life meanwhile (2 min, at most a quarter later).
pub(super) const IDLE: Duration = Duration::from_secs(160);

/// What was measured of one population.
pub(super) struct Course {
    pub(super) attach: Phase,
    pub(super) first_converge: Phase,
    pub(super) new_document: Phase,
    /// Resident memory of the server for each attached device, beyond what it had before, in KiB.
    pub(super) server_kib_per_device: f64,
    /// Memory of the workers for each device (PSS), in KiB.
    pub(super) worker_kib_per_device: f64,
    /// Of all streams, while nobody but the devices is there.
    pub(super) consumers: usize,
    pub(super) idle: Option<Idle>,
    pub(super) storm: Option<Storm>,
}

impl Course {
    /// When all have done what they had to, by the name of that.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&'static str, &Samples)> {
        let phases = self.phases().into_iter().map(|(what, phase)| (what, &phase.seen));
        phases.chain(self.storm.iter().map(|storm| ("server killed, then one document to all", &storm.seen)))
    }

    /// What takes place at a server that runs, by name.
    pub(super) fn phases(&self) -> [(&'static str, &Phase); 3] {
        [
            ("attach", &self.attach),
            ("first converge", &self.first_converge),
            ("one document to all", &self.new_document),
        ]
    }
}

/// Something that all devices do.
pub(super) struct Phase {
    /// When each was seen to have done it, since the phase began.
    pub(super) seen: Samples,
    /// Processor time of the server.
    pub(super) server: Duration,
    /// Processor time of the workers.
    pub(super) workers: Duration,
    /// Messages from and to clients.
    pub(super) messages: (u64, u64),
}

/// Processor time of an idle crowd, in percent of one core.
pub(super) struct Idle {
    pub(super) server: f64,
    pub(super) workers: f64,
}

/// The return after the server was killed.
pub(super) struct Storm {
    /// From the kill until the server answers again.
    pub(super) server_back: Duration,
    /// Until all were connected, and until a document that was written once the server was back was
    /// converged on, since the kill.
    pub(super) connected: Duration,
    pub(super) seen: Samples,
    pub(super) server: Duration,
    pub(super) server_peak_kib: u64,
    pub(super) server_before_kib: u64,
}

/// A crowd at one server.
struct Crowd {
    devices: usize,
    population: Population,
    folder: TempDir,
    server: Server,
    workers: Option<Workers>,
}

/// Runs the course. Only with `to_the_end` is the crowd left idle, and its server killed.
pub(super) async fn run(
    devices: usize,
    cell: Cell,
    population: Population,
    to_the_end: bool,
) -> (Course, Likeness) {
    let server = Server::start(cell.sync).await;
    let folder = TempDir::with_prefix_in("harmony-crowd-", cell.state.folder()).unwrap();
    let mut crowd = Crowd { devices, population, folder, server, workers: None };
    let platform = crowd.server.platform().await;

    let before = crowd.server.rss_kib();
    let attach = crowd.phase(&platform, true, None).await;
    sleep(UNTIL_QUIET).await;
    let per_device = |kib: u64| kib as f64 / devices as f64;
    let server_kib_per_device = per_device(crowd.server.rss_kib().saturating_sub(before));
    let consumers = consumers(&platform).await;

    crowd.workers = None;
    put_all(&platform, devices, 1).await;
    let first_converge = crowd.phase(&platform, true, Some((1, Puts::Before))).await;
    sleep(UNTIL_QUIET).await;
    let new_document = crowd.phase(&platform, false, Some((2, Puts::Within))).await;
    let likeness = crowd.likeness(&platform).await;
    let worker_kib_per_device = per_device(crowd.running().pss_kib());

    let (mut idle, mut storm) = (None, None);
    if to_the_end {
        sleep(UNTIL_QUIET).await;
        idle = Some(crowd.idle().await);
        drop(platform);
        storm = Some(crowd.storm(3).await);
    }
    let course = Course {
        attach,
        first_converge,
        new_document,
        server_kib_per_device,
        worker_kib_per_device,
        consumers,
        idle,
        storm,
    };
    (course, likeness)
}

/// When the documents of a phase are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Puts {
    /// They are there.
    Before,
    /// As its beginning.
    Within,
}

impl Crowd {
    /// Waits until every device has said something, or has converged on a generation.
    async fn phase(&mut self, platform: &Platform, starts: bool, generation: Option<(u64, Puts)>) -> Phase {
        let mut statuses = Statuses::watch(platform).await;
        let counts = self.server.monitoring.counts();
        let server = self.server.processor_time();
        let workers = self.workers.as_ref().map(Workers::processor_time).unwrap_or_default();
        let documents = match generation {
            Some((generation, Puts::Within)) => documents(self.devices, generation),
            _ => Vec::new(),
        };
        let start = Instant::now();
        if starts {
            let Self { population, server, folder, devices, .. } = self;
            self.workers = Some(Workers::start(population, &server.nats.url(), folder.path(), *devices));
        }
        let wanted = generation.map(|(generation, _)| generation);
        let (seen, ()) = join!(self.seen(&mut statuses, start, wanted), put(platform, documents));
        let now = self.server.monitoring.counts();
        statuses.end().await;
        Phase {
            seen,
            server: self.server.processor_time() - server,
            workers: self.running().processor_time() - workers,
            messages: (now.in_msgs - counts.in_msgs, now.out_msgs - counts.out_msgs),
        }
    }

    /// When each device first said that it converged on this generation, or said anything.
    async fn seen(&mut self, statuses: &mut Statuses, start: Instant, wanted: Option<u64>) -> Samples {
        let mut missing = vec![true; self.devices];
        let mut seen = Samples::default();
        while seen.count() < self.devices {
            let Ok((device, generation)) = timeout(LOOK, statuses.next()).await else {
                self.assert_within(PATIENCE, start, seen.count());
                continue;
            };
            if (wanted.is_none() || generation == wanted) && std::mem::take(&mut missing[device]) {
                seen.push(start.elapsed());
            }
        }
        seen
    }

    fn assert_within(&mut self, patience: Duration, start: Instant, seen: usize) {
        let Self { workers, devices, server, .. } = self;
        workers.as_mut().unwrap().assert_all_run();
        let Counts { connections, .. } = server.monitoring.counts();
        assert!(
            start.elapsed() < patience,
            "after {patience:?} only {seen} of {devices} devices are as they should be, at {connections} connections"
        );
    }

    fn running(&self) -> &Workers {
        self.workers.as_ref().expect("the crowd was started")
    }

    /// What the floor has to write: like what a converged agent writes.
    async fn likeness(&self, platform: &Platform) -> Likeness {
        if let Population::BareDevices(likeness) = &self.population {
            return Likeness::clone(likeness);
        }
        let status: AgentStatus = platform.status(&id(0)).await.unwrap();
        let state = state_dir(self.folder.path(), &id(0));
        let len = |name| usize::try_from(fs::metadata(state.join(name)).unwrap().len()).unwrap();
        // By now there were two documents, each with an intent and a record.
        Likeness { status, ledger_len: len("ledger.json"), audited_len: len("audit.jsonl") / 4 }
    }

    async fn idle(&self) -> Idle {
        let times = || (self.server.processor_time(), self.running().processor_time());
        let before = times();
        sleep(IDLE).await;
        let now = times();
        let percent = |time: Duration| 100.0 * time.as_secs_f64() / IDLE.as_secs_f64();
        Idle { server: percent(now.0 - before.0), workers: percent(now.1 - before.1) }
    }

    async fn storm(&mut self, generation: u64) -> Storm {
        let documents = documents(self.devices, generation);
        let server_before_kib = self.server.rss_kib();
        let start = Instant::now();
        self.server.nats.kill();
        self.server.nats.start_again().await;
        let server_back = start.elapsed();
        let platform = self.server.platform().await;
        let mut statuses = Statuses::watch(&platform).await;
        let monitoring = self.server.monitoring;
        let devices = self.devices;
        let connected = async {
            while monitoring.counts().connections < devices {
                sleep(LOOK / 5).await;
            }
            start.elapsed()
        };
        let connected = timeout(PATIENCE, connected);
        let (connected, seen, ()) =
            join!(connected, self.seen(&mut statuses, start, Some(generation)), put(&platform, documents));
        Storm {
            server_back,
            connected: connected.expect("all devices return"),
            seen,
            server: self.server.processor_time(),
            server_peak_kib: self.server.peak_rss_kib(),
            server_before_kib,
        }
    }
}

/// One document for each device.
fn documents(devices: usize, generation: u64) -> Vec<(String, Vec<u8>)> {
    let document = |number| {
        let id = id(number);
        let bytes = document(&id, generation).to_string().into_bytes();
        (format!("$KV.{DESIRED_STATE}.{id}"), bytes)
    };
    (0..devices).map(document).collect()
}

async fn put_all(platform: &Platform, devices: usize, generation: u64) {
    put(platform, documents(devices, generation)).await;
}

/// Writes them as fast as the server takes them.
async fn put(platform: &Platform, documents: Vec<(String, Vec<u8>)>) {
    let puts = documents.into_iter().map(|(subject, bytes)| async {
        let ack = platform.jetstream.publish(subject, bytes.into()).await.unwrap();
        ack.await.expect("the document is stored");
    });
    stream::iter(puts).buffer_unordered(PUTS_IN_FLIGHT).collect::<()>().await;
}

impl StateOn {
    fn folder(self) -> PathBuf {
        match self {
            Self::Disk => std::env::temp_dir(),
            Self::Tmpfs => Path::new("/dev/shm").to_owned(),
        }
    }
}
