//! What a service manager that started the agent is told: that it is up, how the device stands,
//! that its loop goes round, and that it stops.
//!
//! The protocol is sd_notify(3): datagrams with a line for each variable, to the socket that the
//! environment names. It is spoken here and not by a crate, as those that there are block while
//! nobody reads at the other end, and an agent has to outlive a process 1 that has crashed.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram as Unbound},
        },
    },
    time::Duration,
};

use agent_model::status::Phase;
use tokio::{
    net::UnixDatagram,
    sync::watch,
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval, timeout},
};

/// Where the manager listens.
const SOCKET: &str = "NOTIFY_SOCKET";
/// Microseconds within which it wants to hear from the process of [`WATCHED`].
const WATCHDOG: &str = "WATCHDOG_USEC";
/// The process that this is asked of; without it, whoever reads it.
const WATCHED: &str = "WATCHDOG_PID";

/// A service manager.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    socket: SocketAddr,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that started this process and wants to be told, if there is one.
    pub(crate) fn from_environment() -> Option<Self> {
        let name = std::env::var_os(SOCKET).filter(|name| !name.is_empty())?;
        let variable = |name| std::env::var(name).ok();
        let watchdog =
            watchdog(variable(WATCHDOG).as_deref(), variable(WATCHED).as_deref(), std::process::id());
        match address(&name) {
            Ok(socket) => Some(Self { socket, watchdog }),
            Err(error) => {
                tracing::warn!(%error, "{SOCKET} names no socket, so the service manager is told nothing");
                None
            }
        }
    }

    /// Tells it that the agent is up, and whatever comes after that until the agent is to `stop`.
    ///
    /// This shares its thread with the agent's loop: when that does not go round, the manager is not
    /// told that it does.
    pub(crate) fn keep_informed(
        self,
        phase: watch::Receiver<Option<Phase>>,
        stop: watch::Receiver<bool>,
    ) -> Informing {
        Informing(tokio::spawn(self.inform(phase, stop)))
    }

    async fn inform(self, mut phase: watch::Receiver<Option<Phase>>, mut stop: watch::Receiver<bool>) {
        // Twice as often as asked for, as sd_watchdog_enabled(3) advises.
        let mut ticks = self.watchdog.map(|watchdog| interval(watchdog / 2));
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        self.tell("READY=1").await;
        loop {
            // Each arm waits on a channel or a timer that keeps what it has until it is taken. An
            // arm whose channel is closed is out.
            let message = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Ok(()) = phase.changed() => in_words(*phase.borrow_and_update()),
                () = next(&mut ticks) => "WATCHDOG=1",
            };
            self.tell(message).await;
        }
        self.tell("STOPPING=1\nSTATUS=Stopping").await;
    }

    /// Waits for as long as the manager has no room for the message, and no thread with it.
    async fn tell(&self, message: &str) {
        if let Err(error) = self.send(message).await {
            tracing::warn!(%error, message, "the service manager could not be told");
        }
    }

    /// Through a socket of its own for each message: the one at the other end may be another by then.
    async fn send(&self, message: &str) -> io::Result<()> {
        let socket = Unbound::unbound()?;
        socket.connect_addr(&self.socket)?;
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket)?.send(message.as_bytes()).await?;
        Ok(())
    }
}

/// A service manager that is being told.
#[derive(Debug)]
pub(crate) struct Informing(JoinHandle<()>);

impl Informing {
    /// Waits until it was told that the agent stops, but no longer than this.
    pub(crate) async fn end(self, patience: Duration) {
        // It is told for its own good: that it was not keeps nobody from stopping.
        let _ = timeout(patience, self.0).await;
    }
}

fn in_words(phase: Option<Phase>) -> &'static str {
    match phase {
        None => "STATUS=Starting",
        Some(Phase::Unassigned) => "STATUS=Unassigned",
        Some(Phase::Converging) => "STATUS=Converging",
        Some(Phase::Converged) => "STATUS=Converged",
        Some(Phase::Degraded) => "STATUS=Degraded",
        Some(Phase::RolledBack) => "STATUS=RolledBack",
        Some(Phase::Unknown) => "STATUS=Unknown",
    }
}

