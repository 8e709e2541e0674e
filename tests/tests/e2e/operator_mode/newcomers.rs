//! Whoever has the bootstrap credentials may ask to be enrolled, and nothing else.

use futures_util::StreamExt as _;
use tests::{
    eventually::PATIENCE,
    nats_server::Version,
    site::{Access, DEVICE, Site},
};

use super::{
    VICTIM,
    stored::{STREAMS, fill, without},
};

on_each_version!(a_newcomer_can_ask_and_nothing_else);

async fn a_newcomer_can_ask_and_nothing_else(version: Version) {
    let site = Site::start_on(version, Access::Operator).await;
    for agent in [DEVICE, VICTIM] {
        fill(&site.platform, agent, "something").await;
    }
    let mut asked = site.platform.client.subscribe("enroll.*").await.unwrap();
    site.platform.client.flush().await.unwrap();
    let user = site.operator().newcomer();
    let newcomer = user.connect(&site.server).await.unwrap();

    let answer = newcomer.client.request("enroll.edge-0009", "let me in".into());
    let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer.payload).contains("ENROLL_REQUESTS"), "{answer:?}");
    let request = tokio::time::timeout(PATIENCE, asked.next()).await.unwrap().unwrap();
    let asker = request.headers.as_ref().and_then(|headers| headers.get("Nats-Request-Info"));
    let asker = asker.map(ToString::to_string).unwrap_or_default();
    assert!(asker.contains(user.key().as_str()), "whoever answers is not told which key asked: {asker}");

    let before = without("nobody", &site.platform).await;
    let mut others: Vec<String> = STREAMS.iter().map(|(_, subjects)| format!("{subjects}{VICTIM}")).collect();
    others.extend(
        STREAMS.iter().map(|(stream, subjects)| format!("$JS.API.DIRECT.GET.{stream}.{subjects}{VICTIM}")),
    );
    let more = [
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.ENROLL_REQUESTS",
        "$JS.API.STREAM.MSG.GET.ENROLL_REQUESTS",
        "$JS.API.STREAM.PURGE.ENROLL_REQUESTS",
        "$JS.API.DIRECT.GET.ENROLL_REQUESTS.enroll.edge-0002",
        "enroll-answers.UA",
        "enroll-hints.UA",
        "desired-state.edge-0002",
        "_INBOX_edge-0002.a",
    ];
    others.extend(more.map(str::to_owned));
    for subject in &others {
        newcomer
            .client
            .publish_with_reply(subject.clone(), "_INBOX_enroll.a", "forged".into())
            .await
            .unwrap();
    }
    newcomer.was_forbidden(&others).await;
    let patterns = ["enroll.*", ">", "_INBOX.>", "_INBOX_edge-0002.>", "desired-state.*"].map(str::to_owned);
    for pattern in &patterns {
        newcomer.client.subscribe(pattern.clone()).await.unwrap();
    }
    newcomer.was_forbidden(&patterns).await;
    // Where the answer goes is not checked, as little as for a device.
    let answered = "enroll-answers.UA";
    site.platform.jetstream.publish(answered, "an answer".into()).await.unwrap().await.unwrap();
    let read = format!("$JS.API.DIRECT.GET.ENROLL_ANSWERS.{answered}");
    let answer = newcomer.client.request(read.clone(), "".into()).await.unwrap();
    assert_eq!(answer.payload, "an answer", "whoever knows the key reads the answer");
    for (_, subjects) in STREAMS {
        let target = format!("{subjects}{VICTIM}");
        newcomer
            .client
            .publish_with_reply("enroll.edge-0009", target.clone(), "let me in".into())
            .await
            .unwrap();
        newcomer.client.publish_with_reply(read.clone(), target, "".into()).await.unwrap();
    }
    newcomer.client.publish_with_reply(read, "enroll-answers.UB", "".into()).await.unwrap();
    newcomer.client.request("enroll.edge-0009", "let me in".into()).await.unwrap();
    fill(&site.platform, "nobody", "after").await;
    assert_eq!(without("nobody", &site.platform).await, before);
    let answers = site.platform.jetstream.get_stream("ENROLL_ANSWERS").await.unwrap();
    assert_eq!(answers.cached_info().state.messages, 1, "an answer was forged");
}
