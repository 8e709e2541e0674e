//! The files with which the operator's own users log in.

use agent_model::UserKey;
use nkeys::KeyPair;

use super::{Change, Folder, FolderError, OwnUser, files, io_error, now};
use crate::{
    claims::{Claims, User},
    durable_file::replace,
    token::{self, InvalidToken},
};

impl Folder {
    /// Makes the credentials of a user, unless they are there.
    pub(super) fn make_credentials(&self, user: OwnUser) -> Result<Change, FolderError> {
        let path = self.credentials(user);
        if path.exists() {
            files::refuse_exposed(&path)?;
            return Ok(Change::Unchanged);
        }
        self.write_credentials(user)?;
        Ok(Change::Created)
    }

    /// Writes credentials of a new key, also in the place of others.
    pub(super) fn write_credentials(&self, user: OwnUser) -> Result<UserKey, FolderError> {
        let path = self.credentials(user);
        let unusable = || FolderError::Key { path: path.clone() };
        let pair = KeyPair::new_user();
        let key = pair.public_key();
        let signer = self.keys.pair(user.account().key());
        let token = token::sign(signer, &key, user.name(), now()?, user.rights())?;
        let seed = pair.seed().map_err(|_| unusable())?;
        replace(&path, &text(&token, &seed)).map_err(io_error(&path))?;
        key.parse().map_err(|_| unusable())
    }

    /// The public key in the credentials of a user, also where others can read them: then most of all it may have to end.
    pub(super) fn key_in_credentials(&self, user: OwnUser) -> Result<UserKey, FolderError> {
        let path = self.credentials(user);
        let text = files::read(&path)?.ok_or_else(|| FolderError::LostCredentials(path.clone()))?;
        let damaged = |source| FolderError::Token { path: path.clone(), source };
        let token = text.lines().find(|line| line.contains('.')).unwrap_or_default();
        let account = self.keys.public(user.account().key());
        let claims: Claims<User> = token::verify(token.trim(), &account).map_err(damaged)?;
        claims.registered.subject.parse().map_err(|_| damaged(InvalidToken::Malformed))
    }

    /// The user of the operator's own who logs in with this key now, if it is one of theirs. Of credentials that are not
    /// there nobody can say.
    ///
    /// # Errors
    /// Credentials that are there cannot be read, and the key may be theirs.
    pub fn user_with(&self, key: &UserKey) -> Result<Option<OwnUser>, FolderError> {
        for user in OwnUser::ALL {
            match self.key_in_credentials(user) {
                Ok(own) if own == *key => return Ok(Some(user)),
                Ok(_) | Err(FolderError::LostCredentials(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The form that all NATS clients read.
fn text(token: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}
