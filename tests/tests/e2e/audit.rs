//! What an agent did is written down on the device, before and after, and nobody can alter that unseen.

use std::{collections::BTreeMap, fs};

use agent_model::{Digest, Timestamp, status::AgentStatus};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tests::{
    agent::{Agent, crashed},
    document::{file, manifest, process},
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, refused};

/// More crash points than any change passes: beyond it, something repeats without an end.
const TOO_MANY: u32 = 300;
/// So many devices are at it at the same time: mostly they wait.
const AT_ONCE: usize = 6;

/// What `audit verify` says of the device's log, and its exit code.
async fn verified(device: &Agent) -> (Option<i32>, String) {
    device.command(&["audit", "verify"]).await
}

async fn assert_intact(device: &Agent, place: &str) {
    let (code, printed) = verified(device).await;
    assert_eq!(code, Some(0), "{place}: {printed}\n{}", device.log());
}

/// Each step that was announced must have ended, once, and each record hold the hash of the one before. Returns how
/// often each outcome is there.
fn assert_all_ended(device: &Agent, place: &str) -> BTreeMap<String, usize> {
    let (mut announced, mut outcomes) = (Vec::new(), BTreeMap::new());
    let log = fs::read_to_string(device.state_dir().join("audit.jsonl")).unwrap();
    let mut prev = Value::Null;
    for (record, (line, seq)) in device.audit().iter().zip(log.lines().zip(1..)) {
        assert_eq!(record["seq"], seq, "{place}: a number is missing or was used twice\n{log}");
        assert_eq!(record["prev"], prev, "{place}: {line}");
        prev = Digest::of_bytes(line.as_bytes()).to_string().into();
        if let Some(begun) = record["begun"].as_u64() {
            let before = announced.len();
            announced.retain(|seq| *seq != begun);
            assert_eq!(
                announced.len() + 1,
                before,
                "{place}: {begun} was not announced, or ended twice\n{log}"
            );
        }
        if record["outcome"] == "Begun" {
            announced.push(seq);
        }
        *outcomes.entry(record["outcome"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(announced, [0; 0], "{place}: these were announced and did not end\n{log}");
    outcomes
}

/// How many records have that outcome.
fn count(records: &[Value], outcome: &str) -> usize {
    records.iter().filter(|record| record["outcome"] == outcome).count()
}

#[tokio::test]
async fn every_step_is_written_down_before_and_after_and_a_look_alone_is_not() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let mut resources = vec![file("a", "/etc/a", "planted-content"), process("web", &["sleep", "infinity"])];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let outcomes = assert_all_ended(&device, "converged");
    let expected = [("Accepted", 1), ("Begun", 2), ("Done", 2)];
    assert_eq!(outcomes, expected.map(|(outcome, count)| (outcome.to_owned(), count)).into());
    let status = site.platform.status(DEVICE).await.unwrap();
    let digest = status.accepted.unwrap().digest.to_string();
    assert!(device.audit().iter().all(|record| record["document"] == digest && record["generation"] == 1));

    device.write_by_hand("/etc/a", "by hand");
    device.eventually_holds("/etc/a", "planted-content").await;
    let revision = site.platform.put(DEVICE, &manifest(DEVICE, 1, &[])).await;
    site.platform.status_where(DEVICE, "refused", refused(revision, "GenerationConflict")).await;
    fs::create_dir_all(device.path("/etc/b")).unwrap();
    resources.push(file("b", "/etc/b", "b"));
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &resources)).await;
    eventually("what cannot be done is written down", async || {
        match device.audit().iter().filter(|record| record["reason"] == "NotRegularFile").count() {
            1 => Ok(()),
            count => Err(format!("{count} times")),
        }
    })
    .await;
    // Also while the agent writes it.
    assert_intact(&device, "beside a running agent").await;
    let (code, shown) = device.command(&["audit", "show"]).await;
    assert_eq!(code, Some(0), "{shown}");
    for word in ["File/a", "Process/web", "write /etc/a", "Rejected", "GenerationConflict", "NotRegularFile"]
    {
        assert!(shown.contains(word), "{word:?} is not in\n{shown}");
    }
    let (_, last) = device.command(&["audit", "show", "-n", "1", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&last).ok(), device.audit().pop());

    device.stop().await;
    let before = device.audit();
    for _ in 0..2 {
        let restart = Timestamp::now();
        device.start();
        let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= restart;
        site.platform.status_where(DEVICE, "that it was started", is_its_own).await;
        device.stop().await;
    }
    let after = device.audit();
    assert_eq!(
        count(&after, "Begun"),
        count(&before, "Begun"),
        "a start that finds all in order does nothing"
    );
    let log = fs::read_to_string(device.state_dir().join("audit.jsonl")).unwrap();
    assert!(!log.contains("planted-content"));
}

