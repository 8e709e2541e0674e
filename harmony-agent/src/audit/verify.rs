//! `harmony-agent audit verify`: whether the log is as it was written.

use std::fmt::Write as _;

use agent_core::{
    audit::{self, Verification},
    ledger::Ledger,
    state_dir::StateLayout,
};

use super::{nothing_there, unreadable};
use crate::{CommandError, Exit, cli::StateFolder, say};

/// Problems that are printed. The first tells where to look.
const MOST_PROBLEMS: usize = 16;

pub(super) fn verify(folder: &StateFolder) -> Result<Exit, CommandError> {
    let state_dir = folder.find()?;
    let layout = StateLayout::of(&state_dir);
    // Before the log, which may grow meanwhile.
    let known = Ledger::audit_head(&layout).map_err(CommandError::failed)?;
    let found =
        audit::verify(&layout, known.unwrap_or_default()).map_err(|error| unreadable(&state_dir, &error))?;
    if found.records == 0 && found.problems.is_empty() && known.is_none() {
        return Err(nothing_there(&state_dir));
    }
    say(&words(&found, known.is_some()));
    // Without a ledger nobody can say that it is whole.
    Ok(if found.problems.is_empty() && known.is_some() { Exit::Done } else { Exit::Error })
}

fn words(found: &Verification, has_ledger: bool) -> String {
    let mut text = String::new();
    for note in &found.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if !has_ledger {
        text.push_str(
            "note: there is no ledger that can be read, so that lines missing at the end go unnoticed\n",
        );
    }
    for problem in found.problems.iter().take(MOST_PROBLEMS) {
        let _ = writeln!(text, "ALTERED: {problem}");
    }
    let more = found.problems.len().saturating_sub(MOST_PROBLEMS);
    if more > 0 {
        let _ = writeln!(text, "… and {more} more");
    }
    let whole = match (found.problems.is_empty(), has_ledger) {
        (true, true) => "The audit log is intact",
        (true, false) => "What is there of the audit log is intact",
        (false, _) => "The audit log is NOT intact",
    };
    let _ = match (found.oldest, found.newest) {
        (Some(oldest), Some(newest)) => {
            writeln!(text, "{whole}: {} records, {oldest} to {newest}.", found.records)
        }
        _ => writeln!(text, "{whole}: no records."),
    };
    text
}
