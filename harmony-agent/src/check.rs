//! `harmony-agent check`: whether this device has what the agent needs, a line for each thing.

use std::{fs, io::Write, path::Path, time::Duration};

use agent_core::{
    envelope::Received,
    expiry::Present,
    kv::{Connection, Entry, ReadEntry},
    pause::Pause,
    policy::Tolerance,
    safe_mode::SafeMode,
    secrets::{DeviceSecrets, FoundKey},
    signing::Trust,
    state_dir::StateLayout,
    status::snapshot::Snapshot,
};
use agent_model::{AgentId, Finding, Timestamp, Verdict, with_causes};
use reconcilers::probe_container_runtime;

use crate::{
    CommandError, Exit,
    cli::{LogLevel, RunArgs},
    configuration::{Configuration, Ground},
    logging, say, wiring,
};

/// How long a server may take to answer at all.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// Less free space than this leaves no room for the larger originals of files.
const LITTLE_SPACE: u64 = 128 << 20;

pub(crate) async fn check(args: RunArgs) -> Result<Exit, CommandError> {
    let configuration = Configuration::load(args)?;
    // Why a server cannot be reached, or refuses something, shows in the log only.
    logging::start(configuration.log_format, LogLevel::Warn);
    let mut exit = Exit::Done;
    let mut tell = |line: Finding| {
        if line.verdict == Verdict::Failed {
            exit = Exit::Error;
        }
        say(&format!("{line}\n"));
    };
    tell(configured(&configuration));
    tell(clock(Timestamp::now()));
    tell(trust(&configuration.trust, Timestamp::now()));
    tell(policy(&configuration.ground));
    for line in disk(&configuration.ground) {
        tell(line);
    }
    tell(sealing_key(&StateLayout::of(&configuration.ground.state_dir)));
    tell(processes(&wiring::shim()));
    tell(containers(&configuration.ground).await);
    tell(units().await);
    tell(jobs().await);
    for line in server(&configuration).await {
        tell(line);
    }
    Ok(exit)
}

fn configured(configuration: &Configuration) -> Finding {
    let source =
        configuration.file.as_deref().map_or_else(|| "flags and environment".into(), Path::to_string_lossy);
    Finding::ok("configuration", format!("{}, from {source}", configuration.agent))
}

/// Keys that cannot be read end the command before this.
fn trust(trust: &Trust, now: Timestamp) -> Finding {
    let (over, current): (Vec<_>, Vec<_>) =
        trust.keys().partition(|(_, key)| key.not_after.is_some_and(|end| end < now));
    let keys: Vec<String> = current
        .iter()
        .map(|(id, key)| match key.not_after {
            Some(end) => format!("{id} until {end}"),
            None => id.to_string(),
        })
        .collect();
    let over = over.iter().map(|(id, _)| format!("; no longer {id}")).collect::<String>();
    let detail = format!("in the keys {}{over}", keys.join(", "));
    match (trust.allows_unsigned(), current.is_empty()) {
        (true, _) => {
            Finding::warning("trust", "in whoever can write the bucket: unsigned documents are accepted")
        }
        (false, true) => {
            Finding::failed("trust", format!("in no key any more{over}: no new document is accepted"))
        }
        (false, false) => Finding::ok("trust", detail),
    }
}

/// One that cannot be used ends the command before this.
fn policy(ground: &Ground) -> Finding {
    let source = ground
        .policy_file
        .as_deref()
        .map_or_else(|| "the one that is built in".into(), Path::to_string_lossy);
    let root = if ground.policy.root_equivalent { "allows" } else { "denies" };
    Finding::ok("policy", format!("{source}, which {root} what is as good as root"))
}

fn clock(now: Timestamp) -> Finding {
    if Present::new(now, None, Tolerance::Tolerated).is_set() {
        return Finding::ok("clock", now.to_string());
    }
    Finding::failed(
        "clock",
        format!("{now} cannot be right; set the clock, or documents with an expiry are judged wrongly"),
    )
}

