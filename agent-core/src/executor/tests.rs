use agent_model::{Claim, DesiredState, Timestamp, status::ResourceState};
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::{
    fakes::{FakeReconciler, desired, policy},
    policy::Policy,
};

struct Bench {
    fake: FakeReconciler,
    executor: Executor,
    inventory: Inventory,
    seconds: u64,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let fake = FakeReconciler::default();
        let executor = Executor::new(Registry::none().with(fake.clone()), policy(Policy::default()), 7);
        Self { fake, executor, inventory: Inventory::new(), seconds: 0, start: Instant::now() }
    }

    async fn pass(&mut self, desired: &DesiredState) -> PassOutcome {
        let passed = std::time::Duration::from_secs(self.seconds);
        let now =
            Moment { wall: Timestamp::UNIX_EPOCH.saturating_add(passed), monotonic: self.start + passed };
        let pass = self.executor.prepare(desired, DocumentPast::default(), &self.inventory, now).await;
        let mut outcome = pass.run(|| false, ()).await;
        self.executor.learn(&mut outcome, now);
        self.executor.release(std::mem::take(&mut outcome.dropped), &outcome.inventory).await;
        self.inventory = outcome.inventory.clone();
        outcome
    }

    fn take_done(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.disk().done)
    }

    fn set_broken(&self, path: &str, broken: bool) {
        let mut disk = self.fake.disk();
        let claim = format!("File:{path}");
        if broken {
            disk.broken.insert(claim)
        } else {
            disk.broken.remove(&claim)
        };
    }
}

fn states(outcome: &PassOutcome) -> Vec<(&str, ResourceState, &str)> {
    outcome.resources.iter().map(|r| (r.name.as_str(), r.state, &*r.reason)).collect()
}

#[tokio::test]
async fn what_the_policy_denies_by_now_is_left_as_it_is_and_nobody_looks_at_it() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"]), ("c", "/c", "1", &[])]);
    assert!(bench.pass(&state).await.is_converged());
    bench.take_done();

    let tightened = Policy {
        paths: ["/b", "/c"].map(|path| path.to_owned().try_into().unwrap()).into(),
        ..Policy::default()
    };
    bench.executor = Executor::new(Registry::none().with(bench.fake.clone()), policy(tightened), 7);
    for path in ["/a", "/b", "/c"] {
        bench.fake.disk().contents.insert(format!("File:{path}").parse().unwrap(), "other".to_owned());
    }
    bench.fake.disk().crashes.insert("observe File:/a".to_owned());
    let held = bench.inventory.clone();
    let outcome = bench.pass(&state).await;
    assert_eq!(
        states(&outcome),
        [
            ("a", ResourceState::Failed, "PolicyDenied"),
            ("b", ResourceState::Pending, "DependencyNotReady"),
            ("c", ResourceState::Ready, "InSync"),
        ]
    );
    assert!(outcome.resources[0].message.contains("paths = "), "{}", outcome.resources[0].message);
    assert_eq!(outcome.resources[0].next_retry, None);
    assert_eq!(bench.take_done(), ["+File:/c"]);
    assert_eq!(bench.inventory.keys().collect::<Vec<_>>(), held.keys().collect::<Vec<_>>());

    bench.fake.disk().crashes.clear();
    // What a document gives up is undone, whoever may write there by now.
    let outcome = bench.pass(&desired(&[("b", "/b", "1", &[])])).await;
    assert!(outcome.is_converged());
    assert!(bench.take_done().contains(&"-File:/a".to_owned()));
}

#[tokio::test]
async fn dependencies_come_first_and_a_second_pass_does_nothing() {
    let mut bench = Bench::new();
    let state = desired(&[("c", "/c", "1", &["b"]), ("b", "/b", "1", &["a"]), ("a", "/a", "1", &[])]);
    let outcome = bench.pass(&state).await;
    assert_eq!(bench.take_done(), ["+File:/a", "+File:/b", "+File:/c"]);
    assert!(outcome.is_converged());
    assert!(outcome.resources.iter().all(|resource| resource.changes == 1));
    let before = bench.inventory.clone();
    assert!(bench.pass(&state).await.is_converged());
    assert_eq!((bench.take_done(), bench.inventory), (vec![], before));
}

