//! What the kinds of resource that run have in common.

mod arguments;
mod environment;
mod limits;
mod probe;
mod reading;
mod restart;
mod stop;
#[cfg(test)]
pub(crate) mod strategies;
mod writing;

pub(crate) use arguments::Commands;
pub use environment::{Environment, InvalidVariable};
pub use limits::{Limits, LogBounds};
pub use probe::{HttpScheme, Probe, ProbeAction, Probes};
pub(crate) use reading::{PORT, STOP_TIMEOUT, command, words};
pub use restart::RestartPolicy;
pub use stop::{InvalidStopSignal, StopSignal};
