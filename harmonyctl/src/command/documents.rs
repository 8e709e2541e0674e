//! `get document`: what the server keeps of a device's document, and each as it is.

use agent_core::{envelope::strict_json, kv::names::DESIRED_STATE_BUCKET};
use agent_model::{AgentId, Timestamp};
use fleet::{
    Fleet,
    desired_state::StoredDocument,
    roster,
    store::{self, Entry},
};
use serde_json::Value;

use super::{connect, not_found};
use crate::{
    cli::{Connection, Format, Get},
    document_text,
    failure::Failure,
    outcome::Outcome,
    output::Output,
    sealing,
    table::{Table, row},
    words::{self, NOTHING},
};

pub(super) async fn run(
    connection: &Connection,
    agent: &AgentId,
    arguments: &Get,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if arguments.watch {
        let message =
            "a document is not watched; `harmonyctl get agent ID --watch` shows when there is another";
        return Err(Failure::Usage(message.to_owned()));
    }
    let print = match arguments.output {
        _ if arguments.raw => Print::Raw,
        Format::Table => Print::Table { is_wide: false },
        Format::Wide => Print::Table { is_wide: true },
        Format::Json => Print::Text(document_text::json),
        Format::Yaml => Print::Text(document_text::yaml),
        Format::Name => {
            let message = "-o name is for agents; a document is printed as table, wide, json or yaml";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    let fleet = connect(connection).await?;
    let entries = match (arguments.revision, &print) {
        (Some(revision), _) => {
            Vec::from_iter(store::read_revision(&fleet, DESIRED_STATE_BUCKET, agent, revision).await?)
        }
        (None, Print::Table { .. }) => store::history(&fleet, DESIRED_STATE_BUCKET, agent).await?,
        (None, _) => Vec::from_iter(store::read(&fleet, DESIRED_STATE_BUCKET, agent).await?),
    };
    let Some(newest) = entries.last() else {
        return nothing_there(&fleet, agent, arguments.revision, output).await;
    };
    if let Print::Table { is_wide } = print {
        output.line(table(&entries, Timestamp::now(), is_wide).join("\n"))?;
        return Ok(Outcome::Done);
    }
    let place = format!("revision {} of agent/{agent}", newest.revision);
    let Some(value) = &newest.value else {
        return Err(Failure::Refused(format!(
            "{place} says that the document was deleted; `harmonyctl get document {agent}` lists those before it, and \
             --revision N prints one"
        )));
    };
    let Print::Text(write) = print else {
        output.bytes(value)?;
        return Ok(Outcome::Done);
    };
    let document = match strict_json::parse(&StoredDocument::read(value.clone()).envelope) {
        Ok(document) => document,
        Err(problem) => {
            output.error(format_args!("{place} is no document: {problem}; --raw prints it as it is"));
            return Ok(Outcome::Usage);
        }
    };
    let text = write(&document)?;
    document_text::check_reading(&text, &[document]).inspect_err(|_| {
        output.message(format_args!(
            "{place} could not be applied as it would be printed; --raw prints it as it is."
        ));
    })?;
    output.line(text)?;
    Ok(Outcome::Done)
}

/// What is printed.
enum Print {
    /// What there is, a line for each.
    Table { is_wide: bool },
    /// One document, written so that it can be applied.
    Text(fn(&Value) -> Result<String, Failure>),
    /// The value of one entry.
    Raw,
}

/// Says why there is no entry to show.
async fn nothing_there(
    fleet: &Fleet,
    agent: &AgentId,
    revision: Option<u64>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if roster::read_one(fleet, agent).await?.is_none()
        && store::read(fleet, DESIRED_STATE_BUCKET, agent).await?.is_none()
    {
        return Ok(not_found(output, agent));
    }
    Err(Failure::Refused(match revision {
        None => format!("agent/{agent} never had a document; `harmonyctl apply` writes one"),
        Some(revision) => format!(
            "agent/{agent} has no revision {revision}, or it is kept no longer; `harmonyctl get document {agent}` \
             lists those that are"
        ),
    }))
}

fn table(entries: &[Entry], now: Timestamp, is_wide: bool) -> Vec<String> {
    let mut header = row(["REVISION", "GENERATION", "KIND", "SIGNER", "AGE"]);
    if is_wide {
        header.extend(row(["WRITTEN", "DIGEST"]));
    }
    let rows = entries.iter().map(|entry| cells(entry, now, is_wide));
    Table::new().lines(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

fn cells(entry: &Entry, now: Timestamp, is_wide: bool) -> Vec<String> {
    let document = entry.value.clone().map(StoredDocument::read);
    let document = document.as_ref();
    let kind = match document {
        None => DELETED,
        Some(document) => document.glance.kind.as_deref().unwrap_or(NOTHING),
    };
    let signed = document.filter(|document| document.is_sealed());
    let mut cells = vec![
        entry.revision.to_string(),
        words::generation(document.and_then(|document| document.glance.generation)),
        kind.to_owned(),
        signed.map_or_else(|| NOTHING.to_owned(), sealing::signers),
        words::age(now.since(entry.stored_at)),
    ];
    if is_wide {
        let digest = document.map_or_else(|| NOTHING.to_owned(), |document| document.digest.to_string());
        cells.extend([entry.stored_at.to_string(), digest]);
    }
    cells
}

/// What stands in the place of the kind where the document was deleted.
const DELETED: &str = "<deleted>";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent_core::signing::{Sealed, SecretKey};

    use super::*;

    const DOCUMENT: &[u8] = br#"{"kind": "AgentManifest", "metadata": {"generation": 7}}"#;

    fn entry(revision: u64, value: Option<&[u8]>) -> Entry {
        Entry {
            bucket: DESIRED_STATE_BUCKET,
            agent: "a".parse().unwrap(),
            revision,
            stored_at: Timestamp::UNIX_EPOCH,
            value: value.map(|value| value.to_vec().into()),
        }
    }

    #[test]
    fn each_revision_is_told_by_what_can_be_read_of_it() {
        let key = SecretKey::generate().unwrap();
        let signed = Sealed::seal(DOCUMENT, &key);
        let now = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(300));
        let cells = |entry| cells(&entry, now, false);
        assert_eq!(cells(entry(3, Some(DOCUMENT))), row(["3", "7", "AgentManifest", "-", "5m"]));
        let signer = key.public().id().to_string();
        assert_eq!(cells(entry(4, Some(&signed))), row(["4", "7", "AgentManifest", &signer, "5m"]));
        assert_eq!(cells(entry(5, Some(b"reboot now"))), row(["5", "-", "-", "-", "5m"]));
        assert_eq!(cells(entry(6, None)), row(["6", "-", "<deleted>", "-", "5m"]));
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for value in [None, Some(DOCUMENT)] {
            let lines = table(&[entry(1, value)], Timestamp::UNIX_EPOCH, true);
            let columns = |line: &str| line.split_whitespace().count();
            assert_eq!(columns(&lines[0]), columns(&lines[1]), "{lines:#?}");
        }
    }
}
