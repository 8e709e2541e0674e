//! Where a device asks for credentials and is answered, with the rights of bootstrap credentials (ADR-036).

use agent_model::{AgentId, UserKey};
use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;

use super::{
    Access, ConnectError, Connection, Entry, Link, acked_publish::AckError, direct_get::ReadError, names,
};

/// A connection that can ask for one id with one key.
pub struct EnrollmentDesk {
    connection: Connection,
    agent: AgentId,
    key: UserKey,
}

/// Messages that there may be an answer. Anybody with bootstrap credentials can have made them.
pub(crate) struct AnswerHints(Option<Subscriber>);

impl EnrollmentDesk {
    /// Starts to connect and returns at once.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(access: &Access, agent: &AgentId, key: &UserKey) -> Result<Self, ConnectError> {
        let inbox = names::ENROLLMENT_INBOX_PREFIX.to_owned();
        let connection = Connection::open_with_inbox(access, agent, inbox).await?;
        Ok(Self { connection, agent: agent.clone(), key: key.clone() })
    }

    /// As whom it asks.
    pub(crate) fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// With which key.
    pub(crate) fn key(&self) -> &UserKey {
        &self.key
    }

    /// Follows whether there is a server at the other end.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.connection.link()
    }

    /// The address that the server sees this device at.
    pub(crate) fn address(&self) -> String {
        self.connection.client().server_info().client_ip
    }

    /// Listens to hints. The client asks for them again after each connect.
    pub(crate) async fn hints(&self) -> AnswerHints {
        let subject = names::enrollment_hint_subject(&self.key);
        // It fails only where the client has ended; reading now and then does without hints.
        AnswerHints(self.connection.client().subscribe(subject).await.ok())
    }

    /// Leaves a request, and returns when it is stored.
    pub(crate) async fn ask(&self, request: Bytes) -> Result<(), AckError> {
        let subject = names::enrollment_subject(&self.agent);
        self.connection.publish_acked(subject, None, request).await.map(drop)
    }

    /// The answer, if there is one.
    pub(crate) async fn answer(&self) -> Result<Option<Bytes>, ReadError> {
        let stream = names::ENROLLMENT_ANSWERS_STREAM.to_owned();
        let subject = names::enrollment_answer_subject(&self.key);
        Ok(match self.connection.read_last_of(stream, subject).await? {
            Entry::Present { value, .. } => Some(value),
            Entry::Absent | Entry::Deleted { .. } => None,
        })
    }
}

impl AnswerHints {
    /// Waits for one, and takes those that came with it; for ever where there are none to come. Cancel safe.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(hints) => {
                if hints.next().await.is_none() {
                    self.0 = None;
                    return;
                }
                while hints.next().now_or_never().flatten().is_some() {}
            }
            None => std::future::pending().await,
        }
    }
}
