//! Processes: real ones, of a real agent.

mod as_declared;
mod crash_loop;
mod errors;
mod logging;
mod lost_ledger;
mod many;
mod outliving;
mod power_cut;
mod probes;
mod restart_on;
mod secrets;
mod shim_killed;
mod stopping;
mod strangers;
mod upkeep;

use std::fs;

use process_shim::log_line::LogLine;
use serde_json::Value;
use tests::{agent::Agent, document::process};

/// The lines that a process printed, of all its runs whose log is kept.
pub(super) fn logged(device: &Agent, name: &str) -> Vec<String> {
    let folder = device.process_folder(name);
    let files: Vec<Vec<u8>> = (0..).map_while(|number| fs::read(folder.log(number)).ok()).collect();
    let lines = files.iter().rev().flat_map(|file| file.split(|byte| *byte == b'\n'));
    let content = |line: &[u8]| Some(String::from_utf8_lossy(LogLine::parse(line)?.content).into_owned());
    lines.filter_map(content).collect()
}

/// A process that runs a program of Python.
pub(super) fn python(name: &str, program: &str) -> Value {
    process(name, &["python3", "-c", program])
}
