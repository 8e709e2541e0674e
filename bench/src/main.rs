//! Measures what the agent costs and writes it down in `bench/RESULTS.md`: see `make bench`.
//!
//! Times are told as ratios. Next to every sample of the agent stands one of its *floor*: the same
//! work without the agent, on the same machine, in the same second. A busy machine slows both.
//!
//! ```text
//! convergence   agent (a process) │ bare_device (a loop)
//! noop_pass     executor + files  │ stat                      ──▶ report ──▶ its section of RESULTS.md
//! idle          agent (a process) │ bounds
//! traffic       agent on a wire   │ bound
//! endurance     agent (a process), device │ bounds
//! containers    agent (a process) │ the runtime's socket, bounds
//! crowd         many agents       │ as many loops
//! ```
//!
//! `cargo bench --package bench -- noop idle` measures these two parts and replaces their sections only.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a measurement that cannot be made ends there, with its reason on the terminal"
)]

mod bare_device;
mod containers;
mod convergence;
mod crowd;
mod endurance;
mod idle;
mod machine;
mod noop_pass;
mod part;
mod process_cost;
mod replacing;
mod report;
mod results;
mod samples;
mod status_watch;
mod table;
mod traffic;
mod wire;

use std::{
    env,
    process::{Command, ExitCode},
};

use agent_model::Timestamp;

use part::Part;
use results::{Section, record};

fn main() -> ExitCode {
    if let Some(work) = crowd::assignment() {
        work();
        return ExitCode::SUCCESS;
    }
    if let Some(work) = endurance::assignment() {
        work();
        return ExitCode::SUCCESS;
    }
    let parts = match Part::chosen(env::args().skip(1)) {
        Ok(parts) => parts,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    build_programs();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&parts));
    ExitCode::SUCCESS
}

/// So that what is measured is of the commit that the results name. By themselves, as they ship: built together
/// with the benches they would have these' features.
fn build_programs() {
    let programs =
        ["build", "--release", "--locked", "--package", "harmony-agent", "--package", "process-shim"];
    let mut build = Command::new(env!("CARGO"));
    build.args(programs).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo says of the bench: the build script of ring looks at it, and all that needs ring would be built anew
    // each time, here and for the bench.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
        build.env_remove(name);
    }
    assert!(build.status().unwrap().success(), "the programs that are to be measured cannot be built");
}

async fn measure(parts: &[Part]) {
    // At once and not after some of the measurements: it asks for more than every machine gives.
    if parts.contains(&Part::Crowd) {
        crowd::sizes();
    }
    // First, so that it tells what is measured and not what this run leaves behind.
    let machine = machine::describe();
    for part in parts {
        println!("{}", part.announcement());
        let taken = Timestamp::now();
        let figures = part.measure().await;
        println!(
            "{}\nWritten to bench/RESULTS.md.\n",
            record(*part, &Section { taken, machine: &machine, figures })
        );
    }
}
