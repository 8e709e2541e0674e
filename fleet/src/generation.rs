//! Which generation a document gets, and whether it has to be written at all.
//!
//! Pure: decides from the entry in the bucket and from what the device says. A device accepts no
//! generation that is lower than its highest, and that may be higher than the bucket's: the bucket
//! may have been rebuilt, or may have lost its last writes in a power cut.

use agent_core::signing::PublicKey;
use agent_model::{Digest, Generation, status::AgentStatus};

use crate::DesiredEntry;

/// What applying a document comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// There is no document for this device yet.
    Create(Generation),
    /// It replaces another one, or the same one under a generation that the device can accept.
    Configure(Generation),
    /// The entry says the same already, and only the signature is missing.
    Sign(Generation),
    /// The entry says the same already.
    Unchanged(Generation),
}

/// There is no generation left for the device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "generation {} is in use, and there is no higher one: run `harmony-agent reset-generation` on the device and delete the entry",
    Generation::MAX
)]
pub struct Exhausted;

/// Decides about a document of that intent (see `agent_core::authoring::intent_digest`), which will be signed with
/// `key`, if with any.
///
/// # Errors
/// [`Exhausted`].
pub fn decide(
    intent: Digest,
    key: Option<&PublicKey>,
    entry: Option<&DesiredEntry>,
    status: Option<&AgentStatus>,
) -> Result<Writing, Exhausted> {
    let document = entry.and_then(|entry| entry.document.as_ref());
    let written = document.and_then(|document| document.glance.generation);
    if let (Some(document), Some(generation)) = (document, written)
        && document.intent == Some(intent)
        && can_be_accepted(generation, document.digest, status)
    {
        let is_signed = key.is_none_or(|key| document.is_signed_by(key));
        return Ok(if is_signed { Writing::Unchanged(generation) } else { Writing::Sign(generation) });
    }
    let next = written.max(highest_on_device(status)).map_or(Some(Generation::FIRST), Generation::next);
    let next = next.ok_or(Exhausted)?;
    Ok(if document.is_some() { Writing::Configure(next) } else { Writing::Create(next) })
}

/// Whether the device accepts, or has accepted, that very document. That it went back from it is an answer too: whoever
/// applies the same again and again must not have it tried again and again.
fn can_be_accepted(generation: Generation, digest: Digest, status: Option<&AgentStatus>) -> bool {
    let Some(highest) = highest_on_device(status) else { return true };
    let accepted = status.and_then(|status| status.accepted.as_ref());
    let rolled_back = status.and_then(|status| status.rolled_back.as_ref());
    let has_this = accepted.is_some_and(|it| (it.generation, it.digest) == (generation, digest))
        || rolled_back.is_some_and(|it| (it.generation, it.digest) == (generation, digest));
    generation > highest || (generation == highest && has_this)
}

fn highest_on_device(status: Option<&AgentStatus>) -> Option<Generation> {
    let status = status?;
    status.highest_generation.max(status.accepted.as_ref().map(|accepted| accepted.generation))
}

