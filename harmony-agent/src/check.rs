//! `harmony-agent check`: whether this device has what the agent needs, a line for each thing.

use std::{fmt, fs, io::Write, path::Path, time::Duration};

use agent_core::{
    envelope::Received,
    kv::{Connection, Entry, ReadEntry},
    pause::Pause,
    safe_mode::SafeMode,
    state_dir::StateLayout,
};
use agent_model::{AgentId, Timestamp};
use reconcilers::probe_container_runtime;

use crate::{
    CommandError, Exit,
    cli::{LogLevel, RunArgs},
    configuration::{Configuration, Ground},
    logging, say, wiring, with_causes,
};

/// How long a server may take to answer at all.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// Less free space than this leaves no room for the larger originals of files.
const LITTLE_SPACE: u64 = 128 << 20;
/// No device's clock shows an earlier time truthfully: this is when checking began to exist.
const TOO_EARLY: &str = "2026-01-01T00:00:00Z";

/// How one thing came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Ok,
    /// The agent works, but somebody should look at it.
    Warning,
    /// The agent cannot do its work.
    Failed,
}

/// One line.
struct Line {
    verdict: Verdict,
    what: &'static str,
    detail: String,
}

impl Line {
    fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what, detail: detail.into() }
    }

    fn warning(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, what, detail: detail.into() }
    }

    fn failed(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, what, detail: detail.into() }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        write!(f, "{verdict:<8} {:<14} {}", self.what, self.detail)
    }
}

pub(crate) async fn check(args: RunArgs) -> Result<Exit, CommandError> {
    let configuration = Configuration::load(args)?;
    // Why a server cannot be reached, or refuses something, shows in the log only.
    logging::start(configuration.log_format, LogLevel::Warn);
    let mut exit = Exit::Done;
    let mut tell = |line: Line| {
        if line.verdict == Verdict::Failed {
            exit = Exit::Error;
        }
        say(&format!("{line}\n"));
    };
    tell(configured(&configuration));
    tell(clock(Timestamp::now()));
    tell(policy(&configuration.ground));
    for line in disk(&configuration.ground) {
        tell(line);
    }
    tell(processes(&wiring::shim()));
    tell(containers(&configuration.ground).await);
    tell(units().await);
    tell(jobs().await);
    for line in server(&configuration).await {
        tell(line);
    }
    Ok(exit)
}

fn configured(configuration: &Configuration) -> Line {
    let source =
        configuration.file.as_deref().map_or_else(|| "flags and environment".into(), Path::to_string_lossy);
    Line::ok("configuration", format!("{}, from {source}", configuration.agent))
}

/// One that cannot be used ends the command before this.
fn policy(ground: &Ground) -> Line {
    let source = ground
        .policy_file
        .as_deref()
        .map_or_else(|| "the one that is built in".into(), Path::to_string_lossy);
    let root = if ground.policy.root_equivalent { "allows" } else { "denies" };
    Line::ok("policy", format!("{source}, which {root} what is as good as root"))
}

fn clock(now: Timestamp) -> Line {
    match TOO_EARLY.parse::<Timestamp>() {
        Ok(too_early) if now < too_early => Line::failed(
            "clock",
            format!("{now} cannot be right; set the clock, or documents with an expiry are judged wrongly"),
        ),
        _ => Line::ok("clock", now.to_string()),
    }
}

fn disk(ground: &Ground) -> Vec<Line> {
    let Ground { state_dir, root, .. } = ground;
    let layout = StateLayout::of(state_dir);
    let mut lines = vec![writable("state folder", state_dir), root_line(root)];
    if let Ok(true) = layout.is_locked() {
        lines.push(Line::ok("agent", "runs on this state folder"));
    }
    if let Some(pause) = Pause::read(&layout).filter(|pause| pause.lasts(Timestamp::now())) {
        lines.push(Line::warning("pause", format!("changes are held back {}", pause.end_in_words())));
    }
    if let Some(safe_mode) = SafeMode::read(&layout) {
        lines.push(Line::warning("safe mode", safe_mode.to_string()));
    }
    lines
}

