use std::{collections::BTreeSet, sync::Arc};

use agent_model::{
    Claim, Content, Declaration, DesiredStateBuilder, Digest, MaybeSealed, Mode, ResourceSpec, Step as _,
    Unsealer as _,
};
use proptest::prelude::*;

use super::*;
use crate::{
    fake_unsealer::{Transparent, transparent_box},
    file::{
        observation::{FoundFile, Owner},
        stamp::{Inode, Stamp, Time},
    },
};

const OWNER: Owner = Owner { uid: 10, gid: 20 };

/// A device with one path on it, on which steps can be done.
#[derive(Debug, Clone)]
struct Model {
    found: Found,
    kept: BTreeSet<Digest>,
    temporary: bool,
    /// Whether `/a` exists, the folder of `/a/f`.
    parent: bool,
    /// Stands in for time: each write leaves a stamp of its own.
    writes: i64,
    /// Which key it has for what is sealed.
    key: u8,
}

impl Model {
    fn new(found: Found) -> Self {
        Self { found, kept: BTreeSet::new(), temporary: false, parent: true, writes: 100, key: 0 }
    }

    fn observe(&self, record: Option<&FileRecord>) -> FileObservation {
        let mut found = self.found.clone();
        if let Found::File(file) = &mut found {
            file.keyed = file.digest.and_then(|digest| Transparent { key: self.key }.fingerprint(digest));
        }
        let original = match record {
            Some(record) => record.contents().original_behind(&found),
            None => found.fingerprint(),
        };
        FileObservation {
            found,
            missing_parents: if self.parent { vec![] } else { vec![path("/a")] },
            shared_parents: vec![],
            owner: OWNER,
            original_kept: original.is_some_and(|original| self.kept.contains(&original.digest)),
            temporary: self.temporary.then_some(FileType::RegularFile),
        }
    }

    fn apply(&mut self, step: &FileStep, goal: &Goal<FileSpec>) {
        self.writes += 1;
        assert!(!self.temporary || !step.action.needs_temporary(), "the temporary name is taken");
        match (&step.action, goal) {
            (FileAction::SweepTemporary, _) => self.temporary = false,
            (FileAction::KeepOriginal(original), _) => {
                assert!(self.found.holds(Some(*original)), "kept something else than the original");
                self.kept.insert(original.digest);
            }
            (FileAction::Write { attributes, parents, over }, Goal::Present { spec, .. }) => {
                assert_eq!(*over, self.found.stamp());
                assert!(self.parent || parents.contains(&path("/a")));
                self.parent = true;
                self.found = file(&bytes_of(spec), *attributes, self.writes);
            }
            (FileAction::SetAttributes { attributes, of }, _) => match &mut self.found {
                Found::File(file) => {
                    assert_eq!((*of, file.stamp.links), (file.stamp, 1));
                    file.stamp.raw_mode = 0o100000 | attributes.mode.bits();
                    (file.stamp.uid, file.stamp.gid) = (attributes.uid, attributes.gid);
                }
                other => panic!("{other:?} has no attributes to set"),
            },
            (FileAction::Restore { original, over }, Goal::Absent) => {
                assert_eq!(Some(*over), self.found.stamp());
                self.found = match original {
                    Original::Absent => Found::Absent,
                    Original::File { content, attributes } => {
                        assert!(self.kept.contains(&content.digest), "restored what was not kept");
                        let mut stamp = stamp(*attributes, content.size, self.writes);
                        stamp.links = 1;
                        found_file(stamp, content.digest)
                    }
                    Original::Symlink { target, .. } => link(target),
                };
            }
            (FileAction::RemoveParents(_), Goal::Absent) => self.parent &= self.found != Found::Absent,
            (action, goal) => panic!("{action:?} has no place in a plan for {goal:?}"),
        }
    }