#[tokio::test]
async fn whoever_alters_the_log_is_found_out() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    for generation in 1..=3 {
        let content = generation.to_string();
        site.platform.put(DEVICE, &manifest(DEVICE, generation, &[file("a", "/etc/a", &content)])).await;
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await;
    }
    device.stop().await;
    assert_intact(&device, "untouched").await;

    type Tamper = fn(&mut Vec<&str>);
    let tampers: [(&str, Tamper, &str); 5] = [
        (
            "removed",
            |lines| lines.retain(|line| !line.contains("\"seq\":5,")),
            "line 5: record 5 should be here and is 6",
        ),
        ("moved", |lines| lines.swap(4, 5), "line 5: record 5 should be here and is 6"),
        ("inserted", |lines| lines.insert(4, lines[2]), "line 5: record 5 should be here and is 3"),
        ("cut off", |lines| lines.truncate(4), "the log ends with record 4"),
        ("emptied", |lines| lines.clear(), "there is no record"),
    ];
    let path = device.state_dir().join("audit.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    for (what, tamper, told) in tampers {
        let mut lines: Vec<&str> = whole.lines().collect();
        tamper(&mut lines);
        fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let (code, printed) = verified(&device).await;
        assert_eq!(code, Some(1), "{what}: {printed}");
        assert!(printed.contains("audit.jsonl") && printed.contains(told), "{what}: {printed}");
    }
    for line in 0..whole.lines().count() {
        let change = |(place, text): (usize, &str)| {
            let text = if place == line {
                text.replacen("\"time\":\"2", "\"time\":\"3", 1)
            } else {
                text.to_owned()
            };
            format!("{text}\n")
        };
        fs::write(&path, whole.lines().enumerate().map(change).collect::<String>()).unwrap();
        let (code, printed) = verified(&device).await;
        assert_eq!(code, Some(1), "line {} was changed: {printed}", line + 1);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(verified(&device).await.0, Some(1), "it was removed");

    // The agent goes on with the next number, and says so for good.
    let newest = whole.lines().count() as u64;
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 4, &[file("a", "/etc/a", "4")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(4)).await;
    let (code, printed) = verified(&device).await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("began anew"), "{printed}");
    let first = &device.audit()[0];
    assert_eq!((&first["seq"], &first["outcome"]), (&(newest + 1).into(), &"LogRecovered".into()));
}

/// Whether the agent died on the way, past that many crash points.
async fn survives(site: &Site, passed: u32) -> bool {
    let id = format!("edge-{passed}");
    let mut device = Agent::new(&id, &site.server.url());
    let files = |content| [file("a", "/etc/a", content), file("b", "/etc/b", content)];
    device.start();
    site.platform.put(&id, &manifest(&id, 1, &files("1"))).await;
    site.platform.status_where(&id, "converged before the change", converged_at(1)).await;
    device.stop().await;

    site.platform.put(&id, &manifest(&id, 2, &files("2"))).await;
    device.start_to_crash_after(passed);
    let ended = eventually("the agent converged or crashed", async || {
        if let Some(status) = device.ended() {
            return Ok(Some(status));
        }
        match site.platform.status(&id).await {
            Ok(status) if converged_at(2)(&status) => Ok(None),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let status = match ended {
        Some(status) => status,
        None => device.terminate().await,
    };
    let crashed = crashed(status);

    let place = format!("after a crash past {passed} points");
    assert_intact(&device, &format!("{place}, before the next start")).await;
    device.start();
    site.platform.put(&id, &manifest(&id, 3, &files("3"))).await;
    site.platform.status_where(&id, &format!("converged {place}"), converged_at(3)).await;
    device.stop().await;
    assert_intact(&device, &place).await;
    let outcomes = assert_all_ended(&device, &place);
    assert!(!outcomes.contains_key("LogRecovered"), "{place}: {outcomes:?}");
    crashed
}

#[tokio::test]
async fn a_power_cut_at_any_step_leaves_a_log_that_is_whole_and_no_number_used_twice() {
    let site = Site::start(Access::Open).await;
    let mut passes = stream::iter(0..TOO_MANY).map(|passed| survives(&site, passed)).buffered(AT_ONCE);
    let mut points = 0;
    while let Some(crashed) = passes.next().await {
        if !crashed {
            println!("{points} crash points");
            assert!(points > 20, "only {points} crash points: is this build armed?");
            return;
        }
        points += 1;
    }
    panic!("{TOO_MANY} crash points were not enough");
}
