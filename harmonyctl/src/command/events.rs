//! `events`: what happened on a device, as far as it told.

use std::collections::BTreeSet;

use agent_model::{AgentId, Suggestions, Timestamp, status::Event, with_causes};
use fleet::{StoredEvent, roster};
use serde_json::Value;

use super::{connect, not_found};
use crate::{
    agent_words,
    cli::{Connection, EventFormat, Events},
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    table::{Table, row},
    visible,
    words::{self, NOTHING},
};

/// What the documents are, for a message.
const WHAT: &str = "the event";

/// The types that agents of this version send (wire contract: Events). Newer ones may have others.
pub(crate) const KNOWN_TYPES: [&str; 13] = [
    "Accepted",
    "Applied",
    "Drift",
    "DuplicateIdentity",
    "Failed",
    "Gap",
    "Job",
    "LogRecovered",
    "Rejected",
    "Removed",
    "Restarted",
    "RolledBack",
    "SafeMode",
];

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Events,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let agent = agent_words::parse_one(&arguments.words).map_err(Failure::Usage)?;
    let fleet = connect(connection).await?;
    let mut events = fleet::Events::open(&fleet, &agent).await?;
    let mut listing = Listing { arguments, table: Table::new(), has_header: false };
    let outcome = tokio::select! {
        outcome = listing.print(&fleet, &agent, &mut events, output) => outcome,
        // An error means that there is no way to be told: then Ctrl-C ends the program as usual.
        Ok(()) = tokio::signal::ctrl_c() => Ok(Outcome::Interrupted),
    };
    events.close().await;
    outcome
}

struct Listing<'a> {
    arguments: &'a Events,
    table: Table,
    has_header: bool,
}

impl Listing<'_> {
    async fn print(
        &mut self,
        fleet: &fleet::Fleet,
        agent: &AgentId,
        events: &mut fleet::Events,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        let stored = events.take_present();
        if stored.is_empty() && roster::read_one(fleet, agent).await?.is_none() {
            return Ok(not_found(output, agent));
        }
        let all: Vec<_> = stored.into_iter().filter_map(|stored| readable(stored, output)).collect();
        let now = Timestamp::now();
        let is_recent =
            |event: &Event| self.arguments.since.is_none_or(|since| now.since(event.time) <= since);
        let is_chosen = |event: &Event| self.is_asked_for(event) && is_recent(event);
        let mut present: Vec<_> = all.iter().filter(|(event, _)| is_chosen(event)).cloned().collect();
        if let Some(tail) = self.arguments.tail {
            present.drain(..present.len().saturating_sub(tail));
        }
        if present.is_empty() {
            let events: Vec<&Event> = all.iter().map(|(event, _)| event).collect();
            let wants_none = self.arguments.watch && self.arguments.tail == Some(0);
            match hidden(self.arguments, &events, now) {
                Some(_) if wants_none => {}
                // That there are some, and why none is shown, also tells who waits for more that a word may be wrong.
                Some(why) => output.message(format_args!("no events of agent/{agent} are shown: {why}")),
                None if self.arguments.watch => {}
                None => output.message(format_args!("no events of agent/{agent}")),
            }
        }
        self.print_present(&present, output)?;
        if self.arguments.watch {
            self.follow(events, output).await?;
        }
        Ok(Outcome::Done)
    }

    /// Prints what comes, until the user or the reader has enough.
    async fn follow(&mut self, events: &mut fleet::Events, output: &mut Output) -> Result<(), Failure> {
        loop {
            let stored = match events.next().await {
                Ok(stored) => stored,
                Err(error) => {
                    output.message(format_args!("reading on after: {}", with_causes(&error)));
                    events.open_again(error).await?;
                    continue;
                }
            };
            if let Some((event, document)) = readable(stored, output)
                && self.is_asked_for(&event)
            {
                self.print_one(&event, &document, output)?;
            }
        }
    }

    fn is_asked_for(&self, event: &Event) -> bool {
        let types = &self.arguments.types;
        types.is_empty() || types.iter().any(|wanted| wanted.eq_ignore_ascii_case(&event.event_type))
    }

    fn print_present(&mut self, events: &[(Event, Value)], output: &mut Output) -> Result<(), Failure> {
        let documents = || events.iter().map(|(_, document)| document.clone());
        match self.arguments.output {
            EventFormat::Json if !self.arguments.watch => {
                Notation::Json.print_list(WHAT, documents(), output)
            }
            EventFormat::Yaml if !self.arguments.watch => {
                Notation::Yaml.print_list(WHAT, documents(), output)
            }
            EventFormat::Table | EventFormat::Wide if !events.is_empty() => {
                self.print_rows(events.iter().map(|(event, _)| event), output)
            }
            _ => events.iter().try_for_each(|(event, document)| self.print_one(event, document, output)),
        }
    }

    /// Prints an event so that others can follow it.
    fn print_one(&mut self, event: &Event, document: &Value, output: &mut Output) -> Result<(), Failure> {
        match self.arguments.output {
            EventFormat::Table | EventFormat::Wide => self.print_rows([event], output),
            // One to a line, for whoever reads line by line.
            EventFormat::Json => output.line(visible::json(&document.to_string())),
            EventFormat::Yaml => {
                output.line(format_args!("---\n{}", Notation::Yaml.written(WHAT, document)?))
            }
        }
    }

    fn print_rows<'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e Event>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let is_wide = self.arguments.output == EventFormat::Wide;
        let now = Timestamp::now();
        let header = (!std::mem::replace(&mut self.has_header, true)).then(|| header(is_wide));
        let rows: Vec<_> =
            header.into_iter().chain(events.into_iter().map(|event| cells(event, now, is_wide))).collect();
        output.line(self.table.lines(&rows).join("\n"))
    }
}

