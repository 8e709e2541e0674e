//! The processes that a crowd is spread over.

use std::{path::Path, time::Duration};

use tests::process::Process;

use super::worker::{ARGUMENT, Assignment, Population};
use crate::process_cost::{processor_time, pss_kib};

/// How many there are. A device has two descriptors, and a process may have no more than some
/// thousands on many a machine.
pub(super) const WORKERS: usize = 8;

/// Gives the worker a limit of no inotify instances, in a user namespace of its own. A user may have
/// 128 of these, so few agents of a crowd could have one; this way none has, and all are alike.
const WITHOUT_INOTIFY: &str =
    r#"echo 0 >/proc/sys/user/max_inotify_instances; exec setpriv --pdeathsig KILL -- "$@""#;

/// They are gone when this is dropped, as after a power cut.
pub(super) struct Workers(Vec<Process>);

impl Workers {
    /// Starts as many devices, which keep what they have in `folder`.
    pub(super) fn start(population: &Population, url: &str, folder: &Path, devices: usize) -> Self {
        let own = std::env::current_exe().unwrap();
        let start = |worker: usize| {
            let assignment = Assignment {
                population: population.clone(),
                url: url.to_owned(),
                folder: folder.to_owned(),
                devices: devices * worker / WORKERS..devices * (worker + 1) / WORKERS,
            };
            let mut command = ["unshare", "--map-root-user", "sh", "-euc", WITHOUT_INOTIFY, "sh"]
                .map(str::to_owned)
                .to_vec();
            command.extend([
                own.display().to_string(),
                ARGUMENT.to_owned(),
                serde_json::to_string(&assignment).unwrap(),
            ]);
            let name = format!("worker {worker}");
            Process::start(&name, &command, &[], &folder.join(format!("worker-{worker}.log"))).unwrap()
        };
        Self((0..WORKERS).map(start).collect())
    }

    /// Processor time of all.
    pub(super) fn processor_time(&self) -> Duration {
        self.0.iter().map(|worker| processor_time(worker.id())).sum()
    }

    /// Memory of all (PSS), in KiB.
    pub(super) fn pss_kib(&self) -> u64 {
        self.0.iter().map(|worker| pss_kib(worker.id())).sum()
    }

    /// Makes sure that all are there.
    ///
    /// # Panics
    /// With the end of its log when one has ended.
    pub(super) fn assert_all_run(&mut self) {
        for worker in &mut self.0 {
            if let Some(status) = worker.ended() {
                panic!("a worker of the crowd ended, {status}:\n{}", worker.log_tail());
            }
        }
    }
}