#[tokio::test]
async fn what_cannot_be_had_before_its_dependency_waits_for_it_and_is_looked_at_again_at_once() {
    let mut bench = Bench::new();
    let state = desired(&[("b", "/b", "needs /a", &["a"]), ("a", "/a", "1", &[]), ("c", "/c", "1", &["b"])]);
    bench.set_broken("/a", true);
    let outcome = bench.pass(&state).await;
    let waiting = |name| (name, ResourceState::Pending, "DependencyNotReady");
    assert_eq!(states(&outcome), [waiting("b"), ("a", ResourceState::Failed, "Broken"), waiting("c")]);
    assert!(!outcome.interrupted, "nothing could be done about it");

    bench.set_broken("/a", false);
    bench.seconds += 10;
    let outcome = bench.pass(&state).await;
    assert_eq!(states(&outcome), [waiting("b"), ("a", ResourceState::Ready, "InSync"), waiting("c")]);
    assert!(outcome.interrupted);
    assert!(bench.pass(&state).await.is_converged());
    assert_eq!(bench.take_done(), ["+File:/a", "+File:/b", "+File:/c"]);
}

#[tokio::test]
async fn what_cannot_be_had_although_its_dependencies_are_ready_is_failing() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[]), ("b", "/b", "needs /x", &["a"])]);
    let outcome = bench.pass(&state).await;
    assert!(outcome.interrupted, "{outcome:#?}");
    let outcome = bench.pass(&state).await;
    assert_eq!(states(&outcome)[1], ("b", ResourceState::Failed, "Missing"));
    assert!(!outcome.interrupted && outcome.resources[1].next_retry.is_some());
}

#[tokio::test]
async fn a_failing_resource_holds_back_its_dependents_alone_and_recovers() {
    let mut bench = Bench::new();
    bench.set_broken("/a", true);
    let state = desired(&[
        ("a", "/a", "1", &[]),
        ("b", "/b", "1", &["a"]),
        ("c", "/c", "1", &["b"]),
        ("d", "/d", "1", &[]),
    ]);
    let outcome = bench.pass(&state).await;
    assert_eq!(
        states(&outcome),
        [
            ("a", ResourceState::Failed, "Broken"),
            ("b", ResourceState::Pending, "DependencyNotReady"),
            ("c", ResourceState::Pending, "DependencyNotReady"),
            ("d", ResourceState::Ready, "InSync"),
        ]
    );
    assert_eq!(outcome.resources[1].message, "waits for \"a\", which is failing");
    assert!(outcome.resources[0].next_retry.is_some());

    let outcome = bench.pass(&state).await;
    assert_eq!(outcome.resources[0].attempts, 1, "too early for another try");
    bench.seconds = 10;
    assert_eq!(bench.pass(&state).await.resources[0].attempts, 2);
    bench.set_broken("/a", false);
    bench.seconds = 20;
    bench.take_done();
    let outcome = bench.pass(&state).await;
    assert!(outcome.is_converged());
    assert_eq!(bench.take_done(), ["+File:/a", "+File:/b", "+File:/c"]);
    assert_eq!(outcome.resources[0].attempts, 0);
}

#[tokio::test]
async fn a_repair_is_no_change_and_a_change_is_no_repair() {
    let mut bench = Bench::new();
    let counts =
        |outcome: PassOutcome| (outcome.resources[0].changes, outcome.resources[0].drift_corrections);
    assert_eq!(counts(bench.pass(&desired(&[("a", "/a", "1", &[])])).await), (1, 0));
    bench.fake.disk().contents.clear();
    assert_eq!(counts(bench.pass(&desired(&[("a", "/a", "1", &[])])).await), (1, 1));
    assert_eq!(counts(bench.pass(&desired(&[("a", "/a", "2", &[])])).await), (2, 1));
    assert_eq!(counts(bench.pass(&desired(&[("renamed", "/a", "2", &[])])).await), (2, 1));
}

