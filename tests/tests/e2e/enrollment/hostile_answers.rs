//! A device believes no answer that is not for it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nats_operator::accounts;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tests::{
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{decider, newcomer::Newcomer};

#[tokio::test]
async fn a_device_leaves_hostile_answers_aside_and_takes_the_one_that_is_right() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let newcomer = Newcomer::at(&site, DEVICE);
    let asking = newcomer.ask(&[]);
    let key = asking.key().await;

    let folder = site.operator().folder();
    let sign =
        |id: &str, key: &str| site.operator().sign(&id.parse().unwrap(), &key.parse().unwrap()).unwrap();
    let other_key = KeyPair::new_user().public_key();
    let good = sign(DEVICE, &key);
    let parts: Vec<&str> = good.split('.').collect();
    let with_header = |header: Value, signature: &str| {
        format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1])
    };
    let stranger = KeyPair::new_user();
    let by_a_user = nats_operator::token::sign(
        &stranger,
        &key,
        DEVICE,
        1,
        accounts::device_user(&folder.devices_account()),
    )
    .map(|token| token.to_string())
    .unwrap_or_default();
    let approved = |jwt: &str| {
        json!({"agent": DEVICE, "publicKey": key, "decision": "Approved", "jwt": jwt}).to_string()
    };
    let hostile = [
        ("it is for another key", approved(&sign(DEVICE, &other_key))),
        ("it is for another id", approved(&sign("edge-0002", &key))),
        ("algorithm is not", approved(&with_header(json!({"typ": "JWT", "alg": "none"}), ""))),
        ("algorithm is not", approved(&with_header(json!({"typ": "JWT", "alg": "HS256"}), parts[2]))),
        ("not signed by", approved(&format!("{}.{}.", parts[0], parts[1]))),
        ("not signed by", approved(&by_a_user)),
        ("it is no JWT", approved("-----BEGIN NATS USER JWT-----")),
        (
            "it is for another id",
            json!({"agent": "edge-0002", "publicKey": key, "decision": "Approved", "jwt": good}).to_string(),
        ),
        (
            "it is for another key",
            json!({"agent": DEVICE, "publicKey": other_key, "decision": "Denied"}).to_string(),
        ),
        ("cannot be read", "not JSON".to_owned()),
        ("cannot be read", approved("").replace("Approved", "Maybe")),
        ("an answer has at most", approved(&"a".repeat(16 << 10))),
    ];
    let mut left_aside = 0;
    for (why, answer) in hostile {
        let subject = format!("enroll-answers.{key}");
        site.platform.jetstream.publish(subject, answer.into()).await.unwrap().await.unwrap();
        tests::eventually::eventually(&format!("the answer is left aside: {why}"), async || {
            let printed = asking.printed();
            let now = printed.matches("left aside").count();
            let last = printed.lines().rfind(|line| line.contains("left aside")).unwrap_or_default();
            if now > left_aside && last.contains(why) { Ok(()) } else { Err(printed) }
        })
        .await;
        left_aside = asking.printed().matches("left aside").count();
        assert!(!newcomer.credentials().exists(), "it took the answer: {why}");
    }
    let settled = decider(&site).run(&["agents", "approve", DEVICE, "--key", &key]).await;
    assert_eq!(settled.code, Some(0), "{settled:?}");
    let (code, printed) = asking.end().await;
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(newcomer.key_let_in(), key);
}
