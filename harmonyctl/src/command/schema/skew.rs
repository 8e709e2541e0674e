//! `schema skew`: what the devices read, and who would refuse a document.

use std::collections::BTreeSet;

use agent_model::{AgentId, Timestamp, status::API_VERSION};
use fleet::Roster;
use serde_json::{Value, json};

use crate::{
    agent_words::{self, Wanted},
    cli::{Connection, EventFormat, schema::Skew},
    command::{all_valid, connect, found, read_or_not, selection},
    failure::Failure,
    formats,
    manifest::Manifest,
    notation::Notation,
    outcome::Outcome,
    output::Output,
    reading,
    skew::{Device, Judge, Judgement, Word, groups, refusals},
    table::{Table, row},
    visible,
    words::{self, NOTHING},
};

/// Most rows of a table that sums up: what devices say is theirs to choose.
const MAX_ROWS: usize = 50;
/// Most kinds that get a column, beside those that this program knows.
const MAX_OTHER_KINDS: usize = 6;
/// Longest cell of a table, in characters.
const MAX_CELL_CHARS: usize = 400;

/// What there is to tell.
struct Findings<'a> {
    devices: Vec<Device<'a>>,
    /// Whether each device is told of, and not only how many say the same.
    is_each: bool,
    /// Whether there is a document to judge.
    is_judged: bool,
    /// Devices that have a document among several and are not among those that are shown, so that nobody judged it.
    absent: Vec<&'a AgentId>,
}

pub(super) async fn run(
    connection: &Connection,
    arguments: &Skew,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let wanted = match arguments.words.as_slice() {
        [] => Wanted::All,
        words => agent_words::parse(words).map_err(Failure::Usage)?,
    };
    let manifests = match arguments.file.as_slice() {
        [] => Vec::new(),
        files => all_valid(reading::read(files)?, output)?,
    };
    let roster = Roster::read(&connect(connection).await?, selection(&wanted)).await?;
    let (agents, mut outcome) = found(&roster, &wanted, output);
    let mut judge = Judge::new(&manifests, Timestamp::now());
    let devices: Vec<Device<'_>> = agents.into_iter().map(|agent| judge.device(agent)).collect();
    let findings = Findings {
        absent: absent(&devices, &manifests),
        devices,
        is_each: arguments.all || wanted != Wanted::All,
        is_judged: !manifests.is_empty(),
    };
    let printed = match arguments.output {
        EventFormat::Json => print(Notation::Json, &findings, output),
        EventFormat::Yaml => print(Notation::Yaml, &findings, output),
        EventFormat::Table | EventFormat::Wide if findings.devices.is_empty() => {
            if outcome == Outcome::Done {
                output.message("No agents found.");
            }
            Ok(())
        }
        EventFormat::Table => tables(&findings, false, output),
        EventFormat::Wide => tables(&findings, true, output),
    };
    read_or_not(printed)?;
    if !findings.absent.is_empty() {
        output.message(format_args!(
            "warning: documents for devices that are not among those shown were not judged: {}",
            words::some_of(&findings.absent)
        ));
    }
    let (silent, in_doubt): (Vec<&Device<'_>>, Vec<_>) =
        findings.undecided().partition(|device| device.word.info().is_none());
    if !silent.is_empty() {
        let silent: Vec<&AgentId> = silent.iter().map(|device| device.id).collect();
        output.message(format_args!(
            "warning: what these would do is not known, as they have said nothing that can be read here: {}",
            words::some_of(&silent)
        ));
    }
    if !in_doubt.is_empty() {
        for manifest in &manifests {
            if let Some(doubts) = manifest.doubts() {
                output.message(format_args!("warning: {}: {doubts}", manifest.place()));
            }
        }
    }
    if findings.devices.iter().any(Device::refuses) {
        outcome = outcome.and(Outcome::Rejected);
    }
    Ok(outcome)
}

/// The devices of several documents that are not among these.
fn absent<'a>(devices: &[Device<'_>], manifests: &'a [Manifest]) -> Vec<&'a AgentId> {
    let several: &[Manifest] = if manifests.len() > 1 { manifests } else { &[] };
    let shown: BTreeSet<&AgentId> = devices.iter().map(|device| device.id).collect();
    several.iter().map(|manifest| &manifest.agent).filter(|agent| !shown.contains(agent)).collect()
}

impl<'a> Findings<'a> {
    /// Those that there is a document for, and nobody knows what they make of it.
    fn undecided(&self) -> impl Iterator<Item = &Device<'a>> {
        self.devices.iter().filter(|device| device.is_unknown())
    }
}

fn tables(findings: &Findings<'_>, is_wide: bool, output: &mut Output) -> Result<(), Failure> {
    let Findings { devices, is_each, is_judged, .. } = findings;
    let (kinds, left_out) = kinds(devices);
    let mut header = row([if *is_each { "NAME" } else { "AGENTS" }, "VERSION"]);
    header.extend(kinds.iter().map(|kind| (*kind).to_owned()));
    header.extend(row(["SCORES"]));
    if is_wide {
        header.extend(row(["RECONCILERS"]));
    }
    let mut rows = vec![header];
    if *is_each {
        if *is_judged {
            rows[0].extend(row(["ACCEPTS", "PROBLEMS"]));
        }
        rows.extend(devices.iter().map(|device| {
            let mut cells = cells(device.id.to_string(), device.word, &kinds, is_wide);
            if *is_judged {
                cells.extend(judgement(device));
            }
            cells
        }));
        print_table(&rows, output)?;
    } else {
        let groups = groups(devices);
        let shown = groups.iter().take(MAX_ROWS);
        rows.extend(shown.map(|group| cells(group.agents.to_string(), group.word, &kinds, is_wide)));
        print_table(&rows, output)?;
        tell_left_out(groups.len(), output);
        if *is_judged {
            output.line("")?;
            refusal_table(findings, output)?;
        }
    }
    if left_out > 0 {
        output.message(format_args!("{left_out} more kinds are read by some; -o json has all."));
    }
    Ok(())
}

