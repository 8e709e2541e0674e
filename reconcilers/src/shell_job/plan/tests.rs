use agent_model::Failure;

use super::*;

fn key() -> Digest {
    Digest::of_bytes(b"job")
}

fn observed(known: Option<Known>) -> ShellJobObservation {
    ShellJobObservation {
        found: Found::Nothing,
        ended: None,
        open: None,
        known,
        ended_ago: None,
        creates_exists: false,
        obstacle: None,
        output: Value::Null,
        next_run: "next".to_owned(),
    }
}

fn run(attempt: u64, conclusion: Option<Conclusion>) -> JobRun {
    let outcome = conclusion.map(|conclusion| Outcome { conclusion, ..Outcome::interrupted() });
    JobRun::of_test("run", attempt, outcome)
}

fn plan(retry: u64, record: Option<&ShellJobRecord>, observed: &ShellJobObservation) -> JobPlan {
    let spec = ShellJobSpec { retry, creates: "/x".parse().ok(), ..ShellJobSpec::new("true") };
    establish(&spec, &key(), record, observed)
}

fn starts(plan: &JobPlan) -> Option<u64> {
    plan.steps.iter().find_map(|step| match step {
        ShellJobStep::Start { attempt, .. } => Some(*attempt),
        _ => None,
    })
}

fn reason(plan: &JobPlan) -> &str {
    match &plan.then {
        Standing::Ready { reason, .. }
        | Standing::Skipped { reason, .. }
        | Standing::Pending { reason, .. } => reason,
        Standing::Failed(failure) => &failure.reason,
        Standing::Gone => "Gone",
    }
}

#[test]
fn a_job_is_started_only_where_a_whole_history_has_nothing_of_it() {
    assert_eq!(starts(&plan(0, None, &observed(None))), Some(1));
    let ran = ShellJobRecord { ran: Some(key()) };
    let forgotten = plan(0, Some(&ran), &observed(None));
    assert_eq!((starts(&forgotten), reason(&forgotten)), (None, "HistoryUnknown"));
    let unknown = plan(9, None, &observed(Some(Known::Unknown)));
    assert_eq!((starts(&unknown), reason(&unknown)), (None, "HistoryUnknown"));
}

#[test]
fn however_it_ended_it_is_run_again_only_as_far_as_retries_go() {
    for conclusion in
        [Conclusion::Failed, Conclusion::TimedOut, Conclusion::Interrupted, Conclusion::Cancelled]
    {
        let over = |attempt| observed(Some(Known::Run(Box::new(run(attempt, Some(conclusion))))));
        let last = plan(1, None, &over(2));
        assert_eq!((starts(&last), reason(&last)), (None, conclusion.as_str()));
        assert_eq!(starts(&plan(1, None, &over(1))), Some(2));
        let early = plan(1, None, &ShellJobObservation { ended_ago: Some(Duration::ZERO), ..over(1) });
        assert_eq!((starts(&early), reason(&early)), (None, conclusion.as_str()));
    }
    for conclusion in [Conclusion::Succeeded, Conclusion::Skipped] {
        let done = plan(9, None, &observed(Some(Known::Run(Box::new(run(1, Some(conclusion)))))));
        assert_eq!(starts(&done), None);
    }
}

#[test]
fn an_end_is_noted_before_anything_else_begins_and_one_that_nobody_saw_is_an_interruption() {
    let open = |of, ended| ShellJobObservation { open: Some((of, run(1, None))), ended, ..observed(None) };
    let noted = Outcome { conclusion: Conclusion::Succeeded, ..Outcome::interrupted() };
    for (ended, expected) in [
        (None, Conclusion::Interrupted),
        (Some(("run".to_owned(), noted.clone())), Conclusion::Succeeded),
        (Some(("another".to_owned(), noted)), Conclusion::Interrupted),
    ] {
        for of in [key(), Digest::of_bytes(b"another")] {
            for plan in [plan(0, None, &open(of, ended.clone())), undo(None, &open(of, ended.clone()))] {
                let [ShellJobStep::Conclude { outcome, key, .. }] = &plan.steps[..] else {
                    panic!("{plan:?}")
                };
                assert_eq!((outcome.conclusion, *key), (expected, of));
                assert!(plan.record.is_some());
            }
        }
    }
}

#[test]
fn what_keeps_it_from_running_keeps_it_from_that_alone() {
    let obstacle = || Some(Failure::passing("SandboxUnavailable", "none"));
    let hindered = plan(0, None, &ShellJobObservation { obstacle: obstacle(), ..observed(None) });
    assert_eq!((starts(&hindered), reason(&hindered)), (None, "SandboxUnavailable"));
    let skipped =
        plan(0, None, &ShellJobObservation { obstacle: obstacle(), creates_exists: true, ..observed(None) });
    assert_eq!((starts(&skipped), reason(&skipped)), (None, "Creates"));
    let done = observed(Some(Known::Run(Box::new(run(1, Some(Conclusion::Succeeded))))));
    assert_eq!(reason(&plan(0, None, &ShellJobObservation { obstacle: obstacle(), ..done })), "Succeeded");
}

#[test]
fn that_it_ran_is_remembered_only_once_it_does() {
    let plan = plan(0, None, &observed(None));
    assert_eq!(plan.intent, Some(ShellJobRecord::default()));
    assert_eq!(plan.record, Some(ShellJobRecord { ran: Some(key()) }));
}
