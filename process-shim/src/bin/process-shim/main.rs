//! Holds one process that outlives the agent. Started by the agent, and of no use to anybody else.
//!
//! `hold FOLDER` starts a process and stays until nothing of it is left; `exec` becomes a program. Both
//! are told what to do on their standard input, a socket, and answer there. `inside` becomes the program that is named
//! there, within whatever was built around it meanwhile; `try-inside` only finds out whether it could.

mod control_socket;
mod descriptors;
mod exec;
mod hold;
mod log_file;
mod output;
mod reaping;
mod starting;

use std::{env, process::ExitCode};

use process_shim::ProcessFolder;

fn main() -> ExitCode {
    descriptors::close_inherited();
    let mut arguments = env::args_os().skip(1);
    let (command, folder) = (arguments.next(), arguments.next());
    match (command.as_deref().and_then(|command| command.to_str()), folder) {
        (Some("hold"), Some(folder)) => hold::hold(&ProcessFolder::of(folder)),
        (Some("exec"), None) => exec::exec(),
        (Some("inside"), None) => exec::inside(false),
        (Some("try-inside"), None) => exec::inside(true),
        _ => usage(),
    }
}

#[expect(clippy::print_stderr, reason = "somebody has called it by hand")]
fn usage() -> ExitCode {
    eprintln!(
        "process-shim {}: holds a process for harmony-agent, which starts it; there is nothing to do with it by hand",
        env!("CARGO_PKG_VERSION")
    );
    ExitCode::from(2)
}
