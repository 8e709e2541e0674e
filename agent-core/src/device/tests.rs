mod audit;
mod rollback;
mod safe_mode;
mod versions;

use std::{fs, path::PathBuf, sync::LazyLock, time::Duration};

use agent_model::{
    Digest, Generation, Invalid, ManifestFormat, RefusalReason, SpecDocument,
    status::{ConditionStatus, ConditionType, KIND, Phase, ResourceState, SCHEMA_VERSION},
};
use jsonschema::Validator;
use semver::Version;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    dispatcher::Formats,
    envelope::HighWaterMark,
    fakes::{FakeFormat, FakeReconciler, device, document},
    pause::Pause,
    state_dir::StateLayout,
    status::snapshot::Snapshot,
};

/// A device, its disk and its state folder.
struct Bench {
    fake: FakeReconciler,
    folder: TempDir,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::without_floor();
        bench.device.take_floor(None);
        bench
    }

    /// A device that does not know yet what it has said before.
    fn without_floor() -> Self {
        let (fake, folder) = (FakeReconciler::default(), tempfile::tempdir().unwrap());
        let device = device(&fake, &folder, Formats::none().with(FakeFormat), None);
        Self { fake, folder, device }
    }

    /// The device after its agent was started anew.
    fn restart(&mut self, formats: Formats) {
        let before = self.device.report();
        self.device = device(&self.fake, &self.folder, formats, Some(before));
    }

    async fn take(&mut self, generation: u64, spec: Value) -> AgentStatus {
        self.device.take_entry(document(generation, spec));
        self.pass().await
    }

    async fn pass(&mut self) -> AgentStatus {
        self.device.pass(|| false, |_| ()).await;
        let status = self.device.report();
        assert_is_as_its_schema_says(&status);
        status
    }

    fn take_done(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.disk().done)
    }

    /// Makes every write of the ledger fail, for root too.
    fn break_disk(&self) {
        fs::create_dir_all(self.folder.path().join("ledger.tmp/x")).unwrap();
    }

    fn mend_disk(&self) {
        fs::remove_dir_all(self.folder.path().join("ledger.tmp")).unwrap();
    }
}

/// Whatever a device says in these tests, a reader that goes by the schema must be able to read.
fn assert_is_as_its_schema_says(status: &AgentStatus) {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/{KIND}"));
        let schema = fs::read(folder.join(format!("{SCHEMA_VERSION}.json"))).unwrap();
        jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap()
    });
    let status = serde_json::to_value(status).unwrap();
    let problems: Vec<String> = SCHEMA.iter_errors(&status).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:#?}: {status:#}");
}

fn condition(status: &AgentStatus, condition_type: ConditionType) -> (ConditionStatus, &str) {
    let condition = status.condition(condition_type).unwrap();
    (condition.status, &condition.reason)
}

fn accepted(status: &AgentStatus) -> Option<u64> {
    status.accepted.as_ref().map(|accepted| accepted.generation.get())
}

fn applied(status: &AgentStatus) -> Option<u64> {
    status.applied.as_ref().map(|applied| applied.generation.get())
}

#[tokio::test]
async fn a_document_converges_and_an_empty_one_takes_everything_back() {
    let mut bench = Bench::new();
    let status = bench.take(1, json!({"/a": "1"})).await;
    assert_eq!((status.phase, accepted(&status), applied(&status)), (Phase::Converged, Some(1), Some(1)));
    let status = bench.take(2, json!({})).await;
    assert_eq!((status.phase, applied(&status), status.summary.total), (Phase::Converged, Some(2), 0));
    assert_eq!(bench.take_done(), ["+File:/a", "-File:/a"]);
}

