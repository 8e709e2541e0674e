//! A fleet at one server: what many agents cost it, beside as many bare devices.
//!
//! ```text
//! this process: platform, watch of all statuses ──▶ nats-server ◀── worker (many devices) × 8
//! ```
//!
//! The workers are this program, started again. Agents and bare devices go through the same
//! [`course`], one crowd after the other, each at a new server.

mod bare_device;
mod course;
mod report;
mod server;
mod statuses;
mod worker;
mod workers;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use report::words;
pub(crate) use worker::assignment;

use course::Course;
use report::summary;
use worker::Population;

use crate::convergence::Sync;

/// The environment variable with the sizes, and what they are without it.
const SIZES_VARIABLE: &str = "CROWD";
const DEFAULT_SIZES: &str = "1000 10000";

/// Descriptors of the server besides one for each device.
const SPARE_DESCRIPTORS: u64 = 1000;

/// Where devices keep their state. The server's store is on the disk either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateOn {
    /// Each device on the one disk of this machine, which no real fleet shares.
    Disk,
    /// In memory, where a sync costs nothing.
    Tmpfs,
}

/// Under which conditions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) state: StateOn,
    pub(crate) sync: Sync,
}

const CELLS: [Cell; 4] = [
    Cell { state: StateOn::Tmpfs, sync: Sync::Default },
    Cell { state: StateOn::Tmpfs, sync: Sync::Always },
    Cell { state: StateOn::Disk, sync: Sync::Default },
    Cell { state: StateOn::Disk, sync: Sync::Always },
];

/// A crowd, and its floor.
pub(crate) struct Crowd {
    devices: usize,
    cell: Cell,
    agents: Course,
    floor: Course,
}

/// How many devices are measured, one after the other.
///
/// # Panics
/// When they are no numbers, or when the server could not have so many connections.
pub(crate) fn sizes() -> Vec<usize> {
    let text = std::env::var(SIZES_VARIABLE).unwrap_or_else(|_| DEFAULT_SIZES.to_owned());
    let numbers = text.split([' ', ',']).filter(|number| !number.is_empty());
    let sizes: Vec<usize> = numbers
        .map(|number| number.parse().unwrap_or_else(|_| panic!("{SIZES_VARIABLE}: {number:?} is no number")))
        .collect();
    let most = sizes.iter().max().copied().unwrap_or(0) as u64;
    let limit = raise_open_files();
    assert!(
        limit.is_none_or(|limit| most + SPARE_DESCRIPTORS <= limit),
        "a server of {most} devices needs {} descriptors and may have {limit:?}: raise the hard limit \
         (ulimit -Hn), or give smaller sizes in {SIZES_VARIABLE}",
        most + SPARE_DESCRIPTORS,
    );
    sizes
}

/// For this process and all that it starts.
fn raise_open_files() -> Option<u64> {
    let bound = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: bound.maximum, ..bound }).unwrap();
    bound.maximum
}

/// Measures crowds of these sizes, the largest under all conditions.
pub(crate) async fn measure(sizes: &[usize]) -> Vec<Crowd> {
    let largest = sizes.iter().max();
    let mut crowds = Vec::new();
    for size in sizes {
        let cells = if Some(size) == largest { &CELLS[..] } else { &CELLS[..1] };
        for (number, cell) in cells.iter().enumerate() {
            // What follows is the same however often the server and the devices sync.
            let crowd = measure_in(*cell, *size, number == 0).await;
            // At once: the whole of it takes long.
            println!("{}", summary(std::slice::from_ref(&crowd)));
            crowds.push(crowd);
        }
    }
    crowds
}

async fn measure_in(cell: Cell, devices: usize, to_the_end: bool) -> Crowd {
    let (agents, likeness) = course::run(devices, cell, Population::Agents, to_the_end).await;
    let bare_devices = Population::BareDevices(likeness.into());
    let (floor, _) = course::run(devices, cell, bare_devices, to_the_end).await;
    Crowd { devices, cell, agents, floor }
}
