//! From a document to the device, and back as a status.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use agent_model::{Digest, Timestamp};
use serde_json::{Value, json};
use tests::{
    document::{Format, file, file_after},
    eventually::eventually,
    platform::ACTUAL_STATE,
    site::{DEVICE, Site},
    snapshot::{snapshot, temporary_files},
};

use crate::status_words::{converged_at, resource};

at_each_site!(
    a_document_converges_and_the_status_says_all_that_the_contract_promises,
    an_update_alters_what_changed_and_nothing_else,
    what_is_declared_no_longer_goes_and_what_was_there_before_comes_back,
    a_renamed_resource_leaves_its_file_alone,
    a_file_is_written_after_those_it_depends_on,
);

on_the_oldest_server_too!(
    a_document_converges_and_the_status_says_all_that_the_contract_promises,
    an_update_alters_what_changed_and_nothing_else,
    what_is_declared_no_longer_goes_and_what_was_there_before_comes_back,
    a_renamed_resource_leaves_its_file_alone,
    a_file_is_written_after_those_it_depends_on,
);

async fn a_document_converges_and_the_status_says_all_that_the_contract_promises(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let mut motd = file("motd", "/etc/motd", "hello\n");
    motd["spec"]["mode"] = json!("0600");
    let document = site.document(7, &[file("app-config", "/etc/app/app.conf", "a=1\n"), motd]);
    let revision = site.platform.put(DEVICE, &document).await;
    site.platform.status_where(DEVICE, "converged", converged_at(7)).await;

    assert_eq!(device.read("/etc/app/app.conf"), "a=1\n");
    let mode = |path| fs::metadata(device.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("/etc/app/app.conf"), 0o644);
    assert_eq!(mode("/etc/app"), 0o755);
    assert_eq!(mode("/etc/motd"), 0o600);

    let entry = site.platform.entry(ACTUAL_STATE, DEVICE).await.unwrap().unwrap();
    let mut status: Value = serde_json::from_slice(&entry.value).unwrap();
    let digest = Digest::of_bytes(document.to_string().as_bytes()).to_string();
    // What differs from run to run is judged by its form and then taken out.
    for pointer in [
        "/accepted/at",
        "/applied/at",
        "/agentInfo/startedAt",
        "/resources/0/since",
        "/resources/1/since",
        "/conditions/0/lastTransitionTime",
        "/conditions/1/lastTransitionTime",
        "/conditions/2/lastTransitionTime",
        "/conditions/3/lastTransitionTime",
        "/conditions/4/lastTransitionTime",
    ] {
        let time: Result<Timestamp, _> = serde_json::from_value(take(&mut status, pointer));
        assert!(time.is_ok(), "{pointer}: {time:?}");
    }
    for pointer in ["/resources/0/specDigest", "/resources/1/specDigest"] {
        let digest: Result<Digest, _> = serde_json::from_value(take(&mut status, pointer));
        assert!(digest.is_ok(), "{pointer}: {digest:?}");
    }
    let instance = take(&mut status, "/writer/instance");
    assert_eq!(instance.as_str().map(str::len), Some(36), "{instance} is no UUID");
    assert!(take(&mut status, "/writer/op").is_u64());
    assert!(take(&mut status, "/agentInfo/version").is_string());
    assert!(take(&mut status, "/agentInfo/bootId").is_string());
    let key = take(&mut status, "/agentInfo/sealingKey");
    assert!(key.as_str().is_some_and(|key| key.len() == 56 && key.starts_with('X')), "{key}");
    let facts = take(&mut status, "/agentInfo/facts");
    for fact in ["os", "arch", "hostname"] {
        assert!(facts[fact].is_string(), "no fact {fact}: {facts}");
    }
    for place in 0..5 {
        assert!(take(&mut status, &format!("/conditions/{place}/message")).is_string());
    }
    for place in [2, 3, 4] {
        let generation = take(&mut status, &format!("/conditions/{place}/observedGeneration"));
        assert!(generation.is_null() || generation == 7, "condition {place}: {generation}");
        assert!(take(&mut status, &format!("/conditions/{place}/reason")).is_string());
    }
    for place in [0, 1] {
        assert!(take(&mut status, &format!("/resources/{place}/message")).is_string());
        take(&mut status, &format!("/resources/{place}/details"));
    }
    let out = Value::Null;
    let resource = |name| {
        json!({
            "kind": "File", "name": name, "state": "Ready", "reason": "InSync", "message": out, "since": out,
            "specDigest": out, "changes": 1, "driftCorrections": 0, "restarts": 0, "attempts": 0,
            "nextRetry": null, "details": out,
        })
    };
    let condition = |kind, status, reason: Value, generation: Value| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": out, "lastTransitionTime": out,
            "observedGeneration": generation,
        })
    };
    let (kind, schema_version) = (site.format().kind(), site.format().schema_version());
    let mut formats = json!({"AgentManifest": ["1.0.0", "1.1.0"]});
    let scores: &[&str] = match site.format() {
        Format::AgentManifest => &[],
        Format::Score => &[
            "ConfigSet@0.1.0",
            "Container@0.1.0",
            "ContainerApp@0.1.0",
            "File@0.1.0",
            "Process@0.1.0",
            "ServiceApp@0.1.0",
            "ShellJob@0.1.0",
            "SystemdUnit@0.1.0",
        ],
    };
    if site.format() == Format::Score {
        formats[kind] = json!(["0.1.0", "0.1.1"]);
    }
    let expected = json!({
        "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.1.0",
        "agent": DEVICE,
        "writer": {"instance": out, "epoch": 1, "op": out},
        "phase": "Converged",
        "desired": {
            "revision": revision, "generation": 7, "digest": digest, "kind": kind, "schemaVersion": schema_version,
        },
        "highestGeneration": 7,
        "accepted": {
            "generation": 7, "digest": digest, "kind": kind, "schemaVersion": schema_version, "at": out,
        },
        "applied": {"generation": 7, "digest": digest, "at": out},
        "rolledBack": null,
        "conditions": [
            condition("Accepted", "True", json!("Accepted"), json!(7)),
            condition("Converged", "True", json!("AllReady"), json!(7)),
            condition("StateStore", "True", out.clone(), out.clone()),
            condition("Paused", "False", out.clone(), out.clone()),
            condition("SafeMode", "False", out.clone(), out.clone()),
        ],
        "summary": {"total": 2, "ready": 2, "failed": 0, "pending": 0},
        "resources": [resource("app-config"), resource("motd")],
        "agentInfo": {
            "version": out, "formats": formats, "scores": scores, "reconcilers": ["Container", "File", "Process", "ShellJob", "SystemdUnit"],
            "facts": out, "bootId": out, "startedAt": out, "sealingKey": out,
        },
    });
    assert_eq!(status, expected, "{status:#}");
}