#[tokio::test]
async fn a_refused_document_shows_only_in_its_condition() {
    let mut bench = Bench::new();
    let before = bench.take(5, json!({"/a": "1"})).await;
    bench.take_done();
    for (document, reason) in [
        (document(4, json!({})), RefusalReason::StaleGeneration),
        (document(5, json!({})), RefusalReason::GenerationConflict),
        (document(6, json!([])), RefusalReason::Invalid),
        (document(6, json!({"/own/x": ""})), RefusalReason::PolicyDenied),
        (DesiredValue::Some { revision: 9, raw: Vec::new() }, RefusalReason::Malformed),
    ] {
        assert!(!bench.device.take_entry(document));
        let status = bench.pass().await;
        let found = condition(&status, ConditionType::Accepted);
        assert_eq!(found, (ConditionStatus::False, reason.as_str()));
        assert_eq!(
            (status.phase, &status.accepted, &status.resources),
            (Phase::Converged, &before.accepted, &before.resources)
        );
    }
    assert!(bench.take_done().is_empty());
}

#[tokio::test]
async fn a_deleted_entry_unassigns_the_device_which_goes_on_enforcing() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.device.take_entry(DesiredValue::None);
    bench.fake.disk().contents.clear();
    let status = bench.pass().await;
    assert_eq!((status.phase, accepted(&status), &status.desired), (Phase::Unassigned, Some(1), &None));
    assert_eq!(condition(&status, ConditionType::Converged), (ConditionStatus::True, "AllReady"));
    assert_eq!(status.resources[0].drift_corrections, 1);
}

#[tokio::test]
async fn without_a_ledger_to_write_nothing_is_accepted_and_nothing_changed_until_it_can_be() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.break_disk();
    bench.take_done();
    let status = bench.take(2, json!({"/a": "2"})).await;
    // Nobody looks any more at how things stand.
    assert_eq!((status.phase, accepted(&status)), (Phase::Converging, Some(1)));
    let held = &status.resources[0];
    assert_eq!((held.state, held.reason.as_str()), (ResourceState::Pending, "StateStore"));
    assert_eq!(condition(&status, ConditionType::Accepted), (ConditionStatus::Unknown, "StateStore"));
    assert_eq!(condition(&status, ConditionType::StateStore).0, ConditionStatus::False);
    assert!(bench.device.due().is_some(), "it tries again by itself");
    assert!(bench.take_done().is_empty());

    bench.mend_disk();
    let status = bench.pass().await;
    assert_eq!((status.phase, accepted(&status), applied(&status)), (Phase::Converged, Some(2), Some(2)));
    assert_eq!(condition(&status, ConditionType::StateStore), (ConditionStatus::True, "Healthy"));
}

#[tokio::test]
async fn what_nobody_looked_at_for_a_document_that_waited_for_the_disk_is_no_word_on_it_and_looked_at_at_once()
 {
    let mut bench = Bench::new();
    // Nothing is held, and so nothing is left to be pending.
    bench.take(1, json!({})).await;
    bench.break_disk();
    let status = bench.take(2, json!({"/a": "2"})).await;
    assert_ne!(condition(&status, ConditionType::Converged).0, ConditionStatus::True);

    // What comes in its place is refused, by when the disk serves.
    bench.mend_disk();
    assert!(!bench.device.take_entry(document(1, json!({"/a": "0"}))));
    assert!(bench.device.due().is_some_and(|due| due <= Instant::now()));
    let status = bench.pass().await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Converged, Some(1)));
}

#[tokio::test]
async fn drift_is_left_alone_while_the_ledger_cannot_be_written() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.break_disk();
    bench.fake.disk().contents.clear();
    let status = bench.pass().await;
    assert!(bench.fake.disk().contents.is_empty());
    assert_eq!((status.phase, status.resources[0].reason.as_str()), (Phase::Converging, "StateStore"));
    bench.mend_disk();
    let status = bench.pass().await;
    assert_eq!((status.phase, status.resources[0].drift_corrections), (Phase::Converged, 1));
}

