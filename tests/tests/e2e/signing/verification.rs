//! What a device that asks for signatures accepts.

use agent_model::status::Phase;
use serde_json::{Value, json};
use tests::{
    document::file,
    signer::{PAYLOAD_TYPE, Signer},
    site::{DEVICE, Site},
};

use super::altered;
use crate::status_words::{accepted, converged_at, refused};

in_each_format!(nothing_is_accepted_but_what_a_trusted_key_signed_for_this_device);

async fn nothing_is_accepted_but_what_a_trusted_key_signed_for_this_device(site: &mut Site) {
    let [key, stranger] = [Signer::new().await, Signer::new().await];
    let mut device = site.device().trusting(&[("platform.pem", &key.pem())]);
    device.start();
    let page = |content: &str| [file("page", "/srv/page", content)];
    let first = site.document(1, &page("1"));
    site.platform.put(DEVICE, &key.seal(&first).await).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    let second = site.document(2, &page("2"));
    let plain = second.to_string();
    let good = key.seal(&second).await;
    let strangers = stranger.seal(&second).await;
    let others = altered(&second, "/metadata/name", json!("edge-0002"));
    let expired = {
        let mut document = second.clone();
        document["metadata"]["expiresAt"] = json!("2020-01-01T00:00:00Z");
        document
    };
    let evil = key.base64(site.document(2, &page("evil")).to_string().as_bytes()).await;
    let payload = good["payload"].as_str().unwrap();
    let text = good.to_string();
    let valued = |value: &Value| value.to_string().into_bytes();
    let tries: Vec<(&str, Vec<u8>, &str)> = vec![
        ("the plain form", plain.clone().into_bytes(), "Unsigned"),
        ("something else that is plain", br#"{"command": "reboot"}"#.to_vec(), "Unsigned"),
        ("no signature", valued(&altered(&good, "/signatures", json!([]))), "Unsigned"),
        ("a stranger's", valued(&strangers), "UntrustedSignature"),
        (
            "a stranger's under a trusted id",
            valued(&altered(&strangers, "/signatures/0/keyid", json!(key.key_id()))),
            "UntrustedSignature",
        ),
        (
            "a stranger's without an id",
            valued(&altered(&strangers, "/signatures/0/keyid", json!(""))),
            "UntrustedSignature",
        ),
        (
            "one under an id of nobody",
            valued(&altered(&good, "/signatures/0/keyid", json!("00".repeat(16)))),
            "UntrustedSignature",
        ),
        (
            "other content under the signature",
            valued(&altered(&good, "/payload", json!(evil))),
            "UntrustedSignature",
        ),
        (
            "the signature of other content",
            valued(&altered(&good, "/signatures", key.seal(&first).await["signatures"].clone())),
            "UntrustedSignature",
        ),
        (
            "no type of ours, and signed so",
            valued(&key.seal_as("application/json", plain.as_bytes()).await),
            "UntrustedSignature",
        ),
        (
            "another type than was signed",
            valued(&altered(&good, "/payloadType", json!("text/plain"))),
            "UntrustedSignature",
        ),
        (
            "another type that is called ours",
            valued(&altered(
                &key.seal_as("text/plain", plain.as_bytes()).await,
                "/payloadType",
                json!(PAYLOAD_TYPE),
            )),
            "UntrustedSignature",
        ),
        (
            "a signature that is none",
            valued(&altered(&good, "/signatures/0/sig", json!("AAAA"))),
            "UntrustedSignature",
        ),
        ("what is no base64", valued(&altered(&good, "/signatures/0/sig", json!("$$$$"))), "Malformed"),
        (
            "a payload with blanks in it",
            valued(&altered(&good, "/payload", json!(format!("{payload}\n")))),
            "Malformed",
        ),
        (
            "a payload twice",
            text.replacen('{', &format!("{{\"payload\":\"{evil}\","), 1).into_bytes(),
            "Malformed",
        ),
        ("keys of both forms", text.replacen('{', "{\"spec\":{},", 1).into_bytes(), "Malformed"),
        (
            "nine signatures",
            valued(&altered(&good, "/signatures", json!(vec![good["signatures"][0].clone(); 9]))),
            "Malformed",
        ),
        ("another device's", valued(&key.seal(&others).await), "WrongAgent"),
        (
            "the first generation with other content",
            valued(&key.seal(&site.document(1, &page("x"))).await),
            "GenerationConflict",
        ),
        ("an expired one", valued(&key.seal(&expired).await), "Expired"),
        ("a seal in a seal", valued(&key.seal(&good).await), "UnsupportedEnvelope"),
        ("no JSON in the seal", valued(&key.seal_as(PAYLOAD_TYPE, b"{").await), "Malformed"),
        ("nothing", Vec::new(), "Malformed"),
    ];
    for (what, value, reason) in tries {
        let revision = site.platform.put_bytes(DEVICE, value).await;
        let status = site.platform.status_where(DEVICE, what, refused(revision, reason)).await;
        assert_eq!((status.phase, accepted(&status)), (Phase::Converged, Some(1)), "{what}");
    }
    assert_eq!(device.read("/srv/page"), "1");

    // One signature that counts is enough, among whichever.
    let mut several = strangers.clone();
    several["signatures"].as_array_mut().unwrap().push(good["signatures"][0].clone());
    site.platform.put(DEVICE, &several).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(device.read("/srv/page"), "2");

    let audit = device.audit();
    let about = |outcome: &str, generation: u64| {
        let found = audit.iter().find(|line| line["outcome"] == outcome && line["generation"] == generation);
        found.unwrap_or_else(|| panic!("no {outcome} of {generation}: {audit:#?}"))["signer"].clone()
    };
    for outcome in ["Accepted", "Begun", "Done"] {
        assert_eq!([about(outcome, 1), about(outcome, 2)], [key.key_id(), key.key_id()], "{outcome}");
    }
    let rejected =
        |reason: &str| audit.iter().find(|line| line["reason"] == reason).expect(reason)["signer"].clone();
    assert_eq!(rejected("WrongAgent"), key.key_id());
    assert_eq!([rejected("Unsigned"), rejected("UntrustedSignature")], [Value::Null, Value::Null]);
    site.assert_nothing_was_forbidden();
}
