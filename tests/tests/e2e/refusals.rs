//! A document that is refused disturbs nothing, and the status says why it was.

use agent_model::status::{ConditionStatus, ConditionType, Phase};
use serde_json::{Value, json};
use tests::{
    document::{file, manifest},
    site::{Access, DEVICE, Site},
    snapshot::snapshot,
};

use crate::status_words::{accepted, converged_at, is, refused};

in_each_format!(a_deleted_entry_unassigns_the_device_and_tears_nothing_down);
on_each_server!(every_refused_document_leaves_the_device_as_it_is_and_says_why);

/// The generation that is in force when the others are tried.
const IN_FORCE: u64 = 5;

/// More memory than reading any value of an entry may take, in KiB: some dozen times the largest.
const MEMORY_FOR_A_REFUSAL: u64 = 16 * 1024;

/// The most that a process ever had in memory, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A good document of a higher generation, with one thing altered.
fn altered(alter: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut document = manifest(DEVICE, IN_FORCE + 1, &[file("a", "/etc/a", "refused")]);
    alter(&mut document);
    document.to_string().into_bytes()
}

fn without(document: &mut Value, parent: &str, key: &str) {
    let removed = document.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|map| map.remove(key));
    assert!(removed.is_some(), "{parent} has no {key}");
}

/// What is tried, and the reason for which it must be refused.
fn refusals() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let good = || String::from_utf8(altered(|_| {})).unwrap();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    let resource = |alter: &dyn Fn(&mut Value)| altered(|it| alter(&mut it["spec"]["resources"][0]));
    vec![
        ("Malformed", "an empty value", Vec::new()),
        ("Malformed", "more than 512 KiB", altered(|it| it["spec"]["pad"] = "x".repeat(513 << 10).into())),
        (
            "Malformed",
            "no UTF-8",
            good()
                .replace("refused", "\u{1}")
                .into_bytes()
                .into_iter()
                .map(|byte| if byte == 1 { 0xff } else { byte })
                .collect(),
        ),
        ("Malformed", "no JSON", b"resources: []".to_vec()),
        ("Malformed", "half a document", good().as_bytes()[..40].to_vec()),
        ("Malformed", "something behind it", format!("{} {{}}", good()).into_bytes()),
        (
            "Malformed",
            "a key twice",
            good().replacen("\"kind\":", "\"kind\":\"AgentManifest\",\"kind\":", 1).into_bytes(),
        ),
        (
            "Malformed",
            "a key twice in the spec",
            good().replacen("\"path\":", "\"path\":\"/b\",\"path\":", 1).into_bytes(),
        ),
        ("Malformed", "nesting of 65", nested(65)),
        ("Malformed", "nesting of 100,000", nested(100_000)),
        ("Malformed", "an array", b"[]".to_vec()),
        ("Malformed", "a number", b"7".to_vec()),
        ("Malformed", "null", b"null".to_vec()),
        ("Malformed", "an unknown key at the top", altered(|it| it["extra"] = json!(1))),
        ("Malformed", "an unknown key in the metadata", altered(|it| it["metadata"]["extra"] = json!(1))),
        ("Malformed", "no kind", altered(|it| without(it, "", "kind"))),
        ("Malformed", "no name", altered(|it| without(it, "/metadata", "name"))),
        ("Malformed", "no generation", altered(|it| without(it, "/metadata", "generation"))),
        ("Malformed", "generation 0", altered(|it| it["metadata"]["generation"] = json!(0))),
        ("Malformed", "generation 2^53", altered(|it| it["metadata"]["generation"] = json!(1_u64 << 53))),
        ("Malformed", "a generation as text", altered(|it| it["metadata"]["generation"] = json!("6"))),
        ("Malformed", "a time that is none", altered(|it| it["metadata"]["expiresAt"] = json!("tomorrow"))),
        ("UnsupportedEnvelope", "the proof of concept's command", br#"{"command": "rm -rf /"}"#.to_vec()),
        ("UnsupportedEnvelope", "no apiVersion", altered(|it| without(it, "", "apiVersion"))),
        ("UnsupportedEnvelope", "another apiVersion", altered(|it| it["apiVersion"] = json!("harmony/v2"))),
        (
            "UnsupportedEnvelope",
            "a sealed document",
            json!({
                "payloadType": "application/vnd.harmony.envelope.v1+json",
                "payload": "e30=",
                "signatures": [{"keyid": "0".repeat(32), "sig": "AAAA"}],
            })
            .to_string()
            .into_bytes(),
        ),
        (
            "WrongAgent",
            "another device's document",
            altered(|it| it["metadata"]["name"] = json!("edge-0002")),
        ),
        (
            "StaleGeneration",
            "a lower generation",
            altered(|it| it["metadata"]["generation"] = json!(IN_FORCE - 1)),
        ),
        (
            "GenerationConflict",
            "the same generation with other content",
            altered(|it| it["metadata"]["generation"] = json!(IN_FORCE)),
        ),
        (
            "Expired",
            "an old document",
            altered(|it| it["metadata"]["expiresAt"] = json!("2020-01-01T00:00:00Z")),
        ),
        ("UnsupportedKind", "another kind", altered(|it| it["kind"] = json!("Score"))),
        ("UnsupportedSchema", "another major version", altered(|it| it["schemaVersion"] = json!("2.0.0"))),
        (
            "UnsupportedSchema",
            "more than this reader understands",
            altered(|it| {
                it["schemaVersion"] = json!("1.9.0");
                it["minSchemaVersion"] = json!("1.9.0");
            }),
        ),
        ("Invalid", "no spec", altered(|it| without(it, "", "spec"))),
        ("Invalid", "no resources", altered(|it| it["spec"] = json!({}))),
        ("Invalid", "an unknown kind of resource", resource(&|it| it["kind"] = json!("Toaster"))),
        ("Invalid", "a misspelt key", resource(&|it| it["spec"]["contents"] = json!(""))),
        ("Invalid", "a path that climbs", resource(&|it| it["spec"]["path"] = json!("/etc/../a"))),
        ("Invalid", "a path with a NUL", resource(&|it| it["spec"]["path"] = json!("/etc/a\0b"))),
        ("Invalid", "a mode without quotes", resource(&|it| it["spec"]["mode"] = json!(644))),
        ("Invalid", "an unknown dependency", resource(&|it| it["dependsOn"] = json!(["nobody"]))),
        (
            "Invalid",
            "1,025 resources",
            altered(|it| {
                let files = (0..1025).map(|i| file(&format!("f{i}"), &format!("/etc/{i}"), ""));
                it["spec"]["resources"] = files.collect();
            }),
        ),
        (
            "Invalid",
            "two files at one path",
            altered(|it| {
                it["spec"]["resources"] = json!([file("a", "/etc/a", "1"), file("b", "/etc/a", "2")])
            }),
        ),
        (
            "PolicyDenied",
            "the agent's own ledger",
            resource(&|it| it["spec"]["path"] = json!("/var/lib/harmony-agent/ledger.json")),
        ),
        (
            "PolicyDenied",
            "a new file among the agent's own",
            resource(&|it| it["spec"]["path"] = json!("/var/lib/harmony-agent/originals/x")),
        ),
    ]
}

