//! A device whose agent is older than a schema version, beside a platform that has it: what it takes, what it refuses,
//! and what becomes of the device when its agent is upgraded and downgraded.

mod building;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use agent_model::status::{AgentStatus, ConditionType, Phase};
use process_shim::ShimRecord;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    agent::Agent,
    document::{authored, file, process},
    eventually::eventually,
    harmonyctl::Harmonyctl,
    platform::DESIRED_STATE,
    site::{Access, DEVICE, Site},
    snapshot::{FileState, snapshot},
};

use self::building::OlderAgent;
use crate::status_words::{Counts, accepted, converged_at, counts, of_a_later_process, refused};

/// What came with the newer version, which froze the one before.
const SCHEMA: &str = "schemas/AgentManifest/1.1.0.json";
const OLDER: &str = "1.0.0";
const NEWER: &str = "1.1.0";
/// The file that has to stay.
const CONFIG: &str = "config";
/// The process that has to run on.
const CLOCK: &str = "clock";

/// A document written against the newer version, which does not use what came with it.
fn plain() -> Value {
    let resources = [file(CONFIG, "/etc/config", "1"), process(CLOCK, &["sleep", "infinity"])];
    let mut document = authored(DEVICE, &resources);
    document["schemaVersion"] = json!(NEWER);
    document
}

/// The same with what came with the newer version.
fn with_rollback() -> Value {
    let mut document = plain();
    document["spec"]["rollback"] = json!({"onFailure": "Previous", "deadline": "1h"});
    document
}

/// The same with a process besides that is ready as soon as this file is there.
fn waiting_for(file: &Path) -> Value {
    let mut waiting = process("waiting", &["sleep", "infinity"]);
    let command = json!(["test", "-e", file]);
    waiting["spec"]["probes"] = json!({"readiness": {"exec": {"command": command}, "interval": "200ms"}});
    let mut document = with_rollback();
    document["spec"]["resources"].as_array_mut().unwrap().push(waiting);
    document
}

/// Everything by which a restart, or a step of another sort, of what all documents have would show.
#[derive(Debug, PartialEq)]
struct Traces {
    files: BTreeMap<PathBuf, FileState>,
    shim: ShimRecord,
    /// Of each resource.
    counts: [Counts; 2],
}

impl Traces {
    fn on(device: &Agent, status: &AgentStatus) -> Self {
        let shim = device.shim_record(CLOCK);
        assert!(device.process(CLOCK).is_alive(), "{shim:?}");
        let counts = [CONFIG, CLOCK].map(|name| counts(status, name));
        Self { files: snapshot(&device.root()), shim, counts }
    }
}

/// What the ledger holds.
fn ledger(device: &Agent) -> Value {
    let ledger = fs::read(device.state_dir().join("ledger.json")).unwrap();
    serde_json::from_slice::<Value>(&ledger).unwrap()["body"].take()
}

/// What is only in the newer of two objects, by its place.
fn only_in(newer: &Value, older: &Value, place: &str, found: &mut BTreeMap<String, Value>) {
    let (Some(newer), Some(older)) = (newer.as_object(), older.as_object()) else { return };
    for (key, value) in newer {
        let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
        match older.get(key) {
            Some(older) => only_in(value, older, &place, found),
            None => {
                found.insert(place, value.clone());
            }
        }
    }
}

/// Makes sure that an agent that started since `before` has written the ledger, and kept all this in it.
async fn assert_kept(device: &Agent, before: &Value, noted: &BTreeMap<String, Value>) {
    let after = eventually("the agent wrote the ledger", async || {
        let after = ledger(device);
        let is_written = after["writerEpoch"].as_u64() > before["writerEpoch"].as_u64();
        if is_written { Ok(after) } else { Err(format!("it is {after:#}")) }
    })
    .await;
    for (place, value) in noted {
        assert_eq!(after.pointer(place), Some(value), "{place} in {after:#}");
    }
}

/// Puts another agent on the device's state folder, and waits until it says that.
async fn replace(
    site: &Site,
    mut device: Agent,
    program: &Path,
    what: &str,
    is_such: impl Fn(&AgentStatus) -> bool,
) -> (Agent, AgentStatus) {
    let before = site.platform.status(DEVICE).await.unwrap();
    device.stop().await;
    let mut device = device.with_program(program);
    device.start();
    let is_later = of_a_later_process(&before);
    let status = site.platform.status_where(DEVICE, what, |status| is_later(status) && is_such(status)).await;
    (device, status)
}

