//! The box: 56 characters of the sender's public key, and what that key has sealed as NATS xkeys do: `xkv1`, 24 bytes of
//! nonce, and a NaCl box (X25519, XSalsa20, Poly1305).
//!
//! The sender's key is made for one box and forgotten: nobody but the recipient can open it again.

use agent_model::{SealedValue, SealingKey};
use nkeys::XKey;
use zeroize::Zeroizing;

/// Why nothing can be sealed to a key.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no key that can be sealed to: its check sum is wrong; copy it again, whole")]
pub struct UnusableSealingKey(SealingKey);

/// A box for that key, with what only its device can read. The same text is another box each time.
///
/// # Errors
/// When the key was copied wrongly.
pub fn seal(plain: &[u8], to: &SealingKey) -> Result<SealedValue, UnusableSealingKey> {
    let unusable = || UnusableSealingKey(to.clone());
    let recipient = XKey::from_public_key(to.as_str()).map_err(|_| unusable())?;
    let sender = XKey::new();
    let mut boxed = sender.public_key().into_bytes();
    boxed.extend(sender.seal(plain, &recipient).map_err(|_| unusable())?);
    SealedValue::new(to.clone(), boxed).ok_or_else(unusable)
}

/// What is in a box for that key; `None` where it does not open.
pub(super) fn open(sealed: &SealedValue, key: &XKey) -> Option<Zeroizing<Vec<u8>>> {
    let (sender, sealed) = sealed.parts();
    let sender = XKey::from_public_key(std::str::from_utf8(sender).ok()?).ok()?;
    key.open(sealed, &sender).ok().map(Zeroizing::new)
}