/// Most types that a message names: a device may write what it likes.
const MAX_TYPES_NAMED: usize = 20;

/// Why none of these events is shown; `None` where there are none.
fn hidden(arguments: &Events, events: &[&Event], now: Timestamp) -> Option<String> {
    let newest = events.iter().map(|event| event.time).max()?;
    let there: BTreeSet<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    let types = &arguments.types;
    let why = if !types.is_empty() && !types.iter().any(|wanted| is_among(wanted, there.iter().copied())) {
        let named: Vec<&str> = there.iter().take(MAX_TYPES_NAMED).copied().collect();
        format!("of the type {}; there are {}{}", types.join(" or "), named.join(", "), meant(types, &there))
    } else if let Some(since) = arguments.since.filter(|since| now.since(newest) > *since) {
        let (since, age) = (humantime::format_duration(since), words::age(now.since(newest)));
        format!("of the last {since}; the newest is {age} old by the device's clock")
    } else {
        "that all the options choose".to_owned()
    };
    Some(format!("it has {}, and none {why}", events.len()))
}

fn is_among<'a>(wanted: &str, mut types: impl Iterator<Item = &'a str>) -> bool {
    types.any(|one| wanted.eq_ignore_ascii_case(one))
}

/// Which types those may be that nobody knows.
fn meant(types: &[String], there: &BTreeSet<&str>) -> String {
    let known = || there.iter().copied().chain(KNOWN_TYPES);
    let mut suggestions = Suggestions::default();
    let unknown = types.iter().filter(|wanted| !is_among(wanted, known()));
    unknown.map(|wanted| suggestions.hint(wanted, known())).collect()
}

/// The event, with the document that it was read from; says so where it cannot be read.
pub(super) fn readable(stored: StoredEvent, output: &mut Output) -> Option<(Event, Value)> {
    let StoredEvent { sequence, bytes, event } = stored;
    let read = event.and_then(|event| Ok((event, serde_json::from_slice(&bytes)?)));
    let warn = |error: &serde_json::Error| {
        output.message(format_args!(
            "warning: message {sequence} of the stream AGENT_EVENTS is no event and is passed over: {error}"
        ));
    };
    read.inspect_err(warn).ok()
}

