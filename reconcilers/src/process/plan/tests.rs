use std::time::Duration;

use agent_model::{Failure, Retry};
use process_shim::ProcessIdentity;
use proptest::prelude::*;

use super::*;

const SHIM: ProcessIdentity = ProcessIdentity { pid: 10, start_time: 1 };
const PROCESS: ProcessIdentity = ProcessIdentity { pid: 11, start_time: 2 };

fn digest(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

fn spec(restart: RestartPolicy) -> ProcessSpec {
    ProcessSpec { restart, ..ProcessSpec::new(vec!["serve".to_owned()]) }
}

fn observed(found: Found) -> ProcessObservation {
    ProcessObservation { found, next_run: "next".to_owned(), unenforced: Vec::new() }
}

fn running(run: &str, of: &str, health: Health) -> Found {
    Found::Running(Running {
        run: run.to_owned(),
        digest: digest(of).to_string(),
        shim: SHIM,
        process: PROCESS,
        started_at: "2026-11-25T18:45:44.123Z".to_owned(),
        started: Duration::ZERO,
        control_groups: Vec::new(),
        health,
    })
}

fn ended(run: &str, of: &str, end: End) -> Ended {
    Ended {
        run: run.to_owned(),
        digest: digest(of).to_string(),
        end,
        stopped: false,
        out_of_memory: false,
        ran_for: Duration::from_secs(3),
        ended_ago: Duration::ZERO,
    }
}

fn record(run: &str, crashes: u64) -> ProcessRecord {
    ProcessRecord::of_run(run, crashes)
}

fn establish_with(restart: RestartPolicy, record: Option<&ProcessRecord>, found: Found) -> ProcessPlan {
    establish(&spec(restart), &digest("wanted"), record, &observed(found))
}

fn starts(plan: &ProcessPlan) -> Option<bool> {
    match plan.steps.as_slice() {
        [ProcessStep::Start { run, again }] if run == "next" => Some(*again),
        _ => None,
    }
}

fn failure(plan: &ProcessPlan) -> &Failure {
    assert_eq!(plan.steps, [], "a failure has nothing to do");
    match &plan.then {
        Standing::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

fn reason(plan: &ProcessPlan) -> &str {
    match &plan.then {
        Standing::Ready { reason, .. }
        | Standing::Skipped { reason, .. }
        | Standing::Pending { reason, .. } => reason,
        Standing::Failed(failure) => &failure.reason,
        Standing::Gone => "Gone",
    }
}

const STARTING: Health = Health::Starting { message: String::new() };

#[test]
fn what_does_not_run_is_started_for_the_first_time_or_again() {
    let first = establish_with(RestartPolicy::Never, None, Found::Nothing);
    assert_eq!((starts(&first), first.record), (Some(false), Some(record("next", 0))));
    assert_eq!(first.intent, Some(ProcessRecord::default()), "the intent claims it before anything runs");
    // As after a boot of the device, which starts everything whatever its policy and history.
    let known = record("before", 5);
    let again = establish_with(RestartPolicy::Never, Some(&known), Found::Nothing);
    assert_eq!((starts(&again), again.record), (Some(true), Some(record("next", 0))));
}

#[test]
fn what_runs_as_declared_is_left_alone_and_stands_by_its_health() {
    for (health, expected) in [
        (STARTING, "Starting"),
        (Health::NotReady { message: "503".to_owned() }, "NotReady"),
        (Health::Ready, "Running"),
    ] {
        let plan =
            establish_with(RestartPolicy::Always, Some(&record("a", 2)), running("a", "wanted", health));
        assert_eq!((plan.steps.as_slice(), reason(&plan)), (&[][..], expected));
        let (started, ready) = (expected != "Starting", expected == "Running");
        let kept = ProcessRecord { started, ready, ..record("a", 2) };
        assert_eq!(plan.record, Some(kept));
    }
}

#[test]
fn what_was_given_up_and_is_well_again_before_it_was_stopped_is_given_up_no_longer() {
    let given_up = ProcessRecord { given_up: Some("why".to_owned()), ..record("a", 2) };
    for (health, expected) in [(STARTING, given_up.given_up.clone()), (Health::Ready, None)] {
        let plan = establish_with(RestartPolicy::Always, Some(&given_up), running("a", "wanted", health));
        assert_eq!(plan.record.unwrap().given_up, expected);
    }
}

#[test]
fn what_runs_as_declared_is_adopted_though_the_ledger_knows_nothing_of_it() {
    for known in [None, Some(record("other", 3))] {
        let plan =
            establish_with(RestartPolicy::Always, known.as_ref(), running("a", "wanted", Health::Ready));
        assert_eq!(plan.steps, []);
        assert_eq!(plan.record.unwrap().run.as_deref(), Some("a"));
    }
}

#[test]
fn what_runs_for_another_declaration_is_stopped_once_and_started_when_it_is_over() {
    let known = record("a", 4);
    let plan = establish_with(RestartPolicy::Always, Some(&known), running("a", "old", Health::Ready));
    assert!(matches!(plan.steps.as_slice(), [ProcessStep::Stop { shim: SHIM, .. }]), "{:?}", plan.steps);
    assert_eq!(reason(&plan), "Stopping");
    let stopping = Found::Stopping { run: "a".to_owned(), shim: SHIM };
    let plan = establish_with(RestartPolicy::Always, Some(&known), stopping);
    assert_eq!((plan.steps.as_slice(), reason(&plan)), (&[][..], "Stopping"));
    let over = Found::Ended(Ended { stopped: true, ..ended("a", "old", End::Signal(15)) });
    let plan = establish_with(RestartPolicy::Never, Some(&known), over);
    assert_eq!((starts(&plan), plan.record), (Some(true), Some(record("next", 0))));
}

#[test]
fn what_was_stopped_for_a_document_that_was_taken_back_is_started_at_once() {
    let over = Found::Ended(Ended { stopped: true, ..ended("a", "wanted", End::Signal(15)) });
    let asked = ProcessRecord { stopping: true, ..record("a", 2) };
    for policy in [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never] {
        let plan = establish_with(policy, Some(&asked), over.clone());
        assert_eq!((starts(&plan), plan.record), (Some(true), Some(record("next", 2))), "{policy:?}");
    }
}

#[test]
fn what_somebody_else_had_its_shim_stop_has_ended_like_any_other() {
    let over = || Found::Ended(Ended { stopped: true, ..ended("a", "wanted", End::Signal(15)) });
    for (policy, expected) in [
        (RestartPolicy::Always, "CrashLoopBackOff"),
        (RestartPolicy::OnFailure, "CrashLoopBackOff"),
        (RestartPolicy::Never, "Exited"),
    ] {
        let plan = establish_with(policy, Some(&record("a", 0)), over());
        assert_eq!((plan.steps.as_slice(), reason(&plan)), (&[][..], expected), "{policy:?}");
    }
}

#[test]
fn what_has_started_once_is_never_again_taken_for_one_that_has_not() {
    let not_ready = Health::NotReady { message: "503".to_owned() };
    let known =
        establish_with(RestartPolicy::Always, Some(&record("a", 0)), running("a", "wanted", not_ready));
    let known = known.record.unwrap();
    assert!(known.started && !known.ready);
    let plan = establish_with(RestartPolicy::Always, Some(&known), running("a", "wanted", STARTING));
    assert!(plan.record.unwrap().started);
}

#[test]
fn the_policy_says_whether_what_ended_is_started_again() {
    use RestartPolicy::{Always, Never, OnFailure};
    for (policy, end, expected) in [
        (Always, End::Code(0), "CrashLoopBackOff"),
        (Always, End::Code(1), "CrashLoopBackOff"),
        (OnFailure, End::Code(0), "Completed"),
        (OnFailure, End::Code(1), "CrashLoopBackOff"),
        (OnFailure, End::Signal(9), "CrashLoopBackOff"),
        (OnFailure, End::Unknown, "CrashLoopBackOff"),
        (Never, End::Code(0), "Completed"),
        (Never, End::Code(1), "Exited"),
        (Never, End::Signal(9), "Exited"),
    ] {
        let found = Found::Ended(ended("a", "wanted", end));
        let plan = establish_with(policy, Some(&record("a", 0)), found);
        assert_eq!((plan.steps.as_slice(), reason(&plan)), (&[][..], expected), "{policy:?} {end:?}");
    }
}

#[test]
fn each_end_in_a_row_doubles_the_pause_and_says_how_often_and_how_it_was() {
    let found = |ago| {
        Found::Ended(Ended { ended_ago: Duration::from_secs(ago), ..ended("a", "wanted", End::Code(7)) })
    };
    let plan = establish_with(RestartPolicy::Always, Some(&record("a", 2)), found(1));
    let failure = failure(&plan);
    assert_eq!(failure.retry, Retry::After { delay: Duration::from_secs(3), attempts: 3 });
    assert_eq!(
        failure.message,
        "it ended with code 7 after 3s, 3 times in a row; it is started again after a pause; \
         `harmony-agent logs` shows what it printed"
    );
    assert_eq!(plan.record, Some(record("a", 2)), "the end counts when it is started again");
    let plan = establish_with(RestartPolicy::Always, Some(&record("a", 2)), found(4));
    assert_eq!((starts(&plan), plan.record), (Some(true), Some(record("next", 3))));
}

#[test]
fn after_ten_minutes_of_health_an_end_is_the_first_again() {
    let found = Found::Ended(Ended {
        ran_for: Duration::from_secs(600),
        ended_ago: Duration::from_secs(1),
        ..ended("a", "wanted", End::Code(1))
    });
    let plan = establish_with(RestartPolicy::Always, Some(&record("a", 9)), found);
    assert_eq!((starts(&plan), plan.record), (Some(true), Some(record("next", 1))));
}

#[test]
fn a_start_that_the_agent_could_not_note_counts_with_the_end_before_it() {
    let found = || Found::Ended(ended("a", "wanted", End::Code(1)));
    let plan = establish_with(RestartPolicy::Always, Some(&record("before", 1)), found());
    assert_eq!(failure(&plan).retry, Retry::After { delay: Duration::from_secs(4), attempts: 3 });
    let plan = establish_with(RestartPolicy::Always, Some(&ProcessRecord::default()), found());
    assert_eq!(failure(&plan).retry, Retry::After { delay: Duration::from_secs(1), attempts: 1 });
}

#[test]
fn what_a_probe_gave_up_is_stopped_and_counts_as_having_ended_by_itself() {
    let health =
        Health::GivenUp { reason: "LivenessFailed", message: "its liveness probe fails: no".to_owned() };
    let plan =
        establish_with(RestartPolicy::OnFailure, Some(&record("a", 1)), running("a", "wanted", health));
    assert!(matches!(plan.steps.as_slice(), [ProcessStep::Stop { .. }]), "{:?}", plan.steps);
    assert_eq!(reason(&plan), "LivenessFailed");
    let given_up = plan.intent.unwrap();
    // It obeyed, and so ended with 0: that is no success.
    let over = || Found::Ended(Ended { stopped: true, ..ended("a", "wanted", End::Code(0)) });
    let plan = establish_with(RestartPolicy::OnFailure, Some(&given_up), over());
    let retry = Retry::After { delay: Duration::from_secs(2), attempts: 2 };
    assert_eq!(failure(&plan).retry, retry);
    assert!(failure(&plan).message.contains("its liveness probe fails: no"), "{}", failure(&plan).message);
    let plan = establish_with(RestartPolicy::Never, Some(&given_up), over());
    assert_eq!(reason(&plan), "Exited");
}

#[test]
fn a_shim_that_does_not_get_to_start_it_is_killed_whatever_is_wanted() {
    let starting = |since| Found::Starting { shim: Some(SHIM), since: Duration::from_secs(since) };
    let known = record("a", 1);
    for (since, steps) in [(29, vec![]), (30, vec![ProcessStep::Kill { shim: SHIM }])] {
        let wanted = establish_with(RestartPolicy::Always, Some(&known), starting(since));
        let unwanted = undo(Some(&known), &observed(starting(since)));
        for plan in [wanted, unwanted] {
            assert_eq!((plan.steps, plan.record), (steps.clone(), Some(known.clone())), "{since}");
        }
    }
}

#[test]
fn what_a_dead_shim_left_is_swept_whatever_is_wanted() {
    let lost = || observed(Found::Lost { run: "a".to_owned() });
    let sweeps = [ProcessStep::Sweep { run: "a".to_owned() }];
    let known = record("a", 1);
    let plan = establish(&spec(RestartPolicy::Always), &digest("wanted"), Some(&known), &lost());
    assert_eq!((plan.steps.as_slice(), plan.record), (&sweeps[..], Some(known.clone())));
    let plan = undo(Some(&known), &lost());
    assert_eq!((plan.steps.as_slice(), plan.record), (&sweeps[..], Some(known)));
}

#[test]
fn what_is_declared_no_longer_is_stopped_then_cleared_away() {
    let known = record("a", 0);
    let plan = undo(Some(&known), &observed(running("a", "old", STARTING)));
    assert!(matches!(plan.steps.as_slice(), [ProcessStep::Stop { .. }]), "{:?}", plan.steps);
    assert!(plan.record.is_some(), "it is held until it is gone");
    let stopping = Found::Stopping { run: "a".to_owned(), shim: SHIM };
    let plan = undo(Some(&known), &observed(stopping));
    assert!(plan.steps.is_empty() && plan.record.is_some());
    for found in [Found::Nothing, Found::Ended(ended("a", "old", End::Code(1)))] {
        let plan = undo(Some(&known), &observed(found));
        assert_eq!((plan.steps, plan.record, plan.then), (vec![ProcessStep::Clear], None, Standing::Gone));
    }
}

#[test]
fn limits_that_nobody_enforces_are_told_while_it_runs() {
    let found = running("a", "wanted", Health::Ready);
    let observed = ProcessObservation { unenforced: vec!["memory (no)".to_owned()], ..observed(found) };
    let plan = establish(&spec(RestartPolicy::Always), &digest("wanted"), None, &observed);
    let message = |plan: &ProcessPlan| match &plan.then {
        Standing::Ready { message, .. } => message.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(message(&plan), "not enforced on this device: memory (no)");
    // What counts is how it was when it was started.
    let enforced =
        establish(&spec(RestartPolicy::Always), &digest("wanted"), Some(&record("a", 0)), &observed);
    assert_eq!(message(&enforced), "");
}

fn any_found() -> impl Strategy<Value = Found> {
    let run = || prop_oneof![Just("a"), Just("b")];
    let of = || prop_oneof![Just("wanted"), Just("old")];
    let health = prop_oneof![
        Just(STARTING),
        Just(Health::Ready),
        Just(Health::NotReady { message: String::new() }),
        Just(Health::GivenUp { reason: "LivenessFailed", message: String::new() }),
    ];
    let end = prop_oneof![Just(End::Code(0)), Just(End::Code(1)), Just(End::Signal(9)), Just(End::Unknown)];
    prop_oneof![
        Just(Found::Nothing),
        (0..60_u64).prop_map(|since| Found::Starting { shim: Some(SHIM), since: Duration::from_secs(since) }),
        run().prop_map(|run| Found::Stopping { run: run.to_owned(), shim: SHIM }),
        run().prop_map(|run| Found::Lost { run: run.to_owned() }),
        (run(), of(), health).prop_map(|(run, of, health)| running(run, of, health)),
        (run(), of(), end, any::<bool>(), 0..1000_u64, 0..1000_u64).prop_map(
            |(run, of, end, stopped, ran, ago)| {
                let (ran_for, ended_ago) = (Duration::from_secs(ran), Duration::from_secs(ago));
                Found::Ended(Ended { stopped, ran_for, ended_ago, ..ended(run, of, end) })
            }
        ),
    ]
}

proptest! {
    /// One shim to a process: nothing is started beside something that may still be there, and what is
    /// as declared and well is not touched.
    #[test]
    fn nothing_is_started_while_anything_is_left_and_nothing_healthy_is_stopped(
        found in any_found(),
        known in proptest::option::of((0..12_u64, any::<bool>())),
        policy in prop_oneof![Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Never)],
    ) {
        let known = known.map(|(crashes, given_up)| ProcessRecord {
            given_up: given_up.then(|| "why".to_owned()),
            ..record("a", crashes)
        });
        let plan = establish_with(policy, known.as_ref(), found.clone());
        let nothing_left = matches!(found, Found::Nothing | Found::Ended(_));
        let starts = plan.steps.iter().any(|step| matches!(step, ProcessStep::Start { .. }));
        prop_assert!(!starts || nothing_left);
        let stops = plan.steps.iter().any(|step| matches!(step, ProcessStep::Stop { .. }));
        if let Found::Running(running) = &found {
            let as_declared = running.digest == digest("wanted").to_string();
            let given_up = matches!(running.health, Health::GivenUp { .. });
            prop_assert_eq!(stops, !as_declared || given_up);
        } else {
            prop_assert!(!stops);
        }
        prop_assert!(plan.record.is_some(), "what is declared is held");
        prop_assert!(plan.steps.len() <= 1);
    }
}
