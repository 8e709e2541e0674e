//! Whom a device believes.

use std::collections::BTreeMap;

use agent_model::{RefusalReason, Timestamp};

use super::{KeyId, PublicKey, Sealed};
use crate::{envelope::Refusal, expiry::Present};

/// A key whose holder may say what the device should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Until when documents that it signed are accepted; for ever where `None`.
    pub not_after: Option<Timestamp>,
}

/// Whose documents are accepted.
#[derive(Debug, Clone)]
pub struct Trust {
    keys: BTreeMap<KeyId, TrustedKey>,
    allows_unsigned: bool,
}

impl Trust {
    /// In anybody who can write the device's entry. Signatures are looked at by nobody.
    pub fn in_anybody() -> Self {
        Self { keys: BTreeMap::new(), allows_unsigned: true }
    }

    /// In the holders of these keys; and, where `allows_unsigned`, in whoever signs nothing at all.
    pub fn in_keys(keys: impl IntoIterator<Item = TrustedKey>, allows_unsigned: bool) -> Self {
        Self { keys: keys.into_iter().map(|key| (key.key.id(), key)).collect(), allows_unsigned }
    }

    /// The keys, by their ids.
    pub fn keys(&self) -> impl Iterator<Item = (KeyId, &TrustedKey)> {
        self.keys.iter().map(|(id, key)| (*id, key))
    }

    /// When the trust in that key ends, if it is trusted and that ever ends.
    pub fn end(&self, key: KeyId) -> Option<Timestamp> {
        self.keys.get(&key)?.not_after
    }

    /// The same without an end of any key: for what was accepted in time.
    #[must_use]
    pub(crate) fn without_ends(&self) -> Self {
        let mut endless = self.clone();
        endless.keys.values_mut().for_each(|key| key.not_after = None);
        endless
    }

    /// Whether documents are accepted that nobody has signed.
    pub fn allows_unsigned(&self) -> bool {
        self.allows_unsigned
    }

    /// Judges a document of the plain form.
    ///
    /// # Errors
    /// `Unsigned`.
    pub(crate) fn judge_plain(&self) -> Result<(), Refusal> {
        if self.allows_unsigned { Ok(()) } else { Err(unsigned("the document is not signed")) }
    }

    /// Judges a sealed document, and tells who signed it. One key that is trusted now is enough. `None` where
    /// nobody is asked for a signature.
    ///
    /// # Errors
    /// `Unsigned` or `UntrustedSignature`.
    pub(crate) fn judge(&self, sealed: &Sealed, present: Present) -> Result<Option<KeyId>, Refusal> {
        if self.keys.is_empty() && self.allows_unsigned {
            return Ok(None);
        }
        if sealed.signatures().is_empty() {
            return Err(unsigned("the document has a seal without a signature"));
        }
        if !sealed.has_our_type() {
            return Err(untrusted(
                "what is sealed is said to be something else than a document of this kind",
            ));
        }
        let message = sealed.to_be_signed();
        let mut expired = None;
        let mut altered = None;
        for signature in sealed.signatures() {
            for (id, trusted) in self.candidates(signature.key_id.as_deref()) {
                if !trusted.key.verifies(&message, &signature.bytes) {
                    altered = Some(id);
                } else if let Some((end, why)) =
                    trusted.not_after.and_then(|end| Some((end, present.refuses(end)?)))
                {
                    expired = Some((id, end, why));
                } else {
                    return Ok(Some(id));
                }
            }
        }
        Err(match (expired, altered) {
            (Some((id, end, why)), _) => {
                let message = format!("it is signed with the key {id}, which is trusted until {end}; {why}");
                Refusal::by_the_clock(RefusalReason::UntrustedSignature, message)
            }
            (None, Some(id)) => untrusted(&format!(
                "the signature is not one of the key {id} for this content: one of them was altered"
            )),
            (None, None) => untrusted(&format!(
                "it is signed with {}, and this device trusts {}",
                listed(sealed.claimed_keys()),
                listed(self.keys.keys().copied()),
            )),
        })
    }

    /// The keys that a signature may be one of. Its key id is a hint, and saves trying the others.
    fn candidates(&self, hint: Option<&str>) -> impl Iterator<Item = (KeyId, &TrustedKey)> {
        self.keys().filter(move |(id, _)| hint.is_none_or(|hint| hint == id.to_string()))
    }
}

fn unsigned(what: &str) -> Refusal {
    let message = format!(
        "{what}, and this device accepts signed ones only; sign it with `harmonyctl apply --sign-key FILE`"
    );
    Refusal::new(RefusalReason::Unsigned, message)
}

fn untrusted(message: &str) -> Refusal {
    Refusal::new(RefusalReason::UntrustedSignature, message)
}