/// The columns; wide ones say exactly when, and count.
pub(super) fn header(is_wide: bool) -> Vec<String> {
    let mut cells = row(["LAST-SEEN", "TYPE", "REASON", "OBJECT", "GENERATION", "MESSAGE"]);
    if is_wide {
        cells.splice(1..1, row(["TIME", "SEQ"]));
    }
    cells
}

pub(super) fn cells(event: &Event, now: Timestamp, is_wide: bool) -> Vec<String> {
    let object = event.resource.as_ref().map(|resource| format!("{}/{}", resource.kind, resource.name));
    let mut cells = row([
        &words::age(now.since(event.time)),
        &event.event_type,
        &event.reason,
        object.as_deref().unwrap_or(NOTHING),
        &words::generation(event.generation),
        &event.message,
    ]);
    if is_wide {
        cells.splice(1..1, [event.time.to_string(), event.seq.to_string()]);
    }
    cells
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent_model::status::ResourceRef;

    use super::*;

    fn event() -> Event {
        Event {
            seq: 7,
            time: Timestamp::UNIX_EPOCH,
            event_type: "Drift".to_owned(),
            reason: "Repaired".to_owned(),
            message: "by hand".to_owned(),
            resource: Some(ResourceRef { kind: "File".to_owned(), name: "motd".to_owned() }),
            generation: 3.try_into().ok(),
        }
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        let now = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(300));
        assert_eq!(
            cells(&event(), now, false),
            row(["5m", "Drift", "Repaired", "File/motd", "3", "by hand"])
        );
        assert_eq!(cells(&event(), now, true)[1..3], row(["1970-01-01T00:00:00Z", "7"]));
        assert_eq!(header(true)[1..3], row(["TIME", "SEQ"]));
        for is_wide in [false, true] {
            assert_eq!(header(is_wide).len(), cells(&event(), now, is_wide).len());
        }
    }

    #[test]
    fn it_is_told_why_the_options_hide_all_that_there_is() {
        use clap::Parser as _;

        use crate::cli::{Cli, Command};

        let now = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(300));
        let told = |events: &[&Event], options: &str| {
            let words = format!("harmonyctl events a {options}");
            let Command::Events(arguments) = Cli::parse_from(words.split_whitespace()).command else {
                panic!("{words}");
            };
            hidden(&arguments, events, now)
        };
        let other = Event { event_type: "Levitated".to_owned(), ..event() };
        let all = [&event(), &other, &event()];
        assert_eq!(told(&[], "--type Drift"), None);
        let why = told(&all, "--type Acepted --since 1s").unwrap();
        let expected =
            "it has 3, and none of the type Acepted; there are Drift, Levitated; did you mean \"Accepted\"?";
        assert_eq!(why, expected);
        let why = told(&all, "--type levitatd,Failed").unwrap();
        assert!(why.contains("levitatd or Failed") && why.ends_with("did you mean \"Levitated\"?"), "{why}");
        assert!(!told(&all, "--type Failed").unwrap().contains("did you mean"));
        let why = told(&all, "--type drift --since 1s").unwrap();
        assert_eq!(why, "it has 3, and none of the last 1s; the newest is 5m old by the device's clock");
        for options in ["--tail 0", "--type Drift --since 1h --tail 0"] {
            assert!(told(&all, options).unwrap().ends_with("none that all the options choose"), "{options}");
        }
    }

    #[test]
    fn an_event_about_no_resource_and_no_document_has_signs_for_nothing() {
        let event = Event { resource: None, generation: None, ..event() };
        assert_eq!(cells(&event, Timestamp::UNIX_EPOCH, false)[3..5], row(["-", "-"]));
    }
}
