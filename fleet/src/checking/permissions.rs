//! What a device may do, tried as one. Nothing is left of it: what it writes says that it is to be refused, its key is
//! in memory only, and what an attack would leave behind is removed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_core::kv::names;
use agent_model::{AgentId, Finding};
use async_nats::{
    Client, Event, HeaderMap, header::NATS_EXPECTED_LAST_SEQUENCE, jetstream::stream::LastRawMessageErrorKind,
};
use nats_operator::Folder;
use nkeys::KeyPair;
use tokio::time::{Instant, sleep};

use crate::{Access, Fleet, Login, operator::sign_device_user};

/// How often it is looked whether the server has told of all that it forbids.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The ids of the two devices that there are not. They look like no id that anybody gives, and stand here for those who
/// find them in a log.
const TRIED: [&str; 2] = ["harmonyctl-nats-check-1", "harmonyctl-nats-check-2"];

/// What the server sent without being asked.
type Said = Arc<Mutex<Vec<String>>>;

pub(super) async fn check(platform: &Fleet, access: &Access, folder: &Folder) -> Finding {
    match tried(platform, access, folder).await {
        Ok(forbidden) => Finding::ok(
            "permissions",
            format!(
                "a device reads and writes its own entries, and is kept from {forbidden} other things that were tried"
            ),
        ),
        Err(problem) => Finding::failed("permissions", problem),
    }
}

/// How many things were forbidden.
async fn tried(platform: &Fleet, access: &Access, folder: &Folder) -> Result<usize, String> {
    let [own, other]: [AgentId; 2] = {
        let parse = |id: &str| id.parse::<AgentId>().map_err(|error| error.to_string());
        [parse(TRIED[0])?, parse(TRIED[1])?]
    };
    let said = Said::default();
    let device = connect(platform, access, folder, &own, &said).await?;
    may_what_it_must(&device, &own).await?;
    let forbidden = may_nothing_else(platform, &device, &said, &own, &other).await?;
    answers_reach_nobody_else(platform, &device, &own, &other).await?;
    Ok(forbidden)
}

async fn connect(
    platform: &Fleet,
    access: &Access,
    folder: &Folder,
    own: &AgentId,
    said: &Said,
) -> Result<Client, String> {
    let key = KeyPair::new_user();
    let user = key.public_key().parse().map_err(|error| format!("{error}"))?;
    let token = sign_device_user(folder, own, &user).await.map_err(|error| error.to_string())?;
    let key = Arc::new(key);
    let access = Access { login: Login::AsInUrls, ..access.clone() };
    let entrance = access.open().await.map_err(|error| error.to_string())?;
    let noted = Arc::clone(said);
    entrance
        .options
        .jwt(token, move |nonce| {
            let key = Arc::clone(&key);
            async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
        })
        .name("harmonyctl nats check")
        .custom_inbox_prefix(names::inbox_prefix(own))
        .connection_timeout(platform.timeout())
        .request_timeout(Some(platform.timeout()))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
            }
            std::future::ready(())
        })
        .connect(entrance.servers)
        .await
        .map_err(|error| {
            format!("a device of this operator is not let in ({error}): run `harmonyctl nats push`")
        })
}

fn direct_get(bucket: &str, agent: &AgentId) -> String {
    let (stream, subject) = (names::bucket_stream(bucket), names::entry_subject(bucket, agent));
    format!("$JS.API.DIRECT.GET.{stream}.{subject}")
}

async fn may_what_it_must(device: &Client, own: &AgentId) -> Result<(), String> {
    for bucket in [names::DESIRED_STATE_BUCKET, names::ACTUAL_STATE_BUCKET] {
        // There is no such entry, and it takes the stream to say so.
        let answer = device.request(direct_get(bucket, own), "".into()).await;
        answer.map_err(|error| format!("a device cannot read its entry of {bucket} ({error})"))?;
    }
    for subject in [
        names::entry_subject(names::ACTUAL_STATE_BUCKET, own),
        names::entry_subject(names::HEARTBEAT_BUCKET, own),
        names::events_subject(own),
    ] {
        let mut headers = HeaderMap::new();
        // No stream is there yet, so the stream refuses it: that answer is all that is wanted.
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, u64::MAX.to_string());
        let answer = device.request_with_headers(subject.clone(), headers, "".into()).await;
        answer.map_err(|error| format!("a device cannot write {subject} ({error})"))?;
    }
    Ok(())
}

