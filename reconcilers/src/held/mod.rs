//! What runs under `process-shim`, of whatever kind: starting it, finding it again, waiting for its end, and ending what
//! its shim left behind.

mod account;
pub(crate) mod control_groups;
pub(crate) mod ending;
pub(crate) mod ends;
pub(crate) mod failures;
pub(crate) mod launching;
mod log_tail;
mod looking;

pub use account::Account;
pub(crate) use control_groups::ControlGroups;
pub(crate) use log_tail::log_tail;
pub(crate) use looking::{Ended, Found, Running, look, names};
