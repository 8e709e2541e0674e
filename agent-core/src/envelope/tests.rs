use agent_model::{AgentId, Generation, RefusalReason};
use serde_json::{Value, json};

use super::*;
use crate::{expiry::Present, policy::Tolerance};

fn document() -> Value {
    json!({
        "apiVersion": "harmony/v1",
        "kind": "AgentManifest",
        "schemaVersion": "1.0.0",
        "metadata": {"name": "edge-1", "generation": 7},
        "spec": {"resources": []},
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.into(), value);
    document
}

fn without(pointer: &str) -> Value {
    let mut document = document();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
    document
}

fn open(raw: &[u8]) -> Result<Envelope, Refusal> {
    Envelope::open(Received::read(raw))
}

fn refusal(document: &Value) -> (RefusalReason, String) {
    let refusal = open(document.to_string().as_bytes()).unwrap_err();
    (refusal.reason, refusal.message)
}

fn mark(generation: u64, document: &Value) -> HighWaterMark {
    HighWaterMark {
        generation: generation.try_into().unwrap(),
        digest: Some(agent_model::Digest::of_bytes(document.to_string().as_bytes())),
    }
}

fn present() -> Present {
    Present::new("2026-06-01T00:00:00Z".parse().unwrap(), None, Tolerance::Tolerated)
}

fn judged(document: &Value, highest: Option<HighWaterMark>) -> Result<Newness, RefusalReason> {
    let agent: AgentId = "edge-1".parse().unwrap();
    let envelope = open(document.to_string().as_bytes()).unwrap();
    judge(&envelope, Reader { agent: &agent, highest, present: present() }).map_err(|refusal| refusal.reason)
}

#[test]
fn a_whole_envelope_opens_with_every_part_typed() {
    let mut document = with("/minSchemaVersion", json!("1.0.0"));
    document["metadata"] = json!({
        "name": "edge-1", "generation": 7, "issuedAt": "2026-01-01T00:00:00Z", "expiresAt": null,
        "labels": {"site": "north"}, "annotations": {},
    });
    let envelope = open(document.to_string().as_bytes()).unwrap();
    assert_eq!(envelope.kind, "AgentManifest");
    assert_eq!(envelope.metadata.generation.get(), 7);
    assert_eq!(envelope.metadata.labels["site"], "north");
    assert_eq!(envelope.spec, Some(json!({"resources": []})));
}

#[test]
fn min_schema_version_defaults_to_the_schema_version() {
    let envelope = open(with("/schemaVersion", json!("1.4.0")).to_string().as_bytes()).unwrap();
    assert_eq!(envelope.min_schema_version.to_string(), "1.4.0");
}

#[test]
fn what_cannot_be_read_as_an_envelope_is_malformed_and_says_where() {
    let cases = [
        (with("/status", json!({})), "/status: unknown key; valid here:"),
        (with("/knd", json!("x")), "/knd: unknown key; did you mean \"kind\"?"),
        (with("/metadata/nmae", json!("x")), "/metadata/nmae: unknown key; did you mean \"name\"?"),
        (without("/kind"), "/kind: missing"),
        (with("/kind", json!(3)), "/kind: expected a string, found a number"),
        (without("/schemaVersion"), "/schemaVersion: missing"),
        (with("/schemaVersion", json!("1")), "/schemaVersion: not a semantic version"),
        (with("/minSchemaVersion", json!(1)), "/minSchemaVersion: expected a string"),
        (without("/metadata"), "/metadata: missing"),
        (with("/metadata", json!([])), "/metadata: expected an object, found an array"),
        (without("/metadata/name"), "/metadata/name: missing"),
        (without("/metadata/generation"), "/metadata/generation: missing"),
        (with("/metadata/generation", json!("7")), "/metadata/generation: expected a number"),
        (with("/metadata/generation", json!(0)), "/metadata/generation: 0 is not a generation"),
        (with("/metadata/generation", json!(-1)), "/metadata/generation: -1 is not a generation"),
        (with("/metadata/generation", json!(1.5)), "/metadata/generation: 1.5 is not a generation"),
        (with("/metadata/generation", json!(1u64 << 53)), "is not a generation"),
        (with("/metadata/expiresAt", json!("tomorrow")), "/metadata/expiresAt: \"tomorrow\" is not a time"),
        (with("/metadata/issuedAt", json!(5)), "/metadata/issuedAt: expected a time in a string"),
        (with("/metadata/labels", json!({"a": 1})), "/metadata/labels/a: expected a string"),
    ];
    for (document, message) in cases {
        let (reason, found) = refusal(&document);
        assert_eq!(reason, RefusalReason::Malformed, "{document}");
        assert!(found.contains(message), "{found:?} does not contain {message:?}");
    }
}

#[test]
fn what_is_not_one_json_object_of_bounded_size_is_malformed() {
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_DOCUMENT_BYTES));
    for raw in [&b""[..], b"null", b"[]", b"7", b"\xff", b"{\"a\":1,\"a\":1}", large.as_bytes()] {
        assert_eq!(open(raw).unwrap_err().reason, RefusalReason::Malformed);
    }
}

