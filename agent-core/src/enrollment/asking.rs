//! Asks until somebody has answered.
//!
//! ```text
//! connected ──┐                      ┌─ an answer for this device ──▶ done
//! pause over ─┼──▶ read the answer ──┤
//! hint ───────┘                      └─ none ──▶ ask (but for a hint), pause
//! ```
//!
//! A no that is older than this run ends it as well, and is asked about once more, so that it can become a yes.

use std::time::Duration;

use crash_point::crash_point;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Answer, DeviceKey, Facts, KeyError, Request, UserJwt};
use crate::{backoff::Backoff, kv::EnrollmentDesk};

/// The pauses between asking. The longest bounds for how long a request stays away that others have pushed out, and
/// how often a crowd of devices asks that nobody lets in.
const ASKING: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(15 * 60) };

/// After a hint: any replica may answer, and so can lag behind it. As many reads at most, however many hints come
/// meanwhile.
const AFTER_HINT: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// The fact that tells at which address the server sees the device.
const ADDRESS: &str = "address";

/// Somebody said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What they said besides; may be empty.
    pub reason: String,
}

/// Why a device does not wait for an answer.
#[derive(Debug, thiserror::Error)]
pub enum AskingError {
    /// The request cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The client has ended.
    #[error("the NATS client has ended")]
    Ended,
}

/// Asks, and waits for the answer for as long as it takes. Dropping it leaves what was asked.
///
/// # Errors
/// See [`AskingError`]. A server that is out of reach or refuses is waited for.
pub async fn ask_until_answered(
    desk: &EnrollmentDesk,
    key: &DeviceKey,
    facts: &Facts,
) -> Result<Result<UserJwt, Refusal>, AskingError> {
    let mut link = desk.link();
    let mut hints = desk.hints().await;
    let (mut rounds, mut connects, mut has_asked) = (0, 0, false);
    loop {
        connects = match link.wait_for(|link| link.connected).await {
            Ok(link) if link.connects != connects => {
                rounds = 0;
                link.connects
            }
            Ok(link) => link.connects,
            Err(_) => return Err(AskingError::Ended),
        };
        if let Some(answer) = answer(desk).await {
            // It was denied before this began: whoever starts it again wants to be looked at once more.
            if answer.is_err() && !has_asked {
                ask(desk, key, facts).await?;
            }
            return Ok(answer);
        }
        has_asked |= ask(desk, key, facts).await?;
        rounds += 1;
        let due = Instant::now() + ASKING.delay(rounds, rand::random());
        loop {
            // Each of them only notes that something happened, so none loses anything when another comes first.
            let is_hint = tokio::select! {
                () = sleep_until(due) => false,
                lost = link.wait_for(|link| !link.connected || link.connects != connects) => {
                    if lost.is_err() { return Err(AskingError::Ended) }
                    false
                }
                () = hints.next() => true,
            };
            if !is_hint {
                break;
            }
            for pause in AFTER_HINT {
                sleep(pause).await;
                if let Some(answer) = answer(desk).await {
                    return Ok(answer);
                }
            }
        }
    }
}

/// The answer to this device, if there is one that can be believed.
async fn answer(desk: &EnrollmentDesk) -> Option<Result<UserJwt, Refusal>> {
    let bytes = match desk.answer().await {
        Ok(bytes) => bytes?,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot look for an answer; trying again"
            );
            return None;
        }
    };
    match Answer::read(desk.agent(), desk.key(), &bytes) {
        Ok(answer) => Some(answer.map_err(|reason| Refusal { reason })),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what came as an answer is none for this device and is left aside; going on to wait"
            );
            None
        }
    }
}

/// Asks once, and says whether the request is known to be stored.
async fn ask(desk: &EnrollmentDesk, key: &DeviceKey, facts: &Facts) -> Result<bool, AskingError> {
    let mut facts = facts.clone();
    let address = desk.address();
    if !address.is_empty() {
        facts.insert(ADDRESS.to_owned(), address);
    }
    let request = Request { agent: desk.agent().clone(), public_key: key.public(), facts }.sign(key)?;
    crash_point();
    let stored = desk.ask(request.into()).await;
    match &stored {
        Ok(()) => {
            tracing::info!(agent = %desk.agent(), key = %key.public(), "asked; waiting for somebody to approve it")
        }
        Err(error) => tracing::warn!(error = error as &dyn std::error::Error, "cannot ask; trying again"),
    }
    crash_point();
    Ok(stored.is_ok())
}