    /// Plans and does the first `until` steps; the record is then the one that survives.
    fn pass(&mut self, record: &mut Option<FileRecord>, goal: &Goal<FileSpec>, until: usize) -> Standing {
        let goal = &opened(goal, self.key);
        let target = Target { claim: Claim::File(path("/a/f")), goal: goal.clone(), record: record.clone() };
        let plan = plan(&target, &self.observe(record.as_ref()));
        let done = plan.steps.len().min(until);
        if plan.steps.is_empty() || done < plan.steps.len() {
            *record = plan.intent;
        }
        for step in &plan.steps[..done] {
            self.apply(step, goal);
        }
        match plan.steps.get(done) {
            // The power goes in the middle of this one.
            Some(step) => self.temporary |= step.action.needs_temporary(),
            None => *record = plan.record,
        }
        plan.then
    }

    /// Does what the executor has done once the ledger is durable.
    fn release(&mut self, record: Option<&FileRecord>) {
        let needed = record.and_then(|record| record.contents().original);
        self.kept.retain(|kept| needed.is_some_and(|needed| needed.digest == *kept));
    }

    /// What a person sees at the path.
    fn seen(&self) -> (Option<Fingerprint>, Option<Attributes>, Option<String>) {
        match &self.found {
            Found::File(file) => (file.fingerprint(), Some(file.attributes()), None),
            Found::Symlink { target, .. } => (None, None, Some(target.clone())),
            Found::Absent | Found::Other(_) => (None, None, None),
        }
    }
}

fn path(text: &str) -> TargetPath {
    text.parse().unwrap()
}

fn stamp(attributes: Attributes, size: u64, time: i64) -> Stamp {
    let time = Time { seconds: time, nanoseconds: 0 };
    Stamp {
        inode: Inode { dev: 1, ino: time.seconds.unsigned_abs() },
        raw_mode: 0o100000 | attributes.mode.bits(),
        links: 1,
        uid: attributes.uid,
        gid: attributes.gid,
        size,
        modified: time,
        changed: time,
    }
}

fn file(content: &[u8], attributes: Attributes, time: i64) -> Found {
    let stamp = stamp(attributes, content.len() as u64, time);
    found_file(stamp, Digest::of_bytes(content))
}

fn found_file(stamp: Stamp, digest: Digest) -> Found {
    Found::File(FoundFile { stamp, digest: Some(digest), keyed: None })
}

fn bytes_of(spec: &FileSpec) -> Vec<u8> {
    match &spec.content {
        MaybeSealed::Plain(content) => content.bytes().to_vec(),
        MaybeSealed::Sealed(sealed) => sealed.open(&Transparent::default()).unwrap().to_vec(),
    }
}

/// What is in the file once it is as declared.
fn content_of(spec: &FileSpec) -> Fingerprint {
    let bytes = bytes_of(spec);
    Fingerprint::plain(Digest::of_bytes(&bytes), bytes.len() as u64)
}

/// The same with its content sealed, for its owner alone, as that has to be.
fn sealed(content: &str) -> Goal<FileSpec> {
    let Goal::Present { spec, digest } = declared(content, 0o600) else { unreachable!() };
    let content = MaybeSealed::Sealed(transparent_box(content));
    Goal::Present { spec: Arc::new(FileSpec { content, ..(*spec).clone() }), digest }
}

/// The same as a device knows it that has opened it with that key, which it was sealed to.
fn opened(goal: &Goal<FileSpec>, key: u8) -> Goal<FileSpec> {
    let Goal::Present { spec, .. } = goal else { return goal.clone() };
    let mut builder = DesiredStateBuilder::default();
    builder.declare(Declaration::new("", "sealed".parse().unwrap(), (**spec).clone()));
    let state = builder.finish().unwrap().with_boxes_tried(&Transparent { key });
    let [resource] = state.resources() else { unreachable!() };
    let ResourceSpec::File(spec) = &resource.spec else { unreachable!() };
    Goal::Present { spec: Arc::clone(spec), digest: resource.spec_digest() }
}

