//! The operator's folder: keys, tokens, credentials and the servers' configuration.
//!
//! ```text
//! DIR/lock
//! DIR/keys/*.nk           written first, never replaced      ─┐ keep these away from servers and devices,
//! DIR/credentials/*.creds written third, replaced by renewal ─┘ and have a copy of the whole folder
//! DIR/tokens/*.jwt        written second, replaced when an account changes
//! DIR/server/             written last: what a server needs, nothing of it is secret
//! ```
//!
//! Each file is written whole or not at all, and after those that it is made of. So whatever a power cut left is
//! continued by making what is missing, and a key that is missing though something was made of it was lost, not
//! forgotten: that is refused, and so is an account's token that is missing though servers were told of it.

mod credentials;
mod error;
mod files;
mod fleet_account;
mod key_ring;
mod locked;
mod own_user;
mod tokens;

use std::{
    fmt,
    fs::{self, File, Permissions, TryLockError},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

pub use error::FolderError;
use error::io_error;
pub use fleet_account::FleetAccount;
use key_ring::KeyRing;
pub use locked::{Locked, Renewed};
pub use own_user::{InvalidOwnUser, OwnUser};

use crate::{
    durable_file::{make_folder, replace},
    keys::Key,
    server_configuration,
};

/// What was done about a file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The file, below the folder.
    pub file: PathBuf,
    /// What was done.
    pub change: Change,
}

/// What was done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It said something else. Never a key, nor credentials.
    Updated,
    /// It was as it should be.
    Unchanged,
}

/// An account's token, as servers are to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountToken {
    /// Which.
    pub account: FleetAccount,
    /// Its public key.
    pub id: String,
    /// The token.
    pub token: String,
}

/// A folder with everything in it, each token verified down from the operator's key.
pub struct Folder {
    path: PathBuf,
    keys: KeyRing,
}

impl Folder {
    /// Makes everything that is not there, and brings up to date what accounts may do; says what was done. Doing it
    /// again changes nothing, and no key or credentials are ever replaced.
    ///
    /// # Errors
    /// See [`FolderError`]; what was made stays, and is continued the next time.
    pub fn make(path: &Path) -> Result<(Self, Vec<Made>), FolderError> {
        let path = std::path::absolute(path).map_err(io_error(path))?;
        begin(&path)?;
        let lock = lock_file(&path)?;
        lock.lock().map_err(io_error(&path))?;
        let mut made = Vec::new();
        let mut note = |file: String, change| made.push(Made { file: file.into(), change });
        for folder in files::FOLDERS {
            let folder = path.join(folder);
            make_folder(&folder).map_err(io_error(&folder))?;
        }
        let keys = KeyRing::make(&path, &mut note)?;
        let folder = Self { path, keys };
        note(files::token("operator"), folder.make_operator()?);
        for account in FleetAccount::ALL {
            note(files::token(account.name()), folder.bring_about(account, folder.revocations(account)?)?);
        }
        for user in OwnUser::ALL {
            note(files::credentials(user), folder.make_credentials(user)?);
        }
        let own_settings = folder.server_configuration();
        let change = if own_settings.exists() { Change::Unchanged } else { Change::Created };
        note("server/accounts.conf".to_owned(), folder.write_accounts_configuration()?);
        if change == Change::Created {
            let text = server_configuration::server(&folder.path.join("server"));
            replace(&own_settings, &text).map_err(io_error(&own_settings))?;
        }
        note("server/nats-server.conf".to_owned(), change);
        Ok((folder, made))
    }