fn disk(ground: &Ground) -> Vec<Finding> {
    let Ground { state_dir, root, .. } = ground;
    let layout = StateLayout::of(state_dir);
    let mut lines = vec![writable("state folder", state_dir), root_line(root)];
    if let Ok(true) = layout.is_locked() {
        lines.push(Finding::ok("agent", "runs on this state folder"));
    }
    if let Some(pause) = Pause::read(&layout).filter(|pause| pause.lasts(Timestamp::now())) {
        lines.push(Finding::warning("pause", format!("changes are held back {}", pause.end_in_words())));
    }
    if let Some(safe_mode) = SafeMode::read(&layout) {
        lines.push(Finding::warning("safe mode", safe_mode.to_string()));
    }
    lines
}

/// The root need not be writable itself, as long as the folders are that documents name.
fn root_line(root: &Path) -> Finding {
    let shown = root.display();
    match root.try_exists() {
        Ok(false) => missing("root", root),
        Err(error) => Finding::failed("root", format!("{shown} cannot be looked at: {error}")),
        Ok(true) if !root.is_dir() => Finding::failed("root", format!("{shown} is no folder")),
        Ok(true) => match may_write(root) {
            Ok(()) => Finding::ok("root", format!("{shown} can be written")),
            Err(errno) => Finding::warning("root", format!("{shown} cannot be written itself: {errno}")),
        },
    }
}

fn may_write(folder: &Path) -> rustix::io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::accessat(rustix::fs::CWD, folder, access, rustix::fs::AtFlags::EACCESS)
}

/// Whether a file can be written there, and how much space is left.
fn writable(what: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    match folder.try_exists() {
        Ok(true) => {}
        Ok(false) => return missing(what, folder),
        Err(error) => return Finding::failed(what, format!("{shown} cannot be looked at: {error}")),
    }
    let tried = folder.join(format!(".harmony-check-{}", std::process::id()));
    let written = fs::File::create_new(&tried).and_then(|mut file| {
        file.write_all(b"?")?;
        file.sync_all()
    });
    // Nothing is there where it could not even be made.
    let _ = fs::remove_file(&tried);
    if let Err(error) = written {
        return Finding::failed(what, format!("{shown} cannot be written: {error}"));
    }
    match rustix::fs::statvfs(folder) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let detail = format!("{shown} can be written, {} MiB are free", free >> 20);
            if free < LITTLE_SPACE { Finding::warning(what, detail) } else { Finding::ok(what, detail) }
        }
        Err(error) => Finding::warning(
            what,
            format!("{shown} can be written, how much space is left is unknown: {error}"),
        ),
    }
}

/// Whether the agent will be able to make the folder when it starts.
fn missing(what: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    // A relative path ends in an empty one, which stands for the current folder.
    let made_in = folder.ancestors().skip(1).find(|above| above.as_os_str().is_empty() || above.exists());
    let made_in = made_in.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let granted = if made_in.is_dir() { may_write(made_in) } else { Err(rustix::io::Errno::NOTDIR) };
    match granted {
        Ok(()) => {
            Finding::warning(what, format!("{shown} is not there yet; the agent makes it when it starts"))
        }
        Err(errno) => Finding::failed(
            what,
            format!("{shown} is not there, and this user cannot make it in {}: {errno}", made_in.display()),
        ),
    }
}