fn link(target: &str) -> Found {
    let mut stamp = stamp(attributes(0o777), target.len() as u64, 1);
    stamp.raw_mode = 0o120777;
    Found::Symlink { target: target.into(), stamp }
}

fn attributes(mode: u32) -> Attributes {
    Attributes { mode: Mode::from_bits(mode), uid: OWNER.uid, gid: OWNER.gid }
}

fn declared(content: &str, mode: u32) -> Goal<FileSpec> {
    let content = Content::from(content.as_bytes().to_vec());
    let digest = content.digest();
    let spec = FileSpec {
        path: path("/a/f"),
        content: content.into(),
        mode: Mode::from_bits(mode),
        owner: None,
        group: None,
    };
    Goal::Present { spec: Arc::new(spec), digest }
}

/// The summaries of the steps of a pass that is carried out wholly.
fn summaries(model: &Model, record: Option<&FileRecord>, goal: &Goal<FileSpec>) -> Vec<String> {
    let goal = opened(goal, model.key);
    let target = Target { claim: Claim::File(path("/a/f")), goal, record: record.cloned() };
    plan(&target, &model.observe(record)).steps.iter().map(FileStep::summary).collect()
}

#[test]
fn a_file_that_is_already_as_declared_is_only_kept_in_mind() {
    let mut model = Model::new(file(b"one", attributes(0o644), 1));
    let mut record = None;
    let target =
        Target { claim: Claim::File(path("/a/f")), goal: declared("one", 0o644), record: record.clone() };
    let adopted = plan(&target, &model.observe(None));
    assert!(adopted.steps.iter().all(|step| !step.alters_target()), "{:?}", adopted.steps);

    model.pass(&mut record, &target.goal, usize::MAX);
    assert_eq!(summaries(&model, record.as_ref(), &Goal::Absent), [""; 0]);
}

#[test]
fn wrong_mode_alone_is_set_in_place_and_wrong_content_is_replaced() {
    let adopted = |found| {
        let mut model = Model::new(found);
        let mut record = None;
        model.pass(&mut record, &declared("one", 0o644), usize::MAX);
        (model, record)
    };
    let (mut model, record) = adopted(Found::Absent);
    model.found = file(b"one", attributes(0o600), 5);
    assert_eq!(
        summaries(&model, record.as_ref(), &declared("one", 0o644)),
        ["set mode 0644 and owner 10:20 of /a/f"]
    );
    model.found = file(b"two", attributes(0o644), 5);
    assert_eq!(summaries(&model, record.as_ref(), &declared("one", 0o644)), ["write /a/f"]);
}

#[test]
fn a_file_with_a_second_name_is_never_altered_in_place() {
    let mut model = Model::new(file(b"one", attributes(0o600), 1));
    if let Found::File(file) = &mut model.found {
        file.stamp.links = 2;
    }
    assert_eq!(summaries(&model, None, &declared("one", 0o644)), ["keep the original of /a/f", "write /a/f"]);
}

#[test]
fn what_is_no_file_is_left_alone_whether_declared_or_dropped() {
    let mut model = Model::new(Found::Absent);
    let mut record = None;
    model.pass(&mut record, &declared("one", 0o644), usize::MAX);
    model.found = Found::Other("a folder");
    let before = record.clone();

    let then = model.pass(&mut record, &declared("one", 0o644), usize::MAX);
    assert!(matches!(then, Standing::Failed(failure) if failure.reason == "NotRegularFile"));
    assert_eq!(record, before);
    assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
    assert_eq!(model.found, Found::Other("a folder"));
}