#[tokio::test]
async fn what_is_declared_no_longer_goes_dependents_first_and_after_the_new_is_there() {
    let mut bench = Bench::new();
    bench.pass(&desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"]), ("c", "/c", "1", &["b"])])).await;
    bench.take_done();
    let outcome = bench.pass(&desired(&[("n", "/n", "1", &[])])).await;
    assert_eq!(bench.take_done(), ["+File:/n", "-File:/c", "-File:/b", "-File:/a"]);
    assert_eq!(states(&outcome).len(), 1, "what is gone is not spoken of");
    assert_eq!(bench.inventory.len(), 1);
    assert_eq!(bench.fake.disk().released, 3);
}

#[tokio::test]
async fn what_is_in_the_way_goes_before_the_new_comes_with_all_that_hangs_on_it() {
    let mut bench = Bench::new();
    bench.pass(&desired(&[("a", "/x/y", "1", &[]), ("b", "/b", "1", &["a"])])).await;
    bench.take_done();
    let outcome = bench.pass(&desired(&[("n", "/x", "1", &[]), ("m", "/m", "1", &[])])).await;
    let done = bench.take_done();
    let place = |step: &str| done.iter().position(|one| one == step).unwrap();
    assert!(place("-File:/b") < place("-File:/x/y") && place("-File:/x/y") < place("+File:/x"), "{done:?}");
    assert!(outcome.is_converged());
}

#[tokio::test]
async fn a_removal_that_fails_is_told_and_tried_again() {
    let mut bench = Bench::new();
    bench.pass(&desired(&[("a", "/a", "1", &[])])).await;
    bench.set_broken("/a", true);
    let outcome = bench.pass(&DesiredState::default()).await;
    assert_eq!(states(&outcome), [("a", ResourceState::Failed, "Broken")]);
    assert!(!outcome.is_converged());
    bench.set_broken("/a", false);
    bench.seconds = 10;
    assert!(bench.pass(&DesiredState::default()).await.is_converged());
    assert!(bench.inventory.is_empty());
}

#[tokio::test]
async fn two_half_applied_documents_that_left_a_circle_behind_are_removed_all_the_same() {
    let mut bench = Bench::new();
    bench.pass(&desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"])])).await;
    let claim = |text: &str| text.parse::<Claim>().unwrap();
    Arc::make_mut(bench.inventory.get_mut(&claim("File:/a")).unwrap()).depends_on.known =
        vec![claim("File:/b")];
    assert!(bench.pass(&DesiredState::default()).await.is_converged());
    assert!(bench.inventory.is_empty());
}

#[tokio::test]
async fn a_newer_document_ends_a_pass_between_two_steps_and_loses_nothing() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"])]);
    let now = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: bench.start };
    let pass = bench.executor.prepare(&state, DocumentPast::default(), &bench.inventory, now).await;
    assert!(pass.has_work());
    let fake = bench.fake.clone();
    let outcome = pass.run(|| !fake.disk().done.is_empty(), ()).await;
    assert_eq!(
        states(&outcome),
        [("a", ResourceState::Ready, "InSync"), ("b", ResourceState::Pending, "Superseded")]
    );
    assert!(outcome.interrupted && !outcome.is_converged());
    assert_eq!(outcome.inventory.len(), 1);
}

/// What a witness was told.
#[derive(Default, Clone)]
struct Told(std::sync::Arc<std::sync::Mutex<Vec<(usize, String)>>>);

