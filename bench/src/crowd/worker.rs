//! A process with some of the devices in it.
//!
//! The bench starts itself again for each, with one argument: an [`Assignment`] as JSON. A worker ends
//! when it is killed, or with the first of its devices.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use harmony_agent::SimulatedAgent;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinSet, LocalSet};

use super::bare_device::{BareDevice, Likeness};

/// The argument before the assignment.
pub(super) const ARGUMENT: &str = "crowd-worker";

/// What a crowd is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Population {
    /// Agents as they ship.
    Agents,
    /// Devices without one: the floor.
    BareDevices(Box<Likeness>),
}

/// Which devices a worker has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) population: Population,
    pub(super) url: String,
    /// Has a folder for each device.
    pub(super) folder: PathBuf,
    /// The numbers of the first device and of the one after the last.
    pub(super) devices: std::ops::Range<usize>,
}

/// The id of a device.
pub(super) fn id(number: usize) -> String {
    format!("edge-{number:05}")
}

/// The number of the device with that id.
pub(super) fn number(id: &str) -> Option<usize> {
    id.strip_prefix("edge-")?.parse().ok()
}

/// Where a device keeps its state.
pub(super) fn state_dir(folder: &Path, id: &str) -> PathBuf {
    folder.join(id).join("state")
}

/// The assignment of this process, if it is a worker.
pub(crate) fn assignment() -> Option<impl FnOnce()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let assignment: Assignment = serde_json::from_str(&arguments.next()?).unwrap();
    Some(|| work(assignment))
}

fn work(assignment: Assignment) {
    let runtime = SimulatedAgent::runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let Assignment { population, url, folder, devices } = assignment;
        let mut tasks = JoinSet::new();
        match population {
            Population::Agents => devices.for_each(|number| {
                let agent = agent(&url, &folder, number);
                tasks.spawn_local(async move { panic!("an agent ended: {:?}", agent.run().await) });
            }),
            Population::BareDevices(likeness) => {
                let likeness: Rc<Likeness> = likeness.into();
                devices.for_each(|number| {
                    let device = BareDevice::new(id(number), &folder, Rc::clone(&likeness));
                    tasks.spawn_local(device.run(url.clone()));
                });
            }
        }
        let ended = tasks.join_next().await;
        panic!("a device is gone: {ended:?}");
    });
}

fn agent(url: &str, folder: &Path, number: usize) -> SimulatedAgent {
    let id = id(number);
    SimulatedAgent {
        agent: id.parse().unwrap(),
        url: url.to_owned(),
        state_dir: state_dir(folder, &id),
        root: folder.join(&id).join("root"),
    }
}