#[tokio::test]
async fn a_restart_changes_nothing_that_is_seen() {
    let mut bench = Bench::new();
    let before = bench.take(1, json!({"/a": "1"})).await;
    bench.take_done();
    bench.restart(Formats::none().with(FakeFormat));
    bench.device.take_entry(document(1, json!({"/a": "1"})));
    let after = bench.pass().await;
    assert_eq!(
        (&after.resources, &after.applied, after.phase),
        (&before.resources, &before.applied, before.phase)
    );
    assert_eq!(after.conditions, before.conditions);
    assert!(bench.take_done().is_empty());
}

/// Leaves out a key of whatever it reads.
struct NewerSchema;

impl ManifestFormat for NewerSchema {
    fn kind(&self) -> &'static str {
        FakeFormat.kind()
    }

    fn schema_versions(&self) -> Vec<Version> {
        FakeFormat.schema_versions()
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        Ok(Lowered { ignored: vec!["/spec/newer".into()], ..FakeFormat.lower(document)? })
    }
}

#[tokio::test]
async fn what_was_left_out_of_a_document_is_told_after_a_restart_too_also_before_the_first_pass() {
    let mut bench = Bench::new();
    bench.restart(Formats::none().with(NewerSchema));
    let before = bench.take(1, json!({})).await;
    assert!(before.condition(ConditionType::Accepted).unwrap().message.contains("/spec/newer"));
    bench.restart(Formats::none().with(NewerSchema));
    bench.device.take_entry(document(1, json!({})));
    assert_eq!(
        bench.device.report().condition(ConditionType::Accepted),
        before.condition(ConditionType::Accepted)
    );
}

#[tokio::test]
async fn a_document_in_force_that_cannot_be_read_any_more_is_told_and_nothing_is_touched() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.take_done();
    bench.restart(Formats::none());
    bench.fake.disk().contents.clear();
    let status = bench.pass().await;
    assert_eq!((status.phase, accepted(&status)), (Phase::Degraded, Some(1)));
    assert!(status.condition(ConditionType::Converged).unwrap().message.contains("UnsupportedKind"));
    let [held] = &status.resources[..] else { panic!("{:?}", status.resources) };
    assert_eq!((held.state, held.reason.as_str()), (ResourceState::Pending, "DocumentUnreadable"));
    assert_eq!((held.changes, status.summary.total, status.summary.pending), (1, 1, 1));
    assert!(bench.take_done().is_empty());
}

#[tokio::test]
async fn with_its_ledger_lost_a_device_waits_for_its_own_status_and_takes_nothing_older() {
    let known = {
        let mut before = Bench::new();
        before.take(7, json!({"/a": "1"})).await;
        before.device.ledger().highest.unwrap()
    };
    for (generation, spec, taken) in [
        (6, json!({"/a": "1"}), false),
        (7, json!({"/a": "other"}), false),
        (7, json!({"/a": "1"}), true),
        (8, json!({"/a": "2"}), true),
    ] {
        let mut bench = Bench::without_floor();
        let status = bench.take(generation, spec).await;
        assert_eq!((accepted(&status), condition(&status, ConditionType::Accepted).1), (None, "NotJudged"));
        assert_eq!(bench.device.take_floor(Some(known)), taken, "generation {generation}");
        let status = bench.pass().await;
        assert_eq!(accepted(&status), taken.then_some(generation));
        assert_eq!(status.highest_generation.map(Generation::get), Some(generation.max(7)));
    }
}

#[tokio::test]
async fn the_floor_outlives_a_restart_before_anything_is_accepted() {
    let known = {
        let mut before = Bench::new();
        before.take(7, json!({})).await;
        before.device.ledger().highest.unwrap()
    };
    let mut bench = Bench::without_floor();
    bench.device.take_floor(Some(known));
    bench.restart(Formats::none().with(FakeFormat));
    assert!(!bench.device.asks_for_floor());
    let status = bench.take(6, json!({})).await;
    assert_eq!(condition(&status, ConditionType::Accepted).1, "StaleGeneration");
}

