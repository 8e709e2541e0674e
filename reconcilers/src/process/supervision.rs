//! Waiting for what happens to processes that run: they end, and their probes find something.
//!
//! A task for each process, which sleeps until the kernel or a probe has news. What it learnt stays
//! here until a pass asks for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_model::{Probes, ProcessSpec, ResourceName, Unsealer};
use process_shim::{ProcessFolder, ProcessIdentity, boot_time};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::exec_probe;
use crate::{
    held::ends::{LOOK_AGAIN, end_of},
    workload::{
        Wakes,
        health::Health,
        probing::{Known, Probed, find_health},
    },
};

/// How long a shim is waited for when its process has ended.
const SHIM_FOLLOWS: Duration = Duration::from_millis(100);

/// All processes that are waited for.
#[derive(Debug)]
pub(super) struct Supervision {
    shim: PathBuf,
    unsealer: Arc<dyn Unsealer>,
    wakes: Arc<Wakes>,
    supervised: Mutex<BTreeMap<ResourceName, Supervised>>,
}

/// What is waited for of one process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Subject {
    /// That it ends, and what its probes say.
    Process {
        /// Which run it is.
        run: String,
        /// Its shim.
        shim: ProcessIdentity,
        /// The process.
        process: ProcessIdentity,
        /// When it was started, since boot.
        started: Duration,
        /// The folders of its control groups.
        control_groups: Vec<PathBuf>,
        /// What declares it, where what runs is what is declared: otherwise its health is nobody's business.
        probed: Option<Arc<ProcessSpec>>,
    },
    /// That its shim ends.
    Shim(ProcessIdentity),
    /// Nobody knows which process to wait for.
    Unknown,
}

/// A process whose probes are asked.
#[derive(Debug)]
pub(super) struct ProbedProcess {
    pub(super) spec: Arc<ProcessSpec>,
    pub(super) folder: ProcessFolder,
    pub(super) shim: PathBuf,
    pub(super) unsealer: Arc<dyn Unsealer>,
    /// When it was started, since boot.
    started: Duration,
    /// The folders of its control groups, which what is run to probe it enters too.
    pub(super) control_groups: Vec<PathBuf>,
    known: Known,
}

impl Probed for ProbedProcess {
    fn probes(&self) -> &Probes {
        &self.spec.probes
    }

    fn up_for(&self) -> Duration {
        boot_time().saturating_sub(self.started)
    }

    fn known(&self) -> Known {
        self.known
    }

    /// A process has the device's own network.
    fn address_of(&self, port: u16) -> Result<SocketAddr, String> {
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    async fn exec(&self, command: &[String]) -> Result<(), String> {
        exec_probe::ask(self, command).await
    }
}

#[derive(Debug)]
struct Supervised {
    subject: Subject,
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervision {
    pub(super) fn new(shim: PathBuf, unsealer: Arc<dyn Unsealer>, wakes: Arc<Wakes>) -> Self {
        Self { shim, unsealer, wakes, supervised: Mutex::default() }
    }

    /// Has the process looked at when something happens to the subject, from the first call on. Returns
    /// how the process is by now.
    pub(super) fn supervise(
        &self,
        name: &ResourceName,
        folder: &ProcessFolder,
        subject: Subject,
        before: Known,
    ) -> Health {
        let mut supervised = self.lock();
        if let Some(known) = supervised.get(name).filter(|known| known.subject == subject && known.is_alive())
        {
            return lock(&known.health).clone();
        }
        let first = before.health();
        let health = Arc::new(Mutex::new(first.clone()));
        let probed = self.probed(name, folder, &subject, &health, before);
        let task = tokio::spawn(wait_for(subject.clone(), probed, name.clone(), Arc::clone(&self.wakes)));
        supervised.insert(name.clone(), Supervised { subject, health, task });
        first
    }

    /// Waits for nothing of that process any more.
    pub(super) fn forget(&self, name: &ResourceName) {
        self.lock().remove(name);
    }

    /// Waits for nothing of any other processes any more.
    pub(super) fn keep(&self, names: &[Option<ResourceName>]) {
        let names: BTreeSet<&ResourceName> = names.iter().flatten().collect();
        self.lock().retain(|name, _| names.contains(name));
    }

    fn probed(
        &self,
        name: &ResourceName,
        folder: &ProcessFolder,
        subject: &Subject,
        health: &Arc<Mutex<Health>>,
        known: Known,
    ) -> Option<(ProbedProcess, impl Fn(Health) + Send + Sync + 'static)> {
        let Subject::Process { started, control_groups, probed: Some(spec), .. } = subject else {
            return None;
        };
        let probed = ProbedProcess {
            spec: Arc::clone(spec),
            folder: folder.clone(),
            shim: self.shim.clone(),
            unsealer: Arc::clone(&self.unsealer),
            started: *started,
            control_groups: control_groups.clone(),
            known,
        };
        let (health, wakes, name) = (Arc::clone(health), Arc::clone(&self.wakes), name.clone());
        let report = move |found: Health| {
            let before = std::mem::replace(&mut *lock(&health), found.clone());
            // Another message is worth a pass too: whoever looks is to see what is wrong now.
            if before != found {
                wakes.wake(&name);
            }
        };
        Some((probed, report))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Supervised>> {
        lock(&self.supervised)
    }
}

impl Supervised {
    fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes when what is waited for has happened; meanwhile its probes are asked.
async fn wait_for<R: Fn(Health) + Send + Sync>(
    subject: Subject,
    probed: Option<(ProbedProcess, R)>,
    name: ResourceName,
    wakes: Arc<Wakes>,
) {
    let probing = async {
        if let Some((probed, report)) = probed {
            find_health(&probed, &report).await;
        }
        std::future::pending::<()>().await;
    };
    // Whichever comes first ends the task, so nothing that is dropped is missed.
    match &subject {
        Subject::Process { shim, process, .. } => {
            tokio::select! {
                () = end_of(process) => {}
                () = end_of(shim) => {}
                () = probing => {}
            }
            // Mostly its shim has nothing left to do: then one pass finds both.
            let _ = timeout(SHIM_FOLLOWS, end_of(shim)).await;
        }
        Subject::Shim(shim) => end_of(shim).await,
        Subject::Unknown => sleep(LOOK_AGAIN).await,
    }
    wakes.wake(&name);
}
