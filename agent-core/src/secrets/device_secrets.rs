//! The key with which this device opens what is sealed to it. It is of no other use: not the one that it logs in with,
//! which signs whatever a server sends.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use agent_model::{CannotUnseal, Digest, KeyedDigest, SealedValue, SealingKey, Unsealer};
use hmac::{Hmac, Mac as _};
use nkeys::XKey;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::boxes;
use crate::{
    damaged_file,
    durable_file::{self, Durability, Previous},
    state_dir::StateLayout,
};

/// What a device can open sealed values with: nothing, where its state folder serves neither to read a key nor to keep
/// a new one.
#[derive(Debug, Default)]
pub struct DeviceSecrets(Option<DeviceKey>);

impl DeviceSecrets {
    /// The key that the state folder has, or a new one that it has from now on. A key that cannot be read is never
    /// written over: one that is damaged is set aside.
    pub fn load_or_make(layout: &StateLayout) -> Self {
        let path = layout.sealing_key();
        match read(&path) {
            Ok(Some(key)) => {
                close_to_others(&path);
                Self(Some(key))
            }
            Ok(None) => {
                if is_known(layout) {
                    tracing::warn!(
                        path = %path.display(),
                        "there is no key for sealed values, though this device is not new: it was lost, or an agent was here \
                         that knew of none. One is made. If something was sealed to this device, stop the agent and put a \
                         copy of the key back, or seal everything anew with `harmonyctl secret seal`"
                    );
                }
                Self::make(&path)
            }
            Err(Unreadable::Damaged) => {
                let aside = damaged_file::set_aside(&path);
                tracing::error!(
                    path = %path.display(), ?aside,
                    "the key for sealed values is damaged and was set aside; a new one is made, and what was sealed to the \
                     old one has to be sealed anew"
                );
                if aside.is_ok() { Self::make(&path) } else { Self::default() }
            }
            Err(Unreadable::System(error)) => {
                tracing::error!(%error, path = %path.display(), "cannot read the key for sealed values: none can be opened");
                Self::default()
            }
        }
    }

    /// Looks for the key, and makes none.
    pub fn look(layout: &StateLayout) -> FoundKey {
        match read(&layout.sealing_key()) {
            Ok(Some(key)) => FoundKey::Usable(key.public),
            Ok(None) if is_known(layout) => FoundKey::Gone,
            Ok(None) => FoundKey::NotYetMade,
            Err(Unreadable::Damaged) => FoundKey::Damaged,
            Err(Unreadable::System(error)) => FoundKey::Unreadable(error),
        }
    }

    /// The public half, for those who seal.
    pub fn public(&self) -> Option<&SealingKey> {
        self.0.as_ref().map(|key| &key.public)
    }

    fn make(path: &Path) -> Self {
        let key = XKey::new();
        let made = key.seed().map_err(io::Error::other).map(Zeroizing::new).and_then(|seed| {
            let text = Zeroizing::new(format!("{}\n", *seed));
            durable_file::replace(path, text.as_bytes(), Previous::Discarded, Durability::Synced)
        });
        if let Err(error) = &made {
            tracing::error!(%error, path = %path.display(), "cannot keep a key for sealed values: none can be opened");
        }
        Self(made.ok().and_then(|()| DeviceKey::new(key)))
    }
}

impl Unsealer for DeviceSecrets {
    fn open(&self, sealed: &SealedValue) -> Result<Zeroizing<Vec<u8>>, CannotUnseal> {
        let key = self.0.as_ref().ok_or(CannotUnseal::NoKey)?;
        if *sealed.to() != key.public {
            return Err(CannotUnseal::AnotherKey { to: sealed.to().clone(), own: key.public.clone() });
        }
        boxes::open(sealed, &key.pair).ok_or(CannotUnseal::Damaged)
    }

    fn fingerprint(&self, content: Digest) -> Option<KeyedDigest> {
        let key = self.0.as_ref()?;
        let of = |text: &str| {
            Digest::from_sha256(key.fingerprints.clone().chain_update(text).finalize().into_bytes().into())
        };
        // No digest is written as nothing, so this is never that of a content.
        Some(KeyedDigest { digest: of(&content.to_string()), key: of("") })
    }
}

#[derive(Debug)]
struct DeviceKey {
    pair: XKey,
    public: SealingKey,
    /// Keyed with what is derived from the seed: who has neither cannot try which content a fingerprint is of.
    fingerprints: Hmac<Sha256>,
}

impl DeviceKey {
    fn new(pair: XKey) -> Option<Self> {
        let seed = Zeroizing::new(pair.seed().ok()?);
        let mut derived = Hmac::<Sha256>::new_from_slice(seed.as_bytes()).ok()?;
        derived.update(b"harmony/fingerprints");
        let derived = Zeroizing::new(<[u8; 32]>::from(derived.finalize().into_bytes()));
        let fingerprints = Hmac::new_from_slice(&*derived).ok()?;
        Some(Self { public: pair.public_key().parse().ok()?, pair, fingerprints })
    }
}

/// What there is to open sealed values with.
#[derive(Debug)]
pub enum FoundKey {
    /// A key with this public half.
    Usable(SealingKey),
    /// None, and no agent was at work here that could have made one.
    NotYetMade,
    /// None, though the device is not new: it was lost, or no agent was here yet that knew of any. One is made at the
    /// next start.
    Gone,
    /// Something that is no key: the agent sets it aside and makes another one when it starts.
    Damaged,
    /// Nobody can tell.
    Unreadable(io::Error),
}

/// Whether an agent was at work on that state folder already.
fn is_known(layout: &StateLayout) -> bool {
    layout.ledger().exists() || layout.previous_ledger().exists()
}

enum Unreadable {
    Damaged,
    System(io::Error),
}

fn read(path: &Path) -> Result<Option<DeviceKey>, Unreadable> {
    let text = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unreadable::System(error)),
    };
    let seed = std::str::from_utf8(&text).map_err(|_| Unreadable::Damaged)?.trim();
    let pair = XKey::from_seed(seed).map_err(|_| Unreadable::Damaged)?;
    DeviceKey::new(pair).map(Some).ok_or(Unreadable::Damaged)
}

/// Somebody may have copied it there with the wrong mode.
fn close_to_others(path: &Path) {
    let is_open = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if is_open {
        tracing::warn!(path = %path.display(), "others could read the key for sealed values; its mode is 0600 again");
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    }
}

#[cfg(test)]
mod tests;
