//! `harmony-agent`: makes a device what the platform says it should be, and keeps it so.
//!
//! Configuration and wiring, nothing clever: the work is done in `agent-core`, `reconcilers` and
//! the manifest formats. An [`Agent`] with formats or Scores of one's own is one line:
//!
//! ```no_run
//! # use agent_manifest_v1::AgentManifestV1 as MyFormat;
//! harmony_agent::Agent::new().with_format(MyFormat).main();
//! ```

mod accounts;
mod audit;
mod check;
mod claims;
mod cli;
mod configuration;
mod device_name;
mod document_file;
mod enroll;
mod facts;
mod holds;
mod logging;
mod logs;
mod once;
mod pause;
mod policy;
mod reset_generation;
mod run;
mod scores;
mod service_manager;
mod serving;
mod simulated;
mod status;
mod wiring;

use std::{collections::BTreeMap, error::Error, io::Write, path::Path, process::ExitCode, time::Duration};

use agent_core::{dispatcher::Formats, policy::Switch};
use agent_manifest_v1::AgentManifestV1;
use agent_model::{ManifestFormat, ResourceKind, did_you_mean, with_causes};
use clap::Parser;
use tokio::runtime::Runtime;

pub use simulated::SimulatedAgent;

use crate::{
    cli::{Cli, Command},
    scores::{SCORE, Scores},
};

/// How long work that hangs is waited for at the end.
const HANGING_WORK: Duration = Duration::from_secs(1);

/// What a command came to. The codes are part of the wire contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Stopped, or converged.
    Done = 0,
    /// Something went wrong.
    Error = 1,
    /// The command line, the configuration or the document is wrong.
    Usage = 2,
    /// Not converged; or somebody, or the policy, said no.
    NotConverged = 3,
    /// Nobody answered in time.
    TimedOut = 4,
}

/// Why a command ended without doing what it was asked to.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// The caller has to ask in another way.
    #[error("{0}")]
    Usage(String),
    /// Something else has to change first.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

impl CommandError {
    fn unusable_root(root: &Path, error: &std::io::Error) -> Self {
        Self::Usage(format!("cannot make {} the root: {error}; give another --root", root.display()))
    }

    fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// The agent as a program, by what it can read.
pub struct Agent {
    formats: Formats,
    scores: Scores,
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// The agent as it ships.
    pub fn new() -> Self {
        Self { formats: Formats::none().with(AgentManifestV1), scores: Scores::built_in() }
    }

    /// This one with one more format, which takes the place of one for the same kind of document.
    #[must_use]
    pub fn with_format(mut self, format: impl ManifestFormat) -> Self {
        self.formats = self.formats.with(format);
        self
    }

    /// What it reads on a device with these switches, and the Scores to advertise.
    fn reads(
        self,
        switches: &BTreeMap<String, Switch>,
        kinds: impl Iterator<Item = ResourceKind>,
    ) -> Result<(Formats, Vec<String>), CommandError> {
        const REMEDY: &str =
            "its policy says so; change that and start its agent again, or send it another kind of document";
        let own = self.formats.advertised();
        let known: Vec<&str> = own.keys().map(String::as_str).chain([SCORE]).collect();
        if let Some(unknown) = switches.keys().find(|kind| !known.contains(&kind.as_str())) {
            let meant = did_you_mean(unknown, &known);
            return Err(CommandError::Usage(format!(
                "formats.{unknown} of the policy is no kind of document; {meant}"
            )));
        }
        let (formats, scores) = self.scores.join(self.formats, scores::switch(switches), kinds);
        let off = switches.iter().filter(|(kind, switch)| **switch == Switch::Disabled && *kind != SCORE);
        Ok((off.fold(formats, |formats, (kind, _)| formats.without(kind, REMEDY)), scores))
    }

    /// The program: reads the command line, does what it says, and tells how that went.
    pub fn main(self) -> ExitCode {
        agent_core::core_dumps::forbid();
        let exit = match execute(Cli::parse(), self) {
            Ok(exit) => exit,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "harmony-agent: {}", with_causes(&error));
                match error {
                    CommandError::Usage(_) => Exit::Usage,
                    CommandError::Failed(_) => Exit::Error,
                }
            }
        };
        ExitCode::from(exit as u8)
    }
}

fn execute(cli: Cli, agent: Agent) -> Result<Exit, CommandError> {
    let runtime = runtime().map_err(CommandError::failed)?;
    let exit = match cli.command {
        Command::Run(args) => runtime.block_on(run::run(args, agent)),
        Command::Enroll(args) => runtime.block_on(enroll::enroll(args)),
        Command::Once(args) => runtime.block_on(once::once(args, agent)),
        Command::Status(args) => status::status(&args),
        Command::Logs(args) => logs::logs(&args),
        Command::Audit(args) => audit::audit(&args),
        Command::Check(args) => runtime.block_on(check::check(args)),
        Command::Pause(args) => runtime.block_on(pause::pause(&args)),
        Command::Resume(folder) => pause::resume(&folder),
        Command::Policy(command) => policy::policy(command, agent),
        Command::ResetGeneration(folder) => runtime.block_on(reset_generation::reset_generation(&folder)),
    };
    // A file system that hangs must not keep the agent from ending.
    runtime.shutdown_timeout(HANGING_WORK);
    exit
}

/// What an agent runs on. One thread: an idle agent should cost a small device next to nothing, and what blocks goes to
/// the pool beside it.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build()
}

/// Prints what a command has to say. Whoever closed the pipe has seen enough.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
