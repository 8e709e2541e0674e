//! The devices that a decision names, each by its id and by the key that somebody has compared.

use agent_model::{AgentId, Timestamp};
use fleet::{Fleet, enrollment::Requests};

use super::{Office, ids};
use crate::{cli::agents::key_prefix, failure::Failure, words};

/// A device that is meant: its id, and how its key begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) agent: AgentId,
    pub(super) key: Option<String>,
}

impl Named {
    /// Reads `ID…` and `ID=KEY…`; `key` is that of `--key`, which is of one only.
    ///
    /// # Errors
    /// What would be right.
    pub(super) fn read(words: &[String], key: Option<&str>) -> Result<Vec<Self>, Failure> {
        if words.len() > 1 && key.is_some() {
            return Err(Failure::Usage("--key is that of one device; name several as ID=KEY".to_owned()));
        }
        let mut all: Vec<Self> = Vec::with_capacity(words.len());
        for word in words {
            let (id, own) = match word.split_once('=') {
                Some((id, own)) => (id, Some(key_prefix(own).map_err(Failure::Usage)?)),
                None => (word.as_str(), None),
            };
            if own.is_some() && key.is_some() {
                return Err(Failure::Usage(format!("{word} has a key; leave out --key")));
            }
            for agent in ids(&[id.to_owned()])? {
                if all.iter().any(|named| named.agent == agent) {
                    return Err(Failure::Usage(format!("agent/{agent} is there twice")));
                }
                all.push(Self { agent, key: own.clone().or_else(|| key.map(str::to_owned)) });
            }
        }
        Ok(all)
    }
}

/// The same, if each has a key. An id alone would mean whoever asks for it at that moment, and not whoever was shown.
///
/// # Errors
/// What to type for each key that asks.
pub(super) async fn with_keys(
    fleet: &Fleet,
    office: Option<&Office>,
    verb: &str,
    named: Vec<Named>,
) -> Result<Vec<(AgentId, String)>, Failure> {
    let mut keyed = Vec::with_capacity(named.len());
    let mut choices = Vec::new();
    for Named { agent, key } in named {
        match key {
            Some(key) => keyed.push((agent, key)),
            None => choices.extend(choices_of(fleet, office, verb, &agent).await?),
        }
    }
    if choices.is_empty() {
        return Ok(keyed);
    }
    Err(Failure::Usage(format!(
        "nothing was done: compare the key with the one that the device prints, and say which you mean\n{}",
        choices.join("\n")
    )))
}

async fn choices_of(
    fleet: &Fleet,
    office: Option<&Office>,
    verb: &str,
    agent: &AgentId,
) -> Result<Vec<String>, Failure> {
    let requests = Requests::read_of(fleet, agent).await?;
    let operator =
        office.map_or_else(String::new, |it| format!(" --operator {}", it.folder.path().display()));
    let now = Timestamp::now();
    let choices: Vec<String> = requests
        .iter()
        .map(|asking| {
            format!(
                "asked {} ago: harmonyctl agents {verb} {agent} --key {}{operator}",
                words::age(now.since(asking.last)),
                asking.key,
            )
        })
        .collect();
    Ok(if choices.is_empty() { vec![format!("nobody asks for agent/{agent}")] } else { choices })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str], key: Option<&str>) -> Result<Vec<(String, Option<String>)>, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let named = Named::read(&words, key)?;
        Ok(named.into_iter().map(|named| (named.agent.to_string(), named.key)).collect())
    }

    #[test]
    fn a_key_is_named_for_one_by_a_flag_and_for_several_behind_each_id() {
        const ONE: &str = "UDXU4RCSJNZOIQHZ";
        const TWO: &str = "UAAAAAAAAAAAAAAA";
        let with = |id: &str, key: Option<&str>| (id.to_owned(), key.map(str::to_owned));
        assert_eq!(read(&["a"], Some(ONE)).unwrap(), [with("a", Some(ONE))]);
        let several = read(&[&format!("a={ONE}"), &format!("agent/b={TWO}"), "c"], None).unwrap();
        assert_eq!(several, [with("a", Some(ONE)), with("b", Some(TWO)), with("c", None)]);
        for (words, key) in [
            (&["a", "b"][..], Some(ONE)),
            (&["a=UDXU4RCSJNZOIQHZ"], Some(ONE)),
            (&["a", "a=UDXU4RCSJNZOIQHZ"], None),
            (&["a=UDXU4RCSJNZOIQH"], None),
            (&["a="], None),
            (&["*"], None),
        ] {
            assert!(matches!(read(words, key), Err(Failure::Usage(_))), "{words:?}");
        }
    }
}