#[test]
fn an_original_too_large_to_keep_is_left_alone_but_does_not_stop_a_repair() {
    let mut huge = stamp(attributes(0o644), MAX_ORIGINAL + 1, 1);
    let mut model = Model::new(Found::File(FoundFile { stamp: huge, digest: None, keyed: None }));
    let mut record = None;
    let then = model.pass(&mut record, &declared("one", 0o644), usize::MAX);
    assert!(matches!(then, Standing::Failed(failure) if failure.reason == "OriginalTooLarge"));
    assert_eq!(record, None);

    model.found = Found::Absent;
    model.pass(&mut record, &declared("one", 0o644), usize::MAX);
    huge.size += 1;
    model.found = Found::File(FoundFile { stamp: huge, digest: None, keyed: None });
    assert_eq!(summaries(&model, record.as_ref(), &declared("one", 0o644)), ["write /a/f"]);
}

#[test]
fn a_lost_original_blocks_the_removal_and_says_so() {
    let mut model = Model::new(file(b"before", attributes(0o644), 1));
    let mut record = None;
    model.pass(&mut record, &declared("one", 0o644), usize::MAX);
    model.kept.clear();
    let then = model.pass(&mut record, &Goal::Absent, usize::MAX);
    assert!(matches!(then, Standing::Failed(failure) if failure.reason == "OriginalLost"));
    assert!(record.is_some());
    // Letting go: what the message advises.
    model.found = Found::Absent;
    assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
    assert_eq!(record, None);
}

#[test]
fn an_original_of_which_no_copy_is_kept_is_kept_before_it_is_overwritten() {
    let mut model = Model::new(file(b"before", attributes(0o644), 1));
    let mut record = None;
    let goal = declared("one", 0o644);
    model.pass(&mut record, &goal, usize::MAX);
    // Removed and restored by a ledger that is one write behind, or put back by hand.
    model.kept.clear();
    model.found = file(b"before", attributes(0o644), 2);
    assert_eq!(summaries(&model, record.as_ref(), &goal), ["keep the original of /a/f", "write /a/f"]);
    model.found = file(b"drift", attributes(0o644), 3);
    assert_eq!(summaries(&model, record.as_ref(), &goal), ["write /a/f"]);
}

#[test]
fn an_original_with_a_second_name_needs_no_kept_copy_to_get_its_mode_back() {
    let mut model = Model::new(file(b"one", attributes(0o600), 1));
    let mut record = None;
    model.pass(&mut record, &declared("one", 0o644), usize::MAX);
    model.kept.clear();
    if let Found::File(file) = &mut model.found {
        file.stamp.links = 2;
    }
    assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
    assert_eq!(model.seen().1, Some(attributes(0o600)));
}

#[test]
fn a_second_document_that_comes_before_the_original_was_kept_does_not_lose_it() {
    let mut model = Model::new(file(b"one", attributes(0o644), 1));
    let mut record = None;
    model.pass(&mut record, &declared("one", 0o644), 0);
    model.pass(&mut record, &declared("two", 0o644), 0);
    assert_eq!(
        summaries(&model, record.as_ref(), &declared("two", 0o644)),
        ["keep the original of /a/f", "write /a/f"]
    );
}

#[test]
fn created_parents_of_others_are_shared_and_listed_from_the_top() {
    let model = Model::new(Found::Absent);
    let observed = FileObservation {
        missing_parents: vec![path("/a/b/c")],
        // One is both where somebody removed what another file had created.
        shared_parents: vec![path("/a/b/c"), path("/a/b"), path("/a")],
        ..model.observe(None)
    };
    let goal = declared("one", 0o644);
    let target = Target { claim: Claim::File(path("/a/b/c/f")), goal, record: None };
    let created = plan(&target, &observed).record.unwrap().created_parents;
    assert_eq!(created[..], [path("/a"), path("/a/b"), path("/a/b/c")]);
}

#[test]
fn a_claim_that_was_never_acted_on_is_given_up_without_a_step() {
    let model = Model::new(file(b"theirs", attributes(0o644), 1));
    assert_eq!(summaries(&model, None, &Goal::Absent), [""; 0]);
}

