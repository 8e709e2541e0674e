//! What the kinds of resource that run have in common.

mod environment;
mod limits;
mod probe;
mod reading;
mod restart;
mod stop;
mod writing;

pub use environment::{Environment, InvalidVariable};
pub use limits::{Limits, LogBounds};
pub use probe::{HttpScheme, Probe, ProbeAction, Probes};
pub(crate) use reading::{STOP_TIMEOUT, command};
pub use restart::RestartPolicy;
pub use stop::{InvalidStopSignal, StopSignal};