impl Witness for Told {
    fn ended(&mut self, step: usize, end: StepEnd) {
        let end = match end {
            StepEnd::Done { effect, .. } => format!("{effect:?}"),
            StepEnd::Failed { failure, .. } => failure.reason.into_owned(),
            StepEnd::NotRun { reason } => format!("not run: {reason}"),
        };
        self.0.lock().unwrap().push((step, end));
    }
}

impl Bench {
    /// A pass of which is told how each announced step ended, in their order; no more of it is begun once that
    /// many steps were done.
    async fn witnessed(&mut self, desired: &DesiredState, at_most: usize) -> Vec<(String, String)> {
        let now = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: self.start };
        let mut pass = self.executor.prepare(desired, DocumentPast::default(), &self.inventory, now).await;
        let (announced, told, fake) = (pass.announce(), Told::default(), self.fake.clone());
        self.take_done();
        let outcome = pass.run(|| fake.disk().done.len() >= at_most, told.clone()).await;
        self.inventory = outcome.inventory;
        let mut told = told.0.lock().unwrap().clone();
        told.sort();
        assert!(told.iter().map(|(step, _)| *step).eq(0..announced.len()), "each ends once: {told:?}");
        announced.into_iter().zip(told).map(|(step, (_, end))| (step.resource.name, end)).collect()
    }
}

#[tokio::test]
async fn every_step_is_announced_and_a_witness_is_told_how_each_ended() {
    let ends = |ends: &[(&str, &str)]| -> Vec<(String, String)> {
        ends.iter().map(|(name, end)| ((*name).into(), (*end).into())).collect()
    };
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"]), ("c", "/c", "1", &["b"])]);
    bench.set_broken("/b", true);
    let told = bench.witnessed(&state, usize::MAX).await;
    assert_eq!(told, ends(&[("a", "Changed"), ("b", "Broken"), ("c", "not run: DependencyNotReady")]));

    bench.set_broken("/b", false);
    bench.fake.disk().contents.clear();
    let told = bench.witnessed(&state, 1).await;
    assert_eq!(
        told,
        ends(&[("a", "Repaired"), ("b", "not run: Superseded"), ("c", "not run: DependencyNotReady")])
    );

    bench.witnessed(&state, usize::MAX).await;
    let told = bench.witnessed(&DesiredState::default(), usize::MAX).await;
    assert_eq!(told, ends(&[("a", "Removed"), ("b", "Removed"), ("c", "Removed")]));
    assert_eq!(bench.witnessed(&DesiredState::default(), usize::MAX).await, []);
}

#[tokio::test]
async fn the_intent_of_every_step_to_come_is_known_before_the_first() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"])]);
    let now = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: bench.start };
    let pass = bench.executor.prepare(&state, DocumentPast::default(), &bench.inventory, now).await;
    let intents: Vec<_> = pass.intents().into_values().map(|entry| (*entry.record).clone()).collect();
    assert_eq!(intents, ["begun", "begun"]);
    assert!(bench.take_done().is_empty());
}

#[tokio::test]
async fn who_waits_for_a_failing_dependency_is_not_due_and_is_no_work() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[]), ("b", "/b", "1", &["a"])]);
    bench.set_broken("/b", true);
    bench.pass(&state).await;
    bench.set_broken("/a", true);
    bench.fake.disk().contents.clear();
    bench.seconds = 10;
    let outcome = bench.pass(&state).await;
    assert_eq!(outcome.resources[1].reason, "DependencyNotReady");
    let now = bench.start + std::time::Duration::from_secs(bench.seconds);
    assert!(
        bench.executor.next_retry().is_some_and(|due| due > now),
        "only the dependency is due, and later"
    );

    let again = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: now };
    let pass = bench.executor.prepare(&state, DocumentPast::default(), &bench.inventory, again).await;
    assert!(!pass.has_work(), "there is nothing to write an intent for");
}

