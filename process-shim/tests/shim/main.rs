//! The program as a whole, started as the agent starts it: the launch on a socket, a locked file for
//! standard output, nothing else.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is a test, also the functions that tests share"
)]

mod agent_dies;
mod control_group;
mod core_dumps;
mod descendants;
mod ending;
mod held;
mod jobs;
mod left_behind;
mod log;
mod programs_view;
mod start_failures;
mod starting;
