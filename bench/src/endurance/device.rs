//! A device without a connection, which puts every document in force and is woken again and again.
//!
//! In a process of its own, so that nothing else that is measured shares its memory: the bench starts itself again.

use std::{
    env, fs,
    path::Path,
    process::{self, Command, Stdio},
};

use agent_core::device::{DesiredValue, Device as AgentDevice};
use agent_model::status::{AgentStatus, Phase};
use harmony_agent::SimulatedAgent;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tests::agent::ENVIRONMENT;

use super::{AGENT, Growth, PARTS, files::document};
use crate::process_cost::Memory;

/// How many documents are put in force.
pub(crate) const DOCUMENTS: u64 = 100_000;
/// How many passes are made that find nothing to do.
pub(crate) const PASSES: u64 = 1_000_000;

/// The argument before the folder.
const ARGUMENT: &str = "endurance-device";

/// What is synced costs no wait there.
const TMPFS: &str = "/dev/shm";

/// How a device fared.
#[derive(Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) documents: Growth,
    pub(crate) passes: Growth,
}

/// The work of this process, if it is there for that.
pub(crate) fn assignment() -> Option<impl FnOnce()> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let folder = arguments.next()?;
    Some(move || {
        let runtime = SimulatedAgent::runtime().unwrap();
        let device = runtime.block_on(work(folder.as_ref()));
        println!("{}", serde_json::to_string(&device).unwrap());
    })
}

pub(super) fn measure() -> Device {
    let folder = TempDir::with_prefix_in("harmony-endurance-", TMPFS).unwrap();
    let own = env::current_exe().unwrap();
    let (key, value) = ENVIRONMENT;
    let mut worker = Command::new(own);
    worker.env(key, value).arg(ARGUMENT).arg(folder.path());
    let worker = worker.stderr(Stdio::inherit()).output().unwrap();
    assert!(worker.status.success(), "the device ended, {}", worker.status);
    serde_json::from_slice(&worker.stdout).unwrap()
}

async fn work(folder: &Path) -> Device {
    let (state_dir, root) = (folder.join("state"), folder.join("root"));
    fs::create_dir(&root).unwrap();
    let agent =
        SimulatedAgent { agent: AGENT.parse().unwrap(), url: "nats://127.0.0.1".to_owned(), state_dir, root };
    let (_held, mut device) = agent.device().await.unwrap();
    device.go_without_floor();

    let mut generation = 0;
    let documents = growth(DOCUMENTS, async || {
        generation += 1;
        let raw = serde_json::to_vec(&document(generation)).unwrap();
        device.take_entry(DesiredValue::Some { revision: generation, raw });
        let status = pass(&mut device).await;
        assert_eq!(status.applied.map(|applied| applied.generation.get()), Some(generation));
    })
    .await;
    let passes = growth(PASSES, async || {
        assert_eq!(pass(&mut device).await.phase, Phase::Converged);
    })
    .await;
    Device { documents, passes }
}

async fn pass(device: &mut AgentDevice) -> AgentStatus {
    device.pass(|| false, |_| ()).await;
    device.report()
}

/// Has that done so often and looks at the memory of this process.
async fn growth(times: u64, mut once: impl AsyncFnMut()) -> Growth {
    let mut after = Vec::new();
    for _ in 0..PARTS {
        for _ in 0..times / PARTS {
            once().await;
        }
        after.push(Memory::of(process::id()));
    }
    Growth(after)
}