impl Writing {
    /// The generation that the device gets to see.
    pub fn generation(self) -> Generation {
        match self {
            Self::Create(generation)
            | Self::Configure(generation)
            | Self::Sign(generation)
            | Self::Unchanged(generation) => generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_core::{
        envelope::Glance,
        signing::{Sealed, SecretKey},
    };
    use agent_model::{Timestamp, status::RolledBack};
    use bytes::Bytes;

    use super::*;
    use crate::{desired_state::StoredDocument, waiting::tests::status};

    fn intent(text: &str) -> Digest {
        Digest::of_bytes(text.as_bytes())
    }

    fn generation(number: u64) -> Generation {
        number.try_into().unwrap()
    }

    /// An entry whose document has that intent and generation; its digest is that of both.
    fn entry(meant: &str, number: u64) -> DesiredEntry {
        let mut document = StoredDocument::read(Bytes::new());
        document.digest = digest(meant, number);
        document.glance = Glance { generation: Some(generation(number)), ..Glance::default() };
        document.intent = Some(intent(meant));
        DesiredEntry { revision: 40, written_at: Timestamp::UNIX_EPOCH, document: Some(document) }
    }

    fn digest(meant: &str, number: u64) -> Digest {
        Digest::of_bytes(format!("{meant} {number}").as_bytes())
    }

    fn device(highest: u64, accepted: Option<(&str, u64)>) -> AgentStatus {
        let mut status = status();
        status.highest_generation = Some(generation(highest));
        match accepted {
            None => status.accepted = None,
            Some((meant, number)) => {
                if let Some(accepted) = &mut status.accepted {
                    accepted.generation = generation(number);
                    accepted.digest = digest(meant, number);
                }
            }
        }
        status
    }

    #[test]
    fn a_first_document_is_generation_one_and_a_changed_one_the_next() {
        assert_eq!(decide(intent("a"), None, None, None), Ok(Writing::Create(generation(1))));
        assert_eq!(
            decide(intent("b"), None, Some(&entry("a", 4)), None),
            Ok(Writing::Configure(generation(5)))
        );
    }

    #[test]
    fn the_same_document_again_is_unchanged_and_keeps_its_generation() {
        let entry = entry("a", 4);
        for status in [None, Some(device(3, Some(("z", 3)))), Some(device(4, Some(("a", 4))))] {
            assert_eq!(
                decide(intent("a"), None, Some(&entry), status.as_ref()),
                Ok(Writing::Unchanged(generation(4)))
            );
        }
    }

    #[test]
    fn the_same_document_from_which_the_device_went_back_is_not_written_once_more() {
        let mut back = device(4, Some(("z", 3)));
        back.rolled_back = Some(RolledBack {
            generation: generation(4),
            digest: digest("a", 4),
            at: Timestamp::UNIX_EPOCH,
            reason: "DeadlineExceeded".to_owned(),
            message: String::new(),
            resources: Vec::new(),
        });
        let decided = |meant: &str| decide(intent(meant), None, Some(&entry("a", 4)), Some(&back));
        assert_eq!(decided("a"), Ok(Writing::Unchanged(generation(4))));
        assert_eq!(decided("b"), Ok(Writing::Configure(generation(5))));
    }

    #[test]
    fn the_same_document_without_the_signature_is_signed_and_keeps_its_generation() {
        let [key, other] = [(); 2].map(|()| SecretKey::generate().unwrap());
        let envelope = br#"{"metadata": {"generation": 4}}"#;
        let meant = agent_core::authoring::intent_digest(envelope).unwrap();
        let plain = Bytes::from_static(envelope);
        for (stored, signed) in [
            (plain, false),
            (Sealed::seal(envelope, &other).into(), false),
            (Sealed::seal(envelope, &key).into(), true),
        ] {
            let entry = DesiredEntry { document: Some(StoredDocument::read(stored)), ..entry("a", 4) };
            let decided = decide(meant, Some(&key.public()), Some(&entry), None).unwrap();
            let wanted = if signed { Writing::Unchanged } else { Writing::Sign };
            assert_eq!(decided, wanted(generation(4)));
            assert_eq!(decide(meant, None, Some(&entry), None), Ok(Writing::Unchanged(generation(4))));
        }
    }

    #[test]
    fn a_device_ahead_of_the_bucket_gets_a_generation_that_it_can_accept() {
        let ahead = device(9, Some(("z", 9)));
        assert_eq!(decide(intent("a"), None, None, Some(&ahead)), Ok(Writing::Create(generation(10))));
        for meant in ["a", "b"] {
            let decision = decide(intent(meant), None, Some(&entry("a", 4)), Some(&ahead));
            assert_eq!(decision, Ok(Writing::Configure(generation(10))), "{meant}");
        }
        // The highest counts even where nothing of it is in force any more.
        let forgot = device(9, None);
        assert_eq!(
            decide(intent("a"), None, Some(&entry("a", 9)), Some(&forgot)),
            Ok(Writing::Configure(generation(10)))
        );
    }

    #[test]
    fn the_same_generation_with_other_content_on_the_device_is_no_match() {
        let other = device(4, Some(("z", 4)));
        assert_eq!(
            decide(intent("a"), None, Some(&entry("a", 4)), Some(&other)),
            Ok(Writing::Configure(generation(5)))
        );
    }

    #[test]
    fn a_deleted_entry_is_created_anew_above_what_the_device_has() {
        let marker = DesiredEntry { document: None, ..entry("a", 4) };
        let device = device(4, Some(("a", 4)));
        assert_eq!(
            decide(intent("a"), None, Some(&marker), Some(&device)),
            Ok(Writing::Create(generation(5)))
        );
    }

    #[test]
    fn an_entry_that_is_no_envelope_is_replaced() {
        let mut broken = entry("a", 4);
        broken.document = Some(StoredDocument::read(Bytes::from_static(b"{\"command\": \"reboot\"}")));
        assert_eq!(decide(intent("a"), None, Some(&broken), None), Ok(Writing::Configure(generation(1))));
    }

    #[test]
    fn the_last_generation_has_no_next() {
        let last = entry("a", Generation::MAX.get());
        assert_eq!(decide(intent("b"), None, Some(&last), None), Err(Exhausted));
    }
}