#[tokio::test]
async fn what_a_power_cut_left_done_but_not_recorded_is_counted_all_the_same() {
    let mut bench = Bench::new();
    for (content, counts) in [("1", (1, 0)), ("1", (1, 1)), ("2", (2, 1))] {
        let state = desired(&[("a", "/a", content, &[])]);
        bench.fake.disk().contents.clear();
        let now = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: bench.start };
        let pass = bench.executor.prepare(&state, DocumentPast::default(), &bench.inventory, now).await;
        bench.inventory = pass.intents();
        pass.run(|| false, ()).await;
        let outcome = bench.pass(&state).await;
        assert_eq!((outcome.resources[0].changes, outcome.resources[0].drift_corrections), counts);
        assert_eq!(bench.pass(&state).await.resources[0].changes, counts.0, "once only");
    }
}

#[tokio::test]
async fn whoever_alters_the_same_thing_again_and_again_slows_its_repair_down() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[])]);
    bench.pass(&state).await;
    let mut repairs = 0;
    for _ in 0..1000 {
        bench.fake.disk().contents.clear();
        bench.seconds += 1;
        repairs = bench.pass(&state).await.resources[0].drift_corrections;
    }
    assert!((10..60).contains(&repairs), "{repairs} repairs in 1000 seconds");
    bench.seconds += 300;
    assert!(bench.pass(&state).await.is_converged());
    bench.seconds += 600;
    bench.fake.disk().contents.clear();
    assert!(bench.pass(&state).await.is_converged(), "after a quiet time a repair is made at once");
}

#[tokio::test]
async fn going_back_from_a_change_that_was_cut_off_is_a_change_and_no_repair() {
    let (one, two) = (desired(&[("a", "/a", "1", &[])]), desired(&[("a", "/a", "2", &[])]));
    for interrupted in [two, DesiredState::default()] {
        let mut bench = Bench::new();
        bench.pass(&one).await;
        let now = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: bench.start };
        let pass = bench.executor.prepare(&interrupted, DocumentPast::default(), &bench.inventory, now).await;
        bench.inventory = pass.intents();
        pass.run(|| false, ()).await;
        let outcome = bench.pass(&one).await;
        assert_eq!((outcome.resources[0].changes, outcome.resources[0].drift_corrections), (2, 0));
    }
}

