//! `agents approve --all`: all that ask, but for those that a person has to look at, and only those that were shown.

use std::collections::BTreeMap;

use agent_model::{Digest, UserKey};
use fleet::{Fleet, enrollment::Asking, registry::State};

use super::{Office, approve::approve, for_each, known::Known, owners::Owners};
use crate::{failure::Failure, outcome::Outcome, output::Output};

pub(super) async fn run(
    fleet: &Fleet,
    office: &Office,
    yes: Option<&str>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let known = Known::read_all(fleet, output).await?;
    let mut owners = Owners::of(&known);
    let (plain, left) = sorted_out(&known, &owners);
    let mut outcome = Outcome::Done;
    for (asking, caution) in left {
        output.message(format_args!("agent/{} (key {}) is left to you: {caution}", asking.agent, asking.key));
        outcome = Outcome::Error;
    }
    let digest = digest(&plain);
    match yes {
        None if plain.is_empty() => Ok(outcome),
        None => {
            for asking in &plain {
                output.line(format_args!("agent/{} would be approved (key {})", asking.agent, asking.key))?;
            }
            Err(Failure::Usage(format!(
                "nothing was done; --yes {digest} approves these {}, and nothing if others ask by then",
                plain.len()
            )))
        }
        Some(yes) if yes != digest => {
            output.error(
                "nothing was done: others ask than those of this --yes; look at them again with \
                 `harmonyctl agents approve --all`",
            );
            Ok(Outcome::Conflict)
        }
        Some(_) => {
            let approved = for_each(plain, output, async |asking, output| {
                approve(fleet, office, &mut owners, asking, output).await.map(drop)
            });
            Ok(outcome.and(approved.await?))
        }
    }
}

/// Those that nothing speaks against, by id and key; and the others, with what does.
fn sorted_out<'a>(known: &'a [Known], owners: &Owners) -> (Vec<&'a Asking>, Vec<(&'a Asking, String)>) {
    let mut ids: BTreeMap<&UserKey, usize> = BTreeMap::new();
    for asking in known.iter().flat_map(|known| &known.asking) {
        *ids.entry(&asking.key).or_default() += 1;
    }
    let (mut plain, mut left) = (Vec::new(), Vec::new());
    for known in known {
        for asking in &known.asking {
            let is_settled = known.state() == State::Approved && !known.has_another_owner(asking);
            let caution = if is_settled { "" } else { known.caution(asking) };
            let several = ids.get(&asking.key).is_some_and(|ids| *ids > 1);
            match owners.other_id(asking) {
                Some(id) => left.push((asking, format!("the key is that of agent/{id}"))),
                None if !caution.is_empty() => left.push((asking, caution.to_owned())),
                None if several => left.push((asking, "the key asks for several ids".to_owned())),
                None => plain.push(asking),
            }
        }
    }
    (plain, left)
}

/// Stands for a set of ids with their keys. 96 bits: whoever asks chooses keys, and has a few hours to look for another
/// set of this digest.
fn digest(asking: &[&Asking]) -> String {
    const HEX_DIGITS: usize = 24;
    let mut lines: Vec<String> = asking.iter().map(|it| format!("{} {}\n", it.agent, it.key)).collect();
    lines.sort();
    let mut hex = Digest::of_bytes(lines.concat().as_bytes()).hex();
    hex.truncate(HEX_DIGITS);
    hex
}

#[cfg(test)]
mod tests {
    use super::{super::testing::asking, *};

    fn known(id: &str, asking: Vec<Asking>) -> Known {
        Known { id: id.parse().unwrap(), registration: None, asking }
    }

    #[test]
    fn a_key_that_asks_for_several_ids_or_has_another_is_left_to_a_person() {
        let (one, two) = (asking("edge-1", None), asking("edge-2", None));
        let same = Asking { agent: "edge-2".parse().unwrap(), ..one.clone() };
        let all = [known("edge-1", vec![one.clone()]), known("edge-2", vec![same.clone()])];
        let (plain, left) = sorted_out(&all, &Owners::default());
        assert_eq!((plain.len(), left.len()), (0, 2), "{left:?}");
        let mut owners = Owners::default();
        owners.note(&one);
        let all = [known("edge-2", vec![same])];
        assert!(sorted_out(&all, &owners).0.is_empty());
        let all = [known("edge-1", vec![one.clone()]), known("edge-2", vec![two.clone()])];
        assert_eq!(sorted_out(&all, &owners).0, [&one, &two]);
    }

    #[test]
    fn the_digest_is_of_ids_with_their_keys() {
        let (one, two) = (asking("edge-1", None), asking("edge-2", None));
        let other = Asking { key: two.key.clone(), ..one.clone() };
        assert_eq!(digest(&[&one, &two]), digest(&[&two, &one]));
        let all = [digest(&[&one]), digest(&[&other]), digest(&[&one, &two]), digest(&[&other, &two])];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(one));
        }
    }
}
