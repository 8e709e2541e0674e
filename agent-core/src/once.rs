//! Reconciling one document without a server: `harmony-agent once`.

mod progress;

use agent_model::{
    Claim, Generation,
    status::{AgentStatus, ConditionStatus, ConditionType, Phase},
};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

use self::progress::Progress;
use crate::{
    authoring::{AuthoredDocument, Completion, intent_digest},
    device::{DesiredValue, Device},
    envelope::Received,
    signing::Sealed,
};

/// What one run came to.
#[derive(Debug)]
pub struct OnceOutcome {
    /// How the device stands.
    pub status: AgentStatus,
    /// Whether everything is as declared, for the very document that was given.
    pub converged: bool,
    /// Why the document was refused, if it was.
    pub refused: Option<String>,
}

/// Puts `document` in force and makes passes until nothing progresses. Without a generation of
/// its own the document gets the one in force when it says the same, and the next one otherwise.
/// `wakes` tells what happens meanwhile to what runs.
pub async fn reconcile(
    mut device: Device,
    document: &AuthoredDocument,
    schema_version: &str,
    mut wakes: impl Stream<Item = Claim> + Unpin,
) -> OnceOutcome {
    // There is no platform to ask: what this folder knows is all there is.
    device.go_without_floor();
    let raw = match repeated(&device, document, schema_version) {
        Some(raw) => raw,
        None => document.complete(&Completion {
            schema_version: schema_version.to_owned(),
            generation: next_generation(&device),
            issued_at: device.now(),
        }),
    };
    let digest = Received::read(&raw).digest;
    device.take_entry(DesiredValue::Some { revision: 0, raw });
    let mut progress = Progress::new(Instant::now());
    let status = loop {
        device.pass(|| false, |_| ()).await;
        let status = device.report();
        let Some(look_again) = progress.look_again(&status, device.due(), Instant::now()) else {
            break status;
        };
        // Both keep what they have when they are dropped.
        tokio::select! {
            Some(_) = wakes.next() => {}
            () = sleep_until(look_again) => {}
        }
    };
    let refused = status
        .condition(ConditionType::Accepted)
        .filter(|condition| condition.status == ConditionStatus::False)
        .map(|condition| format!("{}: {}", condition.reason, condition.message));
    let in_force = status.accepted.as_ref().is_some_and(|accepted| accepted.digest == digest);
    OnceOutcome { converged: in_force && status.phase == Phase::Converged, refused, status }
}

/// The document in force, as it was received, when `document` is well-formed and says the same. One that names no
/// versions needs a reader of `schema_version`, the newest here: with another one it says something else.
fn repeated(device: &Device, document: &AuthoredDocument, schema_version: &str) -> Option<Vec<u8>> {
    let accepted = device.ledger().accepted.as_ref()?;
    let completion = Completion {
        schema_version: schema_version.to_owned(),
        generation: accepted.generation,
        issued_at: device.now(),
    };
    let envelope = document.open(&completion).ok()?;
    let sealed = Sealed::in_entry(&accepted.raw);
    let said = sealed.as_ref().map_or(&*accepted.raw, Sealed::payload);
    let same = envelope.metadata.generation == accepted.generation
        && intent_digest(said) == Some(document.intent_digest(schema_version));
    same.then(|| accepted.raw.to_vec())
}

fn next_generation(device: &Device) -> Generation {
    let highest = device.ledger().highest.map(|highest| highest.generation);
    // At the very end of the numbers the document is refused as a conflict, which says it all.
    highest.map_or(Generation::FIRST, |highest| highest.next().unwrap_or(highest))
}

#[cfg(test)]
mod tests;
