//! `harmony-agent logs`: what a process or job printed, for whoever stands in front of the device.
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
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
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
    let layout = StateLayout::of(args.state.find()?);
    let folder = find(&[layout.processes(), layout.jobs()], &args.name)?;
    match show(args, &folder) {
        Ok(()) => Ok(Exit::Done),
        Err(Failed::Printing(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(Failed::Printing(error)) => Err(CommandError::failed(format!("cannot print: {error}"))),
        Err(Failed::Reading(error)) => Err(cannot_read(folder.path(), &error)),
    }
}

/// Where what other kinds print is.
const ELSEWHERE: &str =
    "those of a container are in `podman logs NAME`, of a unit in `journalctl --unit UNIT`";

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

/// The folder of that name in one of these.
fn find(places: &[PathBuf], name: &ResourceName) -> Result<ProcessFolder, CommandError> {
    for place in places {
        let folder = place.join(name.as_str());
        match fs::metadata(&folder) {
            Ok(_) => return Ok(ProcessFolder::of(folder)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_read(&folder, &error)),
        }
    }
    Err(unknown(places, name))
}

/// The names that there is a folder of.
fn names(place: &Path) -> Result<Vec<String>, CommandError> {
    let entries = match fs::read_dir(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| cannot_read(place, &error))?,
    };
    let names = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.parse::<ResourceName>().is_ok());
    Ok(names.collect())
}

fn unknown(places: &[PathBuf], name: &ResourceName) -> CommandError {
    let mut found = BTreeSet::new();
    for place in places {
        match names(place) {
            Ok(names) => found.extend(names),
            Err(error) => return error,
        }
    }
    let name = name.as_str();
    let hint = Suggestions::default().hint(name, found.iter().map(String::as_str));
    let names = Vec::from_iter(found).join(", ");
    CommandError::failed(if names.is_empty() {
        format!("no process or job has been started here; is this the agent's --state-dir? ({ELSEWHERE})")
    } else {
        format!("there are logs of {names} and none of {name:?} ({ELSEWHERE}){hint}")
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

    fn words(processes: &[&str], jobs: &[&str], asked: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let [of_processes, of_jobs] = ["processes", "jobs"].map(|place| folder.path().join(place));
        for (place, names) in [(&of_processes, processes), (&of_jobs, jobs)] {
            for name in names {
                fs::create_dir_all(place.join(name)).unwrap();
            }
        }
        find(&[of_processes, of_jobs], &asked.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_there_are_and_where_else_to_look() {
        let known = words(&["web", "db", "No-Name"], &["backup"], "wbe");
        let begin =
            "there are logs of backup, db, web and none of \"wbe\" (those of a container are in `podman logs";
        assert!(known.starts_with(begin) && known.ends_with("; did you mean \"web\"?"), "{known}");
        let none = words(&[], &[], "web");
        assert!(none.starts_with("no process or job has been started here"), "{none}");
        assert!(none.contains("journalctl"), "{none}");
    }
}
