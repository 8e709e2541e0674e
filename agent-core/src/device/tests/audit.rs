//! What a device writes down, and when.

use super::*;
use crate::{
    audit::{AuditRecord, verify},
    ledger::Ledger,
};

impl Bench {
    fn layout(&self) -> StateLayout {
        StateLayout::of(self.folder.path())
    }

    fn audit(&self) -> Vec<AuditRecord> {
        let log = fs::read_to_string(self.layout().audit()).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The outcomes in the log, which must be as it was written and as the ledger knows it.
    fn outcomes(&self) -> Vec<String> {
        let known = Ledger::audit_head(&self.layout()).unwrap().unwrap();
        let found = verify(&self.layout(), known).unwrap();
        assert_eq!((found.problems, found.newest.unwrap_or(0)), (vec![], known.seq));
        self.audit()
            .into_iter()
            .map(|record| {
                serde_json::to_value(record.happening).unwrap()["outcome"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn all_that_is_done_for_a_document_is_written_down_and_known_to_the_ledger() {
    let mut bench = Bench::new();
    bench.fake.disk().broken.insert("File:/b".into());
    bench.take(3, json!({"/a": "1", "/b": "1"})).await;
    assert_eq!(bench.outcomes(), ["Accepted", "Begun", "Begun", "Done", "Failed"]);
    let digest = bench.device.ledger().accepted.as_ref().unwrap().digest;
    for record in bench.audit() {
        assert_eq!((record.generation.map(Generation::get), record.document), (Some(3), Some(digest)));
    }
}

#[tokio::test]
async fn a_pass_that_changes_nothing_writes_nothing() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    let written = |bench: &Bench| {
        let modified = |path| fs::metadata(path).unwrap().modified().unwrap();
        (modified(bench.layout().audit()), modified(bench.layout().ledger()))
    };
    let before = written(&bench);
    bench.pass().await;
    bench.restart(Formats::none().with(FakeFormat));
    bench.device.take_entry(document(1, json!({"/a": "1"})));
    bench.pass().await;
    assert_eq!(written(&bench), before);
}

#[tokio::test]
async fn while_the_ledger_cannot_be_written_the_log_tells_of_nothing_that_is_not_done() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    let before = bench.outcomes();
    bench.break_disk();
    bench.take(2, json!({"/a": "2"})).await;
    bench.fake.disk().contents.clear();
    bench.device.take_entry(DesiredValue::None);
    for _ in 0..3 {
        bench.pass().await;
    }
    assert_eq!(bench.audit().len(), before.len());
    bench.mend_disk();
    bench.take(2, json!({"/a": "2"})).await;
    assert_eq!(bench.outcomes(), [&before[..], &["Accepted", "Begun", "Done"].map(String::from)].concat());
}

#[tokio::test]
async fn without_a_log_to_write_nothing_is_accepted_and_nothing_changed_until_it_can_be() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    // The agent has to open it anew, and a folder in its place forbids that.
    fs::rename(bench.layout().audit(), bench.folder.path().join("elsewhere")).unwrap();
    fs::create_dir(bench.layout().audit()).unwrap();
    bench.restart(Formats::none().with(FakeFormat));
    bench.take_done();
    let status = bench.take(2, json!({"/a": "2"})).await;
    assert_eq!((accepted(&status), bench.take_done().len()), (Some(1), 0));
    assert_eq!(condition(&status, ConditionType::StateStore).0, ConditionStatus::False);
    fs::remove_dir(bench.layout().audit()).unwrap();
    fs::rename(bench.folder.path().join("elsewhere"), bench.layout().audit()).unwrap();
    let status = bench.pass().await;
    assert_eq!(applied(&status), Some(2));
    assert_eq!(condition(&status, ConditionType::StateStore).0, ConditionStatus::True);
    assert_eq!(bench.outcomes().len(), 6);
}

#[tokio::test]
async fn a_refusal_is_written_down_once_however_often_it_is_judged() {
    let mut bench = Bench::new();
    bench.take(2, json!({"/a": "1"})).await;
    for _ in 0..2 {
        bench.device.take_entry(document(1, json!({})));
        bench.restart(Formats::none().with(FakeFormat));
        bench.device.take_entry(document(1, json!({})));
    }
    assert_eq!(bench.outcomes()[3..], ["Rejected"]);
}

#[tokio::test]
async fn a_power_cut_in_the_middle_of_a_step_leaves_it_interrupted() {
    let mut bench = Bench::new();
    bench.fake.disk().crashes = ["apply File:/a".to_owned()].into();
    bench.device.take_entry(document(1, json!({"/a": "1"})));
    let _ = tokio::time::timeout(Duration::from_millis(300), bench.device.pass(|| false, |_| ())).await;
    bench.fake.disk().crashes.clear();
    bench.restart(Formats::none().with(FakeFormat));
    bench.pass().await;
    assert_eq!(bench.outcomes(), ["Accepted", "Begun", "Interrupted", "Begun", "Done"]);
    assert_eq!(bench.audit()[2].happening.begun(), Some(2));
}
