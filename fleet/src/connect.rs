//! The connection to the platform's NATS server.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_core::kv::{Access, AccessError, Entrance};
use agent_model::AgentId;
use async_nats::{ConnectErrorKind, Event, ServerAddr, jetstream};
use tokio::sync::watch;

/// Where the platform's NATS server is, and how to get in there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The servers and the login.
    pub access: Access,
    /// How long connecting and each request may take.
    pub timeout: Duration,
}

/// A connection as somebody who may see and change every device.
#[derive(Clone)]
pub struct Fleet {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    server: String,
    violation: Violation,
    connections: watch::Receiver<u64>,
    timeout: Duration,
    tell: fn(&Breaking),
}

/// A message in a stream that no consumer gets to a client: whoever follows breaks on it. That costs time, and nothing
/// else, and the device, or whoever wrote it, is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaking {
    /// The bucket or stream that it lies in.
    pub bucket: &'static str,
    /// Its subject. Who may write on it did.
    pub subject: String,
}

impl Breaking {
    /// The agent whose subject it is.
    pub fn agent(&self) -> Option<AgentId> {
        self.subject.rsplit('.').next()?.parse().ok()
    }
}

/// The permission error that the server sent since the last request began. It comes by itself, not as an answer: the
/// request that caused it only times out, so whoever reports that has to look here.
type Violation = Arc<Mutex<Option<String>>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no way in.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The server is there and says no.
    #[error(
        "{server} refuses the login ({said}): give credentials that it knows and that have not expired, with --creds FILE, \
         or --context NAME if the NATS command line has a context for it"
    )]
    Refused {
        /// The server, without a password.
        server: String,
        /// What the server said.
        said: String,
    },
    /// No server there.
    #[error(
        "no NATS server answers at {server}: check the address, and that the server runs and can be reached from here"
    )]
    Unreachable {
        /// The server, without a password.
        server: String,
        /// What happened instead.
        source: async_nats::ConnectError,
    },
}

impl Fleet {
    /// Connects, or says why not within the endpoint's time-out for each address.
    ///
    /// # Errors
    /// See [`ConnectError`]. Only [`ConnectError::Unreachable`] may pass by itself.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ConnectError> {
        let Entrance { servers, options } = endpoint.access.open().await?;
        let server = servers.iter().map(in_words).collect::<Vec<_>>().join(", ");
        let violation = Violation::default();
        let (connected, connections) = watch::channel(0);
        let client = options
            .name("harmony fleet")
            .connection_timeout(endpoint.timeout)
            .request_timeout(Some(endpoint.timeout))
            .event_callback({
                let violation = Arc::clone(&violation);
                move |event| {
                    remember(&violation, &event);
                    if event == Event::Connected {
                        connected.send_modify(|connections| *connections += 1);
                    }
                    std::future::ready(())
                }
            })
            .connect(servers)
            .await
            .map_err(|source| refused_or_unreachable(server.clone(), source))?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(endpoint.timeout);
        Ok(Self {
            client,
            jetstream,
            server,
            violation,
            connections,
            timeout: endpoint.timeout,
            tell: |_| {},
        })
    }

    /// Has messages told of on which clients break, each time that one is met.
    #[must_use]
    pub fn telling(self, tell: fn(&Breaking)) -> Self {
        Self { tell, ..self }
    }

    pub(crate) fn tell(&self, breaking: &Breaking) {
        (self.tell)(breaking);
    }

    /// The address or addresses that this was connected to, without a password.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The version of the server that answered.
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Begins a request: what the server said about earlier ones is forgotten.
    pub(crate) fn client(&self) -> &async_nats::Client {
        self.forget_violation();
        &self.client
    }

    /// As [`client`](Self::client).
    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        self.forget_violation();
        &self.jetstream
    }

    fn forget_violation(&self) {
        *self.violation.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Counts how often the connection was made: after each time the server may be another one.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.clone()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn last_violation(&self) -> Option<String> {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Servers tell a missing permission from other errors in words only.
fn remember(violation: &Violation, event: &Event) {
    tracing::debug!(%event, "connection");
    if let Event::ServerError(error) = event {
        let words = error.to_string();
        if words.to_lowercase().contains("permissions violation") {
            *violation.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        }
    }
}

fn in_words(address: &ServerAddr) -> String {
    format!("{}://{}:{}", address.scheme(), address.host(), address.port())
}

fn refused_or_unreachable(server: String, source: async_nats::ConnectError) -> ConnectError {
    match source.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ConnectError::Refused { server, said: innermost(&source) }
        }
        _ => ConnectError::Unreachable { server, source },
    }
}

/// The words of the cause that has no other. The client's errors repeat those of their causes.
fn innermost(error: &dyn std::error::Error) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last();
    let words = last.unwrap_or(error).to_string();
    words.strip_prefix("nats: ").unwrap_or(&words).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        let access = Access { urls: url.split(',').map(str::to_owned).collect(), ..Access::default() };
        Endpoint { access, timeout: Duration::from_secs(2) }
    }

    #[tokio::test]
    async fn an_error_names_the_server_and_never_the_password() {
        // Port 9 (discard) of the loopback: nobody listens there.
        let error = Fleet::connect(&endpoint("nats://me:secret@127.0.0.1:9")).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("nats://127.0.0.1:9"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        for url in ["", "ws://me:secret@host", "nats://me:1,secret@host"] {
            let error = Fleet::connect(&endpoint(url)).await.unwrap_err();
            assert!(matches!(error, ConnectError::Access(_)), "{error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
