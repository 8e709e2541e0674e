//! Completion of commands and, from the server, of device names.
//!
//! The script that `harmonyctl completion` prints calls this program again for each press of the
//! Tab key, with `HARMONYCTL_COMPLETE` set. Nothing may then be printed but candidates: where the
//! server cannot be asked, there are none.

use std::{collections::BTreeSet, ffi::OsStr, path::PathBuf, time::Duration};

use clap::Command;
use clap_complete::{CompleteEnv, CompletionCandidate, engine::ValueCompleter, env::Shells};
use fleet::{Endpoint, Fleet};

use crate::{
    access,
    cli::{Connection, Shell},
    command::KNOWN_TYPES,
    failure::Failure,
    nats_context, schemas,
};

const VARIABLE: &str = "HARMONYCTL_COMPLETE";
const PROGRAM: &str = "harmonyctl";
/// Nobody waits longer for a Tab key.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers the shell; false when it was not the shell who called.
pub(crate) fn answer(command: Command) -> Result<bool, clap::Error> {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(|| command.clone())
        .var(VARIABLE)
        .bin(PROGRAM)
        .completer(PROGRAM)
        .try_complete(std::env::args_os(), folder.as_deref())
}

/// The script for a shell.
///
/// # Errors
/// The shell is not known, which clap has ruled out.
pub(crate) fn script(shell: Shell) -> Result<String, Failure> {
    let format = |source| Failure::Format { what: "the script", source };
    let shells = Shells::builtins();
    let shell = shells.completer(shell.name()).ok_or_else(|| format("unknown shell".into()))?;
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|error| format(error.into()))?;
    String::from_utf8(script).map_err(|error| format(error.into()))
}

/// Completes `agents`, `agent ID` and `agent/ID`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agents;

impl ValueCompleter for Agents {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        nouns_and_ids(current, &NOUNS)
    }
}

/// Completes what [`Agents`] does, and `document ID` and `document/ID`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown;

impl ValueCompleter for Shown {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        nouns_and_ids(current, &SHOWN_NOUNS)
    }
}

fn nouns_and_ids(current: &OsStr, nouns: &[&str]) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let words: Vec<String> = std::env::args().collect();
    let candidates: Vec<String> = match current.split_once('/') {
        Some((noun, _)) => ids(&words).iter().map(|id| format!("{noun}/{id}")).collect(),
        None if names_noun(&words, nouns) => ids(&words),
        None => nouns.iter().map(|noun| (*noun).to_owned()).collect(),
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.starts_with(current))
        .map(CompletionCandidate::new)
        .collect()
}

/// Completes `ID`, `agent ID` and `agent/ID`, where a single device is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OneAgent;

impl ValueCompleter for OneAgent {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let mut candidates = Agents.complete(current);
        let words: Vec<String> = std::env::args().collect();
        if let Some(current) =
            current.to_str().filter(|current| !current.contains('/') && !names_noun(&words, &NOUNS))
        {
            let ids = ids(&words).into_iter().filter(|id| id.starts_with(current));
            candidates.extend(ids.map(CompletionCandidate::new));
        }
        candidates
    }
}

/// Completes `ID` and `agent/ID`, where nothing but devices can stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids;

impl ValueCompleter for Ids {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(current) = current.to_str() else { return Vec::new() };
        let words: Vec<String> = std::env::args().collect();
        let noun = current.split_once('/').map(|(noun, _)| format!("{noun}/")).unwrap_or_default();
        let ids = ids(&words).into_iter().map(|id| format!("{noun}{id}"));
        ids.filter(|id| id.starts_with(current)).map(CompletionCandidate::new).collect()
    }
}

/// Completes the value of an option that names a device.
pub(crate) fn agent_ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let words: Vec<String> = std::env::args().collect();
    ids(&words).into_iter().filter(|id| id.starts_with(current)).map(CompletionCandidate::new).collect()
}

const NOUNS: [&str; 2] = ["agent", "agents"];
const SHOWN_NOUNS: [&str; 4] = ["agent", "agents", "document", "documents"];

/// Whether one of these nouns stands before the word being completed, which is the last.
fn names_noun(words: &[String], nouns: &[&str]) -> bool {
    words.iter().rev().skip(1).any(|word| nouns.contains(&word.as_str()))
}

