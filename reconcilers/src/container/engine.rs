//! The container runtime behind its socket: every question to it has a time in which it must be answered, and every
//! answer a size that it must not exceed.

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_model::{Failure, with_causes};
use bollard::{ClientVersion, Docker, errors::Error};
use tokio::time::timeout;

use super::{connection, failures};

/// How long the runtime may take for a look at something.
pub(super) const LOOK: Duration = Duration::from_secs(20);
/// How long it may take to create, start or remove something: it sets up storage and network.
pub(super) const WORK: Duration = Duration::from_secs(120);
/// What podman 4 speaks, and what is asked for here is older than that.
const VERSION: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// The way to the runtime.
#[derive(Debug)]
pub(super) struct Engine {
    sockets: Vec<PathBuf>,
    client: Mutex<Option<(PathBuf, Docker)>>,
    abilities: Mutex<Option<Arc<Abilities>>>,
}

/// What there is to know of a runtime, once for each connection to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Whether it is podman, and not docker.
    pub is_podman: bool,
    /// Its name and version for people.
    pub version: String,
    /// Where it keeps images.
    pub storage: Option<PathBuf>,
    /// Whether it can limit memory.
    pub memory: bool,
    /// Whether it can limit processor time.
    pub cpu: bool,
    /// Whether it can limit processes.
    pub pids: bool,
}

/// Why a question was not answered with yes.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The runtime is not there, or does not answer.
    Unavailable(Failure),
    /// It says no.
    Answer {
        /// HTTP's code.
        status: u16,
        /// In its words.
        message: String,
    },
}

impl Refusal {
    /// Whether there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer { status: 404, .. })
    }

    /// As a failure to do `what`.
    pub(super) fn into_failure(self, what: &str) -> Failure {
        match self {
            Self::Unavailable(failure) => failure,
            Self::Answer { message, .. } => failures::refused_by_runtime(what, &message),
        }
    }
}

impl Engine {
    pub(super) fn new(sockets: Vec<PathBuf>) -> Self {
        Self { sockets, client: Mutex::default(), abilities: Mutex::default() }
    }

    /// Where a runtime is looked for.
    pub(super) fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// A client of the first socket that is there. It connects when something is asked.
    pub(super) fn client(&self) -> Result<(PathBuf, Docker), Failure> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = self.sockets.iter().find(|socket| socket.exists());
        let Some(socket) = socket else {
            *client = None;
            let tried: Vec<String> = self.sockets.iter().map(|path| path.display().to_string()).collect();
            return Err(failures::no_runtime(&tried));
        };
        if let Some((path, client)) = client.as_ref().filter(|(path, _)| path == socket) {
            return Ok((path.clone(), client.clone()));
        }
        let way = socket.clone();
        let transport = move |request| connection::ask(way.clone(), request);
        let made = Docker::connect_with_custom_transport(
            transport,
            Some(connection::ADDRESS),
            LOOK.as_secs(),
            &VERSION,
        );
        let made = made.map_err(|error| failures::unavailable(&socket.display(), &error))?;
        Ok(client.insert((socket.clone(), made)).clone())
    }

    /// Asks the runtime, and waits for its answer for so long.
    pub(super) async fn ask<T, F>(
        &self,
        within: Duration,
        question: impl FnOnce(Docker) -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (socket, client) = self.client().map_err(Refusal::Unavailable)?;
        // Its own bound counts to the head of an answer only.
        let answer = timeout(within, question(client.with_timeout(within))).await;
        let unavailable = |error: &dyn std::fmt::Display| {
            Refusal::Unavailable(failures::unavailable(&socket.display(), &error))
        };
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Error::DockerResponseServerError { status_code, message })) => {
                Err(Refusal::Answer { status: status_code, message })
            }
            Ok(Err(Error::DockerStreamError { error })) => {
                Err(Refusal::Answer { status: 500, message: error })
            }
            Ok(Err(error)) => Err(unavailable(&with_causes(&error))),
            Err(_) => Err(unavailable(&format!("nothing within {}", humantime::format_duration(within)))),
        }
    }

    /// What the runtime is and can do.
    pub(super) async fn abilities(&self) -> Result<Arc<Abilities>, Refusal> {
        if let Some(known) = self.lock_abilities().clone() {
            return Ok(known);
        }
        // At the same time: podman asks the package manager for each of its helpers, which takes a while.
        let (version, info) = tokio::try_join!(
            self.ask(LOOK, |client| async move { client.version().await }),
            self.ask(LOOK, |client| async move { client.info().await }),
        )?;
        let named = |component: &bollard::models::SystemVersionComponents| component.name.contains("Podman");
        let is_podman = version.components.as_deref().unwrap_or_default().iter().any(named);
        let name = if is_podman { "podman" } else { "docker" };
        let abilities = Arc::new(Abilities {
            is_podman,
            version: failures::quoted(&format!("{name} {}", version.version.unwrap_or_default())),
            storage: info.docker_root_dir.filter(|path| path.starts_with('/')).map(PathBuf::from),
            memory: info.memory_limit.unwrap_or(true),
            cpu: info.cpu_cfs_quota.unwrap_or(true),
            pids: info.pids_limit.unwrap_or(true),
        });
        *self.lock_abilities() = Some(Arc::clone(&abilities));
        Ok(abilities)
    }

    /// Another runtime may answer from now on.
    pub(super) fn forget(&self) {
        *self.lock_abilities() = None;
    }

    fn lock_abilities(&self) -> std::sync::MutexGuard<'_, Option<Arc<Abilities>>> {
        self.abilities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What answers at the first of these sockets that is there, for `harmony-agent check`.
///
/// # Errors
/// Why nothing does, in words for people.
pub async fn probe_container_runtime(sockets: Vec<PathBuf>) -> Result<(PathBuf, Abilities), String> {
    let engine = Engine::new(sockets);
    let (socket, _) = engine.client().map_err(|failure| failure.message)?;
    let abilities =
        engine.abilities().await.map_err(|refusal| refusal.into_failure("say what it is").message)?;
    Ok((socket, Abilities::clone(&abilities)))
}
