//! Measures what the agent costs and writes it down in `bench/RESULTS.md`: see `make bench`.
//!
//! Times are told as ratios. Next to every sample of the agent stands one of its *floor*: the same
//! work without the agent, on the same machine, in the same second. A busy machine slows both.
//!
//! ```text
//! convergence   agent (a process) │ bare_device (a loop)
//! noop_pass     executor + files  │ stat                   ──▶ report ──▶ RESULTS.md
//! idle          agent (a process) │ bounds
//! traffic       agent on a wire   │ bound
//! endurance     agent (a process) │ bounds
//! crowd         many agents       │ as many loops
//! ```
//!
//! To look into one part alone, `cargo bench --package bench -- noop`, `traffic`, `convergence` or `crowd`, prints
//! what it found and writes nothing down.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that cannot be made ends there, with its reason on the terminal"
)]

mod bare_device;
mod convergence;
mod crowd;
mod endurance;
mod idle;
mod machine;
mod noop_pass;
mod process_cost;
mod replacing;
mod report;
mod samples;
mod traffic;
mod wire;

use std::{env, fs, path::Path};

use convergence::{Convergence, Sync};
use report::Report;

fn main() {
    if let Some(work) = crowd::assignment() {
        return work();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let only = |part: &str| env::args().any(|argument| argument == part);
    if only("noop") {
        return print!("{}", report::noop_pass(&noop_pass::measure().await));
    }
    if only("convergence") {
        return print!("{}", report::convergence(&converge().await));
    }
    if only("traffic") {
        let traffic = traffic::measure().await;
        return println!("{}\n{}", report::traffic(&traffic), report::traffic_check(&traffic));
    }
    let sizes = crowd::sizes();
    if only("crowd") {
        return println!("{}", crowd::words(&crowd::measure(&sizes).await));
    }
    // First, so that it tells what is measured and not what this run leaves behind.
    let machine = machine::describe();

    let convergence = converge().await;
    println!("pass without changes over {} files: {} rounds", noop_pass::FILES, noop_pass::ROUNDS);
    let noop_pass = noop_pass::measure().await;
    println!("idle agent: {} s", idle::DURATION.as_secs());
    let idle = idle::measure().await;
    println!("control traffic: some seven minutes");
    let traffic = traffic::measure().await;

    println!("memory after {} documents and {} touches", endurance::DOCUMENTS, endurance::TOUCHES);
    let endurance = endurance::measure().await;
    println!("crowds of {sizes:?} agents, then of bare devices");
    let crowds = crowd::measure(&sizes).await;

    let report = Report { machine, convergence, noop_pass, idle, traffic, endurance, crowds };
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    fs::write(results, report.to_string()).unwrap();
    println!("\n{}\nWritten to bench/RESULTS.md.", report.tables());
}

async fn converge() -> Vec<Convergence> {
    let mut convergence = Vec::new();
    for sync in [Sync::Default, Sync::Always] {
        println!("put -> Converged, sync_interval {}: {} rounds", sync.as_str(), convergence::ROUNDS);
        convergence.push(convergence::measure(sync).await);
    }
    convergence
}