/// The next tick, which never comes where there are none. Cancel-safe, as ticks are.
async fn next(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

/// How often the manager wants to hear from this process, if it does.
fn watchdog(microseconds: Option<&str>, watched: Option<&str>, this_process: u32) -> Option<Duration> {
    let microseconds: u64 = microseconds?.parse().ok()?;
    let is_this = watched.is_none_or(|watched| watched.parse() == Ok(this_process));
    (microseconds > 0 && is_this).then(|| Duration::from_micros(microseconds))
}

/// Names of sockets that are no files begin with an @.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::{task::yield_now, time::Instant};

    use super::*;

    const WATCHDOG: Duration = Duration::from_secs(90);

    /// Stands in for the manager, and for the agent's loop.
    struct Bench {
        manager: UnixDatagram,
        phase: watch::Sender<Option<Phase>>,
        stop: watch::Sender<bool>,
        informing: Informing,
        _folder: TempDir,
    }

    impl Bench {
        fn start(watchdog: Option<Duration>) -> Self {
            Self::start_with(watchdog, |_| {})
        }

        fn start_with(watchdog: Option<Duration>, prepare: impl FnOnce(&SocketAddr)) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let manager = UnixDatagram::bind(&path).unwrap();
            let socket = address(path.as_os_str()).unwrap();
            prepare(&socket);
            let (phase, phase_end) = watch::channel(None);
            let (stop, stop_end) = watch::channel(false);
            let informing = ServiceManager { socket, watchdog }.keep_informed(phase_end, stop_end);
            Self { manager, phase, stop, informing, _folder: folder }
        }

        async fn heard(&self) -> String {
            let mut buffer = [0; 256];
            let length = self.manager.recv(&mut buffer).await.unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        }
    }

    #[tokio::test]
    async fn the_manager_is_told_that_the_agent_is_up_how_the_device_stands_and_that_it_stops() {
        let bench = Bench::start(None);
        assert_eq!(bench.heard().await, "READY=1");
        for phase in
            [Phase::Unassigned, Phase::Converging, Phase::Degraded, Phase::RolledBack, Phase::Converged]
        {
            bench.phase.send_replace(Some(phase));
            assert_eq!(bench.heard().await, format!("STATUS={phase:?}"));
        }
        bench.stop.send_replace(true);
        assert_eq!(bench.heard().await, "STOPPING=1\nSTATUS=Stopping");
        bench.informing.0.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_watchdog_hears_from_the_agent_twice_as_often_as_it_wants_to() {
        let bench = Bench::start(Some(WATCHDOG));
        assert_eq!(bench.heard().await, "READY=1");
        let start = Instant::now();
        for round in 0..10 {
            assert_eq!(bench.heard().await, "WATCHDOG=1");
            assert_eq!(start.elapsed().as_secs(), round * 45);
        }
    }

    #[tokio::test]
    async fn a_manager_that_does_not_read_holds_nothing_up_and_loses_nothing() {
        let mut stuffed = 0;
        let bench = Bench::start_with(None, |socket| {
            let stuffing = Unbound::unbound().unwrap();
            stuffing.connect_addr(socket).unwrap();
            stuffing.set_nonblocking(true).unwrap();
            while stuffing.send(b"stuffing").is_ok() {
                stuffed += 1;
            }
        });
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(!bench.informing.0.is_finished());
        bench.stop.send_replace(true);
        for _ in 0..stuffed {
            assert_eq!(bench.heard().await, "stuffing");
        }
        assert_eq!(bench.heard().await, "READY=1");
        assert_eq!(bench.heard().await, "STOPPING=1\nSTATUS=Stopping");
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_is_gone_keeps_nobody_from_stopping() {
        let bench = Bench::start(Some(WATCHDOG));
        assert_eq!(bench.heard().await, "READY=1");
        drop(bench.manager);
        bench.phase.send_replace(Some(Phase::Converged));
        tokio::time::sleep(10 * WATCHDOG).await;
        assert!(!bench.informing.0.is_finished(), "it gave up");
        bench.stop.send_replace(true);
        bench.informing.0.await.unwrap();
    }

    #[test]
    fn only_the_process_that_is_watched_has_a_watchdog() {
        for (microseconds, watched, expected) in [
            (Some("90000000"), Some("7"), Some(WATCHDOG)),
            (Some("90000000"), None, Some(WATCHDOG)),
            (Some("90000000"), Some("8"), None),
            (Some("90000000"), Some("seven"), None),
            (Some("0"), Some("7"), None),
            (Some("soon"), Some("7"), None),
            (None, Some("7"), None),
        ] {
            assert_eq!(watchdog(microseconds, watched, 7), expected, "{microseconds:?} {watched:?}");
        }
    }

    #[test]
    fn a_socket_is_a_file_or_a_name_that_begins_with_an_at_sign() {
        let file = address(OsStr::new("/run/systemd/notify")).unwrap();
        assert_eq!(file.as_pathname().unwrap().to_str(), Some("/run/systemd/notify"));
        let name = address(OsStr::new("@notify")).unwrap();
        assert_eq!(name.as_abstract_name(), Some(&b"notify"[..]));
    }
}