fn print_table(rows: &[Vec<String>], output: &mut Output) -> Result<(), Failure> {
    let clipped = |cell: &String| visible::clipped(cell, MAX_CELL_CHARS);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(clipped).collect()).collect();
    output.line(Table::new().lines(&rows).join("\n"))
}

fn tell_left_out(rows: usize, output: &mut Output) {
    if let Some(more @ 1..) = rows.checked_sub(MAX_ROWS) {
        output.message(format_args!("{more} more rows are left out; --all or -o json has all."));
    }
}

fn refusal_table(findings: &Findings<'_>, output: &mut Output) -> Result<(), Failure> {
    let refusals = refusals(&findings.devices);
    if refusals.is_empty() {
        let are_all_judged = findings.absent.is_empty() && findings.undecided().next().is_none();
        return output.line(match are_all_judged {
            true => "Nobody would refuse it.",
            false => "Nobody is known to refuse it.",
        });
    }
    let mut rows = vec![row(["REFUSED-BY", "VERSION", "AGENTS", "PROBLEMS"])];
    rows.extend(refusals.iter().take(MAX_ROWS).map(|refusal| {
        vec![
            refusal.agents.len().to_string(),
            refusal.version.to_owned(),
            words::some_of(&refusal.agents),
            words::some_of(refusal.problems),
        ]
    }));
    print_table(&rows, output)?;
    tell_left_out(refusals.len(), output);
    Ok(())
}

/// The kinds that get a column, and how many do not.
fn kinds<'a>(devices: &[Device<'a>]) -> (Vec<&'a str>, usize) {
    let known = formats::SCHEMAS.map(|(kind, _)| kind);
    let said = devices.iter().filter_map(|device| device.word.info());
    let others: BTreeSet<&str> = said
        .flat_map(|info| info.formats.keys().map(String::as_str))
        .filter(|kind| !known.contains(kind))
        .collect();
    let left_out = others.len().saturating_sub(MAX_OTHER_KINDS);
    (known.into_iter().chain(others.into_iter().take(MAX_OTHER_KINDS)).collect(), left_out)
}

fn cells(first: String, word: Word<'_>, kinds: &[&str], is_wide: bool) -> Vec<String> {
    let listed = |words: &[String]| if words.is_empty() { NOTHING.to_owned() } else { words.join(",") };
    let info = word.info();
    let mut cells = vec![first, word.version().to_owned()];
    cells.extend(kinds.iter().map(|kind| {
        listed(info.and_then(|info| info.formats.get(*kind)).map(Vec::as_slice).unwrap_or_default())
    }));
    cells.push(match info {
        None => NOTHING.to_owned(),
        Some(info) if is_wide => listed(&info.scores),
        Some(info) => info.scores.len().to_string(),
    });
    if is_wide {
        cells.push(info.map_or_else(|| NOTHING.to_owned(), |info| listed(&info.reconcilers)));
    }
    cells
}

fn judgement(device: &Device<'_>) -> [String; 2] {
    let word = match device.judgement {
        None => NOTHING,
        Some(Judgement::Unknown) => "Unknown",
        Some(Judgement::Accepts) => "yes",
        Some(Judgement::Refuses(_)) => "no",
    };
    [word.to_owned(), words::some_of(device.problems())]
}

fn print(notation: Notation, findings: &Findings<'_>, output: &mut Output) -> Result<(), Failure> {
    let Findings { devices, is_each, is_judged, absent } = findings;
    let said = |word: Word<'_>| {
        let info = word.info();
        json!({"version": info.map(|it| &it.version), "formats": info.map(|it| &it.formats),
               "scores": info.map(|it| &it.scores), "reconcilers": info.map(|it| &it.reconcilers)})
    };
    let groups: Vec<Value> = groups(devices)
        .iter()
        .map(|group| {
            let mut document = said(group.word);
            document["agents"] = json!(group.agents);
            document
        })
        .collect();
    let mut document =
        json!({"apiVersion": API_VERSION, "kind": "SchemaSkew", "agents": devices.len(), "groups": groups});
    if *is_each {
        let each = devices.iter().map(|device| {
            let mut document = said(device.word);
            document["name"] = json!(device.id);
            document["accepts"] = match device.judgement {
                None | Some(Judgement::Unknown) => Value::Null,
                Some(Judgement::Accepts) => true.into(),
                Some(Judgement::Refuses(_)) => false.into(),
            };
            document
        });
        document["devices"] = each.collect();
    }
    if *is_judged {
        let refused = refusals(devices);
        let refused = refused.iter().map(|refusal| {
            json!({"agents": refusal.agents, "version": refusal.version, "problems": refusal.problems})
        });
        document["refusals"] = refused.collect();
        let undecided = findings.undecided().map(|device| device.id);
        document["unknown"] = undecided.chain(absent.iter().copied()).map(|agent| json!(agent)).collect();
    }
    output.line(notation.written("the fleet", &document)?)
}
