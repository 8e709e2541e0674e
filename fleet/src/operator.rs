//! Telling the servers of a fleet in operator mode what the operator's folder says.
//!
//! A server takes any account that the operator signed, an older one too, which would let those in again who were
//! revoked since. So what is pushed is made and pushed under the folder's lock, and read back.

use std::time::Duration;

use agent_model::{AgentId, UserKey};
use nats_operator::{AccountToken, FleetAccount, Folder, FolderError, Locked, OwnUser, Renewed};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::{Fleet, every_server::ask_every_server};

/// How often the lock is tried, and an account read back that is not there yet.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How long somebody else may change the folder: a few pushes that each run into their time-out.
const LOCKED_AT_MOST: Duration = Duration::from_secs(60);

/// Why the servers do not have an account as the folder has it.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Somebody else works with the folder. Trying again may help.
    #[error("{} is being changed by somebody else for {} s: try again", folder.display(), LOCKED_AT_MOST.as_secs())]
    Busy {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// The servers did not answer. Trying again may help.
    #[error(
        "the servers do not answer about the account {account}: connect with the system credentials of the operator's \
         folder, and push again with `harmonyctl nats push`. Servers whose resolver is not of type full take no push: \
         copy server/accounts.conf of the folder to each of them, and reload it"
    )]
    NoAnswer {
        /// What the account is called.
        account: FleetAccount,
        /// What came instead.
        source: async_nats::RequestError,
    },
    /// The servers said no.
    #[error(
        "the servers refuse the account {account}: {said}; does the operator's folder belong to these servers?"
    )]
    Refused {
        /// What the account is called.
        account: FleetAccount,
        /// Their words.
        said: String,
    },
    /// They said yes and have another one.
    #[error(
        "the servers have another account {account} than was pushed: whoever has the system credentials may push at \
         the same time; push again with `harmonyctl nats push`"
    )]
    NotKept {
        /// What the account is called.
        account: FleetAccount,
    },
}

/// Signs the user of a device.
///
/// # Errors
/// [`OperatorError::Folder`], when the key was revoked for one, and [`OperatorError::Busy`].
pub async fn sign_device_user(
    folder: &Folder,
    agent: &AgentId,
    key: &UserKey,
) -> Result<String, OperatorError> {
    Ok(lock(folder).await?.sign_device_user(agent, key)?)
}

/// Ends a key in the folder alone, for when no server may be there: they let it in until [`revoke`] or [`push_all`].
///
/// # Errors
/// [`OperatorError::Folder`] and [`OperatorError::Busy`].
pub async fn revoke_in_folder(folder: &Folder, key: &UserKey) -> Result<(), OperatorError> {
    lock(folder).await?.revoke(key)?;
    Ok(())
}

/// Ends a key for good, whatever was signed for it and whenever: a connected device is out at once, and stays out. The folder has it first, so that a revocation that did not reach the servers is pushed by the next
/// [`push_all`].
///
/// # Errors
/// See [`OperatorError`]. But for [`OperatorError::Folder`] and [`OperatorError::Busy`] the folder has it.
pub async fn revoke(system: &Fleet, folder: &Folder, key: &UserKey) -> Result<(), OperatorError> {
    let locked = lock(folder).await?;
    push_merged(system, &locked, locked.revoke(key)?).await?;
    Ok(())
}

/// Gives a user of the operator's own new credentials, in the folder alone: the servers take them at once, and refuse
/// the old ones after [`push_all`].
///
/// # Errors
/// [`OperatorError::Folder`] and [`OperatorError::Busy`].
pub async fn renew(folder: &Folder, user: OwnUser) -> Result<Renewed, OperatorError> {
    Ok(lock(folder).await?.renew(user)?)
}

/// Pushes an account with all who are revoked in it on any server: the folder may be an old copy, and so may what a server
/// has that was away, or restored.
async fn push_merged(
    system: &Fleet,
    folder: &Locked<'_>,
    own: AccountToken,
) -> Result<AccountToken, OperatorError> {
    let account = own.account;
    let held = ask_every_server(system, lookup(&own)).await;
    let mut merged = own;
    for held in held.map_err(|source| OperatorError::NoAnswer { account, source })? {
        merged = folder.take_over_revocations(account, &String::from_utf8_lossy(&held))?;
    }
    push(system, &merged).await?;
    Ok(merged)
}

/// Has the servers know every account as the folder does.
///
/// # Errors
/// The first account that they do not have; they have those before it.
pub async fn push_all(system: &Fleet, folder: &Folder) -> Result<Vec<AccountToken>, OperatorError> {
    let locked = lock(folder).await?;
    // Before the servers are asked: where they take no push, this file is what they are told by.
    locked.write_accounts_configuration()?;
    let mut accounts = folder.accounts()?;
    for account in &mut accounts {
        *account = push_merged(system, &locked, account.clone()).await?;
    }
    Ok(accounts)
}

/// The account as the server has it that answers first; `None` where it has none.
///
/// # Errors
/// [`OperatorError::NoAnswer`].
pub async fn held_by_servers(
    system: &Fleet,
    account: &AccountToken,
) -> Result<Option<String>, OperatorError> {
    let answer = request(system, account, lookup(account), String::new()).await?;
    let text = String::from_utf8_lossy(&answer).trim().to_owned();
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// What each server answers with the account as it has it, which is nothing where it has none.
fn lookup(account: &AccountToken) -> String {
    format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", account.id)
}

async fn lock(folder: &Folder) -> Result<Locked<'_>, OperatorError> {
    let until = Instant::now() + LOCKED_AT_MOST;
    loop {
        match folder.try_lock()? {
            Some(locked) => return Ok(locked),
            None if Instant::now() > until => {
                return Err(OperatorError::Busy { folder: folder.path().to_owned() });
            }
            None => sleep(AGAIN_AFTER).await,
        }
    }
}

async fn push(system: &Fleet, account: &AccountToken) -> Result<(), OperatorError> {
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", account.id);
    let answer = request(system, account, subject, account.token.clone()).await?;
    let said: Answer = serde_json::from_slice(&answer).unwrap_or_default();
    if said.data.is_none_or(|said| said.code != 200) {
        let said =
            said.error.map_or_else(|| String::from_utf8_lossy(&answer).into_owned(), |no| no.description);
        return Err(OperatorError::Refused { account: account.account, said });
    }
    let until = Instant::now() + system.timeout();
    while held_by_servers(system, account).await?.as_deref() != Some(account.token.as_str()) {
        if Instant::now() > until {
            return Err(OperatorError::NotKept { account: account.account });
        }
        sleep(AGAIN_AFTER).await;
    }
    Ok(())
}

async fn request(
    system: &Fleet,
    account: &AccountToken,
    subject: String,
    payload: String,
) -> Result<bytes::Bytes, OperatorError> {
    let answer = system.client().request(subject, payload.into()).await;
    answer
        .map(|answer| answer.payload)
        .map_err(|source| OperatorError::NoAnswer { account: account.account, source })
}

/// What a server answers to a push.
#[derive(Default, Deserialize)]
struct Answer {
    data: Option<Done>,
    error: Option<No>,
}

#[derive(Deserialize)]
struct Done {
    code: u16,
}

#[derive(Deserialize)]
struct No {
    description: String,
}
