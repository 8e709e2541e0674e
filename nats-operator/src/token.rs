//! NATS's JWTs: signed with an nkey, and with no other algorithm.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha512_256};

use crate::claims::{Claims, Registered};

/// The only algorithm there is.
const ALGORITHM: &str = "ed25519-nkey";

/// More than any token that we write or should be handed: one of an account with ten thousand revocations.
const MAX_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
}

/// Why a text is not the token that it should be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// It has not the form of one.
    #[error("it is not a JWT")]
    Malformed,
    /// It wants to be verified by an algorithm that it names itself.
    #[error("it names the algorithm {0:?}, and only ed25519-nkey counts")]
    Algorithm(String),
    /// Somebody else signed it.
    #[error("it was signed by {found}, not by {wanted}")]
    Issuer {
        /// Who should have.
        wanted: String,
        /// Who it says has.
        found: String,
    },
    /// Nobody signed this.
    #[error("its signature is not that of the key that it names")]
    Signature,
    /// It is about something else.
    #[error("it does not say what a token of its kind says")]
    Claims(#[source] serde_json::Error),
}

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the token of {name}")]
pub struct Unsigned {
    name: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Signs what there is to say about `subject`, a public key called `name`, as of that second of Unix time.
///
/// # Errors
/// `signer` has no private key.
pub fn sign<Body: Serialize>(
    signer: &KeyPair,
    subject: &str,
    name: &str,
    issued_at: u64,
    body: Body,
) -> Result<String, Unsigned> {
    let sign = || -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let mut registered = Registered {
            expires: None,
            id: String::new(),
            issued_at,
            issuer: signer.public_key(),
            name: name.to_owned(),
            subject: subject.to_owned(),
        };
        registered.id = BASE32_NOPAD.encode(&Sha512_256::digest(serde_json::to_vec(&registered)?));
        let header = Header { typ: "JWT".to_owned(), alg: ALGORITHM.to_owned() };
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?),
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { registered, nats: body })?)
        );
        let signature = signer.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    };
    sign().map_err(|source| Unsigned { name: name.to_owned(), source })
}

/// What the token says, when `issuer`, a public key, has signed it.
///
/// # Errors
/// See [`InvalidToken`]. Nothing of a token is believed before its signature is verified, but who signed it.
pub fn verify<Body: DeserializeOwned>(token: &str, issuer: &str) -> Result<Claims<Body>, InvalidToken> {
    if token.len() > MAX_BYTES {
        return Err(InvalidToken::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(InvalidToken::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(InvalidToken::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidToken::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| InvalidToken::Malformed)?;
    if header.typ != "JWT" || header.alg != ALGORITHM {
        return Err(InvalidToken::Algorithm(header.alg));
    }
    let claims = decode(claims)?;
    let named: Issuer = serde_json::from_slice(&claims).map_err(|_| InvalidToken::Malformed)?;
    if named.iss != issuer {
        return Err(InvalidToken::Issuer { wanted: issuer.to_owned(), found: named.iss });
    }
    KeyPair::from_public_key(issuer)
        .and_then(|key| key.verify(signed.as_bytes(), &decode(signature).unwrap_or_default()))
        .map_err(|_| InvalidToken::Signature)?;
    serde_json::from_slice(&claims).map_err(InvalidToken::Claims)
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn forged(header: &Value, claims: &Value, key: &KeyPair) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    #[test]
    fn what_was_signed_is_read_back_and_nobody_else_signed_it() {
        let [signer, stranger] = [(); 2].map(|()| KeyPair::new_operator());
        let token = sign(&signer, "A1", "one", 7, json!({"type": "account"})).unwrap();
        let claims: Claims<Value> = verify(&token, &signer.public_key()).unwrap();
        assert_eq!((claims.registered.name.as_str(), claims.registered.issued_at), ("one", 7));
        let refused = verify::<Value>(&token, &stranger.public_key());
        assert!(matches!(refused, Err(InvalidToken::Issuer { .. })), "{refused:?}");
    }

    /// What nats-io/jwt computes for these claims: the hash is over this text.
    #[test]
    fn the_id_is_the_hash_that_nats_computes() {
        let signer = KeyPair::new_operator();
        let token = sign(&signer, "A1", "one", 7, json!({})).unwrap();
        let claims: Claims<Value> = verify(&token, &signer.public_key()).unwrap();
        let text = format!(r#"{{"iat":7,"iss":"{}","name":"one","sub":"A1"}}"#, signer.public_key());
        assert_eq!(claims.registered.id, BASE32_NOPAD.encode(&Sha512_256::digest(text)));
        assert_eq!(claims.registered.id.len(), 52);
    }

    #[test]
    fn no_other_algorithm_counts_and_nothing_may_be_altered() {
        let signer = KeyPair::new_operator();
        let issuer = signer.public_key();
        let claims = json!({"jti": "", "iat": 7, "iss": issuer, "name": "one", "sub": "A1", "nats": {}});
        let good = forged(&json!({"typ": "JWT", "alg": "ed25519-nkey"}), &claims, &signer);
        assert!(verify::<Value>(&good, &issuer).is_ok());
        for algorithm in ["none", "HS256", "ed25519", "EdDSA", "ED25519-NKEY", ""] {
            let token = forged(&json!({"typ": "JWT", "alg": algorithm}), &claims, &signer);
            let refused = verify::<Value>(&token, &issuer);
            assert!(matches!(refused, Err(InvalidToken::Algorithm(_))), "{algorithm}: {refused:?}");
        }
        let (head, rest) = good.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let mut other = claims.clone();
        other["sub"] = "A2".into();
        let other = URL_SAFE_NO_PAD.encode(other.to_string());
        for altered in [format!("{head}.{other}.{signature}"), format!("{head}.{other}.")] {
            let refused = verify::<Value>(&altered, &issuer);
            assert!(matches!(refused, Err(InvalidToken::Signature)), "{refused:?}");
        }
        for text in ["", ".", "..", "a.b.c", &"x".repeat(MAX_BYTES + 1), &good[..20]] {
            assert!(matches!(verify::<Value>(text, &issuer), Err(InvalidToken::Malformed)), "{text:.20}");
        }
        let more = forged(&json!({"typ": "JWT", "alg": "ed25519-nkey", "jwk": {}}), &claims, &signer);
        assert!(matches!(verify::<Value>(&more, &issuer), Err(InvalidToken::Malformed)));
    }
}