async fn every_refused_document_leaves_the_device_as_it_is_and_says_why(site: &mut Site) {
    let device = site.device();
    // Below the root, so that a document can name it.
    let state_dir = device.path("/var/lib/harmony-agent");
    let mut device = device.with_state_dir(state_dir);
    device.start();
    let resources = [file("a", "/etc/a", "in force"), file("b", "/etc/b", "in force")];
    site.platform.put(DEVICE, &manifest(DEVICE, IN_FORCE, &resources)).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(IN_FORCE)).await;
    let files = snapshot(&device.path("/etc"));
    let memory = peak_memory(device.pid());

    for (reason, what, bytes) in refusals() {
        let revision = site.platform.put_bytes(DEVICE, bytes).await;
        let status = site
            .platform
            .status_where(DEVICE, &format!("{reason}, for {what}"), refused(revision, reason))
            .await;
        assert_eq!(status.phase, Phase::Converged, "{what}");
        assert_eq!(status.accepted, before.accepted, "{what}");
        assert_eq!(status.applied, before.applied, "{what}");
        assert_eq!(status.highest_generation, before.highest_generation, "{what}");
        assert_eq!(status.resources, before.resources, "{what}");
        assert!(is(&status, ConditionType::Converged, ConditionStatus::True, "AllReady"), "{what}");
        assert_eq!(snapshot(&device.path("/etc")), files, "{what}");
        let message = &status.condition(ConditionType::Accepted).unwrap().message;
        assert!(!message.is_empty(), "no word about {what}");
        if what == "the proof of concept's command" {
            assert!(message.contains("harmonyctl convert --from LegacyCommand"), "{message}");
        }
    }

    let taken = peak_memory(device.pid()).saturating_sub(memory);
    assert!(taken <= MEMORY_FOR_A_REFUSAL, "reading these took {taken} KiB more");

    // None of them keeps a good one from being accepted.
    site.platform.put_bytes(DEVICE, altered(|_| {})).await;
    site.platform.status_where(DEVICE, "converged again", converged_at(IN_FORCE + 1)).await;
    assert_eq!(device.read("/etc/a"), "refused");
}

#[tokio::test]
async fn a_device_that_never_accepted_anything_stays_unassigned_when_it_refuses() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let document = json!({"apiVersion": "harmony/v1", "kind": "AgentManifest"}).to_string();
    let revision = site.platform.put_bytes(DEVICE, document.into_bytes()).await;
    let status = site.platform.status_where(DEVICE, "a refusal", refused(revision, "Malformed")).await;
    assert_eq!(status.phase, Phase::Unassigned);
    assert_eq!((&status.accepted, &status.applied, status.highest_generation), (&None, &None, None));
    assert_eq!(status.desired.as_ref().and_then(|desired| desired.generation), None);
    let converged = status.condition(ConditionType::Converged).unwrap();
    assert_eq!(converged.status, ConditionStatus::Unknown, "nothing is in force that could be judged");
    assert_eq!((status.summary.total, status.resources.len()), (0, 0));

    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[file("a", "/etc/a", "ours")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(accepted(&site.platform.status(DEVICE).await.unwrap()), Some(1));
}

async fn a_deleted_entry_unassigns_the_device_and_tears_nothing_down(site: &mut Site) {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "ours")])).await;
    let before = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    site.platform.delete(DEVICE).await;
    let status = site.platform.status_where(DEVICE, "unassigned", |it| it.phase == Phase::Unassigned).await;
    assert_eq!((&status.accepted, &status.applied), (&before.accepted, &before.applied));
    assert!(is(&status, ConditionType::Converged, ConditionStatus::True, "AllReady"));
    std::fs::write(device.path("/etc/a"), "by hand").unwrap();
    device.eventually_holds("/etc/a", "ours").await;

    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "again")])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(device.read("/etc/a"), "again");
}