async fn may_nothing_else(
    platform: &Fleet,
    device: &Client,
    said: &Said,
    own: &AgentId,
    other: &AgentId,
) -> Result<usize, String> {
    let mut publish = vec![
        names::entry_subject(names::DESIRED_STATE_BUCKET, own),
        names::hint_subject(other),
        names::events_subject(other),
        "$JS.API.INFO".to_owned(),
    ];
    for bucket in [
        names::DESIRED_STATE_BUCKET,
        names::ACTUAL_STATE_BUCKET,
        names::HEARTBEAT_BUCKET,
        names::REGISTRY_BUCKET,
    ] {
        let stream = names::bucket_stream(bucket);
        publish.extend([direct_get(bucket, other), format!("$JS.API.STREAM.INFO.{stream}")]);
        // Were that allowed, the stream would refuse it for its headers.
        publish.push(names::entry_subject(bucket, other));
    }
    let subscribe = [
        ">".to_owned(),
        "$KV.>".to_owned(),
        "desired-state.*".to_owned(),
        names::hint_subject(other),
        format!("{}.>", names::inbox_prefix(other)),
    ];
    let broken = |error: &dyn std::fmt::Display| format!("the connection broke: {error}");
    let inbox = device.new_inbox();
    for subject in &publish {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, u64::MAX.to_string());
        let sent =
            device.publish_with_reply_and_headers(subject.clone(), inbox.clone(), headers, "".into()).await;
        sent.map_err(|error| broken(&error))?;
    }
    let mut subscriptions = Vec::new();
    for subject in &subscribe {
        subscriptions.push(device.subscribe(subject.clone()).await.map_err(|error| broken(&error))?);
    }
    device.flush().await.map_err(|error| broken(&error))?;
    let until = Instant::now() + platform.timeout();
    loop {
        let heard = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_forbidden = |subject: &str| heard.iter().any(|said| said.contains(&format!("\"{subject}\"")));
        let allowed = publish.iter().chain(&subscribe).find(|subject| !is_forbidden(subject));
        match allowed {
            None => return Ok(publish.len() + subscribe.len()),
            Some(subject) if Instant::now() > until => {
                return Err(format!(
                    "a device is not kept from {subject}: the signing key's scope on the server is not that of the \
                     folder; run `harmonyctl nats push`"
                ));
            }
            Some(_) => sleep(AGAIN_AFTER).await,
        }
    }
}

/// Has answers delivered to another's entry, which is stored where devices share the platform's account.
async fn answers_reach_nobody_else(
    platform: &Fleet,
    device: &Client,
    own: &AgentId,
    other: &AgentId,
) -> Result<(), String> {
    let bucket = names::HEARTBEAT_BUCKET;
    let target = names::entry_subject(bucket, other);
    for bucket in [names::DESIRED_STATE_BUCKET, names::ACTUAL_STATE_BUCKET] {
        let sent = device.publish_with_reply(direct_get(bucket, own), target.clone(), "".into()).await;
        sent.map_err(|error| format!("the connection broke: {error}"))?;
        // Its answer comes after the other's.
        let answer = device.request(direct_get(bucket, own), "".into()).await;
        answer.map_err(|error| format!("a device cannot read its entry of {bucket} ({error})"))?;
    }
    let stream = names::bucket_stream(bucket);
    let stream = platform.jetstream().get_stream(&stream).await.map_err(|error| error.to_string())?;
    match stream.get_last_raw_message_by_subject(&target).await {
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(()),
        Err(error) => Err(format!("whether a device has written {target} cannot be read ({error})")),
        Ok(_) => {
            let removed = stream.purge().filter(&target).await;
            let kept =
                if removed.is_ok() { "" } else { " (the entry of that id could not be removed again)" };
            Err(format!(
                "a device writes {target} by having an answer delivered there{kept}: do not map the subjects of \
                 imports, and keep devices in an account of their own"
            ))
        }
    }
}
