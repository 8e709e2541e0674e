//! Whether a log is as it was written.

use std::{fmt, io};

use super::{
    Happening, Head, Line, Lines, LogFile,
    chain::{Chain, Linked},
    log::MAX_FILES,
};
use crate::state_dir::StateLayout;

/// What was found by going through a log.
#[derive(Debug, Default)]
pub struct Verification {
    /// How many records there are.
    pub records: u64,
    /// The number of the oldest; those before it were removed when their file was the oldest and there were
    /// too many.
    pub oldest: Option<u64>,
    /// The number of the newest.
    pub newest: Option<u64>,
    /// What shows that it was altered.
    pub problems: Vec<Finding>,
    /// What is no sign of that and worth knowing.
    pub notes: Vec<Finding>,
}

/// Something found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    /// The line in it, from 1; `None` where it is about no line.
    pub line: Option<u64>,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Goes through the log. `known` is what the ledger says of it, and must have been read *before*: then a log that
/// grows meanwhile is none that was altered.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(layout: &StateLayout, known: Head) -> io::Result<Verification> {
    let mut found = Verification::default();
    let mut chain = Chain::default();
    let current = layout.audit().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut seen = known.hash.is_none();
    let files = LogFile::open_all(layout)?;
    // What came before the oldest line is gone by right where there are as many files as are kept, or where what
    // was damaged was set aside.
    let mut may_begin_late = files.len() >= MAX_FILES;
    let mut begins_late = None;
    for file in files {
        let finding = |line: u64, what: String| Finding { file: file.name(), line: Some(line), what };
        for (line, number) in Lines::of(&file.file).zip(1..) {
            let line = match line? {
                Line::Whole(line) => line,
                Line::Torn if file.first.is_none() && chain.last.unwrap_or_default().seq >= known.seq => {
                    let what =
                        "this line is not finished: it is being written, or the power was cut meanwhile";
                    found.notes.push(finding(number, what.to_owned()));
                    break;
                }
                Line::Torn => {
                    found.problems.push(finding(number, "this line is cut off".to_owned()));
                    break;
                }
            };
            found.records += 1;
            match chain.follow(&line, number == 1) {
                Ok(Linked { head, record }) => {
                    if number == 1 && file.first.is_some_and(|first| first != head.seq) {
                        found
                            .problems
                            .push(finding(number, "the file's name tells of another record".to_owned()));
                    }
                    if found.records == 1 && record.as_ref().is_some_and(|record| record.prev.is_some()) {
                        let what =
                            format!("the log begins with record {}: those before it were removed", head.seq);
                        begins_late = Some(finding(number, what));
                    }
                    if let Some(Happening::LogRecovered { message }) = record.map(|record| record.happening) {
                        may_begin_late = true;
                        found.notes.push(finding(number, format!("the log began anew here: {message}")));
                    }
                }
                Err(problem) => found.problems.push(finding(number, problem.to_string())),
            }
            let Some(head) = chain.last else { continue };
            found.oldest.get_or_insert(head.seq);
            found.newest = Some(head.seq);
            if head.seq == known.seq && !seen {
                seen = true;
                if Some(head.hash) != Some(known.hash) {
                    let what =
                        format!("record {} is another one than the ledger knows: it was changed", head.seq);
                    found.problems.push(finding(number, what));
                }
            }
        }
    }
    found.problems.extend(begins_late.filter(|_| !may_begin_late));
    if !seen {
        let what = match found.newest {
            Some(newest) if newest < known.seq => {
                format!(
                    "the log ends with record {newest}, and the ledger knows of {}: it was cut off",
                    known.seq
                )
            }
            Some(_) => format!("record {}, of which the ledger knows, is not there", known.seq),
            None => format!("there is no record, and the ledger knows of {}", known.seq),
        };
        found.problems.push(Finding { file: current, line: None, what });
    }
    Ok(found)
}
