//! Changing the folder, one at a time.

use std::{collections::BTreeMap, fs::File, path::PathBuf};

use agent_model::{AgentId, UserKey};

use super::{AccountToken, FleetAccount, Folder, FolderError, OwnUser, now};
use crate::{
    accounts,
    claims::{Account, Claims},
    keys::Key,
    token,
};

/// The end of the year 9999, in seconds of Unix time. Servers refuse what was issued at the time of the revocation or
/// before, and a token may have been issued by a clock that was ahead of the one that revokes.
const FOR_EVER: u64 = 253_402_300_799;

/// The folder, while nobody else changes it.
#[derive(Debug)]
pub struct Locked<'a> {
    pub(super) folder: &'a Folder,
    pub(super) _lock: File,
}

/// Credentials that took the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The file.
    pub file: PathBuf,
    /// The key that has ended, once the servers have the account.
    pub old: UserKey,
    /// The key that is there now.
    pub new: UserKey,
}

impl Locked<'_> {
    /// Signs the user of a device: whoever holds the private key of `key` may do what the device `agent` may. It is
    /// good until the key is revoked.
    ///
    /// # Errors
    /// [`FolderError::RevokedKey`] when it was; or the folder is no longer what it was when it was opened.
    pub fn sign_device_user(&self, agent: &AgentId, key: &UserKey) -> Result<String, FolderError> {
        let (_, devices) = self.folder.needed_account(FleetAccount::Devices)?;
        if devices.nats.revocations.contains_key(key.as_str()) {
            return Err(FolderError::RevokedKey(key.clone()));
        }
        let body = accounts::device_user(&self.folder.devices_account());
        let signer = self.folder.keys.pair(Key::DeviceUsers);
        Ok(token::sign(signer, key.as_str(), agent.as_str(), now()?, body)?)
    }

    /// Notes that nothing is good any more that was or will be signed for this key of a device. Servers do not know that
    /// before the returned token was pushed to them, while this lock is held: they take an older one, too.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn revoke(&self, key: &UserKey) -> Result<AccountToken, FolderError> {
        self.revoke_in(FleetAccount::Devices, key)
    }

    /// Gives a user of the operator's own new credentials, and notes that the key of those before is no longer good, as
    /// [`Self::revoke`] does. The revocation comes first: what is interrupted leaves credentials that end, and is done
    /// again.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn renew(&self, user: OwnUser) -> Result<Renewed, FolderError> {
        let old = self.folder.key_in_credentials(user)?;
        self.revoke_in(user.account(), &old)?;
        let new = self.folder.write_credentials(user)?;
        Ok(Renewed { file: self.folder.credentials(user), old, new })
    }

    /// Takes over who is revoked in a token of an account that servers have: this folder may be a copy of before. Who is
    /// revoked here stays so, and a token that the operator has not signed is nobody's word.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn take_over_revocations(
        &self,
        account: FleetAccount,
        held: &str,
    ) -> Result<AccountToken, FolderError> {
        let (_, own) = self.folder.needed_account(account)?;
        let mut revocations = own.nats.revocations;
        let operator = self.folder.keys.public(Key::Operator);
        let held: Option<Claims<Account>> = token::verify(held.trim(), &operator).ok();
        let id = self.folder.keys.public(account.key());
        let held = held.filter(|held| held.registered.subject == id);
        for (key, at) in held.into_iter().flat_map(|held| held.nats.revocations) {
            revocations.entry(key).or_insert(at);
        }
        self.write_revocations(account, revocations)
    }

    /// Writes the accounts anew as servers read them at their start, if the file says something else.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn write_accounts_configuration(&self) -> Result<(), FolderError> {
        self.folder.write_accounts_configuration().map(drop)
    }

    fn revoke_in(&self, account: FleetAccount, key: &UserKey) -> Result<AccountToken, FolderError> {
        let mut revocations = self.folder.revocations(account)?;
        revocations.insert(key.as_str().to_owned(), FOR_EVER);
        self.write_revocations(account, revocations)
    }

    fn write_revocations(
        &self,
        account: FleetAccount,
        revocations: BTreeMap<String, u64>,
    ) -> Result<AccountToken, FolderError> {
        self.folder.bring_about(account, revocations)?;
        self.folder.write_accounts_configuration()?;
        self.folder.account_token(account)
    }
}
