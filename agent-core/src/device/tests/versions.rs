//! Agents of several versions on one device, one after the other.

use super::*;

/// The ledger as it lies on the disk, and nothing of its envelope.
fn body(bench: &Bench) -> Value {
    let bytes = fs::read(bench.folder.path().join("ledger.json")).unwrap();
    serde_json::from_slice::<Value>(&bytes).unwrap()["body"].take()
}

/// Has it be as an agent of a newer minor version would have written it.
fn note_as_a_newer_agent(bench: &Bench) {
    let mut body = body(bench);
    for pointer in ["", "/accepted", "/applied", "/inventory/File:~1a", "/inventory/File:~1b"] {
        body.pointer_mut(pointer).unwrap()["later"] = json!({"of": pointer});
    }
    body["inventory"]["File:/b"]["dependsOn"] = json!(["Lamp:l", "File:/a"]);
    write(bench, &body);
}

/// Has it hold something of a kind that only a newer agent knows, which needs a file.
fn hold_a_lamp(bench: &Bench) {
    let mut body = body(bench);
    body["inventory"]["Lamp:l"] = lamp();
    write(bench, &body);
}

fn lamp() -> Value {
    json!({"name": "light", "dependsOn": ["File:/a", "Socket:s"], "colour": "red"})
}

fn write(bench: &Bench, body: &Value) {
    let body = body.to_string();
    let checksum = Digest::of_bytes(body.as_bytes());
    let ledger = format!(r#"{{"version":1,"checksum":"{checksum}","body":{body}}}"#);
    fs::write(bench.folder.path().join("ledger.json"), ledger).unwrap();
}

#[tokio::test]
async fn what_a_newer_agent_noted_outlives_this_one_and_goes_with_the_document_or_claim_that_it_is_about() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1", "/b": "1"})).await;
    note_as_a_newer_agent(&bench);
    bench.restart(Formats::none().with(FakeFormat));

    bench.fake.disk().contents.clear();
    let status = bench.pass().await;
    assert!(status.resources.iter().all(|resource| resource.drift_corrections == 1));
    let written = body(&bench);
    for pointer in ["", "/accepted", "/applied", "/inventory/File:~1a", "/inventory/File:~1b"] {
        assert_eq!(written.pointer(pointer).unwrap()["later"], json!({"of": pointer}));
    }
    assert_eq!(written["inventory"]["File:/b"]["dependsOn"], json!(["Lamp:l"]), "the document says the rest");

    bench.take(2, json!({"/a": "2"})).await;
    let written = body(&bench);
    assert_eq!(written["later"], json!({"of": ""}));
    assert_eq!(written["inventory"]["File:/a"]["later"], json!({"of": "/inventory/File:~1a"}));
    assert_eq!(written["inventory"].as_object().unwrap().len(), 1);
    assert_eq!((&written["accepted"]["later"], &written["applied"]["later"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn what_only_a_newer_agent_knows_is_kept_with_what_it_needs_and_nobody_is_told_that_all_is_as_declared()
{
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1", "/b": "1"})).await;
    hold_a_lamp(&bench);
    bench.restart(Formats::none().with(FakeFormat));
    bench.take_done();

    let status = bench.take(2, json!({})).await;
    assert_eq!(bench.take_done(), ["-File:/b"], "the lamp needs the other one");
    let told: Vec<_> =
        status.resources.iter().map(|it| (&*it.kind, &*it.name, it.state, &*it.reason)).collect();
    assert_eq!(
        told,
        [
            ("File", "a", ResourceState::Removing, "KindUnknown"),
            ("Lamp", "light", ResourceState::Pending, "KindUnknown"),
        ]
    );
    assert_eq!((status.phase, applied(&status)), (Phase::Converging, Some(1)));
    assert_eq!((status.summary.total, status.summary.ready, status.summary.pending), (2, 0, 2));
    assert_eq!(condition(&status, ConditionType::Converged), (ConditionStatus::False, "Progressing"));
    let since = status.resources[1].since;

    // Whatever is declared is made meanwhile, and the kind stays the only thing that is amiss. Going back would not help.
    let status = bench.take(3, json!({"/a": "1", "deadline": 60})).await;
    assert_eq!(bench.device.ledger().running_trial(), None);
    assert_eq!((status.phase, applied(&status), status.summary.ready), (Phase::Converging, Some(1), 1));
    assert_eq!(status.resources[1].since, since);
    assert_eq!(body(&bench)["inventory"]["Lamp:l"], lamp());
}

#[tokio::test]
async fn nothing_is_stopped_because_a_newer_agent_wrote_the_ledger_in_another_form() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.take(2, json!({"/a": "1", "/b": "1"})).await;
    let digest = bench.device.ledger().highest.unwrap().digest;
    let path = bench.folder.path().join("ledger.json");
    let newer = fs::read_to_string(&path).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(path, newer).unwrap();
    let mut marked: Vec<_> = Vec::new();
    for (claim, entry) in &bench.device.ledger().inventory {
        marked.push((claim.clone(), entry.name.clone(), entry.record.clone()));
    }
    bench.restart(Formats::none().with(FakeFormat));
    bench.device.take_marked(marked);
    bench.take_done();

    let status = bench.pass().await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Unassigned, None));
    assert_eq!(condition(&status, ConditionType::StateStore), (ConditionStatus::False, "LedgerRecovered"));
    let floor = HighWaterMark { generation: Generation::try_from(2).unwrap(), digest };
    bench.device.take_floor(Some(floor));
    let status = bench.take(2, json!({"/a": "1", "/b": "1"})).await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Converged, Some(2)));
    assert!(bench.take_done().is_empty());
}