#[tokio::test]
async fn the_digest_in_the_status_is_that_of_the_bytes_received() {
    let mut bench = Bench::new();
    let DesiredValue::Some { raw, .. } = document(1, json!({})) else { panic!("no document") };
    let status = bench.take(1, json!({})).await;
    assert_eq!(status.desired.unwrap().digest, Digest::of_bytes(&raw));
    assert_eq!(status.accepted.unwrap().digest, Digest::of_bytes(&raw));
}

#[tokio::test]
async fn what_was_kept_for_a_removed_thing_is_let_go_of_only_when_the_ledger_has_forgotten_it() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1", "/b": "1"})).await;
    // Gone already, so that its removal needs no step.
    bench.fake.disk().contents.remove(&"File:/b".parse().unwrap());
    bench.break_disk();
    bench.take(2, json!({"/a": "1"})).await;
    assert_eq!(bench.fake.disk().released, 0);
    bench.mend_disk();
    bench.pass().await;
    assert_eq!(bench.fake.disk().released, 1);
}

#[tokio::test]
async fn while_the_ledger_cannot_be_written_only_its_own_retry_is_due() {
    let mut bench = Bench::new();
    bench.fake.disk().broken.insert("File:/a".into());
    bench.take(1, json!({"/a": "1"})).await;
    bench.break_disk();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bench.pass().await;
    let due = bench.device.due().unwrap();
    assert!(due > Instant::now() + Duration::from_secs(1), "a failing file makes no loop of it");
}

#[tokio::test]
async fn a_document_that_comes_while_the_disk_does_not_serve_says_so() {
    let mut bench = Bench::new();
    bench.take(1, json!({"/a": "1"})).await;
    bench.break_disk();
    bench.take(2, json!({"/a": "2"})).await;
    let status = bench.take(3, json!({"/a": "3"})).await;
    assert_eq!(condition(&status, ConditionType::Accepted), (ConditionStatus::Unknown, "StateStore"));
}

#[tokio::test]
async fn a_device_that_has_reported_before_and_finds_no_ledger_says_that_it_was_lost() {
    let mut bench = Bench::without_floor();
    let floor = HighWaterMark { generation: Generation::FIRST, digest: None };
    bench.device.take_floor(Some(floor));
    let status = bench.device.report();
    assert_eq!(condition(&status, ConditionType::StateStore), (ConditionStatus::False, "LedgerRecovered"));
}

#[tokio::test]
async fn going_without_the_floor_leaves_the_question_open_for_the_next_start() {
    let mut bench = Bench::without_floor();
    bench.device.go_without_floor();
    bench.take(1, json!({})).await;
    bench.restart(Formats::none().with(FakeFormat));
    assert!(bench.device.asks_for_floor());
}

#[tokio::test]
async fn a_disk_that_serves_again_is_noticed_even_with_nothing_in_force() {
    let mut bench = Bench::new();
    bench.break_disk();
    bench.take(1, json!({"/a": "1"})).await;
    bench.device.take_entry(DesiredValue::None);
    bench.mend_disk();
    let status = bench.pass().await;
    assert_eq!(condition(&status, ConditionType::StateStore), (ConditionStatus::True, "Healthy"));
    assert_eq!(bench.device.due(), None);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_replaced_goes_instead_of_telling_what_was() {
    let mut bench = Bench::new();
    let status = bench.take(1, json!({"/a": "1"})).await;
    let layout = StateLayout::of(bench.folder.path());
    let snapshot = Snapshot { status, duplicate_identity: None, pause: None };
    snapshot.write(&layout);
    assert_eq!(Snapshot::read(&layout), Some(snapshot.clone()));
    fs::create_dir_all(bench.folder.path().join("status.tmp/x")).unwrap();
    snapshot.write(&layout);
    assert_eq!(Snapshot::read(&layout), None);
}
