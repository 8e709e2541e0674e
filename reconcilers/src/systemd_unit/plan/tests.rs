use std::collections::BTreeMap;

use agent_model::Step as _;
use proptest::prelude::*;

use super::*;
use crate::systemd_unit::record::OriginalFile;

const NAME: &str = "app.service";
const BOOT: &str = "this boot";
const TEXT: &str = "[Service]\nExecStart=/bin/app\n";

fn digest(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

fn marked() -> Digest {
    digest("with its mark")
}

fn spec() -> SystemdUnitSpec {
    SystemdUnitSpec { content: Some(TEXT.parse().unwrap()), ..SystemdUnitSpec::new(NAME.parse().unwrap()) }
}

fn regular(content: Digest, body: Digest) -> FoundFile {
    FoundFile::Regular {
        file: OriginalFile { content, mode: super::super::files::MODE, uid: 0, gid: 0 },
        size: 10,
        body,
    }
}

/// The device without the unit.
fn nothing() -> SystemdUnitObservation {
    SystemdUnitObservation {
        wanted: BTreeMap::from([(NAME.to_owned(), marked())]),
        boot: BOOT.to_owned(),
        now: Duration::from_secs(1000),
        unit: FoundUnit { load: "not-found".into(), active: "inactive".into(), ..FoundUnit::default() },
        ..SystemdUnitObservation::default()
    }
}

/// The device with the unit as declared, in this state.
fn in_place(active: &str) -> SystemdUnitObservation {
    let mut observed = nothing();
    observed.files.insert(NAME.to_owned(), regular(marked(), digest(TEXT)));
    observed.unit = FoundUnit {
        load: "loaded".into(),
        active: active.into(),
        file_state: Some("static".into()),
        invocation: Some("first".into()),
        result: "success".into(),
        active_since: Duration::from_secs(900),
        inactive_since: Duration::from_secs(800),
        ..FoundUnit::default()
    };
    observed
}

fn summaries(plan: &UnitPlan) -> Vec<String> {
    plan.steps.iter().map(|step| step.summary()).collect()
}

fn establish_it(record: Option<&SystemdUnitRecord>, observed: &SystemdUnitObservation) -> UnitPlan {
    establish(&spec(), digest("wanted"), record, observed)
}

/// What is remembered of a unit that was made and started.
fn made() -> SystemdUnitRecord {
    let written = establish_it(None, &nothing()).record.unwrap();
    let started = establish_it(Some(&written), &in_place("inactive")).record.unwrap();
    establish_it(Some(&started), &in_place("active")).record.unwrap()
}

#[test]
fn a_unit_is_written_in_one_pass_and_read_and_started_in_the_next() {
    let plan = establish_it(None, &nothing());
    assert_eq!(summaries(&plan), ["have systemd judge app.service", "write app.service"]);
    assert!(!plan.steps.iter().any(|step| step.alters_target()));
    let plan = establish_it(plan.record.as_ref(), &in_place("inactive"));
    assert_eq!(summaries(&plan), ["have systemd read its units again", "start app.service"]);
    assert!(matches!(plan.then, Standing::Pending { .. }));
    let plan = establish_it(plan.record.as_ref(), &in_place("active"));
    assert!(plan.steps.is_empty() && matches!(plan.then, Standing::Ready { .. }), "{plan:?}");
}

#[test]
fn a_crash_at_any_moment_neither_forgets_the_reading_nor_starts_twice() {
    let first = establish_it(None, &nothing());
    // Written, and not recorded.
    let plan = establish_it(first.intent.as_ref(), &in_place("inactive"));
    assert_eq!(summaries(&plan), ["have systemd read its units again", "start app.service"]);
    // Started, and not recorded: another invocation than before shows that.
    let mut observed = in_place("active");
    observed.unit.invocation = Some("second".into());
    let plan = establish_it(plan.intent.as_ref(), &observed);
    assert!(!summaries(&plan).iter().any(|step| step.contains("start app")), "{plan:?}");
    // On its way, and not recorded.
    let intent = establish_it(first.record.as_ref(), &in_place("inactive")).intent;
    let mut observed = in_place("activating");
    observed.unit.has_job = true;
    let plan = establish_it(intent.as_ref(), &observed);
    assert!(!summaries(&plan).iter().any(|step| step.contains("start app")), "{plan:?}");
}

#[test]
fn only_what_was_started_for_something_else_is_restarted() {
    let restarted = |record: &SystemdUnitRecord, digest_text: &str, observed: &SystemdUnitObservation| {
        summaries(&establish(&spec(), digest(digest_text), Some(record), observed)) == ["restart app.service"]
    };
    let (made, active) = (made(), in_place("active"));
    assert!(!restarted(&made, "wanted", &active));
    assert!(restarted(&made, "wanted differently", &active));
    // Started by somebody else, or at a boot, from files as declared.
    let mut observed = in_place("active");
    observed.unit.invocation = Some("another".into());
    assert!(!restarted(&made, "wanted", &observed));
    observed.boot = "another boot".to_owned();
    assert!(!restarted(&made, "wanted", &observed));
}

#[test]
fn what_has_ended_is_started_at_once_the_first_time_and_after_growing_pauses_then() {
    let mut observed = in_place("inactive");
    observed.unit.inactive_since = Duration::from_secs(1000);
    let plan = establish_it(Some(&made()), &observed);
    assert_eq!(summaries(&plan), ["start app.service"]);
    let again = plan.record.unwrap();
    let plan = establish_it(Some(&again), &observed);
    let Standing::Failed(failure) = &plan.then else { panic!("{plan:?}") };
    assert_eq!(failure.retry, agent_model::Retry::After { delay: Duration::from_secs(1), attempts: 2 });
    observed.now += Duration::from_secs(2);
    assert_eq!(summaries(&establish_it(Some(&again), &observed)), ["start app.service"]);
    observed.unit.runs_once = true;
    assert!(matches!(establish_it(Some(&again), &observed).then, Standing::Ready { .. }));
}

#[test]
fn what_was_there_comes_back_and_what_was_not_is_stopped_and_removed() {
    let name = NAME.parse().unwrap();
    // Theirs.
    let mut observed = in_place("active");
    let theirs = digest("theirs");
    observed.files.insert(NAME.to_owned(), regular(theirs, theirs));
    let plan = establish_it(None, &observed);
    assert_eq!(
        summaries(&plan),
        ["keep the original of app.service", "have systemd judge app.service", "replace app.service"]
    );
    let mut ours = in_place("active");
    ours.kept = vec![theirs];
    let plan = undo(&name, plan.record.as_ref(), &ours);
    assert_eq!(summaries(&plan), ["restore app.service"]);
    ours.files = observed.files;
    let plan = undo(&name, plan.record.as_ref(), &ours);
    assert_eq!(summaries(&plan), ["have systemd read its units again", "restart app.service"]);
    assert_eq!((plan.record, plan.then), (None, Standing::Gone));
    // Ours alone.
    let made = made();
    assert_eq!(summaries(&undo(&name, Some(&made), &in_place("active"))), ["stop app.service"]);
    let plan = undo(&name, Some(&made), &in_place("inactive"));
    assert_eq!(summaries(&plan), ["remove app.service"]);
    // Somebody else's by now.
    let mut observed = in_place("active");
    observed.files.insert(NAME.to_owned(), regular(theirs, theirs));
    assert!(!summaries(&undo(&name, Some(&made), &observed)).iter().any(|step| step.contains("remove app")));
}

#[test]
fn what_the_agent_cannot_do_without_is_never_touched() {
    let mut observed = in_place("active");
    observed.agents_own = true;
    let stopped = SystemdUnitSpec { state: UnitState::Stopped, ..spec() };
    for plan in
        [establish(&stopped, digest("x"), None, &observed), undo(&spec().unit, Some(&made()), &observed)]
    {
        assert!(plan.steps.is_empty() && matches!(plan.then, Standing::Failed(_)), "{plan:?}");
    }
}

#[test]
fn pauses_double_up_to_five_minutes_and_what_went_well_is_forgiven_once() {
    let seconds = |tries, failed| pause(tries, failed).as_secs();
    assert_eq!([0, 1, 2, 3].map(|tries| seconds(tries, false)), [0, 1, 2, 4]);
    assert_eq!(
        [0, 1, 2, 8, 9, 64, u64::MAX].map(|tries| seconds(tries, true)),
        [1, 2, 4, 256, 300, 300, 300]
    );
}

proptest! {
    #[test]
    fn a_plan_that_is_followed_comes_to_rest(
        active in proptest::sample::select(vec!["active", "inactive", "failed", "activating"]),
        has_file in any::<bool>(), enabled in proptest::option::of(any::<bool>()), stopped in any::<bool>(),
    ) {
        let state = if stopped { UnitState::Stopped } else { UnitState::Running };
        let spec = SystemdUnitSpec { enabled, state, ..spec() };
        let mut observed = if has_file { in_place(active) } else { nothing() };
        observed.unit.file_state = Some("disabled".to_owned());
        let (mut record, mut rested) = (None, false);
        for _ in 0..6 {
            let plan = establish(&spec, digest("wanted"), record.as_ref(), &observed);
            rested = plan.steps.is_empty();
            for step in &plan.steps {
                match &step.action {
                    UnitAction::Write { .. } => observed.files = in_place("").files,
                    UnitAction::Enable(is) => {
                        observed.unit.file_state = Some(if *is { "enabled" } else { "disabled" }.to_owned());
                    }
                    UnitAction::Start { .. } | UnitAction::Restart => {
                        observed.unit.active = "active".to_owned();
                        observed.unit.invocation = Some("next".to_owned());
                    }
                    UnitAction::Stop => observed.unit.active = "inactive".to_owned(),
                    _ => {}
                }
            }
            record = plan.record;
        }
        prop_assert!(rested);
    }
}