async fn entry(site: &Site) -> (u64, Value) {
    let entry = site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap().unwrap();
    (entry.revision, serde_json::from_slice(&entry.value).unwrap())
}

#[tokio::test]
#[ignore = "builds an agent of an older version, which takes minutes: make soak"]
async fn an_agent_from_before_a_schema_takes_what_it_knows_refuses_the_rest_and_changes_places_with_the_newer()
 {
    let built = OlderAgent::from_before(SCHEMA);
    let (older, newer) = (built.program(), PathBuf::from("harmony-agent"));
    let site = Site::start(Access::Restricted).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let mut device = site.device().with_program(&older);
    device.start();
    site.device_was_seen().await;

    // What uses nothing new is for it too, though it was written against the newer version.
    shell.apply(&[plain()]).await.assert_ended(0);
    let (_, written) = entry(&site).await;
    assert_eq!((&written["schemaVersion"], &written["minSchemaVersion"]), (&json!(NEWER), &json!(OLDER)));
    let first = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(first.agent_info.formats["AgentManifest"], [OLDER]);
    let traces = Traces::on(&device, &first);
    let known_to_older = ledger(&device);

    // What does is refused before it is written …
    let needs = format!("needs a reader of at least {NEWER}; this one reads {OLDER}");
    let file = shell.file(&[with_rollback()]);
    let ran = shell.run(&["schema", "skew", "--file", &file]).await;
    ran.assert_ended(3);
    assert!(ran.stdout.contains(DEVICE) && ran.stdout.contains(&needs), "{ran:#?}");
    let ran = shell.run(&["apply", "-f", &file]).await;
    ran.assert_ended(2);
    assert!(ran.stderr.contains(&format!("agent/{DEVICE}")) && ran.stderr.contains(&needs), "{ran:#?}");
    assert_eq!(entry(&site).await.1, written);

    // … and by the device, where it is written all the same.
    shell.run(&["apply", "--force", "-f", &file]).await.assert_ended(3);
    let (revision, written) = entry(&site).await;
    assert_eq!(written.get("minSchemaVersion").unwrap_or(&written["schemaVersion"]), NEWER);
    let status =
        site.platform.status_where(DEVICE, "a refusal", refused(revision, "UnsupportedSchema")).await;
    let message = &status.condition(ConditionType::Accepted).unwrap().message;
    assert!(message.contains(&needs), "{message}");
    assert_eq!((status.phase, &status.accepted), (Phase::Converged, &first.accepted));
    assert_eq!(Traces::on(&device, &status), traces);

    // The newer agent takes it, on the same state folder.
    let (device, status) = replace(&site, device, &newer, "converged at 2", converged_at(2)).await;
    assert!(status.agent_info.formats["AgentManifest"].iter().any(|version| version == NEWER));
    assert_eq!(Traces::on(&device, &status), traces);
    let ran = shell.apply(&[with_rollback()]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.contains("unchanged (generation 2)"), "{ran:#?}");

    // Back and forth with a document that the older one cannot read, while it has not converged …
    let folder = TempDir::new().unwrap();
    let go = folder.path().join("go");
    let in_force = |generation: u64, phase: Phase| {
        move |status: &AgentStatus| status.phase == phase && accepted(status) == Some(generation)
    };
    let file = shell.file(&[waiting_for(&go)]);
    shell.run(&["apply", "--no-wait", "-f", &file]).await.assert_ended(0);
    site.platform.status_where(DEVICE, "on its way", in_force(3, Phase::Converging)).await;
    let before = ledger(&device);
    let mut noted = BTreeMap::new();
    only_in(&before, &known_to_older, "", &mut noted);
    let could_be_lost = |place: &String| !place.starts_with("/inventory/");
    assert!(noted.keys().any(could_be_lost), "there is nothing that the older agent could lose: {before:#}");
    let (device, status) =
        replace(&site, device, &older, "cannot read it", in_force(3, Phase::Degraded)).await;
    assert_eq!(Traces::on(&device, &status), traces);
    assert_kept(&device, &before, &noted).await;
    let (device, status) =
        replace(&site, device, &newer, "on its way again", in_force(3, Phase::Converging)).await;
    assert_eq!(Traces::on(&device, &status), traces);
    fs::write(&go, "").unwrap();
    site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;

    // … and with one that it can.
    shell.apply(&[plain()]).await.assert_ended(0);
    let mut device = device;
    for program in [&older, &newer] {
        let status;
        (device, status) = replace(&site, device, program, "converged at 4", converged_at(4)).await;
        assert_eq!(Traces::on(&device, &status), traces);
    }
    site.assert_nothing_was_forbidden();
}
