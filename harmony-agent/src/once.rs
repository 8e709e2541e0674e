//! `harmony-agent once`: one document, no server.

use agent_core::{once::reconcile, signing::Trust, state_dir::StateDir};

use crate::{
    Agent, CommandError, Exit, cli::OnceArgs, configuration::Ground, document_file, logging, run, say, wiring,
};

pub(crate) async fn once(args: OnceArgs, program: Agent) -> Result<Exit, CommandError> {
    logging::start(args.log_format, args.log_level);
    let document = document_file::read(&args.document.file)?;
    let agent =
        document.agent().map_err(|problem| CommandError::Usage(format!("{}: {problem}", document.source)))?;
    let (config, mut given) = args.document.settings();
    given.container_socket = args.container_socket;
    let ground = Ground::load(config, &given)?;
    let state = StateDir::open(&ground.state_dir).await.map_err(CommandError::failed)?;
    run::raise_open_files();
    let wired = wiring::wire(program, &agent, &state, ground, Trust::in_anybody()).await?;
    let schema_version = document_file::schema_version(&document, &wired.formats);
    let outcome = reconcile(wired.device, &document, &schema_version, wired.registry.wakes()).await;
    let text = serde_json::to_string_pretty(&outcome.status).map_err(CommandError::failed)? + "\n";
    say(&text);
    match outcome.refused {
        Some(refusal) => Err(CommandError::Usage(format!("{}: {refusal}", document.source))),
        None if outcome.converged => Ok(Exit::Done),
        None => Ok(Exit::NotConverged),
    }
}
