//! `harmony-agent audit show`: what was done on this device.

use std::{collections::VecDeque, time::Duration};

use agent_core::audit::{Line, Lines};
use agent_model::{Timestamp, status::ResourceRef};
use serde::Deserialize;

use super::{files, nothing_there, unreadable};
use crate::{
    CommandError, Exit,
    cli::{AuditOutput, AuditShowArgs},
    say,
};

/// What is shown of a record, whatever its outcome and the version that wrote it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    seq: u64,
    time: Timestamp,
    generation: Option<u64>,
    resource: Option<ResourceRef>,
    outcome: String,
    step: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    duration_ms: Option<u64>,
}

pub(super) fn show(args: &AuditShowArgs) -> Result<Exit, CommandError> {
    let state_dir = args.state.find()?;
    let files = files(&state_dir)?;
    if files.is_empty() {
        return Err(nothing_there(&state_dir));
    }
    let (mut strange, mut printer) = (0_u64, Printer::new(args.lines, args.output));
    for file in files {
        for line in Lines::of(file.file) {
            let line = line.map_err(|error| unreadable(&state_dir, &error))?;
            let Line::Whole(line) = line else { break };
            match serde_json::from_slice::<Shown>(&line) {
                Ok(record) if is_wanted(record.time, args.since) => printer.take(&record, &line),
                Ok(_) => {}
                Err(_) => strange += 1,
            }
        }
    }
    printer.finish();
    if strange > 0 {
        return Err(CommandError::failed(format!(
            "{strange} lines are no records; `harmony-agent audit verify` tells where"
        )));
    }
    Ok(Exit::Done)
}

fn is_wanted(time: Timestamp, since: Option<Duration>) -> bool {
    since.is_none_or(|since| Timestamp::now().since(time) <= since)
}

/// Prints records as they come, or the last of them at the end.
struct Printer {
    output: AuditOutput,
    last: Option<usize>,
    held: VecDeque<String>,
    begun: bool,
}

impl Printer {
    fn new(last: Option<usize>, output: AuditOutput) -> Self {
        Self { output, last, held: VecDeque::new(), begun: false }
    }

    fn take(&mut self, record: &Shown, line: &[u8]) {
        let text = match self.output {
            AuditOutput::Json => String::from_utf8_lossy(line).into_owned() + "\n",
            AuditOutput::Table => row(record),
        };
        match self.last {
            None => self.print(&text),
            Some(last) => {
                self.held.push_back(text);
                if self.held.len() > last {
                    self.held.pop_front();
                }
            }
        }
    }

    fn print(&mut self, text: &str) {
        if !self.begun && self.output == AuditOutput::Table {
            let (seq, generation) = ("SEQ", "GEN");
            say(&format!(
                "{seq:>7} {:<24} {generation:>5} {:<17} {:<24} WHAT\n",
                "TIME", "OUTCOME", "RESOURCE"
            ));
        }
        self.begun = true;
        say(text);
    }

    fn finish(mut self) {
        for text in std::mem::take(&mut self.held) {
            self.print(&text);
        }
    }
}

fn row(record: &Shown) -> String {
    let Shown { seq, time, generation, resource, outcome, step, reason, message, duration_ms } = record;
    let generation = generation.map_or_else(|| "-".to_owned(), |generation| generation.to_string());
    let resource = resource.as_ref();
    let resource = resource.map_or_else(|| "-".to_owned(), |it| format!("{}/{}", it.kind, it.name));
    let took = duration_ms.map(|millis| format!("({millis} ms)"));
    let texts = [step, reason, message, &took];
    let what: Vec<&str> =
        texts.iter().filter_map(|text| text.as_deref()).filter(|text| !text.is_empty()).collect();
    let what = what.join("  ").replace(char::is_control, " ");
    let time = time.to_string();
    let row = format!("{seq:>7} {time:<24} {generation:>5} {outcome:<17} {resource:<24} {what}");
    format!("{}\n", row.trim_end())
}
