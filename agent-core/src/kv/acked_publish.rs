//! Publishing into a stream and reading the server's acknowledgement.

use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use serde::Deserialize;

use super::Connection;

/// Whether a server's error (`err_code`) says that an entry is at another revision than expected.
/// The second number comes from replicated streams only, and there most often: it is found before
/// the other write is committed. The client library knows the first.
pub fn is_conflict(code: u64) -> bool {
    matches!(code, 10071 | 10164)
}

/// Why a message is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AckError {
    /// The stream refused it: it is not stored.
    #[error("the server refused the message: {description} (error {code})")]
    Refused {
        /// The server's own number for the error (`err_code`), for example 10071 for a wrong
        /// last sequence.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// Nothing came back that says whether it was stored: a time-out, a broken link, no stream or
    /// no leader of it (an error of class 5xx). It may be stored yet.
    #[error("the server did not acknowledge the message")]
    Unknown {
        /// What the client saw.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The answer to a publish into a stream (NATS `PubAck`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Ack {
    // First, because an error can come with a meaningless `seq` of 0.
    Refused { error: Refusal },
    Stored { seq: u64 },
}

#[derive(Deserialize)]
struct Refusal {
    /// The class of the error, as in HTTP.
    #[serde(default)]
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Connection {
    /// Publishes `payload` on `subject` and gives the sequence under which a stream stored it.
    /// Nothing is sent without a link: what is published on one that just broke can be delivered, and stored, after it
    /// was given up here.
    ///
    /// # Errors
    /// See [`AckError`].
    pub(crate) async fn publish_acked(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<u64, AckError> {
        let mut request = Request::new().payload(payload);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = match self.request(&subject, request).await {
            Some(answer) => answer.map_err(|error| AckError::Unknown { source: error.into() })?,
            None => {
                return Err(AckError::Unknown { source: "no answer in time, or the link was lost".into() });
            }
        };
        sequence_of(&answer.payload)
    }
}

fn sequence_of(ack: &[u8]) -> Result<u64, AckError> {
    match serde_json::from_slice(ack) {
        Ok(Ack::Stored { seq }) => Ok(seq),
        Ok(Ack::Refused { error }) if error.code >= 500 => Err(AckError::Unknown {
            source: format!("{} (error {})", error.description, error.err_code).into(),
        }),
        Ok(Ack::Refused { error }) => {
            Err(AckError::Refused { code: error.err_code, description: error.description })
        }
        Err(error) => Err(AckError::Unknown { source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_gives_the_sequence() {
        assert_eq!(sequence_of(br#"{"stream":"S","seq":12,"domain":"d"}"#).unwrap(), 12);
    }

    #[test]
    fn an_error_is_a_refusal_whatever_else_the_answer_holds() {
        let ack = br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"S","seq":0}"#;
        let Err(AckError::Refused { code, description }) = sequence_of(ack) else {
            panic!("not a refusal");
        };
        assert_eq!((code, description.as_str()), (10071, "wrong last sequence: 3"));
    }

    #[test]
    fn a_stream_that_is_not_available_or_full_leaves_the_outcome_unknown() {
        for (err_code, words) in
            [(10008, "JetStream system temporarily unavailable"), (10077, "maximum bytes exceeded")]
        {
            let ack = format!(
                r#"{{"error":{{"code":503,"err_code":{err_code},"description":"{words}"}},"stream":"S","seq":0}}"#
            );
            let Err(AckError::Unknown { source }) = sequence_of(ack.as_bytes()) else {
                panic!("not unknown");
            };
            assert_eq!(source.to_string(), format!("{words} (error {err_code})"));
        }
    }

    #[test]
    fn an_answer_that_is_no_acknowledgement_leaves_the_outcome_unknown() {
        for ack in ["", "+OK", "{}", r#"{"seq":"1"}"#, "[]"] {
            assert!(matches!(sequence_of(ack.as_bytes()), Err(AckError::Unknown { .. })), "{ack:?}");
        }
    }
}
