//! The harness of the end-to-end tests: real servers, real agents, and a network to pull out.
//!
//! ```text
//! platform ──▶ nats_server ◀── proxy ◀── agent (the daemon, as a process of its own)
//! ```
//!
//! A [`Site`](site::Site) joins these as most tests want them. Everything is private to the test
//! that made it: folders, ports, processes. Processes die with the thread that started them, so a
//! test that is aborted leaves none behind. What an agent has started outlives that agent, and ends with the
//! [`Agent`](agent::Agent) of the test.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test harness says what is wrong by panicking, and in the captured output of the test"
)]

pub mod agent;
pub mod certificates;
pub mod container_runtime;
pub mod coordinator;
pub mod docker;
pub mod document;
pub mod eventually;
pub mod folder_copy;
pub mod harmonyctl;
pub mod held_registry;
pub mod nats_cluster;
pub mod nats_server;
pub mod network;
pub mod operator;
pub mod platform;
pub mod podman;
pub mod process;
pub mod proxy;
pub mod raw_client;
pub mod schedule;
pub mod signer;
pub mod site;
pub mod small_disk;
pub mod snapshot;
pub mod systemd_container;
pub mod traffic;
pub mod workloads;
