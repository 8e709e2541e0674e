//! Where a log goes on after a start, and what is to be said first.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek},
};

use super::{
    AuditRecord, Draft, Happening, Head, Line, Lines, LogFile,
    chain::{Chain, Linked},
    files::open_for_writing,
    told::Told,
};
use crate::{damaged_file::set_aside, state_dir::StateLayout};

/// The end of a log.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The newest line.
    pub(super) head: Head,
    /// The number of the first record of the file that is written, if it has any.
    pub(super) first: Option<u64>,
    /// The length of that file's whole lines, in bytes.
    pub(super) len: u64,
    /// Steps that were announced and did not end, by the number of their line.
    pub(super) unended: BTreeMap<u64, Draft>,
    /// What need not be told again.
    pub(super) told: Told,
    /// What was wrong with the log, and where it is kept.
    pub(super) damage: Option<String>,
}

/// Finds the end of the log of which the ledger knows the line `known`. What does not lead there is set aside.
///
/// Only the files that hold that line or come after it are read: steps that may not have ended are announced
/// in no other.
///
/// # Errors
/// When the folder cannot be written or read.
pub(super) fn find(layout: &StateLayout, known: Head) -> io::Result<Tail> {
    let mut files = LogFile::open_all(layout)?;
    let mut begin = files.len().saturating_sub(1);
    while begin > 0 && first_of(&mut files[begin])?.is_none_or(|first| first > known.seq.max(1)) {
        begin -= 1;
    }
    let (mut tail, mut chain) = (Tail::default(), Chain::default());
    for place in begin..files.len() {
        (tail.first, tail.len) = (None, 0);
        if let Err(problem) = read(&mut tail, &mut chain, &files[place], known)? {
            let problem = format!("{}: {problem}", files[place].name());
            return begin_anew(layout, &files[place..], problem, known);
        }
    }
    let last = chain.last.unwrap_or_default();
    // An agent that had no log may have counted on while there was one: after a downgrade.
    if last.seq < needed(known) || chain.last.is_some_and(|last| last.seq < known.seq) {
        let problem = format!("the log ends with record {}, and there were {}", last.seq, known.seq);
        files.retain(|file| file.first.is_none());
        return begin_anew(layout, &files, problem, known);
    }
    tail.head = if last.seq < known.seq { known } else { last };
    if files.last().is_some_and(|file| file.first.is_some()) {
        (tail.first, tail.len) = (None, 0);
    }
    Ok(tail)
}

/// The number up to which there must be lines: an agent that had no log counted as well.
fn needed(known: Head) -> u64 {
    known.hash.map_or(0, |_| known.seq)
}

/// Reads one file to its end; what is wrong with it is no error of reading.
fn read(tail: &mut Tail, chain: &mut Chain, file: &LogFile, known: Head) -> io::Result<Result<(), String>> {
    for (number, line) in Lines::of(&file.file).enumerate() {
        let line = match line? {
            Line::Whole(line) => line,
            // The power was cut while it was written, and nothing was done for it.
            Line::Torn if file.first.is_none() && chain.last.unwrap_or_default().seq >= needed(known) => {
                let written = open_for_writing(&file.path)?.ok_or(io::ErrorKind::NotFound)?;
                written.set_len(tail.len)?;
                return Ok(Ok(()));
            }
            Line::Torn => return Ok(Err(format!("line {}: it is cut off", number + 1))),
        };
        let Linked { head, record } = match chain.follow(&line, number == 0) {
            Ok(linked) => linked,
            Err(problem) => return Ok(Err(format!("line {}: {problem}", number + 1))),
        };
        if head.seq == known.seq && known.hash.is_some() && head.hash != known.hash {
            return Ok(Err(format!("line {}: record {} was changed", number + 1, head.seq)));
        }
        tail.first.get_or_insert(head.seq);
        tail.len += line.len() as u64 + 1;
        if let Some(record) = record {
            tail.note(record);
        }
    }
    Ok(Ok(()))
}

impl Tail {
    fn note(&mut self, record: AuditRecord) {
        let (seq, draft) = (record.seq, Draft::from(record));
        if let Some(begun) = draft.happening.begun() {
            self.unended.remove(&begun);
        }
        self.told.is_news(&draft);
        if let Happening::Begun { .. } = draft.happening {
            self.unended.insert(seq, draft);
        }
    }
}

/// The number of the first record of a file.
fn first_of(file: &mut LogFile) -> io::Result<Option<u64>> {
    if file.first.is_some() {
        return Ok(file.first);
    }
    let first = Lines::of(file.file.by_ref()).next().transpose()?;
    file.file.rewind()?;
    Ok(match first {
        Some(Line::Whole(line)) => Chain::default().follow(&line, true).ok().map(|linked| linked.head.seq),
        Some(Line::Torn) | None => None,
    })
}

fn begin_anew(layout: &StateLayout, damaged: &[LogFile], problem: String, known: Head) -> io::Result<Tail> {
    let mut kept = Vec::new();
    // Of an empty one nothing could be found out, and it would push out one that tells something.
    for file in damaged {
        if file.file.metadata()?.len() == 0 {
            continue;
        }
        kept.push(set_aside(&file.path)?.display().to_string());
    }
    let damage = match kept.is_empty() {
        true => problem,
        false => format!("{problem}; what was found is kept as {}", kept.join(", ")),
    };
    // What lies before may hold higher numbers than the ledger knows of.
    let mut before = Chain::default();
    if let Some(file) = LogFile::open_all(layout)?.pop() {
        for line in Lines::of(file.file) {
            if let Line::Whole(line) = line? {
                let _ = before.follow(&line, true);
            }
        }
    }
    let head = before.last.filter(|before| before.seq > known.seq).unwrap_or(known);
    Ok(Tail { head, damage: Some(damage), ..Tail::default() })
}
