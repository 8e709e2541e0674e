//! Asking all servers of a cluster the same.

use std::time::Duration;

use async_nats::{RequestError, RequestErrorKind, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::Fleet;

/// How long no further server has to answer until all have. They answer at once, and nobody knows how many they are: one
/// that has just come back knows of no others.
const QUIET_AFTER: Duration = Duration::from_millis(500);

/// More servers than are asked.
const SERVERS_AT_MOST: usize = 256;

/// What the servers answer that look after this subject, each for itself.
///
/// # Errors
/// None answers.
pub(crate) async fn ask_every_server(system: &Fleet, subject: String) -> Result<Vec<Bytes>, RequestError> {
    let client = system.client();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?.take(SERVERS_AT_MOST);
    client.publish_with_reply(subject, inbox, Bytes::new()).await?;
    let mut all = Vec::new();
    let mut patience = system.timeout();
    while let Ok(Some(answer)) = timeout(patience, answers.next()).await {
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(RequestErrorKind::NoResponders.into());
        }
        all.push(answer.payload);
        patience = QUIET_AFTER;
    }
    if all.is_empty() {
        return Err(RequestErrorKind::TimedOut.into());
    }
    Ok(all)
}