/// Whether this device can open what is sealed to it. An agent that cannot makes all else.
fn sealing_key(layout: &StateLayout) -> Finding {
    const WHAT: &str = "sealing key";
    let path = layout.sealing_key();
    let shown = path.display();
    match DeviceSecrets::look(layout) {
        FoundKey::Usable(key) => {
            let snapshot = Snapshot::read(layout);
            if snapshot.as_ref().is_some_and(|it| it.status.agent_info.sealing_key.as_ref() != Some(&key)) {
                return Finding::warning(
                    WHAT,
                    format!("{key}; the agent was not started with it yet: start it again"),
                );
            }
            let resources = snapshot.iter().flat_map(|snapshot| &snapshot.status.resources);
            match resources.filter(|resource| resource.reason == "SealedToAnotherKey").count() {
                0 => Finding::ok(WHAT, key.as_str()),
                closed => Finding::warning(
                    WHAT,
                    format!(
                        "another one than {closed} of the declared resources were sealed to; put the former {shown} back, \
                         or seal anew: harmonyctl secret seal --to {key}"
                    ),
                ),
            }
        }
        FoundKey::NotYetMade => Finding::ok(WHAT, "the agent makes one when it starts first"),
        FoundKey::Gone => Finding::warning(
            WHAT,
            format!(
                "there is no {shown}, though this device is not new; if something was sealed to it, put a copy of the key \
                 back before the agent starts, or seal everything anew"
            ),
        ),
        FoundKey::Damaged => Finding::warning(
            WHAT,
            format!(
                "{shown} is damaged; put a copy of it back before the agent starts, or seal everything anew"
            ),
        ),
        FoundKey::Unreadable(error) => Finding::warning(WHAT, format!("cannot read {shown}: {error}")),
    }
}

/// Whether there is what holds processes. An agent without it makes all else.
fn processes(shim: &Path) -> Finding {
    let shown = shim.display();
    match rustix::fs::access(shim, rustix::fs::Access::EXEC_OK) {
        Ok(()) => Finding::ok("processes", format!("are held by {shown}")),
        Err(errno) => Finding::warning(
            "processes",
            format!("cannot be run: {shown}: {errno}; install process-shim beside harmony-agent"),
        ),
    }
}

/// What runs containers. An agent without it makes all else.
async fn containers(ground: &Ground) -> Finding {
    match probe_container_runtime(ground.containers.sockets.clone()).await {
        Ok((socket, runtime)) => {
            Finding::ok("containers", format!("are run by {} at {}", runtime.version, socket.display()))
        }
        Err(problem) => Finding::warning("containers", format!("cannot be run: {problem}")),
    }
}

/// Whether there is a systemd to manage units with. An agent without it makes all else.
async fn units() -> Finding {
    match reconcilers::systemd_version().await {
        Ok(version) => Finding::ok("units", format!("are managed by systemd {version}")),
        Err(failure) => Finding::warning("units", format!("cannot be managed: {}", failure.message)),
    }
}

/// Whether jobs can be isolated. An agent on a device where they cannot makes all else.
async fn jobs() -> Finding {
    match reconcilers::check_sandbox().await {
        Ok(bubblewrap) => Finding::ok("jobs", format!("are isolated by {}", bubblewrap.display())),
        Err(failure) => Finding::warning("jobs", failure.message),
    }
}

async fn server(configuration: &Configuration) -> Vec<Finding> {
    let agent = &configuration.agent;
    let connection = match Connection::open(&configuration.access, agent).await {
        Ok(connection) => connection,
        Err(error) => return vec![Finding::failed("server", with_causes(&error))],
    };
    let Some(server) = connection.reached(REACHED_WITHIN).await else {
        let servers =
            configuration.access.urls.iter().map(|url| without_login(url)).collect::<Vec<_>>().join(", ");
        let patience = humantime::format_duration(REACHED_WITHIN);
        let detail = format!(
            "no connection to {servers} within {patience}; is it reachable from here, and is the login right?"
        );
        return vec![Finding::failed("server", detail)];
    };
    let reached = Finding::ok("server", format!("{}, nats-server {}", server.name, server.version));
    let entries = connection.read_own_entries(agent).await;
    [reached].into_iter().chain(entries.into_iter().map(|entry| read(agent, entry))).collect()
}

fn read(agent: &AgentId, entry: ReadEntry) -> Finding {
    let ReadEntry { bucket, outcome, took } = entry;
    let what = format!("{bucket} of {agent}");
    match outcome {
        Ok(entry) => Finding::ok("entry", format!("{what}: {}, in {} ms", found(&entry), took.as_millis())),
        Err(problem) => Finding::failed(
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