#[test]
fn the_largest_document_is_read() {
    let mut document = document();
    let padding = MAX_DOCUMENT_BYTES - document.to_string().len() - r#","x":"""#.len();
    document["spec"]["x"] = "x".repeat(padding).into();
    let raw = document.to_string();
    assert_eq!((raw.len(), open(raw.as_bytes()).is_ok()), (MAX_DOCUMENT_BYTES, true));
}

#[test]
fn another_api_version_or_form_is_an_unsupported_envelope_even_when_more_is_wrong() {
    let cases = [
        (json!({}), "apiVersion is missing"),
        (json!({"command": "reboot"}), "harmonyctl convert --from LegacyCommand"),
        (with("/apiVersion", json!("harmony/v2")), "apiVersion is \"harmony/v2\""),
        (with("/apiVersion", json!(1)), "apiVersion is 1"),
    ];
    for (document, message) in cases {
        let (reason, found) = refusal(&document);
        assert_eq!(reason, RefusalReason::UnsupportedEnvelope, "{document}");
        assert!(found.contains(message), "{found:?} does not contain {message:?}");
    }
}

#[test]
fn the_status_shows_what_can_be_read_of_a_refused_document() {
    let received = Received::read(with("/nonsense", json!(1)).to_string().as_bytes());
    assert_eq!(received.glance.generation, Generation::try_from(7).ok());
    assert_eq!(received.glance.kind.as_deref(), Some("AgentManifest"));
    assert_eq!(Received::read(b"{").glance, Glance::default());
}

#[test]
fn only_a_later_generation_or_the_very_same_document_is_acceptable() {
    let document = document();
    assert_eq!(judged(&document, None), Ok(Newness::New));
    assert_eq!(judged(&document, Some(mark(6, &json!(0)))), Ok(Newness::New));
    assert_eq!(judged(&document, Some(mark(7, &document))), Ok(Newness::Same));
    assert_eq!(judged(&document, Some(mark(7, &json!(0)))), Err(RefusalReason::GenerationConflict));
    assert_eq!(judged(&document, Some(mark(8, &document))), Err(RefusalReason::StaleGeneration));
}

#[test]
fn the_name_is_judged_before_the_generation_and_the_generation_before_expiry() {
    let past = json!("2020-01-01T00:00:00Z");
    let mut stranger = with("/metadata/name", json!("edge-2"));
    stranger["metadata"]["expiresAt"] = past.clone();
    assert_eq!(judged(&stranger, Some(mark(9, &json!(0)))), Err(RefusalReason::WrongAgent));
    let expired = with("/metadata/expiresAt", past);
    assert_eq!(judged(&expired, Some(mark(9, &json!(0)))), Err(RefusalReason::StaleGeneration));
    assert_eq!(judged(&expired, None), Err(RefusalReason::Expired));
    assert_eq!(
        judged(&expired, Some(mark(7, &expired))),
        Ok(Newness::Same),
        "what was accepted does not expire"
    );
}