/// Takes a value out of a document, leaving null; the key must be there.
fn take(document: &mut Value, pointer: &str) -> Value {
    document.pointer_mut(pointer).unwrap_or_else(|| panic!("the status has no {pointer}")).take()
}

async fn an_update_alters_what_changed_and_nothing_else(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let resources = [file("a", "/etc/a", "1"), file("b", "/etc/b", "1")];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = snapshot(&device.root());

    let resources = [file("a", "/etc/a", "2"), file("b", "/etc/b", "1"), file("c", "/etc/c", "1")];
    site.platform.put(DEVICE, &site.document(2, &resources)).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!((device.read("/etc/a"), device.read("/etc/c")), ("2".into(), "1".into()));
    let after = snapshot(&device.root());
    assert_eq!(after[Path::new("etc/b")], before[Path::new("etc/b")]);
    let changes = ["a", "b", "c"].map(|name| resource(&status, name).changes);
    assert_eq!(changes, [2, 1, 1]);
    let names: Vec<&str> = status.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"], "resources are listed in the document's order");

    // The same entry again is the same content, and nothing is done for it.
    site.platform.put(DEVICE, &site.document(2, &resources)).await;
    site.platform.put(DEVICE, &site.document(3, &resources)).await;
    let status = site.platform.status_where(DEVICE, "converged at 3", converged_at(3)).await;
    assert_eq!(snapshot(&device.root()), after);
    assert_eq!(["a", "b", "c"].map(|name| resource(&status, name).changes), changes);
    assert_eq!(temporary_files(&device.root()), Vec::<PathBuf>::new());
}

