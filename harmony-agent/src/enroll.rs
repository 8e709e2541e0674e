//! `harmony-agent enroll`: from the bootstrap credentials of an image to the device's own (ADR-036).

use agent_core::{
    enrollment::{
        DeviceKey, Refusal, UserJwt, ask_until_answered, check_place, forget_seed, has_credentials,
    },
    kv::EnrollmentDesk,
    state_dir::StateDir,
};
use agent_model::with_causes;

use crate::{
    CommandError, Exit, claims,
    cli::EnrollArgs,
    configuration::{self, EnrollmentConfiguration},
    logging, say,
};

pub(crate) async fn enroll(args: EnrollArgs) -> Result<Exit, CommandError> {
    let timeout = args.timeout;
    let configuration = EnrollmentConfiguration::load(args.run)?;
    logging::start(configuration.log_format, configuration.log_level);
    for variable in configuration::unknown_variables() {
        tracing::warn!(variable, "this environment variable is no setting and has no effect");
    }
    let EnrollmentConfiguration { agent, access, creds, state_dir, .. } = configuration;
    // Before the lock, which a running agent has: it runs with these credentials.
    if has_credentials(&creds).map_err(CommandError::failed)? {
        // A crash may have left it. Where an agent runs, it was gone before that started.
        if let Ok(state) = StateDir::open(&state_dir).await {
            forget_seed(&state).map_err(CommandError::failed)?;
        }
        say(&format!("{agent} has its credentials in {}\n", creds.display()));
        return Ok(Exit::Done);
    }
    check_place(&creds).map_err(CommandError::failed)?;
    let state = StateDir::open(&state_dir).await.map_err(CommandError::failed)?;
    let key = DeviceKey::load_or_make(&state).map_err(CommandError::failed)?;
    let public = key.public();
    say(&format!("asking for {agent} with the key {public}\n"));
    let desk = EnrollmentDesk::open(&access, &agent, &public)
        .await
        .map_err(|error| CommandError::Usage(with_causes(&error)))?;
    let claims = claims::claims();
    let asking = ask_until_answered(&desk, &key, &claims);
    let answer = match timeout {
        None => asking.await,
        Some(timeout) => match tokio::time::timeout(timeout, asking).await {
            Ok(answer) => answer,
            Err(_) => {
                say(&format!(
                    "nobody has answered yet; `harmonyctl agents approve {agent} --key {public}` lets this device \
                     in, and the next `harmony-agent enroll` goes on with the same key\n"
                ));
                return Ok(Exit::TimedOut);
            }
        },
    };
    match answer.map_err(CommandError::failed)? {
        Ok(jwt) => approved(&key, &jwt, &creds, &state, &agent),
        Err(Refusal { reason }) => {
            let reason =
                if reason.is_empty() { String::new() } else { format!(": {}", reason.escape_debug()) };
            say(&format!("{agent} with the key {public} is denied{reason}\n"));
            Ok(Exit::NotConverged)
        }
    }
}

fn approved(
    key: &DeviceKey,
    jwt: &UserJwt,
    creds: &std::path::Path,
    state: &StateDir,
    agent: &agent_model::AgentId,
) -> Result<Exit, CommandError> {
    key.store_credentials(jwt, creds, state).map_err(CommandError::failed)?;
    say(&format!("{agent} is approved; its credentials are in {}\n", creds.display()));
    Ok(Exit::Done)
}
