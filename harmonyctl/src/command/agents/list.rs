//! `agents list`: who is let in, and who asks to be.
//!
//! What somebody claims who is not let in stands behind all that is known, and is cut: it can push nothing off the
//! screen.

use agent_model::Timestamp;
use fleet::{enrollment::Asking, registry::State};

use super::{connect, known::Known};
use crate::{
    cli::{Connection, Format, agents::List},
    failure::Failure,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    table::{Table, row},
    visible,
    words::{self, NOTHING},
};

/// Longest claim in a table, in characters as they are shown; a machine id has 32. `describe` shows all of it.
const LONGEST_CLAIM: usize = 40;

pub(super) async fn run(
    connection: &Connection,
    arguments: &List,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let fleet = connect(connection, None).await?;
    let known = Known::read_all(&fleet, output).await?;
    match arguments.output {
        Format::Table | Format::Wide if known.is_empty() => output.message("No agents found."),
        Format::Table | Format::Wide => {
            let is_wide = arguments.output == Format::Wide;
            let now = Timestamp::now();
            let mut rows = vec![header(is_wide)];
            rows.extend(known.iter().flat_map(|known| rows_of(known, now, is_wide)));
            output.line(Table::new().lines(&rows).join("\n"))?;
        }
        Format::Name => print_names(&known, output)?,
        Format::Json => print_documents(Notation::Json, &known, false, output)?,
        Format::Yaml => print_documents(Notation::Yaml, &known, false, output)?,
    }
    Ok(Outcome::Done)
}

/// One name a line, as other commands take them.
pub(super) fn print_names<'a>(
    known: impl IntoIterator<Item = &'a Known>,
    output: &mut Output,
) -> Result<(), Failure> {
    known.into_iter().try_for_each(|known| output.line(format_args!("agent/{}", known.id)))
}

/// One as a document by itself where one was asked for, else all as a list.
pub(super) fn print_documents<'a>(
    notation: Notation,
    known: impl IntoIterator<Item = &'a Known, IntoIter: ExactSizeIterator>,
    is_single: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    notation.print("the registry's entry", known.into_iter().map(Known::document), is_single, output)
}

fn header(is_wide: bool) -> Vec<String> {
    let mut cells = row(["NAME", "STATE", "KEY", "ASKED", "CAUTION", "LABELS"]);
    if is_wide {
        cells.extend(row(["APPROVED", "FIRST-ASKED"]));
    }
    cells.extend(row(["SERIAL", "ADDRESS"]));
    if is_wide {
        cells.extend(row(["HOSTNAME", "MACHINE-ID", "VERSION"]));
    }
    cells
}

/// A row for its entry, unless there is nothing to say but that it asks; and one for each key that asks.
fn rows_of(known: &Known, now: Timestamp, is_wide: bool) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if known.registration.is_some() && (known.state() != State::Pending || known.asking.is_empty()) {
        rows.push(cells(known, None, now, is_wide));
    }
    rows.extend(known.asking.iter().map(|asking| cells(known, Some(asking), now, is_wide)));
    rows
}

fn cells(known: &Known, asking: Option<&Asking>, now: Timestamp, is_wide: bool) -> Vec<String> {
    let registration = known.registration.as_ref();
    let key = asking.map(|it| &it.key).or_else(|| registration?.public_key.as_ref());
    let state = if asking.is_some() { State::Pending } else { known.state() };
    let claim = |name: &str| {
        asking
            .and_then(|it| it.facts.get(name))
            .map_or(NOTHING.into(), |it| visible::clipped(it, LONGEST_CLAIM))
    };
    let ago = |time: Option<Timestamp>| {
        time.map_or_else(|| NOTHING.to_owned(), |time| format!("{} ago", words::age(now.since(time))))
    };
    let key = key.map_or(NOTHING, |key| if is_wide { key.as_str() } else { key.fingerprint() });
    let mut cells = vec![
        known.id.to_string(),
        format!("{state:?}"),
        key.to_owned(),
        ago(asking.map(|it| it.last)),
        asking.map_or("", |asking| known.caution(asking)).to_owned(),
        labels(known),
    ];
    if is_wide {
        let approved = registration.and_then(|it| it.approved_at).filter(|_| asking.is_none());
        cells.extend([ago(approved), ago(asking.map(|it| it.since))]);
    }
    cells.extend([claim("serial"), claim("address")]);
    if is_wide {
        cells.extend([claim("hostname"), claim("machineId"), claim("agentVersion")]);
    }
    cells
}

/// `a=b,c=d`.
pub(super) fn labels(known: &Known) -> String {
    let labels = known.registration.iter().flat_map(|it| &it.labels);
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    if labels.is_empty() { NOTHING.to_owned() } else { labels.join(",") }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::asking, *};

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        let known = Known { id: "a".parse().unwrap(), registration: None, asking: Vec::new() };
        for is_wide in [false, true] {
            assert_eq!(header(is_wide).len(), cells(&known, None, Timestamp::UNIX_EPOCH, is_wide).len());
        }
    }
    #[test]
    fn no_claim_pushes_a_caution_away_or_hides_what_it_is_made_of() {
        let mut hostile = asking("edge-1", Some(&"\u{202e}SN-1\u{200b} ".repeat(300)));
        hostile.facts.insert("address".to_owned(), "\u{200b}".to_owned());
        let known = Known {
            id: "edge-1".parse().unwrap(),
            registration: None,
            asking: vec![hostile, asking("edge-1", None)],
        };
        for is_wide in [false, true] {
            let mut rows = vec![header(is_wide)];
            rows.extend(rows_of(&known, Timestamp::UNIX_EPOCH, is_wide));
            let lines = Table::new().lines(&rows);
            let claims = lines[0].find("SERIAL").unwrap();
            for line in &lines[1..] {
                assert!(line.find("SEVERAL KEYS ASK").unwrap() < claims, "{line}");
            }
            assert!(lines[1].contains(r"\u{202e}SN-1\u{200b} "), "{}", lines[1]);
            assert!(lines[1].contains(r"   \u{200b}"), "{}", lines[1]);
            let serial: String = lines[1].chars().skip(claims).take_while(|c| *c != '…').collect();
            assert_eq!(serial.chars().count(), LONGEST_CLAIM - 1, "{serial}");
        }
    }
}