async fn what_is_declared_no_longer_goes_and_what_was_there_before_comes_back(site: &mut Site) {
    let mut device = site.device();
    device.write_by_hand("/etc/kept/factory.conf", "factory");
    fs::set_permissions(device.path("/etc/kept/factory.conf"), fs::Permissions::from_mode(0o640)).unwrap();
    device.write_by_hand("/etc/kept/alike.conf", "alike");
    device.write_by_hand("/etc/kept/foreign.conf", "foreign");
    std::os::unix::fs::symlink("factory.conf", device.path("/etc/kept/link.conf")).unwrap();
    let kept = device.path("/etc/kept");
    let untouched = |name: &str| {
        let metadata = fs::symlink_metadata(kept.join(name)).unwrap();
        (metadata.mode(), metadata.uid(), metadata.gid())
    };
    let before = ["factory.conf", "link.conf", "foreign.conf"].map(untouched);
    let alike = snapshot(&kept)[Path::new("alike.conf")].clone();

    device.start();
    let resources = [
        file("factory", "/etc/kept/factory.conf", "ours"),
        file_after("link", &["new"], "/etc/kept/link.conf", "ours"),
        file("alike", "/etc/kept/alike.conf", "alike"),
        file_after("new", &["factory"], "/opt/new/deep/new.conf", "ours"),
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(device.read("/etc/kept/factory.conf"), "ours");
    assert!(!fs::symlink_metadata(device.path("/etc/kept/link.conf")).unwrap().is_symlink());
    assert_eq!(resource(&status, "alike").changes, 0, "what is as declared already is no change");
    let altered = |log: &str| {
        let paths = ["/etc/kept/factory.conf", "/etc/kept/link.conf", "/opt/new/deep/new.conf"];
        let steps = log.lines().filter(|line| line.contains("applying"));
        let mut order: Vec<&str> =
            steps.filter_map(|step| paths.into_iter().find(|path| step.contains(path))).collect();
        order.dedup();
        order
    };
    let log = device.log();
    let made = ["/etc/kept/factory.conf", "/opt/new/deep/new.conf", "/etc/kept/link.conf"];
    assert_eq!(altered(&log), made, "{log}");

    site.platform.put(DEVICE, &site.document(2, &[])).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!((status.summary.total, status.resources.len()), (0, 0));
    let log = device.log().split_off(log.len());
    let removed = ["/etc/kept/link.conf", "/opt/new/deep/new.conf", "/etc/kept/factory.conf"];
    assert_eq!(altered(&log), removed, "what depends on others goes before them: {log}");
    assert_eq!(device.read("/etc/kept/factory.conf"), "factory");
    assert_eq!(fs::read_link(device.path("/etc/kept/link.conf")).unwrap(), Path::new("factory.conf"));
    let after = ["factory.conf", "link.conf", "foreign.conf"].map(untouched);
    assert_eq!(after, before, "originals come back with their mode and owner");
    assert_eq!(snapshot(&kept)[Path::new("alike.conf")], alike);
    assert!(!device.path("/opt").exists(), "folders made for a file go with it");
    assert_eq!(temporary_files(&device.root()), Vec::<PathBuf>::new());
}

async fn a_renamed_resource_leaves_its_file_alone(site: &mut Site) {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("old", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let before = snapshot(&device.root());

    site.platform.put(DEVICE, &site.document(2, &[file("new", "/etc/a", "1")])).await;
    let status = site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;
    assert_eq!(snapshot(&device.root()), before);
    assert_eq!(status.summary.total, 1);
    assert_eq!(resource(&status, "new").changes, 1, "counters belong to the path");
}

async fn a_file_is_written_after_those_it_depends_on(site: &mut Site) {
    let mut device = site.device();
    device.start();
    let content = "x".repeat(64 << 10);
    let resources = [
        file_after("last", &["middle"], "/etc/last", "last"),
        file_after("middle", &["first"], "/etc/middle", &content),
        file("first", "/etc/first", &content),
    ];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    // Looked at all the time: were a file there without what it depends on, this would see it.
    eventually("the last file is there", async || {
        let there = ["last", "middle", "first"].map(|name| device.path("/etc").join(name).exists());
        assert!(!there[0] || there[1], "last was written before middle");
        assert!(!there[1] || there[2], "middle was written before first");
        there[0].then_some(()).ok_or_else(|| "it is not".to_owned())
    })
    .await;
    let written = |name| snapshot(&device.path("/etc"))[Path::new(name)].modified;
    assert!(written("first") <= written("middle") && written("middle") <= written("last"));
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let names: Vec<&str> = status.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["last", "middle", "first"], "resources are listed in the document's order");
}