/// Enough of the keys to know which are meant.
fn listed(ids: impl Iterator<Item = KeyId>) -> String {
    let ids: Vec<String> = ids.take(4).map(|id| id.to_string()).collect();
    if ids.is_empty() { "no key that has an id".to_owned() } else { format!("the key {}", ids.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{policy::Tolerance, signing::SecretKey};

    const NOW: &str = "2026-11-26T12:00:00Z";

    fn by_the_clock() -> Present {
        Present::new(NOW.parse().unwrap(), None, Tolerance::Tolerated)
    }

    fn value(payload: &[u8], key: &SecretKey) -> Value {
        serde_json::from_slice(&Sealed::seal(payload, key)).unwrap()
    }

    fn reason(trust: &Trust, sealed: &Value) -> (RefusalReason, String) {
        let sealed = Sealed::read(sealed.as_object().unwrap()).unwrap();
        let refusal = trust.judge(&sealed, by_the_clock()).unwrap_err();
        (refusal.reason, refusal.message)
    }

    fn trusting(keys: &[(&SecretKey, Option<&str>)]) -> Trust {
        let trusted = |(key, not_after): &(&SecretKey, Option<&str>)| TrustedKey {
            key: key.public(),
            not_after: not_after.map(|time| time.parse().unwrap()),
        };
        Trust::in_keys(keys.iter().map(trusted), false)
    }

    fn judged(trust: &Trust, sealed: &Value) -> Option<KeyId> {
        trust.judge(&Sealed::read(sealed.as_object().unwrap()).unwrap(), by_the_clock()).unwrap()
    }

    #[test]
    fn one_signature_of_a_key_that_is_trusted_now_is_enough() {
        let [old, new, stranger] = [(); 3].map(|()| SecretKey::generate().unwrap());
        let trust = trusting(&[(&old, Some("2026-01-01T00:00:00Z")), (&new, Some("2027-01-01T00:00:00Z"))]);
        assert_eq!(judged(&trust, &value(b"{}", &new)), Some(new.public().id()));

        let mut several = value(b"{}", &stranger);
        for key in [&old, &new] {
            let signature = value(b"{}", key)["signatures"][0].clone();
            several["signatures"].as_array_mut().unwrap().push(signature);
        }
        assert_eq!(judged(&trust, &several), Some(new.public().id()));

        // Who leaves out the hint is found all the same.
        let mut without_hint = value(b"{}", &new);
        without_hint["signatures"][0].as_object_mut().unwrap().remove("keyid");
        assert_eq!(judged(&trust, &without_hint), Some(new.public().id()));
    }

    #[test]
    fn no_signature_but_that_of_a_trusted_key_over_that_content_passes() {
        let [key, stranger] = [(); 2].map(|()| SecretKey::generate().unwrap());
        let trust = trusting(&[(&key, None)]);
        let good = value(b"{}", &key);
        let altered = |pointer: &str, to: Value| {
            let mut altered = good.clone();
            *altered.pointer_mut(pointer).unwrap() = to;
            altered
        };
        let sig = good["signatures"][0]["sig"].as_str().unwrap();
        for (what, sealed, words) in [
            ("a stranger's", value(b"{}", &stranger), "this device trusts"),
            (
                "a stranger's under a known id",
                {
                    let mut sealed = value(b"{}", &stranger);
                    sealed["signatures"][0]["keyid"] = good["signatures"][0]["keyid"].clone();
                    sealed
                },
                "was altered",
            ),
            ("other content", altered("/payload", json!("e30K")), "was altered"),
            ("another type", altered("/payloadType", json!("text/plain")), "something else"),
            ("no signature's length", altered("/signatures/0/sig", json!("AAAA")), "was altered"),
            ("no signature", altered("/signatures/0/sig", json!("")), "was altered"),
            (
                "another signature",
                altered("/signatures/0/sig", json!(sig.replace(&sig[..1], "_"))),
                "was altered",
            ),
        ] {
            // What is no base64 any more is none of this test's business.
            let Ok(_) = Sealed::read(sealed.as_object().unwrap()) else { continue };
            let (found, message) = reason(&trust, &sealed);
            assert_eq!(found, RefusalReason::UntrustedSignature, "{what}");
            assert!(message.contains(words), "{what}: {message}");
        }
        assert_eq!(reason(&trust, &altered("/signatures", json!([]))).0, RefusalReason::Unsigned);
        assert_eq!(trust.judge_plain().unwrap_err().reason, RefusalReason::Unsigned);
    }

    #[test]
    fn a_key_is_trusted_to_the_end_of_its_time_and_what_its_end_refuses_the_clock_decides() {
        let key = SecretKey::generate().unwrap();
        let sealed = value(b"{}", &key);
        let over = trusting(&[(&key, Some(NOW))]);
        let read = Sealed::read(sealed.as_object().unwrap()).unwrap();
        let refusal = over.judge(&read, by_the_clock()).unwrap_err();
        assert!(refusal.is_by_the_clock && refusal.message.contains("trusted until 2026-11-26T12:00:00Z"));
        let still = trusting(&[(&key, Some("2026-11-26T12:00:01Z"))]);
        assert_eq!(judged(&still, &sealed), Some(key.public().id()));
    }

    #[test]
    fn a_device_that_trusts_anybody_asks_for_no_signature_and_one_with_keys_verifies_each() {
        let [key, stranger] = [(); 2].map(|()| SecretKey::generate().unwrap());
        let sealed = value(b"{}", &stranger);
        assert_eq!(judged(&Trust::in_anybody(), &sealed), None);
        let both = Trust::in_keys([TrustedKey { key: key.public(), not_after: None }], true);
        both.judge_plain().unwrap();
        assert_eq!(reason(&both, &sealed).0, RefusalReason::UntrustedSignature);
    }
}
