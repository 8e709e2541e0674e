//! What the operator has signed: its own token, and those of the accounts.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{Change, FleetAccount, Folder, FolderError, files, io_error, now};
use crate::{
    accounts,
    claims::{Account, Claims, Kind, Operator, VERSION},
    durable_file::replace,
    keys::Key,
    token,
};

impl Folder {
    pub(super) fn make_operator(&self) -> Result<Change, FolderError> {
        if self.operator()?.is_some() {
            return Ok(Change::Unchanged);
        }
        let body = Operator {
            system_account: self.keys.public(Key::System),
            kind: Kind::Operator,
            version: VERSION,
        };
        let operator = self.keys.pair(Key::Operator);
        let token = token::sign(operator, &operator.public_key(), "harmony", now()?, body)?;
        self.write_token("operator", &token)?;
        Ok(Change::Created)
    }

    /// Has an account's token say what it should, with these users revoked.
    pub(super) fn bring_about(
        &self,
        account: FleetAccount,
        revocations: BTreeMap<String, u64>,
    ) -> Result<Change, FolderError> {
        let platform = self.keys.public(Key::Platform);
        let body = match account {
            FleetAccount::System => accounts::system(),
            FleetAccount::Platform => accounts::platform(),
            FleetAccount::Devices => accounts::devices(&platform, &self.keys.public(Key::DeviceUsers)),
            FleetAccount::Enroll => accounts::enroll(&platform),
        };
        let body = Account { revocations, ..body };
        let existing = self.account(account)?.map(|(_, claims)| claims);
        let (change, earliest) = match existing {
            Some(existing) if existing.nats == body => return Ok(Change::Unchanged),
            // Servers take the newer of two tokens, and two of one second for the same.
            Some(existing) => (Change::Updated, existing.registered.issued_at + 1),
            None if self.accounts_configuration().exists() => return Err(self.without(account)),
            None => (Change::Created, 0),
        };
        let issued_at = now()?.max(earliest);
        let operator = self.keys.pair(Key::Operator);
        let name = account.name();
        let token = token::sign(operator, &self.keys.public(account.key()), name, issued_at, body)?;
        self.write_token(name, &token)?;
        Ok(change)
    }

    pub(super) fn operator(&self) -> Result<Option<(String, Claims<Operator>)>, FolderError> {
        self.token(Key::Operator, "operator")
    }

    pub(super) fn account(
        &self,
        account: FleetAccount,
    ) -> Result<Option<(String, Claims<Account>)>, FolderError> {
        self.token(account.key(), account.name())
    }

    /// One that has to be there.
    pub(super) fn needed_account(
        &self,
        account: FleetAccount,
    ) -> Result<(String, Claims<Account>), FolderError> {
        self.account(account)?.ok_or_else(|| self.without(account))
    }

    /// Who is revoked in an account; nobody, where it is not made yet.
    pub(super) fn revocations(&self, account: FleetAccount) -> Result<BTreeMap<String, u64>, FolderError> {
        Ok(self.account(account)?.map(|(_, claims)| claims.nats.revocations).unwrap_or_default())
    }

    /// Why there is none: lost where servers were told of it, and not made yet otherwise.
    fn without(&self, account: FleetAccount) -> FolderError {
        let file = self.path.join(files::token(account.name()));
        if self.accounts_configuration().exists() {
            FolderError::LostToken(file)
        } else {
            FolderError::Unfinished { folder: self.path.clone(), file }
        }
    }

    /// A token that the operator signed, if there is one.
    fn token<Body: DeserializeOwned>(
        &self,
        subject: Key,
        name: &str,
    ) -> Result<Option<(String, Claims<Body>)>, FolderError> {
        let path = self.path.join(files::token(name));
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let text = text.trim().to_owned();
        let claims: Claims<Body> = token::verify(&text, &self.keys.public(Key::Operator))
            .map_err(|source| FolderError::Token { path: path.clone(), source })?;
        let wanted = self.keys.public(subject);
        if claims.registered.subject != wanted {
            return Err(FolderError::Subject { path, wanted, found: claims.registered.subject });
        }
        Ok(Some((text, claims)))
    }

    pub(super) fn write_token(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.path.join(files::token(name));
        replace(&path, &format!("{text}\n")).map_err(io_error(&path))
    }
}
