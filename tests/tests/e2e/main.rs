//! End-to-end tests: the daemon as it ships, on real servers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is a test, also the functions that tests share"
)]

mod dependency_star;
mod harness;