/// The root need not be writable itself, as long as the folders are that documents name.
fn root_line(root: &Path) -> Line {
    let shown = root.display();
    match root.try_exists() {
        Ok(false) => missing("root", root),
        Err(error) => Line::failed("root", format!("{shown} cannot be looked at: {error}")),
        Ok(true) if !root.is_dir() => Line::failed("root", format!("{shown} is no folder")),
        Ok(true) => match may_write(root) {
            Ok(()) => Line::ok("root", format!("{shown} can be written")),
            Err(errno) => Line::warning("root", format!("{shown} cannot be written itself: {errno}")),
        },
    }
}

fn may_write(folder: &Path) -> rustix::io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::accessat(rustix::fs::CWD, folder, access, rustix::fs::AtFlags::EACCESS)
}

/// Whether a file can be written there, and how much space is left.
fn writable(what: &'static str, folder: &Path) -> Line {
    let shown = folder.display();
    match folder.try_exists() {
        Ok(true) => {}
        Ok(false) => return missing(what, folder),
        Err(error) => return Line::failed(what, format!("{shown} cannot be looked at: {error}")),
    }
    let tried = folder.join(format!(".harmony-check-{}", std::process::id()));
    let written = fs::File::create_new(&tried).and_then(|mut file| {
        file.write_all(b"?")?;
        file.sync_all()
    });
    // Nothing is there where it could not even be made.
    let _ = fs::remove_file(&tried);
    if let Err(error) = written {
        return Line::failed(what, format!("{shown} cannot be written: {error}"));
    }
    match rustix::fs::statvfs(folder) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let detail = format!("{shown} can be written, {} MiB are free", free >> 20);
            if free < LITTLE_SPACE { Line::warning(what, detail) } else { Line::ok(what, detail) }
        }
        Err(error) => {
            Line::warning(what, format!("{shown} can be written, how much space is left is unknown: {error}"))
        }
    }
}

/// Whether the agent will be able to make the folder when it starts.
fn missing(what: &'static str, folder: &Path) -> Line {
    let shown = folder.display();
    // A relative path ends in an empty one, which stands for the current folder.
    let made_in = folder.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
    let made_in = made_in.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let granted = if made_in.is_dir() { may_write(made_in) } else { Err(rustix::io::Errno::NOTDIR) };
    match granted {
        Ok(()) => Line::warning(what, format!("{shown} is not there yet; the agent makes it when it starts")),
        Err(errno) => Line::failed(
            what,
            format!("{shown} is not there, and this user cannot make it in {}: {errno}", made_in.display()),
        ),
    }
}

/// Whether there is what holds processes. An agent without it makes all else.
fn processes(shim: &Path) -> Line {
    let shown = shim.display();
    match rustix::fs::access(shim, rustix::fs::Access::EXEC_OK) {
        Ok(()) => Line::ok("processes", format!("are held by {shown}")),
        Err(errno) => Line::warning(
            "processes",
            format!("cannot be run: {shown}: {errno}; install process-shim beside harmony-agent"),
        ),
    }
}

/// What runs containers. An agent without it makes all else.
async fn containers(ground: &Ground) -> Line {
    match probe_container_runtime(ground.containers.sockets.clone()).await {
        Ok((socket, runtime)) => {
            Line::ok("containers", format!("are run by {} at {}", runtime.version, socket.display()))
        }
        Err(problem) => Line::warning("containers", format!("cannot be run: {problem}")),
    }
}

/// Whether there is a systemd to manage units with. An agent without it makes all else.
async fn units() -> Line {
    match reconcilers::systemd_version().await {
        Ok(version) => Line::ok("units", format!("are managed by systemd {version}")),
        Err(failure) => Line::warning("units", format!("cannot be managed: {}", failure.message)),
    }
}

/// Whether jobs can be isolated. An agent on a device where they cannot makes all else.
async fn jobs() -> Line {
    match reconcilers::check_sandbox().await {
        Ok(bubblewrap) => Line::ok("jobs", format!("are isolated by {}", bubblewrap.display())),
        Err(failure) => Line::warning("jobs", failure.message),
    }
}

