//! `harmony-agent logs`: what a process printed, for whoever stands in front of the device.
//!
//! ```text
//! log.2 ──▶ log.1 ──▶ log ──▶ Reader ──▶ Printer ──▶ stdout, stderr
//! (oldest)                      ▲
//!                      the folder's events, with --follow
//! ```

mod changes;
mod files;
mod printer;
mod reader;
mod tail;

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    time::SystemTime,
};

use agent_core::state_dir::StateLayout;
use agent_model::{ResourceName, Suggestions};
use process_shim::{ProcessFolder, ShimRecord};

use self::{
    changes::{Changed, Changes},
    files::LogFiles,
    printer::Printer,
    reader::Reader,
};
use crate::{CommandError, Exit, cli::LogsArgs};

pub(crate) fn logs(args: &LogsArgs) -> Result<Exit, CommandError> {
    let processes = StateLayout::of(&args.state_dir).processes();
    let folder = ProcessFolder::of(processes.join(args.name.as_str()));
    match fs::metadata(folder.path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(unknown(&processes, &args.name)),
        Err(error) => return Err(cannot_read(folder.path(), &error)),
        Ok(_) => {}
    }
    match show(args, &folder) {
        Ok(()) => Ok(Exit::Done),
        Err(Failed::Printing(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(Failed::Printing(error)) => Err(CommandError::failed(format!("cannot print: {error}"))),
        Err(Failed::Reading(error)) => Err(cannot_read(folder.path(), &error)),
    }
}

/// Why not all was shown.
#[derive(Debug)]
enum Failed {
    /// The log cannot be read.
    Reading(io::Error),
    /// Nobody takes what is shown.
    Printing(io::Error),
}

fn show(args: &LogsArgs, folder: &ProcessFolder) -> Result<(), Failed> {
    // Watched before it is read, so that nothing between the two is missed.
    let mut changes = args.follow.then(|| Changes::of(folder.path()));
    let since = args.since.and_then(|since| SystemTime::now().checked_sub(since));
    let files = LogFiles::open(folder).map_err(Failed::Reading)?;
    let mut reader = Reader::starting(folder, files, args.tail, since).map_err(Failed::Reading)?;
    let mut printer = Printer::new(io::stdout(), io::stderr(), args.timestamps, since);
    reader.read_all(&mut printer)?;
    while let Some(changes) = &mut changes {
        printer.flush().map_err(Failed::Printing)?;
        match changes.wait() {
            Changed::Log => reader.read_on(&mut printer)?,
            Changed::FolderGone | Changed::NobodyListens => break,
        }
    }
    // While a shim lives, a line that is not complete is one that is being written.
    if !is_held(folder) {
        reader.finish(&mut printer)?;
    }
    printer.flush().map_err(Failed::Printing)
}

fn is_held(folder: &ProcessFolder) -> bool {
    ShimRecord::read(&folder.shim_record())
        .is_ok_and(|record| record.is_some_and(|record| record.shim.is_alive()))
}

/// The names of the processes that there is a folder of, sorted.
fn names(processes: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(processes) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.parse::<ResourceName>().is_ok())
        .collect();
    names.sort();
    Ok(names)
}

fn unknown(processes: &Path, name: &ResourceName) -> CommandError {
    let names = match names(processes) {
        Ok(names) => names,
        Err(error) => return cannot_read(processes, &error),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = name.as_str();
    CommandError::failed(match names[..] {
        [] => format!(
            "no process has been started in {}; is this in the agent's --state-dir?",
            processes.display()
        ),
        _ => format!(
            "this device has the processes {}, and no {name:?}{}",
            names.join(", "),
            Suggestions::default().hint(name, names.iter().copied())
        ),
    })
}

fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "; it is for the agent's user alone: run this as that user or as root",
        _ => "",
    };
    CommandError::failed(format!("cannot read {}: {error}{advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(names: &[&str], asked: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        unknown(folder.path(), &asked.parse().unwrap()).to_string()
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_there_are() {
        let names = ["web", "db", "No-Name"];
        let message = "this device has the processes db, web, and no \"wbe\"; did you mean \"web\"?";
        assert_eq!(words(&names, "wbe"), message);
        assert_eq!(words(&names, "cache"), "this device has the processes db, web, and no \"cache\"");
        assert!(words(&[], "web").contains("no process has been started"), "{}", words(&[], "web"));
    }
}
