use std::time::Duration;

use agent_model::{ContainerSpec, Digest, Failure, PullPolicy, RestartPolicy, Retry, Standing};

use super::{super::record::Refused, *};

fn digest(of: &str) -> Digest {
    Digest::of_bytes(of.as_bytes())
}

fn spec() -> ContainerSpec {
    ContainerSpec::new("box:1".parse().unwrap())
}

fn found(id: &str, made_for: &str, state: State) -> Slot {
    let image = format!("image of {made_for}");
    Slot::Ours(Found { id: id.to_owned(), digest: digest(made_for).to_string(), image, state })
}

fn running(health: Health) -> State {
    let up_for = Duration::from_secs(5);
    State::Running(Running { started_at: "then".to_owned(), up_for, address: None, health })
}

fn ended(exit_code: i64) -> State {
    State::Ended(Ended {
        started_at: "then".to_owned(),
        exit_code,
        out_of_memory: false,
        ran_for: Duration::from_secs(5),
        ended_ago: Duration::ZERO,
    })
}

fn observed(current: Slot, previous: Slot) -> ContainerObservation {
    ContainerObservation {
        current,
        previous,
        leftovers: Vec::new(),
        image: Image::Present { id: "image of new".to_owned(), fresh: false },
        not_started: None,
        unusable: None,
        unenforced: Vec::new(),
        boot: "this".to_owned(),
    }
}

fn of_run(id: &str) -> ContainerRecord {
    ContainerRecord::of_run(Some(format!("{id}@then")), "this", 0)
}

fn plan(record: Option<&ContainerRecord>, observed: &ContainerObservation) -> ContainerPlan {
    establish(&spec(), &digest("new"), record, observed)
}

fn steps(plan: &ContainerPlan) -> Vec<String> {
    plan.steps.iter().map(agent_model::Step::summary).collect()
}