/// A device on which that was there before, and that was written over it and sealed to a key that is lost since.
fn with_lost_key(was: Found, content: &str) -> (Model, Option<FileRecord>) {
    let mut model = Model::new(was);
    let mut record = None;
    model.pass(&mut record, &sealed(content), usize::MAX);
    model.key += 1;
    (model, record)
}

#[test]
fn what_was_sealed_to_a_lost_key_goes_and_what_was_there_before_comes_back() {
    for was in [
        Found::Absent,
        link("elsewhere"),
        file(b"six", attributes(0o644), 1),
        file(b"longer", attributes(0o600), 1),
    ] {
        let (mut model, mut record) = with_lost_key(was.clone(), "one");
        assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
        assert_eq!((record, model.seen()), (None, Model::new(was).seen()));
    }
    // Nor does it stay where the agent noted no marks of keys yet.
    let (mut model, mut record) = with_lost_key(Found::Absent, "one");
    if let Some(content) = record.as_mut().and_then(|record| record.written.as_mut()) {
        content.key = None;
    }
    model.pass(&mut record, &Goal::Absent, usize::MAX);
    assert_eq!(model.found, Found::Absent);
}

#[test]
fn what_others_may_read_is_not_taken_for_what_was_sealed_to_a_lost_key_and_nothing_is_lost() {
    let (mut model, mut record) = with_lost_key(file(b"before", attributes(0o644), 1), "one");
    model.found = file(b"two", attributes(0o640), 5);
    let before = (record.clone(), model.seen(), model.kept.clone());
    let then = model.pass(&mut record, &Goal::Absent, usize::MAX);
    assert!(matches!(then, Standing::Failed(failure) if failure.reason == "SealingKeyLost"));
    assert_eq!((record.clone(), model.seen(), model.kept.clone()), before);
    // Each of what the message advises ends it.
    for (found, key) in
        [(Found::Absent, 1), (file(b"one", attributes(0o600), 6), 1), (file(b"one", attributes(0o640), 7), 0)]
    {
        let (mut model, mut record) = (Model { found, key, ..model.clone() }, record.clone());
        assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
        assert_eq!(record, None);
    }
}

#[test]
fn nothing_is_taken_for_what_was_sealed_while_there_is_no_key() {
    let (model, record) = with_lost_key(Found::Absent, "one");
    let mut observed = model.observe(record.as_ref());
    let Found::File(file) = &mut observed.found else { panic!("{observed:?}") };
    file.keyed = None;
    let target = Target { claim: Claim::File(path("/a/f")), goal: Goal::Absent, record };
    let plan = plan(&target, &observed);
    assert!(matches!(&plan.then, Standing::Failed(failure) if failure.reason == "SealingKeyLost"));
    assert_eq!((plan.steps.len(), plan.record), (0, target.record));
}

#[test]
fn what_was_not_begun_when_the_key_was_lost_lays_no_claim_to_what_lies_there() {
    let mut model = Model::new(file(b"one", attributes(0o600), 1));
    let mut record = None;
    model.pass(&mut record, &sealed("two"), 0);
    model.key += 1;
    model.found = file(b"six", attributes(0o600), 5);
    let by_hand = model.seen();
    let (mut emptied, mut noted) = (model.clone(), record.clone());
    assert_eq!(emptied.pass(&mut noted, &Goal::Absent, usize::MAX), Standing::Gone);
    assert_eq!(emptied.seen(), by_hand);

    model.pass(&mut record, &sealed("two"), usize::MAX);
    assert_ne!(model.seen(), by_hand);
    assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
    assert_eq!(model.seen(), by_hand);
}

#[test]
fn what_is_plainly_another_than_what_was_sealed_to_a_lost_key_is_left_alone() {
    let was = file(b"six", attributes(0o644), 1);
    for now in [file(b"eleven", attributes(0o600), 5), link("elsewhere"), was.clone()] {
        let (mut model, mut record) = with_lost_key(was.clone(), "one");
        model.found = now.clone();
        assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
        assert_eq!(model.found, now);
    }
}