mod sealed {
    use super::*;
    use crate::signing::{Sealed, SecretKey, Trust, TrustedKey};

    fn received(raw: &[u8], key: &SecretKey) -> Received {
        let trusted = TrustedKey { key: key.public(), not_after: None };
        Received::judge(raw, &Trust::in_keys([trusted], false), present())
    }

    fn reason(raw: &[u8], key: &SecretKey) -> RefusalReason {
        Envelope::open(received(raw, key)).unwrap_err().reason
    }

    #[test]
    fn what_is_opened_is_what_was_signed_and_its_digest_that_of_the_plain_form() {
        let key = SecretKey::generate().unwrap();
        let plain = document().to_string();
        let received = received(&Sealed::seal(plain.as_bytes(), &key), &key);
        assert_eq!(received.signer, Some(key.public().id()));
        assert_eq!(received.digest, Received::read(plain.as_bytes()).digest);
        assert_eq!(Envelope::open(received).unwrap(), open(plain.as_bytes()).unwrap());
    }

    #[test]
    fn a_signature_is_judged_before_anything_inside_and_after_size_and_json() {
        let [key, stranger] = [(); 2].map(|()| SecretKey::generate().unwrap());
        // Nothing of what a stranger sealed is looked at, be it a document or not.
        for inside in
            [&b"not json"[..], b"", b"\xff", b"[1]", b"{\"a\":1,\"a\":1}", document().to_string().as_bytes()]
        {
            let sealed = Sealed::seal(inside, &stranger);
            assert_eq!(reason(&sealed, &key), RefusalReason::UntrustedSignature);
            assert_eq!(received(&sealed, &key).glance, Glance::default());
        }
        // What is unsigned is so whatever else is wrong with it.
        for plain in ["{}", "[]", "7", r#"{"command": "reboot"}"#, r#"{"apiVersion": "harmony/v2"}"#] {
            assert_eq!(reason(plain.as_bytes(), &key), RefusalReason::Unsigned, "{plain}");
        }
        for plain in [&b"{"[..], b"", b"\xff", b"{\"a\":1,\"a\":1}"] {
            assert_eq!(reason(plain, &key), RefusalReason::Malformed);
        }
    }

    #[test]
    fn what_was_sealed_passes_size_utf8_and_json_as_a_plain_document_does() {
        let key = SecretKey::generate().unwrap();
        let nested = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let sealed_twice = Sealed::seal(document().to_string().as_bytes(), &key);
        for inside in [&b"not json"[..], b"", b"\xff", b"[1]", b"{\"a\":1,\"a\":1}", nested.as_bytes()] {
            assert_eq!(reason(&Sealed::seal(inside, &key), &key), RefusalReason::Malformed);
        }
        // No seal in a seal.
        assert_eq!(reason(&Sealed::seal(&sealed_twice, &key), &key), RefusalReason::UnsupportedEnvelope);
        // More than an entry can hold is not even taken apart.
        let large = Sealed::seal(&vec![b' '; MAX_ENTRY_BYTES], &key);
        assert_eq!(reason(&large, &key), RefusalReason::Malformed);
    }

    #[test]
    fn a_seal_with_a_key_twice_or_one_too_many_is_malformed() {
        let key = SecretKey::generate().unwrap();
        let good = String::from_utf8(Sealed::seal(document().to_string().as_bytes(), &key)).unwrap();
        for bad in [
            good.replacen('{', r#"{"payload":"e30=","#, 1),
            good.replacen('{', r#"{"signatures":[],"#, 1),
            good.replacen('{', r#"{"apiVersion":"harmony/v1","#, 1),
            good.replacen(r#""sig":"#, r#""sig":"AAAA","sig":"#, 1),
        ] {
            assert_eq!(reason(bad.as_bytes(), &key), RefusalReason::Malformed, "{bad}");
        }
    }
}