/// The ids of all devices; none when the server does not answer at once.
fn ids(words: &[String]) -> Vec<String> {
    let Some(endpoint) = endpoint(words) else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let read = async {
        let fleet = Fleet::connect(&endpoint).await.ok()?;
        let mut ids = fleet::roster::ids(&fleet).await.ok()?;
        // Those who ask only; where that cannot be read, the others are worth having.
        let asking = fleet::enrollment::Requests::read(&fleet).await.unwrap_or_default();
        ids.extend(asking.iter().map(|asking| asking.agent.clone()));
        Some(ids)
    };
    let ids = runtime.block_on(async { tokio::time::timeout(PATIENCE, read).await });
    ids.ok().flatten().unwrap_or_default().into_iter().map(String::from).collect()
}

/// The server that the command line being completed, or the environment, speaks of. The command
/// line cannot be parsed as usual: it is not finished.
fn endpoint(words: &[String]) -> Option<Endpoint> {
    let option = |flag: &str, variable: &str| {
        let given = words.iter().enumerate().find_map(|(i, word)| match word.split_once('=') {
            Some((name, value)) if name == flag => Some(value.to_owned()),
            None if word == flag => words.get(i + 1).cloned(),
            _ => None,
        });
        given.or_else(|| std::env::var(variable).ok())
    };
    let file = |flag: &str, variable: &str| option(flag, variable).map(PathBuf::from);
    let connection = Connection {
        nats_url: option("--nats-url", "HARMONYCTL_NATS_URL"),
        context: option("--context", "HARMONYCTL_CONTEXT"),
        creds: file("--creds", "HARMONYCTL_CREDS"),
        tls_ca: file("--tls-ca", "HARMONYCTL_TLS_CA"),
        tls_cert: file("--tls-cert", "HARMONYCTL_TLS_CERT"),
        tls_key: file("--tls-key", "HARMONYCTL_TLS_KEY"),
        offline_after: Duration::ZERO,
    };
    Some(Endpoint { access: access::of(&connection).ok()?, timeout: PATIENCE })
}

/// Completes `KIND` and `KIND@VERSION`.
pub(crate) fn schema_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let names = schemas::all().flat_map(|schema| [schema.kind.to_owned(), schema.name()]);
    let names: BTreeSet<String> = names.filter(|name| name.starts_with(current)).collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Completes a type of events.
pub(crate) fn event_types(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let begins = |name: &&str| {
        name.get(..current.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(current))
    };
    KNOWN_TYPES.into_iter().filter(begins).map(CompletionCandidate::new).collect()
}

/// Completes the name of a context of the NATS command line.
pub(crate) fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let names = nats_context::names().into_iter().filter(|name| name.starts_with(current));
    names.map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fleet::Login;

    use super::*;

    #[test]
    fn the_server_is_found_in_an_unfinished_command_line() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let access = |text: &str| endpoint(&words(text)).unwrap().access;
        assert_eq!(access("harmonyctl get --nats-url nats://a agent").urls, ["nats://a"]);
        assert_eq!(access("harmonyctl --nats-url=nats://b get agent").urls, ["nats://b"]);
        let login = access("harmonyctl --creds c.creds get").login;
        assert!(matches!(login, Login::Credentials(path) if path == Path::new("c.creds")));
    }

    #[test]
    fn names_are_offered_after_a_noun_and_not_in_its_place() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(names_noun(&words("harmonyctl get agent "), &NOUNS));
        assert!(names_noun(&words("harmonyctl get agents edge-1 e"), &NOUNS));
        assert!(!names_noun(&words("harmonyctl get agent"), &NOUNS));
        assert!(!names_noun(&words("harmonyctl get "), &NOUNS));
        assert!(names_noun(&words("harmonyctl get document "), &SHOWN_NOUNS));
    }

    #[test]
    fn schemas_are_completed_by_kind_and_version() {
        let names = |current: &str| {
            let names = schema_names(OsStr::new(current)).into_iter();
            names.map(|name| name.get_value().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("Agent"), ["AgentManifest", "AgentManifest@1.0.0", "AgentManifest@1.1.0"]);
        assert_eq!(names("Score@"), ["Score@0.1.0", "Score@0.1.1"]);
    }

    #[test]
    fn types_of_events_are_completed_and_told_in_the_help() {
        let names = event_types(OsStr::new("a")).into_iter();
        let names: Vec<_> = names.map(|name| name.get_value().to_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["Accepted", "Applied"]);
        let mut program = <crate::cli::Cli as clap::CommandFactory>::command();
        let help = program.find_subcommand_mut("events").unwrap().render_long_help().to_string();
        for name in KNOWN_TYPES {
            assert!(help.contains(name), "{name} is missing: {help}");
        }
    }

    #[test]
    fn each_shell_has_a_script_that_calls_this_program() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::Powershell] {
            let script = script(shell).unwrap();
            assert!(script.contains(VARIABLE) && script.contains(PROGRAM), "{shell:?}: {script}");
        }
    }
}