/// Few contents, so that collisions of ours and theirs are common.
fn any_content() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("one"), Just("two"), Just("six"), Just("eleven")]
}

fn any_found() -> impl Strategy<Value = Found> {
    prop_oneof![
        Just(Found::Absent),
        any_content().prop_map(link),
        (any_content(), prop_oneof![Just(0o644), Just(0o600)]).prop_map(|(content, mode)| file(
            content.as_bytes(),
            attributes(mode),
            1
        )),
    ]
}

fn any_goal() -> impl Strategy<Value = Goal<FileSpec>> {
    (any_content(), prop_oneof![Just(0o644), Just(0o600)], any::<bool>())
        .prop_map(|(content, mode, seals)| if seals { sealed(content) } else { declared(content, mode) })
}

/// What befalls a device between two looks at it.
#[derive(Debug, Clone)]
enum Event {
    /// A pass in which the power goes after so many steps.
    Pass(Goal<FileSpec>, usize),
    /// The ledger's last write cannot be read, so the one before it counts.
    LedgerIsDamaged,
    /// The folder of originals loses what it keeps.
    CopyIsLost,
    /// Somebody puts the original back at the path.
    OriginalIsPutBack,
    /// The device has another key for what is sealed.
    KeyIsLost,
}

fn any_event() -> impl Strategy<Value = Event> {
    let until = prop_oneof![0..4usize, Just(usize::MAX)];
    prop_oneof![
        4 => (prop_oneof![2 => any_goal(), 1 => Just(Goal::Absent)], until)
            .prop_map(|(goal, until)| Event::Pass(goal, until)),
        1 => Just(Event::LedgerIsDamaged),
        1 => Just(Event::CopyIsLost),
        1 => Just(Event::OriginalIsPutBack),
        1 => Just(Event::KeyIsLost),
    ]
}

/// The same once more, written at `time`.
fn renewed(found: &Found, time: i64) -> Found {
    let mut found = found.clone();
    if let Found::File(FoundFile { stamp, .. }) | Found::Symlink { stamp, .. } = &mut found {
        (stamp.inode.ino, stamp.modified.seconds, stamp.changed.seconds) = (time.unsigned_abs(), time, time);
    }
    found
}

fn any_fingerprint() -> impl Strategy<Value = Option<Fingerprint>> {
    proptest::option::of(
        any_content().prop_map(|content| {
            Fingerprint::plain(Digest::of_bytes(content.as_bytes()), content.len() as u64)
        }),
    )
}

fn any_record() -> impl Strategy<Value = Option<FileRecord>> {
    let record = (any_found(), any_fingerprint(), any_fingerprint(), any::<bool>());
    proptest::option::of(record.prop_map(|(was, written, intended, created)| FileRecord {
        original: original_of(&path("/a/f"), &was).unwrap(),
        created_parents: if created { [path("/a")].into() } else { [].into() },
        written,
        intended,
    }))
}

