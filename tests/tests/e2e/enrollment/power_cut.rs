//! The power goes at every step of enrolment, and the device goes on with the key that it had.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use serde_json::Value;
use tests::{
    eventually::eventually,
    nats_server::Version,
    site::{Access, Site},
};

use super::{approve_whoever_asks, decider, newcomer::Newcomer};

/// Crash points between the start and the credentials, when they were counted last.
const KNOWN: u32 = 9;

#[tokio::test]
async fn whenever_the_power_goes_the_device_goes_on_with_the_same_key() {
    let site = Site::start_on(Version::Pinned, Access::Operator).await;
    let decider = decider(&site);
    let mut asked = site.platform.client.subscribe("enroll.*").await.unwrap();
    site.platform.client.flush().await.unwrap();
    let mut points = 0;
    loop {
        let newcomer = Newcomer::at(&site, &format!("edge-{points}"));
        let mut dying = newcomer.ask_to_crash_after(points);
        let was_killed = eventually("it was killed or let in", async || {
            approve_whoever_asks(&decider, &newcomer.id).await;
            dying.was_killed().ok_or_else(|| dying.printed())
        })
        .await;
        let asking = newcomer.ask(&[]);
        let mut asking = Some(asking);
        let (code, printed) = eventually("the next one is let in", async || {
            approve_whoever_asks(&decider, &newcomer.id).await;
            match asking.as_mut().unwrap().was_killed() {
                Some(_) => Ok(asking.take().unwrap().end().await),
                None => Err(asking.as_ref().unwrap().printed()),
            }
        })
        .await;
        assert_eq!(code, Some(0), "after {points} points: {printed}");

        let mut keys = BTreeSet::from([newcomer.key_let_in()]);
        while let Ok(Some(message)) =
            tokio::time::timeout(std::time::Duration::from_millis(200), asked.next()).await
        {
            let message: Value = serde_json::from_slice(&message.payload).unwrap();
            let request = message["request"].as_str().unwrap();
            let request =
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, request).unwrap();
            let request: Value = serde_json::from_slice(&request).unwrap();
            keys.insert(request["publicKey"].as_str().unwrap().to_owned());
        }
        assert_eq!(keys.len(), 1, "after {points} points the device had another key");
        if !was_killed {
            break;
        }
        points += 1;
    }
    println!("enrolment: {points} crash points, {KNOWN} when last counted");
    assert!(points >= KNOWN, "only {points} crash points: is this build armed?");
}
