//! The key that a device is known by, and the file of credentials that it comes to.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use agent_model::UserKey;
use crash_point::crash_point;
use nkeys::{KeyPair, KeyPairType};

use super::{UserJwt, credentials};
use crate::{
    durable_file::{self, Durability, Previous},
    state_dir::StateDir,
};

/// A user's key, made on this device. Its seed leaves the device neither in a request nor in the log.
pub struct DeviceKey {
    pair: KeyPair,
    public: UserKey,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeviceKey").field(&self.public.as_str()).finish()
    }
}

/// Why there is no key, or no file of credentials.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or written.
    #[error("cannot keep this device's key in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file of the key has something else in it.
    #[error(
        "{} does not hold the key that this device asked with; remove it, and the device asks with a new one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file of credentials is there, and not for this user.
    #[error(
        "cannot read the credentials in {}: let this user read it, or remove it, and `harmony-agent enroll` asks for new \
         ones",
        path.display()
    )]
    UnreadableCredentials {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of credentials has something else in it.
    #[error(
        "{} holds no credentials, which are the JWT of a user and the seed of its key: remove it, and `harmony-agent \
         enroll` asks for new ones",
        path.display()
    )]
    NoCredentials {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made, or it cannot be used.
    #[error("the key cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl KeyError {
    pub(super) fn unusable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unusable(source.into())
    }

    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

impl DeviceKey {
    /// A new key, which is nowhere yet.
    ///
    /// # Errors
    /// [`KeyError::Unusable`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(KeyPair::new_user())
    }

    fn of(pair: KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().parse().map_err(KeyError::unusable)?;
        Ok(Self { pair, public })
    }

    /// The key with which this device asks. The first time one is made; from then on it is the same, whatever became
    /// of the process that made it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn load_or_make(state: &StateDir) -> Result<Self, KeyError> {
        let path = state.layout().enrollment_seed();
        match fs::read_to_string(&path) {
            Ok(seed) => {
                let pair = KeyPair::from_seed(seed.trim_end()).ok();
                let pair = pair.filter(|pair| pair.key_pair_type() == KeyPairType::User);
                Self::of(pair.ok_or(KeyError::Damaged { path })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                crash_point();
                replace(&path, &format!("{}\n", key.seed()?))?;
                Ok(key)
            }
            // What is no text is no seed.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(KeyError::Damaged { path }),
            Err(error) => Err(KeyError::at(&path)(error)),
        }
    }

    /// The public half.
    pub fn public(&self) -> UserKey {
        self.public.clone()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair.sign(message).map_err(KeyError::unusable)
    }

    fn seed(&self) -> Result<String, KeyError> {
        self.pair.seed().map_err(KeyError::unusable)
    }

    /// Writes the file of credentials, as NATS clients read it. From then on the seed lies there alone.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn store_credentials(&self, jwt: &UserJwt, path: &Path, state: &StateDir) -> Result<(), KeyError> {
        let text = credentials::text(jwt, &self.seed()?);
        crash_point();
        replace(path, &text)?;
        crash_point();
        forget_seed(state)
    }
}

/// Removes what is left of asking, where credentials are there already: a crash came between.
///
/// # Errors
/// See [`KeyError`].
pub fn forget_seed(state: &StateDir) -> Result<(), KeyError> {
    let path = state.layout().enrollment_seed();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KeyError::at(&path)(error)),
        _ => Ok(()),
    }
}

fn replace(path: &Path, text: &str) -> Result<(), KeyError> {
    durable_file::replace(path, text.as_bytes(), Previous::Discarded, Durability::Synced)
        .map_err(KeyError::at(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn state(folder: &tempfile::TempDir) -> StateDir {
        StateDir::open(folder.path()).await.unwrap()
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(&folder).await;
        let key = DeviceKey::load_or_make(&state).unwrap();
        assert_eq!(DeviceKey::load_or_make(&state).unwrap().public(), key.public());
        let file = state.layout().enrollment_seed();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!format!("{key:?}").contains(&key.seed().unwrap()));
    }

    #[tokio::test]
    async fn a_file_with_something_else_in_it_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(&folder).await;
        let file = state.layout().enrollment_seed();
        let account = KeyPair::new_account().seed().unwrap();
        for content in ["", "half a seed", &account, "\u{fffd}"] {
            fs::write(&file, content).unwrap();
            assert!(matches!(DeviceKey::load_or_make(&state), Err(KeyError::Damaged { .. })), "{content:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    }
}
