//! Whether an opened envelope is for this device, new, and still valid.

use agent_model::{AgentId, Digest, Generation, RefusalReason};
use serde::{Deserialize, Serialize};

use super::{Envelope, Refusal};
use crate::expiry::Present;

/// The highest generation that a device has accepted, and which content it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWaterMark {
    /// Nothing lower is accepted.
    pub generation: Generation,
    /// The content accepted under it; `None` when only the number is known any more, and then
    /// nothing equal is accepted either.
    pub digest: Option<Digest>,
}

/// What the judgement depends on besides the document.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The device's name.
    pub agent: &'a AgentId,
    /// What it accepted before; `None` for nothing.
    pub highest: Option<HighWaterMark>,
    /// What its clock says.
    pub present: Present,
}

/// What an acceptable document is to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newness {
    /// A later generation than any accepted before.
    New,
    /// The very document that was accepted last.
    Same,
}

/// Judges name, generation and expiry, in this order.
///
/// # Errors
/// `WrongAgent`, `StaleGeneration`, `GenerationConflict` or `Expired`.
pub fn judge(envelope: &Envelope, reader: Reader<'_>) -> Result<Newness, Refusal> {
    let metadata = &envelope.metadata;
    if metadata.name != reader.agent.as_str() {
        let name: String = metadata.name.chars().take(80).collect();
        return Err(Refusal::new(
            RefusalReason::WrongAgent,
            format!("the document is for {name:?}; this is {}", reader.agent),
        ));
    }
    if let Some(highest) = reader.highest {
        if metadata.generation < highest.generation {
            return Err(Refusal::new(
                RefusalReason::StaleGeneration,
                format!(
                    "generation {} is older than {}, which was accepted already; write the document again with a higher one",
                    metadata.generation, highest.generation
                ),
            ));
        }
        if metadata.generation == highest.generation {
            return if highest.digest == Some(envelope.digest) {
                // Accepted once, and what is accepted does not expire.
                Ok(Newness::Same)
            } else {
                Err(Refusal::new(
                    RefusalReason::GenerationConflict,
                    format!(
                        "generation {} was accepted already with other content; write the document again with a higher one",
                        metadata.generation
                    ),
                ))
            };
        }
    }
    let Some(expiry) = metadata.expires_at else { return Ok(Newness::New) };
    match reader.present.refuses(expiry) {
        None => Ok(Newness::New),
        Some(why) => Err(Refusal::by_the_clock(
            RefusalReason::Expired,
            format!("the document expires at {expiry}; {why}"),
        )),
    }
}