proptest! {
    #[test]
    fn whatever_is_there_a_plan_reaches_the_goal_and_then_has_nothing_left_to_do(
        found in any_found(), mut record in any_record(), goal in any_goal(),
        temporary: bool, parent: bool,
    ) {
        let mut model = Model::new(found);
        model.temporary = temporary && record.as_ref().is_some_and(|record| record.intended.is_some());
        model.parent = parent || model.found != Found::Absent;
        prop_assert_eq!(model.pass(&mut record, &goal, usize::MAX), Standing::in_sync());
        let Goal::Present { spec, .. } = &goal else { unreachable!() };
        let expected = (Some(content_of(spec)), Some(attributes(spec.mode.bits())), None);
        prop_assert_eq!(model.seen(), expected);
        prop_assert!(!model.temporary);

        // What was written may be what was lost: then it is kept in the next pass.
        let again = summaries(&model, record.as_ref(), &goal);
        prop_assert!(again.is_empty() || again == ["keep the original of /a/f"], "{:?}", again);
        model.pass(&mut record, &goal, usize::MAX);
        let settled = record.clone();
        prop_assert_eq!(summaries(&model, record.as_ref(), &goal), [""; 0]);
        model.pass(&mut record, &goal, usize::MAX);
        prop_assert_eq!(record, settled);
    }

    #[test]
    fn removal_gives_back_the_original_after_any_updates_and_any_crashes(
        found in any_found(),
        passes in proptest::collection::vec((any_goal(), 0..4usize, any::<bool>()), 1..6),
        crashes in proptest::collection::vec(0..3usize, 0..3),
    ) {
        let mut model = Model::new(found);
        let original = model.seen();
        let mut record = None;
        for (goal, until, attributes_drift) in passes {
            model.pass(&mut record, &goal, until);
            if let (Found::File(file), true) = (&mut model.found, attributes_drift && record.as_ref().is_some_and(|record| record.written.is_some())) {
                file.stamp.raw_mode ^= 0o111;
            }
        }
        for until in crashes {
            model.pass(&mut record, &Goal::Absent, until);
        }
        prop_assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
        prop_assert_eq!(record, None);
        prop_assert_eq!(model.seen(), original);
        prop_assert!(!model.temporary);
    }

    #[test]
    fn what_was_there_before_comes_back_unless_somebody_destroyed_every_copy_of_it(
        was in any_found(), events in proptest::collection::vec(any_event(), 1..12),
    ) {
        let mut model = Model::new(was);
        let (before, original) = (model.found.clone(), model.seen());
        let mut record = None;
        // What the ledger said one write ago, once a pass was carried out wholly.
        let mut earlier = None;
        let mut destroyed = false;
        for event in events {
            match event {
                Event::Pass(goal, until) => {
                    let goal = opened(&goal, model.key);
                    let target =
                        Target { claim: Claim::File(path("/a/f")), goal: goal.clone(), record: record.clone() };
                    let plan = plan(&target, &model.observe(record.as_ref()));
                    let whole = plan.steps.len() <= until;
                    let mut writes = vec![record.clone()];
                    writes.extend((!plan.steps.is_empty()).then_some(plan.intent));
                    model.pass(&mut record, &goal, until);
                    writes.push(record.clone());
                    writes.dedup();
                    earlier = (whole && writes.len() > 1).then(|| writes[writes.len() - 2].clone());
                    if whole {
                        model.release(record.as_ref());
                    }
                }
                Event::LedgerIsDamaged => record = earlier.take().unwrap_or(record),
                Event::CopyIsLost => {
                    destroyed |= original.0.is_some() && !model.kept.is_empty() && !model.found.holds(original.0);
                    model.kept.clear();
                }
                Event::OriginalIsPutBack => {
                    model.writes += 1;
                    model.found = renewed(&before, model.writes);
                    destroyed = false;
                }
                Event::KeyIsLost => model.key += 1,
            }
        }
        prop_assume!(!destroyed);
        prop_assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
        prop_assert_eq!(model.seen(), original);
    }

    #[test]
    fn removal_leaves_alone_what_is_not_ours(
        was in any_found(), goal in any_goal(), now in any_found(),
    ) {
        let mut model = Model::new(was);
        let mut record = None;
        model.pass(&mut record, &goal, usize::MAX);
        let Goal::Present { spec, .. } = &goal else { unreachable!() };
        prop_assume!(!now.holds(Some(content_of(spec))));
        model.found = now;
        let theirs = model.seen();
        prop_assert_eq!(model.pass(&mut record, &Goal::Absent, usize::MAX), Standing::Gone);
        prop_assert_eq!(model.seen(), theirs);
    }
}
