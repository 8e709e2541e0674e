//! Unsealers for tests that have no use for cryptography.

use agent_model::{CannotUnseal, Digest, KeyedDigest, SealedValue, Unsealer};
use zeroize::Zeroizing;

/// Opens nothing.
#[derive(Debug)]
pub(crate) struct NoKey;

impl Unsealer for NoKey {
    fn open(&self, _: &SealedValue) -> Result<Zeroizing<Vec<u8>>, CannotUnseal> {
        Err(CannotUnseal::NoKey)
    }

    fn fingerprint(&self, _: Digest) -> Option<KeyedDigest> {
        None
    }
}

/// Opens boxes whose content lies behind as many bytes as a real one has more, whichever key it has: that shows in its
/// fingerprints only.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Transparent {
    pub(crate) key: u8,
}

impl Unsealer for Transparent {
    fn open(&self, sealed: &SealedValue) -> Result<Zeroizing<Vec<u8>>, CannotUnseal> {
        let (sender, rest) = sealed.parts();
        let content = rest.get(SealedValue::OVERHEAD - sender.len()..).ok_or(CannotUnseal::Damaged)?;
        Ok(Zeroizing::new(content.to_vec()))
    }

    fn fingerprint(&self, content: Digest) -> Option<KeyedDigest> {
        let of = |text: &str| Digest::of_bytes(format!("keyed with {}: {text}", self.key).as_bytes());
        Some(KeyedDigest { digest: of(&content.to_string()), key: of("") })
    }
}

/// What [`Transparent`] finds that text in.
pub(crate) fn transparent_box(content: &str) -> SealedValue {
    let to = format!("X{}", "A".repeat(55)).parse().unwrap();
    let mut boxed = vec![0; SealedValue::OVERHEAD];
    boxed.extend_from_slice(content.as_bytes());
    SealedValue::new(to, boxed).unwrap()
}
