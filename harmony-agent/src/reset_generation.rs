//! `harmony-agent reset-generation`: lets a device take documents that count from the beginning.

use agent_core::{
    ledger::{Ledger, LedgerBody},
    state_dir::StateDir,
};

use crate::{CommandError, Exit, cli::StateFolder, say};

pub(crate) async fn reset_generation(folder: &StateFolder) -> Result<Exit, CommandError> {
    let state_dir = folder.find()?;
    let folder = state_dir.display();
    // Looked at first, so that a misspelt folder is not made.
    if !state_dir.is_dir() {
        return Err(CommandError::Usage(format!(
            "there is no state folder {folder}; give the agent's --state-dir"
        )));
    }
    let state = StateDir::open(&state_dir).await.map_err(CommandError::failed)?;
    let owner = Ledger::owner(state.layout()).map_err(CommandError::failed)?.ok_or_else(|| {
        CommandError::failed(format!(
            "{folder} holds no ledger that can be read; a generation may come from its previous copy or from the \
             server when the agent starts: let it run until it is connected, stop it, and repeat this"
        ))
    })?;
    let mut ledger = Ledger::load(state.layout(), &owner).map_err(CommandError::failed)?.ledger;
    let Some(highest) = ledger.body().highest else {
        say("no generation was ever accepted here\n");
        return Ok(Exit::Done);
    };
    let body = LedgerBody { highest: None, needs_floor: false, ..ledger.body().clone() };
    ledger.commit(body).map_err(CommandError::failed)?;
    say(&format!(
        "forgot that {owner} has accepted generation {}: the next document is accepted whatever its generation\n",
        highest.generation
    ));
    Ok(Exit::Done)
}