/// What may happen between two passes.
#[derive(Debug, Clone)]
enum Between {
    /// A document with this content under these names, in this order; a path may change hands.
    Document(Vec<(u8, u8)>),
    /// The same document, made anew as after a restart.
    SameDocument,
    /// Somebody alters a path, or removes what is there.
    Drift(u8, Option<u8>),
    /// The ledger says something else, as after a pass that was cut off.
    Record(u8, &'static str),
}

fn between() -> impl Strategy<Value = Between> {
    let document = proptest::collection::vec((0..3u8, 0..2u8), 4).prop_map(Between::Document);
    prop_oneof![
        document,
        Just(Between::SameDocument),
        (0..3u8, proptest::option::of(0..2u8)).prop_map(|(path, content)| Between::Drift(path, content)),
        (0..3u8, prop_oneof![Just("begun"), Just("0")]).prop_map(|(path, text)| Between::Record(path, text)),
    ]
}

/// Names go by the place in the list, so that resources are renamed and reordered; each but the first
/// waits for the one before it.
fn document(resources: &[(u8, u8)]) -> DesiredState {
    let mut taken = BTreeSet::new();
    let resources: Vec<(String, String, String)> = resources
        .iter()
        .enumerate()
        .filter(|(_, (path, _))| taken.insert(*path))
        .map(|(place, (path, content))| (format!("n{place}"), format!("/{path}"), content.to_string()))
        .collect();
    let names: Vec<[&str; 1]> = resources.iter().map(|(name, ..)| [name.as_str()]).collect();
    let waits = std::iter::once([].as_slice()).chain(names.iter().map(|name| name.as_slice()));
    let all: Vec<(&str, &str, &str, &[&str])> = resources
        .iter()
        .zip(waits)
        .map(|((name, path, content), waits)| (name.as_str(), path.as_str(), content.as_str(), waits))
        .collect();
    desired(&all)
}

proptest! {
    /// What is kept from earlier passes makes a pass quicker and never another one: an executor that is
    /// new to all of it prepares the same.
    #[test]
    fn what_is_kept_between_passes_changes_no_plan(happenings in proptest::collection::vec(between(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bench = Bench::new();
        let mut resources = vec![(0, 0), (1, 0), (2, 0)];
        let mut state = document(&resources);
        for happening in happenings {
            let claim = |path: u8| format!("File:/{path}").parse::<Claim>().unwrap();
            match happening {
                Between::Document(other) => {
                    resources = other;
                    state = document(&resources);
                }
                Between::SameDocument => state = document(&resources),
                Between::Drift(path, Some(content)) => {
                    bench.fake.disk().contents.insert(claim(path), content.to_string());
                }
                Between::Drift(path, None) => {
                    bench.fake.disk().contents.remove(&claim(path));
                }
                Between::Record(path, text) => {
                    if let Some(entry) = bench.inventory.get_mut(&claim(path)) {
                        Arc::make_mut(entry).record = Arc::new(text.into());
                    }
                }
            }
            let now = Moment { wall: Timestamp::UNIX_EPOCH, monotonic: bench.start };
            let mut new = Executor::new(Registry::none().with(bench.fake.clone()), policy(Policy::default()), 7);
            let told = |pass: Pass| {
                let PassOutcome { inventory, resources, .. } =
                    pass.preview(ResourceState::Applying, "Applying", "");
                (pass.has_work(), inventory, format!("{resources:?}"))
            };
            let [kept, anew] = [&mut bench.executor, &mut new]
                .map(|executor| told(runtime.block_on(executor.prepare(&state, DocumentPast::default(), &bench.inventory, now))));
            prop_assert_eq!(kept, anew);
            bench.executor.failing = FailingClaims::new(7);
            runtime.block_on(bench.pass(&state));
            bench.executor.failing = FailingClaims::new(7);
        }
    }
}

#[tokio::test]
async fn what_restarts_a_resource_changes_its_effective_digest_though_its_own_spec_is_the_same() {
    let restarted_by = |content: &str| {
        let mut builder = agent_model::DesiredStateBuilder::default();
        let file = |path: &str, content: &str| agent_model::FileSpec::new(path.parse().unwrap(), content);
        builder.declare(agent_model::Declaration::new("", "cause".parse().unwrap(), file("/c", content)));
        builder.declare(agent_model::Declaration {
            restart_on: vec!["cause".parse().unwrap()],
            ..agent_model::Declaration::new("", "a".parse().unwrap(), file("/a", "1"))
        });
        builder.finish().unwrap()
    };
    let mut bench = Bench::new();
    for content in ["1", "2"] {
        let state = restarted_by(content);
        bench.pass(&state).await;
        let entry = &bench.inventory[&"File:/a".parse().unwrap()];
        assert_eq!(entry.applied_digest, Some(state.effective_digest(&state.resources()[1])));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_in_each_pass_until_it_can() {
    let mut bench = Bench::new();
    let state = desired(&[("a", "/a", "1", &[])]);
    bench.pass(&state).await;
    let claim: Claim = "File:/a".parse().unwrap();
    let readable = bench.inventory[&claim].record.clone();
    Arc::make_mut(bench.inventory.get_mut(&claim).unwrap()).record = Arc::new(7.into());
    for _ in 0..2 {
        let outcome = bench.pass(&state).await;
        assert_eq!(states(&outcome), [("a", ResourceState::Failed, "RecordUnreadable")]);
    }
    Arc::make_mut(bench.inventory.get_mut(&claim).unwrap()).record = readable;
    assert!(bench.pass(&state).await.is_converged());
}