async fn server(configuration: &Configuration) -> Vec<Line> {
    let agent = &configuration.agent;
    let connection = match Connection::open(&configuration.access, agent).await {
        Ok(connection) => connection,
        Err(error) => return vec![Line::failed("server", with_causes(&error))],
    };
    let Some(server) = connection.reached(REACHED_WITHIN).await else {
        let servers =
            configuration.access.urls.iter().map(|url| without_login(url)).collect::<Vec<_>>().join(", ");
        let patience = humantime::format_duration(REACHED_WITHIN);
        let detail = format!(
            "no connection to {servers} within {patience}; is it reachable from here, and is the login right?"
        );
        return vec![Line::failed("server", detail)];
    };
    let reached = Line::ok("server", format!("{}, nats-server {}", server.name, server.version));
    let entries = connection.read_own_entries(agent).await;
    [reached].into_iter().chain(entries.into_iter().map(|entry| read(agent, entry))).collect()
}

fn read(agent: &AgentId, entry: ReadEntry) -> Line {
    let ReadEntry { bucket, outcome, took } = entry;
    let what = format!("{bucket} of {agent}");
    match outcome {
        Ok(entry) => Line::ok("entry", format!("{what}: {}, in {} ms", found(&entry), took.as_millis())),
        Err(problem) => Line::failed(
            "entry",
            format!(
                "{what}: {problem}; was `harmonyctl init` run, and may this device read its own entries?"
            ),
        ),
    }
}

fn found(entry: &Entry) -> String {
    match entry {
        Entry::Absent => "none yet".to_owned(),
        Entry::Deleted { revision } => format!("deleted, revision {revision}"),
        Entry::Present { revision, value } => {
            let generation = Received::read(value).glance.generation;
            let generation =
                generation.map(|generation| format!("generation {generation}, ")).unwrap_or_default();
            format!("{generation}revision {revision}, {} bytes", value.len())
        }
    }
}

/// The URL without user and password.
fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_a_url_is_not_shown() {
        for (url, shown) in [
            ("nats://user:p@ss@host:4222", "nats://host:4222"),
            ("user:secret@host", "host"),
            ("tls://host:4222", "tls://host:4222"),
        ] {
            assert_eq!(without_login(url), shown);
        }
    }

    #[test]
    fn a_root_that_the_agent_could_not_make_or_use_fails_the_check_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (root, verdict) in [
            (folder.path(), Verdict::Ok),
            (&folder.path().join("new"), Verdict::Warning),
            (&file, Verdict::Failed),
            (&file.join("new"), Verdict::Failed),
        ] {
            assert_eq!(root_line(root).verdict, verdict, "{}", root.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left");
    }

    #[test]
    fn a_missing_shim_is_told_and_fails_nothing() {
        let missing = processes(Path::new("/nonexistent/process-shim"));
        assert_eq!(missing.verdict, Verdict::Warning);
        assert!(missing.detail.contains("install process-shim beside"), "{}", missing.detail);
        assert_eq!(processes(Path::new("/bin/sh")).verdict, Verdict::Ok);
    }

    #[test]
    fn a_clock_that_was_never_set_is_told() {
        assert_eq!(clock(Timestamp::UNIX_EPOCH).verdict, Verdict::Failed);
        assert_eq!(clock(Timestamp::now()).verdict, Verdict::Ok);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_and_nothing_is_left_in_one_that_can() {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(writable("root", folder.path()).verdict, Verdict::Failed);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(writable("root", &folder.path().join("missing")).verdict, Verdict::Warning);
        for missing in ["/dev/null/missing", "/dev/null/missing/deeper"] {
            assert_eq!(writable("state folder", Path::new(missing)).verdict, Verdict::Failed);
        }
        let unwritable = writable("root", Path::new("/proc"));
        assert_eq!(unwritable.verdict, Verdict::Failed);
        assert!(unwritable.detail.contains("/proc cannot be written"), "{}", unwritable.detail);
    }
}
