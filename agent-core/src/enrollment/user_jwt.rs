//! The JWT with which a device logs in, checked before anything rests on it.

use agent_model::{AgentId, UserKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::{KeyPair, KeyPairType};
use serde::Deserialize;

/// A user's JWT for a device's own key and id, signed by the account that it names. Whether that account is the
/// right one, only a server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserJwt(String);

/// Why a text is no JWT that a device could use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserJwt {
    /// It has another form.
    #[error("it is no JWT")]
    NoJwt,
    /// There is one algorithm, and whoever signs has no say in it.
    #[error("its algorithm is not {ALGORITHM}")]
    Algorithm,
    /// It is not for a user, or lets in whoever has the text.
    #[error("it is not that of a user who has to prove possession of a key")]
    Kind,
    /// It is for another key.
    #[error("it is for another key")]
    OtherKey,
    /// It has another name.
    #[error("it is for another id")]
    OtherName,
    /// The account that it names has not signed it.
    #[error("it is not signed by the account that it names")]
    Signature,
}

const ALGORITHM: &str = "ed25519-nkey";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    name: String,
    nats: UserClaims,
}

#[derive(Deserialize)]
struct UserClaims {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    bearer_token: bool,
}

impl UserJwt {
    /// Takes the text if it is a JWT for this id and key. When it ends is not judged: the clock of a new device may
    /// not be set.
    ///
    /// # Errors
    /// See [`InvalidUserJwt`].
    pub fn check(text: &str, agent: &AgentId, key: &UserKey) -> Result<Self, InvalidUserJwt> {
        let (signed, signature) = text.rsplit_once('.').ok_or(InvalidUserJwt::NoJwt)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidUserJwt::NoJwt)?;
        let header: Header = part(header)?;
        if header.typ != "JWT" || header.alg != ALGORITHM {
            return Err(InvalidUserJwt::Algorithm);
        }
        let claims: Claims = part(claims)?;
        if claims.nats.kind != "user" || claims.nats.bearer_token {
            return Err(InvalidUserJwt::Kind);
        }
        if claims.sub != key.as_str() {
            return Err(InvalidUserJwt::OtherKey);
        }
        if claims.name != agent.as_str() {
            return Err(InvalidUserJwt::OtherName);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| InvalidUserJwt::Signature)?;
        KeyPair::from_public_key(&claims.iss)
            .ok()
            .filter(|issuer| issuer.key_pair_type() == KeyPairType::Account)
            .filter(|issuer| issuer.verify(signed.as_bytes(), &signature).is_ok())
            .ok_or(InvalidUserJwt::Signature)?;
        Ok(Self(text.to_owned()))
    }

    /// The JWT as text: base64 and dots, so nothing that could end a line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key that a JWT is for, if the text is one. Nothing else of it is looked at.
pub(super) fn key_named_in(text: &str) -> Option<String> {
    let [_, claims, _] = text.split('.').collect::<Vec<_>>()[..] else { return None };
    Some(part::<Claims>(claims).ok()?.sub)
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, InvalidUserJwt> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidUserJwt::NoJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidUserJwt::NoJwt)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a JWT of these tests says.
    #[derive(Clone)]
    pub(in crate::enrollment) struct Claims {
        user: KeyPair,
        issuer: KeyPair,
        header: Value,
        claims: Value,
    }

    impl Default for Claims {
        fn default() -> Self {
            let (user, issuer) = (KeyPair::new_user(), KeyPair::new_account());
            let claims = json!({
                "jti": "x", "iat": 1, "iss": issuer.public_key(), "sub": user.public_key(), "name": "edge-1",
                "nats": {"type": "user", "version": 2, "issuer_account": issuer.public_key()},
            });
            Self { user, issuer, header: json!({"typ": "JWT", "alg": ALGORITHM}), claims }
        }
    }

    impl Claims {
        pub(in crate::enrollment) fn jwt(&self) -> String {
            jwt(self)
        }

        pub(in crate::enrollment) fn seed(&self) -> String {
            self.user.seed().unwrap()
        }

        pub(in crate::enrollment) fn agent(&self) -> AgentId {
            "edge-1".parse().unwrap()
        }

        pub(in crate::enrollment) fn key(&self) -> UserKey {
            self.user.public_key().parse().unwrap()
        }

        fn with(mut self, pointer: &str, value: Value) -> Self {
            *self.claims.pointer_mut(pointer).unwrap() = value;
            self
        }
    }

    pub(in crate::enrollment) fn jwt(claims: &Claims) -> String {
        let [header, body] =
            [&claims.header, &claims.claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
        let signed = format!("{header}.{body}");
        let signature = URL_SAFE_NO_PAD.encode(claims.issuer.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    fn checked(claims: &Claims) -> Result<UserJwt, InvalidUserJwt> {
        UserJwt::check(&jwt(claims), &claims.agent(), &claims.key())
    }

    #[test]
    fn a_jwt_for_the_devices_own_key_and_id_is_taken() {
        let claims = Claims::default();
        assert_eq!(checked(&claims).unwrap().as_str(), jwt(&claims));
    }

    #[test]
    fn a_jwt_for_another_or_of_another_kind_is_refused() {
        let claims = Claims::default;
        let other = KeyPair::new_user().public_key();
        for (claims, expected) in [
            (claims().with("/sub", json!(other)), InvalidUserJwt::OtherKey),
            (claims().with("/name", json!("edge-2")), InvalidUserJwt::OtherName),
            (claims().with("/name", json!("*")), InvalidUserJwt::OtherName),
            (claims().with("/nats/type", json!("account")), InvalidUserJwt::Kind),
            (claims().with("/nats", json!({"type": "user", "bearer_token": true})), InvalidUserJwt::Kind),
            (claims().with("/iss", json!(KeyPair::new_account().public_key())), InvalidUserJwt::Signature),
        ] {
            assert_eq!(checked(&claims), Err(expected));
        }
        // Signed by the user itself, or by an operator: neither lets users in.
        for issuer in [KeyPair::new_user(), KeyPair::new_operator()] {
            let claims =
                Claims { issuer: issuer.clone(), ..claims() }.with("/iss", json!(issuer.public_key()));
            assert_eq!(checked(&claims), Err(InvalidUserJwt::Signature));
        }
    }

    #[test]
    fn no_other_algorithm_and_nothing_unsigned_passes() {
        for header in [
            json!({"typ": "JWT", "alg": "none"}),
            json!({"typ": "JWT", "alg": "ed25519"}),
            json!({"typ": "JWT", "alg": "HS256"}),
            json!({"typ": "JOSE", "alg": ALGORITHM}),
        ] {
            let claims = Claims { header, ..Claims::default() };
            assert_eq!(checked(&claims), Err(InvalidUserJwt::Algorithm));
        }
        let claims = Claims::default();
        let whole = jwt(&claims);
        let unsigned = format!("{}.", whole.rsplit_once('.').unwrap().0);
        for text in ["", ".", "..", "a.b.c", "not a JWT", &unsigned, &format!("{whole}\n"), &whole[1..]] {
            assert!(UserJwt::check(text, &claims.agent(), &claims.key()).is_err(), "{text:?} was taken");
        }
    }
}
