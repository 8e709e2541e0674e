//! `convert`: documents as Scores, and whether that would change anything on their devices.

use std::{collections::BTreeMap, path::PathBuf};

use agent_model::{AgentId, Problem, Timestamp, status::API_VERSION};
use fleet::{Fleet, Roster};
use serde_json::{Map, Value, json};

use super::{all_valid, connect, found, read_or_not, selection};
use crate::{
    agent_words::{self, Wanted},
    cli::{Connection, Convert, ConvertFormat, ConvertFrom, ConvertTo},
    conversion::to_scores,
    document_text,
    failure::Failure,
    legacy_command::to_manifest,
    manifest::{Broken, Manifest},
    outcome::Outcome,
    output::Output,
    parity::{Verdict, judge},
    reading,
    table::{Table, row},
    visible,
    words::NOTHING,
    yaml_words::documents_of,
};

pub(crate) async fn run(
    connection: &Connection,
    arguments: &Convert,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    // One more to convert to would not compile here.
    let ConvertTo::Score = arguments.to;
    let format = arguments.output.unwrap_or(match arguments.check {
        true => ConvertFormat::Table,
        false => ConvertFormat::Yaml,
    });
    if arguments.check {
        return check(connection, arguments, format, output).await;
    }
    let write = match format {
        ConvertFormat::Yaml => yaml,
        ConvertFormat::Json => json,
        ConvertFormat::Table => {
            let message = "documents are printed as yaml or json; -o table goes with --check";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    convert(connection, arguments, write, output).await
}

/// The documents one after the other.
fn yaml(documents: &[Value]) -> Result<String, Failure> {
    let texts: Result<Vec<String>, Failure> = documents.iter().map(document_text::yaml).collect();
    Ok(texts?.join("\n---\n"))
}

/// The document, or a list of them.
fn json(documents: &[Value]) -> Result<String, Failure> {
    match documents {
        [document] => document_text::json(document),
        documents => document_text::json(&list(documents)),
    }
}

/// Prints the documents as Scores, all or none.
async fn convert(
    connection: &Connection,
    arguments: &Convert,
    write: impl Fn(&[Value]) -> Result<String, Failure>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let (converted, mut outcome) = if let Some(ConvertFrom::LegacyCommand) = arguments.from {
        legacy_commands(connection, arguments, output).await?
    } else if !arguments.filename.is_empty() {
        from_files(&arguments.filename, output)?
    } else if !arguments.words.is_empty() {
        let wanted = agent_words::parse(&arguments.words).map_err(Failure::Usage)?;
        from_entries(&connect(connection).await?, &wanted, output).await?
    } else {
        return Err(Failure::Usage("say what: -f FILE, agents, agent ID or agent/ID".to_owned()));
    };
    let mut documents = Vec::with_capacity(converted.len());
    for converted in converted {
        match converted {
            Ok(converted) => documents.push(Value::Object(converted.document.fields().clone())),
            Err(Broken { place, problems }) => {
                for problem in problems {
                    output.error(format_args!("{place}: {problem}"));
                }
                outcome = outcome.and(Outcome::Usage);
            }
        }
    }
    if outcome != Outcome::Done {
        output.error("nothing was printed");
        return Ok(outcome);
    }
    let text = write(&documents)?;
    if text.is_empty() {
        output.message("No documents found.");
        return Ok(outcome);
    }
    document_text::check_reading(&text, &documents).inspect_err(|_| {
        output.message("What would be printed could not be applied; convert fewer documents at once.");
    })?;
    output.line(text)?;
    Ok(outcome)
}

/// The legacy commands of these files or devices, each as a manifest.
async fn legacy_commands(
    connection: &Connection,
    arguments: &Convert,
    output: &mut Output,
) -> Result<(Converted, Outcome), Failure> {
    let converted = |fields: &Map<String, Value>, agent: &AgentId, place: String| {
        let broken = |problems| Broken { place: place.clone(), problems };
        Manifest::check(to_manifest(fields, agent, &place).map_err(broken)?)
    };
    if !arguments.filename.is_empty() {
        let mut all = Vec::new();
        for path in &arguments.filename {
            for file in reading::files_of(path)? {
                let place = reading::name_of(&file);
                let name = arguments.name.clone().or_else(|| file.file_stem()?.to_str()?.parse().ok());
                let agent = name.ok_or_else(|| {
                    Failure::Usage(format!("say with --name ID which device the command in {place} is for"))
                })?;
                let documents = documents_of(&reading::text_of(&file)?, &place);
                let documents = documents.map_err(|error| Failure::InvalidDocuments(error.to_string()))?;
                all.extend(
                    documents.iter().map(|document| converted(document.fields(), &agent, place.clone())),
                );
            }
        }
        return Ok((all, Outcome::Done));
    }
    if arguments.words.is_empty() {
        return Err(Failure::Usage("say what: -f FILE, agents, agent ID or agent/ID".to_owned()));
    }
    let wanted = agent_words::parse(&arguments.words).map_err(Failure::Usage)?;
    let roster = Roster::read(&connect(connection).await?, selection(&wanted)).await?;
    let (agents, outcome) = found(&roster, &wanted, output);
    let of_agents = agents.into_iter().filter_map(|agent| {
        let fields = serde_json::from_slice::<Map<String, Value>>(
            &agent.desired.as_ref()?.document.as_ref()?.envelope,
        );
        let place = format!("the entry of agent/{}", agent.id);
        Some(match fields {
            Ok(fields) => converted(&fields, &agent.id, place),
            Err(error) => {
                let problem =
                    Problem { pointer: String::new(), message: format!("it is no JSON object: {error}") };
                Err(Broken { place, problems: vec![problem] })
            }
        })
    });
    Ok((of_agents.collect(), outcome))
}

/// Documents as Scores, and those that cannot be.
type Converted = Vec<Result<Manifest, Broken>>;

/// The valid documents of these files, converted; says what is wrong with the others.
fn from_files(paths: &[PathBuf], output: &mut Output) -> Result<(Converted, Outcome), Failure> {
    let reading = reading::read(paths)?;
    for problem in reading.problems() {
        output.error(problem);
    }
    let outcome = if reading.is_valid() { Outcome::Done } else { Outcome::Usage };
    let valid = reading.documents.into_iter().filter_map(Result::ok);
    let converted = valid.map(|manifest| {
        to_scores(&manifest, &manifest.facts).map_err(|problems| Broken { place: manifest.place(), problems })
    });
    Ok((converted.collect(), outcome))
}

/// The entries of these devices, each converted with the facts that its device publishes.
async fn from_entries(
    fleet: &Fleet,
    wanted: &Wanted,
    output: &mut Output,
) -> Result<(Converted, Outcome), Failure> {
    let roster = Roster::read(fleet, selection(wanted)).await?;
    let (agents, mut outcome) = found(&roster, wanted, output);
    let mut converted = Vec::with_capacity(agents.len());
    for agent in agents {
        let Some(entry) = agent.desired.as_ref().and_then(|entry| entry.document.as_ref()) else {
            if *wanted != Wanted::All {
                output.error(format_args!("agent/{} has no document; there is nothing to convert", agent.id));
                outcome = outcome.and(Outcome::Error);
            }
            continue;
        };
        let facts = agent.status().map(|status| &status.agent_info.facts);
        converted.push(Manifest::of_entry(&agent.id, &entry.envelope, facts).and_then(|manifest| {
            let place = format!("the entry of agent/{}", agent.id);
            to_scores(&manifest, &manifest.facts).map_err(|problems| Broken { place, problems })
        }));
    }
    Ok((converted, outcome))
}

/// Says for each device what would change if its document were replaced by Scores.
async fn check(
    connection: &Connection,
    arguments: &Convert,
    format: ConvertFormat,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let given: BTreeMap<AgentId, Manifest> = if arguments.filename.is_empty() {
        BTreeMap::new()
    } else {
        let manifests = all_valid(reading::read(&arguments.filename)?, output)?;
        manifests.into_iter().map(|manifest| (manifest.agent.clone(), manifest)).collect()
    };
    let wanted = match arguments.words.as_slice() {
        [] if arguments.filename.is_empty() => Wanted::All,
        [] => Wanted::These(given.keys().cloned().collect()),
        words => agent_words::parse(words).map_err(Failure::Usage)?,
    };
    let fleet = connect(connection).await?;
    let roster = Roster::read(&fleet, selection(&wanted)).await?;
    let (agents, outcome) = found(&roster, &wanted, output);
    let now = Timestamp::now();
    let verdicts: Vec<Verdict> = agents.iter().map(|agent| judge(agent, given.get(&agent.id), now)).collect();
    let items = || list(&verdicts.iter().map(Verdict::document).collect::<Vec<_>>());
    let text = match format {
        ConvertFormat::Json => document_text::json(&items())?,
        ConvertFormat::Yaml => document_text::yaml(&items())?,
        ConvertFormat::Table if verdicts.is_empty() => {
            if outcome == Outcome::Done {
                output.message("No agents found.");
            }
            return Ok(outcome);
        }
        ConvertFormat::Table => table(&verdicts).join("\n"),
    };
    read_or_not(output.line(text))?;
    Ok(verdicts.iter().map(Verdict::outcome).fold(outcome, Outcome::and))
}

/// A line for each device, and below it one for each difference.
fn table(verdicts: &[Verdict]) -> Vec<String> {
    let mut rows = vec![row(["NAME", "PARITY", "RESOURCES", "READS-SCORES", "MESSAGE"])];
    rows.extend(verdicts.iter().map(|verdict| {
        let reads_scores = verdict.reads_scores.map(|reads| if reads { "yes" } else { "no" });
        row([
            verdict.agent.as_str(),
            verdict.word().unwrap_or(NOTHING),
            &verdict.resources.map_or_else(|| NOTHING.to_owned(), |count| count.to_string()),
            reads_scores.unwrap_or(NOTHING),
            &verdict.remarks.join("; "),
        ])
    }));
    let mut lines = Table::new().lines(&rows).into_iter();
    let mut all: Vec<String> = lines.next().into_iter().collect();
    for (verdict, line) in verdicts.iter().zip(lines) {
        all.push(line);
        all.extend(verdict.differences().iter().map(|difference| format!("  {}", visible::cell(difference))));
    }
    all
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "List", "items": items})
}