fn failure(plan: &ContainerPlan) -> &Failure {
    match &plan.then {
        Standing::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn a_container_that_is_as_declared_and_ready_takes_no_step() {
    let seen = observed(found("a", "new", running(Health::Ready)), Slot::Empty);
    let first = plan(None, &seen);
    assert!(first.steps.is_empty() && matches!(first.then, Standing::Ready { .. }));
    let second = plan(first.record.as_ref(), &seen);
    assert_eq!(second.record, first.record);
}

#[test]
fn the_image_is_there_before_anything_is_stopped() {
    let mut seen = observed(found("a", "old", running(Health::Ready)), Slot::Empty);
    seen.image = Image::Absent;
    assert_eq!(steps(&plan(None, &seen)), ["pull the image box:1"]);
    seen.image = Image::Pulling { progress: "half".to_owned() };
    assert!(plan(None, &seen).steps.is_empty());
    seen.image = Image::NotPulled {
        failure: Failure::passing("ImageNotFound", "none"),
        attempts: 2,
        wait: Duration::from_secs(3),
    };
    let waits = plan(None, &seen);
    assert_eq!(failure(&waits).retry, Retry::After { delay: Duration::from_secs(3), attempts: 2 });
    seen.image = Image::Present { id: "x".to_owned(), fresh: false };
    assert_eq!(steps(&plan(None, &seen)), ["stop it: it is declared otherwise now"]);
    let always = ContainerSpec { pull_policy: PullPolicy::Always, ..spec() };
    let pulls = establish(&always, &digest("new"), None, &seen);
    assert_eq!(steps(&pulls), ["pull the image box:1"]);
    seen.image = Image::Absent;
    let never = ContainerSpec { pull_policy: PullPolicy::Never, ..spec() };
    assert_eq!(failure(&establish(&never, &digest("new"), None, &seen)).reason, "ImageNotPresent");
}

#[test]
fn what_cannot_be_mounted_stops_nothing() {
    let mut seen = observed(found("a", "old", running(Health::Ready)), Slot::Empty);
    seen.unusable = Some(Failure::passing("MountMissing", "none"));
    let stays = plan(None, &seen);
    assert!(stays.steps.is_empty());
    assert_eq!(failure(&stays).reason, "MountMissing");
}

#[test]
fn the_one_before_is_kept_until_the_new_one_is_ready() {
    let replaces = plan(Some(&of_run("a")), &observed(found("a", "old", ended(0)), Slot::Empty));
    let kept = ["keep the container before it until it works", "create it", "start it again"];
    assert_eq!(steps(&replaces), kept);
    let previous = found("a", "old", ended(0));
    let starting = Health::Starting { message: String::new() };
    let waits = plan(None, &observed(found("b", "new", running(starting)), previous.clone()));
    assert!(waits.steps.is_empty());
    let works = plan(None, &observed(found("b", "new", running(Health::Ready)), previous));
    assert_eq!(steps(&works), ["remove the container before it"]);
}

#[test]
fn what_does_not_start_gives_way_once_and_is_not_tried_again() {
    let previous = found("a", "old", ended(0));
    let back = [
        "remove what does not start",
        "bring the container before it back",
        "start the container before it again",
    ];
    let mut seen = observed(found("b", "new", State::Created), previous.clone());
    seen.not_started = Some(Failure::passing("NotStarted", "no such command"));
    let rolls_back = plan(None, &seen);
    assert_eq!(steps(&rolls_back), back);
    let dies = plan(None, &observed(found("b", "new", ended(1)), previous.clone()));
    assert_eq!(steps(&dies), back);

    // Cut off at any step, it goes on.
    let intent = rolls_back.intent.clone();
    let cut = plan(intent.as_ref(), &observed(Slot::Empty, previous.clone()));
    assert_eq!(steps(&cut), back[1..]);
    let cut = plan(intent.as_ref(), &observed(found("a", "old", ended(0)), Slot::Empty));
    assert_eq!(steps(&cut), back[2..]);

    // Afterwards it is left so, until the image changes.
    let record = rolls_back.record.clone();
    let mut seen = observed(found("a", "old", running(Health::Ready)), Slot::Empty);
    let stays = plan(record.as_ref(), &seen);
    assert!(stays.steps.is_empty());
    assert_eq!(
        (failure(&stays).reason.as_ref(), failure(&stays).retry),
        ("NotStarted", Retry::WhenSomethingChanges)
    );
    seen.image = Image::Present { id: "another".to_owned(), fresh: false };
    assert_eq!(steps(&plan(record.as_ref(), &seen)), ["stop it: it is declared otherwise now"]);
    let other = establish(&spec(), &digest("newer"), record.as_ref(), &seen);
    assert_eq!(steps(&other), ["stop it: it is declared otherwise now"]);
}

#[test]
fn what_was_brought_back_is_kept_running() {
    let refused = Refused {
        digest: digest("new").to_string(),
        image: "image of new".to_owned(),
        reason: "NotStarted".to_owned(),
        message: "no such command".to_owned(),
    };
    let record = ContainerRecord { refused: Some(refused), ..of_run("a") };
    let after = |code, record: &ContainerRecord| {
        plan(Some(record), &observed(found("a", "old", ended(code)), Slot::Empty))
    };
    let seen = observed(found("a", "old", running(Health::Ready)), Slot::Empty);
    assert_eq!(
        plan(Some(&record), &seen).record.as_ref(),
        Some(&record),
        "nothing is forgotten, nothing is new"
    );
    let waits = after(1, &record);
    assert!(waits.steps.is_empty());
    let retry = Retry::After { delay: Duration::from_secs(1), attempts: 1 };
    assert_eq!((failure(&waits).reason.as_ref(), failure(&waits).retry), ("NotStarted", retry));
    let mut later = observed(found("a", "old", ended(1)), Slot::Empty);
    if let Slot::Ours(Found { state: State::Ended(ended), .. }) = &mut later.current {
        ended.ended_ago = Duration::from_secs(1);
    }
    let again = plan(Some(&record), &later);
    assert_eq!(steps(&again), ["start the container before it again"]);
    let kept = again.record.as_ref().unwrap();
    assert_eq!((&kept.refused, kept.crashes), (&record.refused, 1));
    assert!(after(0, &record).steps.is_empty(), "what ended as it should is left so");
    let earlier = ContainerRecord { boot: Some("before".to_owned()), ..record };
    assert_eq!(steps(&after(0, &earlier)), ["start the container before it again"]);
}

#[test]
fn one_that_was_ready_once_is_started_again_and_not_replaced_by_the_one_before() {
    let record = ContainerRecord { ready: true, ..of_run("b") };
    let seen = observed(found("b", "new", ended(1)), found("a", "old", ended(0)));
    assert_eq!(failure(&plan(Some(&record), &seen)).reason, "CrashLoopBackOff");
}

#[test]
fn what_was_cut_off_before_it_ever_ran_is_made_anew_and_what_was_refused_is_started_again() {
    let first = plan(None, &observed(Slot::Empty, Slot::Empty));
    assert!(first.intent.as_ref().is_some_and(|intent| intent.creating));
    assert!(first.record.as_ref().is_some_and(|record| !record.creating));

    let mut made = observed(found("a", "new", State::Created), Slot::Empty);
    let anew = plan(first.intent.as_ref(), &made);
    assert_eq!(steps(&anew), ["remove what was cut off", "create it", "start it"]);
    assert!(anew.intent.is_some_and(|intent| intent.creating));
    made.not_started = Some(Failure::passing("PortTaken", "taken"));
    assert_eq!(steps(&plan(first.intent.as_ref(), &made)), ["start it"]);
    made.not_started = None;
    assert_eq!(steps(&plan(Some(&of_run("a")), &made)), ["start it"]);

    let replacing = observed(found("b", "new", State::Created), found("a", "old", ended(0)));
    let anew = plan(first.intent.as_ref(), &replacing);
    assert_eq!(steps(&anew), ["remove what was cut off", "create it", "start it again"]);
}

#[test]
fn strangers_are_left_alone() {
    let stranger = Slot::Stranger { who: "container 1".to_owned() };
    let taken = plan(Some(&of_run("a")), &observed(stranger.clone(), Slot::Empty));
    assert!(taken.steps.is_empty());
    assert_eq!(failure(&taken).reason, "NameTaken");
    let gone = undo(Some(&of_run("a")), &observed(stranger.clone(), stranger.clone()));
    assert!(gone.steps.is_empty() && gone.then == Standing::Gone);
    let taken = plan(None, &observed(found("a", "old", ended(0)), stranger));
    assert_eq!((taken.steps.len(), failure(&taken).reason.as_ref()), (0, "NameTaken"));
}

#[test]
fn what_somebody_removed_is_made_again_as_a_repair_and_not_as_a_restart() {
    let made = plan(Some(&of_run("a")), &observed(Slot::Empty, Slot::Empty));
    assert_eq!(steps(&made), ["create it: somebody has removed it", "start it"]);
    assert!(!made.steps.iter().any(agent_model::Step::restarts_target));
}

#[test]
fn policies_pauses_and_boots_decide_about_what_ended() {
    let run = |policy, code, record: &ContainerRecord| {
        let spec = ContainerSpec { restart: policy, ..spec() };
        establish(&spec, &digest("new"), Some(record), &observed(found("a", "new", ended(code)), Slot::Empty))
    };
    let known = of_run("a");
    assert_eq!(failure(&run(RestartPolicy::Always, 0, &known)).reason, "CrashLoopBackOff");
    assert!(matches!(run(RestartPolicy::OnFailure, 0, &known).then, Standing::Ready { .. }));
    assert_eq!(failure(&run(RestartPolicy::Never, 3, &known)).reason, "Exited");
    let third = ContainerRecord { crashes: 2, ..known.clone() };
    let retry = Retry::After { delay: Duration::from_secs(4), attempts: 3 };
    assert_eq!(failure(&run(RestartPolicy::OnFailure, 3, &third)).retry, retry);
    // The agent was ended between a start and noting it.
    let missed = ContainerRecord { crashes: 1, ..of_run("other") };
    assert_eq!(failure(&run(RestartPolicy::OnFailure, 3, &missed)).retry, retry);
    let earlier = ContainerRecord { boot: Some("before".to_owned()), ..third };
    for policy in RestartPolicy::ALL {
        assert_eq!(steps(&run(policy, 0, &earlier)), ["start it again"], "{policy:?}");
    }
}

#[test]
fn what_is_dropped_is_stopped_first_and_then_removed_with_the_one_before() {
    let previous = found("a", "old", ended(0));
    let stops = undo(None, &observed(found("b", "new", running(Health::Ready)), previous.clone()));
    assert_eq!(steps(&stops), ["stop it: it is declared no longer"]);
    assert!(undo(None, &observed(found("b", "new", State::Stopping), Slot::Empty)).steps.is_empty());
    let removes = undo(None, &observed(found("b", "new", ended(0)), previous));
    assert_eq!(steps(&removes), ["remove it", "remove the container before it"]);
    assert_eq!(removes.then, Standing::Gone);
}

#[test]
fn leftovers_go_before_anything_else_is_done() {
    let mut seen = observed(Slot::Empty, Slot::Empty);
    seen.leftovers.push("c".to_owned());
    for plan in [plan(None, &seen), undo(None, &seen)] {
        assert_eq!(steps(&plan), ["remove a leftover of it"]);
    }
}

#[test]
fn what_somebody_paused_goes_on() {
    let paused = plan(Some(&of_run("a")), &observed(found("a", "new", State::Paused), Slot::Empty));
    assert_eq!(steps(&paused), ["let it go on: somebody has paused it"]);
}

#[test]
fn a_probe_that_gives_it_up_has_it_stopped_and_counted() {
    let given_up = Health::GivenUp { reason: "LivenessFailed", message: "no".to_owned() };
    let stops = plan(Some(&of_run("a")), &observed(found("a", "new", running(given_up)), Slot::Empty));
    assert_eq!(steps(&stops), ["stop it: a probe gave it up"]);
    let over = plan(stops.record.as_ref(), &observed(found("a", "new", ended(0)), Slot::Empty));
    assert!(failure(&over).message.contains("LivenessFailed"), "{over:?}");
}