    /// Opens a folder that was made.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let path = std::path::absolute(path).map_err(io_error(path))?;
        if !path.join("keys").is_dir() {
            return Err(FolderError::NotAFolder(path));
        }
        let keys = KeyRing::open(&path)?;
        let folder = Self { path, keys };
        let unfinished = |file| FolderError::Unfinished { folder: folder.path.clone(), file };
        folder.operator()?.ok_or_else(|| unfinished(folder.path.join(files::token("operator"))))?;
        for account in FleetAccount::ALL {
            folder.needed_account(account)?;
        }
        for file in [folder.server_configuration(), folder.accounts_configuration()] {
            if !file.exists() {
                return Err(unfinished(file));
            }
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to start a server with.
    pub fn server_configuration(&self) -> PathBuf {
        self.path.join("server/nats-server.conf")
    }

    /// Operator and accounts alone, to be included by a configuration that says where its server keeps things.
    pub fn accounts_configuration(&self) -> PathBuf {
        self.path.join("server/accounts.conf")
    }

    /// The file with which a user of the operator's own logs in.
    pub fn credentials(&self, user: OwnUser) -> PathBuf {
        self.path.join(files::credentials(user))
    }

    /// Whoever has this file may see and change every device.
    pub fn platform_credentials(&self) -> PathBuf {
        self.credentials(OwnUser::Platform)
    }

    /// Whoever has this file may push accounts that the operator signed, and look at the servers.
    pub fn system_credentials(&self) -> PathBuf {
        self.credentials(OwnUser::System)
    }

    /// Whoever has this file may ask to be enrolled. It goes onto every device before it is one.
    pub fn bootstrap_credentials(&self) -> PathBuf {
        self.credentials(OwnUser::Bootstrap)
    }

    /// The public key of the account that the devices are in.
    pub fn devices_account(&self) -> String {
        self.keys.public(Key::Devices)
    }

    /// All accounts, as servers are to have them.
    ///
    /// # Errors
    /// One of them is no longer there, or no longer what it was.
    pub fn accounts(&self) -> Result<Vec<AccountToken>, FolderError> {
        FleetAccount::ALL.into_iter().map(|account| self.account_token(account)).collect()
    }

    fn account_token(&self, account: FleetAccount) -> Result<AccountToken, FolderError> {
        let (token, _) = self.needed_account(account)?;
        Ok(AccountToken { account, id: self.keys.public(account.key()), token })
    }

    /// Lets nobody else change the folder until the lock is dropped; `None` while somebody else does.
    ///
    /// # Errors
    /// The disk said no.
    pub fn try_lock(&self) -> Result<Option<Locked<'_>>, FolderError> {
        let file = lock_file(&self.path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Locked { folder: self, _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => {
                Err(FolderError::Io { path: self.path.join(files::LOCK), source })
            }
        }
    }

    fn write_accounts_configuration(&self) -> Result<Change, FolderError> {
        let path = self.accounts_configuration();
        let (operator, _) = self.operator()?.ok_or_else(|| FolderError::Unfinished {
            folder: self.path.clone(),
            file: self.path.join(files::token("operator")),
        })?;
        let accounts = self.accounts()?;
        let accounts: Vec<_> =
            accounts.iter().map(|of| (of.account.name(), of.id.as_str(), of.token.as_str())).collect();
        let text = server_configuration::accounts(&operator, &self.keys.public(Key::System), &accounts);
        let change = match files::read(&path)? {
            Some(before) if before == text => return Ok(Change::Unchanged),
            Some(_) => Change::Updated,
            None => Change::Created,
        };
        replace(&path, &text).map_err(io_error(&path))?;
        Ok(change)
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes the folder, unless it is there: one that is empty, or that was begun, whatever interrupted that, or one with a
/// key of ours, whatever somebody has put beside it. Another one is left as it is, even if there is a file `lock` in it.
fn begin(path: &Path) -> Result<(), FolderError> {
    make_folder(path).map_err(io_error(path))?;
    let is_ours = path.join(files::key(Key::ALL[0])).exists();
    for entry in fs::read_dir(path).map_err(io_error(path))? {
        let name = entry.map_err(io_error(path))?.file_name();
        if !is_ours && name != files::LOCK && !files::FOLDERS.iter().any(|folder| name == *folder) {
            return Err(FolderError::NotEmpty(path.to_owned()));
        }
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io_error(path))?;
    Ok(())
}

/// The file that is locked; nothing is in it.
fn lock_file(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join(files::LOCK);
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io_error(&path))
}

/// Seconds of Unix time.
fn now() -> Result<u64, FolderError> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| FolderError::Clock)?.as_secs())
}

#[cfg(test)]
mod tests;
