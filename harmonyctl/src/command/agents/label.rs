//! `agents label`: sets and removes labels, as kubectl does.

use std::collections::BTreeMap;

use agent_model::AgentId;
use fleet::{
    Fleet,
    enrollment::Requests,
    registry::{self, Registration},
    roster,
};

use super::{connect, for_each, ids};
use crate::{
    cli::{Connection, agents::Label},
    command::{nearest_known, read_or_not},
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(super) async fn run(
    connection: &Connection,
    arguments: &Label,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let (changes, agents): (Vec<String>, Vec<String>) =
        arguments.words.iter().cloned().partition(|word| is_change(word));
    if let (Some(first), true) = (arguments.words.first(), agents.is_empty()) {
        return Err(Failure::Usage(format!(
            "say which devices first: {first:?} is what to set (KEY=VALUE) or remove (KEY-); a device whose id ends with \
             - is named as agent/ID"
        )));
    }
    if changes.is_empty() {
        return Err(Failure::Usage("say what to set (KEY=VALUE) or remove (KEY-)".to_owned()));
    }
    let agents = ids(&agents)?;
    let changes = Changes::parse(&changes).map_err(Failure::Usage)?;
    let fleet = connect(connection, None).await?;
    for_each(&agents, output, async |agent, output| label(&fleet, agent, &changes, arguments, output).await)
        .await
}

/// Whether a word says what to do, and not to which device.
fn is_change(word: &str) -> bool {
    word.contains('=') || word.ends_with('-') && !word.starts_with("agent/")
}

async fn label(
    fleet: &Fleet,
    agent: &AgentId,
    changes: &Changes,
    arguments: &Label,
    output: &mut Output,
) -> Result<(), Failure> {
    let (read, exists) = registry::read(fleet, agent).await?;
    // An entry never goes away by itself, and would keep a misspelt id among the devices.
    if !exists && !arguments.in_advance && !is_known(fleet, agent).await? {
        return Err(Failure::Refused(format!(
            "agent/{agent} is not known here (`harmonyctl agents list` and `harmonyctl get agents` list those that are); \
             --in-advance labels one that is still to come{}",
            nearest_known(fleet, agent).await
        )));
    }
    let labels = changes
        .apply(&read.registration.labels, arguments.overwrite)
        .map_err(|why| Failure::Refused(format!("agent/{agent}: {why}")))?;
    if labels == read.registration.labels {
        return read_or_not(output.line(format_args!("agent/{agent} not labeled")));
    }
    let registration = Registration { labels, ..read.registration.clone() };
    registry::write(fleet, agent, &read, &registration).await?;
    read_or_not(output.line(format_args!("agent/{agent} labeled")))
}

/// Whether there is anything about it but an entry of the registry.
async fn is_known(fleet: &Fleet, agent: &AgentId) -> Result<bool, Failure> {
    if roster::read_one(fleet, agent).await?.is_some() {
        return Ok(true);
    }
    Ok(Requests::read_of(fleet, agent).await?.iter().next().is_some())
}

/// What to set, and what to remove (`None`).
#[derive(Debug, PartialEq, Eq)]
struct Changes(BTreeMap<String, Option<String>>);

impl Changes {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut changes = BTreeMap::new();
        for word in words {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (word.strip_suffix('-').unwrap_or(word), None),
            };
            if !is_key(key) {
                return Err(format!(
                    "{key:?} is no key of a label: use letters, digits, -, _ and . (and one / behind a prefix), at most 63 \
                     of them, beginning and ending with a letter or digit"
                ));
            }
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty() && !is_name(value)) {
                return Err(format!(
                    "{value:?} is no value of a label: use at most 63 letters, digits, -, _ and ., beginning and ending \
                     with a letter or digit"
                ));
            }
            if changes.insert(key.to_owned(), value).is_some() {
                return Err(format!("{key} is there twice"));
            }
        }
        Ok(Self(changes))
    }

    fn apply(
        &self,
        before: &BTreeMap<String, String>,
        overwrites: bool,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut labels = before.clone();
        for (key, value) in &self.0 {
            match (value, before.get(key)) {
                (Some(value), Some(other)) if value != other && !overwrites => {
                    return Err(format!("{key} is {other:?} already; --overwrite changes it"));
                }
                (Some(value), _) => {
                    labels.insert(key.clone(), value.clone());
                }
                (None, _) => {
                    labels.remove(key);
                }
            }
        }
        Ok(labels)
    }
}

/// Longest key or value, as Kubernetes has it.
const LONGEST: usize = 63;

fn is_key(text: &str) -> bool {
    text.split_once('/').map_or_else(|| is_name(text), |(prefix, name)| is_name(prefix) && is_name(name))
}

fn is_name(text: &str) -> bool {
    let ends_well = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && ends_well(text.bytes().next())
        && ends_well(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Changes, String> {
        Changes::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn labels_are_set_and_removed_and_changed_only_where_that_is_meant() {
        let before: BTreeMap<String, String> =
            [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let applied = |words: &[&str], overwrites| parsed(words).unwrap().apply(&before, overwrites);
        let after = applied(&["c=3", "b-", "a=1"], false).unwrap();
        assert_eq!(
            after.into_iter().collect::<Vec<_>>(),
            [("a".into(), "1".into()), ("c".into(), "3".into())]
        );
        assert!(applied(&["a=2"], false).unwrap_err().contains("--overwrite"));
        assert_eq!(applied(&["a=2"], true).unwrap()["a"], "2");
        assert_eq!(applied(&["missing-"], false).unwrap(), before);
    }

    #[test]
    fn what_no_selector_could_name_is_refused() {
        for words in
            [&["=x"][..], &["a b=c"], &["-"], &["a=b c"], &["a=1", "a-"], &["a/b/c=d"], &["a=-"], &["a--"]]
        {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        for words in [&["site=bern"][..], &["example.org/ring=1"], &["empty="], &["a-b.c_d-"]] {
            assert!(parsed(words).is_ok(), "{words:?}");
        }
    }
}
