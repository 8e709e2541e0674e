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
//! ```
//!
//! To look into one part alone, `cargo bench --package bench -- noop`, or `traffic`, prints what it
//! found and writes nothing down.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that cannot be made ends there, with its reason on the terminal"
)]

mod bare_device;
mod convergence;
mod idle;
mod machine;
mod noop_pass;
mod report;
mod samples;
mod traffic;
mod wire;

use std::{env, fs, path::Path};

use convergence::Sync;
use report::Report;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let only = |part: &str| env::args().any(|argument| argument == part);
    if only("noop") {
        return print!("{}", report::noop_pass(&noop_pass::measure().await));
    }
    if only("traffic") {
        let traffic = traffic::measure().await;
        return println!("{}\n{}", report::traffic(&traffic), report::traffic_check(&traffic));
    }
    // First, so that it tells what is measured and not what this run leaves behind.
    let machine = machine::describe();

    let mut convergence = Vec::new();
    for sync in [Sync::Default, Sync::Always] {
        println!("put -> Converged, sync_interval {}: {} rounds", sync.as_str(), convergence::ROUNDS);
        convergence.push(convergence::measure(sync).await);
    }
    println!("pass without changes over {} files: {} rounds", noop_pass::FILES, noop_pass::ROUNDS);
    let noop_pass = noop_pass::measure().await;
    println!("idle agent: {} s", idle::DURATION.as_secs());
    let idle = idle::measure().await;
    println!("control traffic: some seven minutes");
    let traffic = traffic::measure().await;

    let report = Report { machine, convergence, noop_pass, idle, traffic };
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    fs::write(results, report.to_string()).unwrap();
    println!("\n{}\nWritten to bench/RESULTS.md.", report.tables());
}
