//! Decides what to do about a container. Pure.
//!
//! ```text
//! declared: nothing ─▶ image ─▶ create, start
//!           ours, as declared     running ─▶ by its health: pending | ready | stop     ended ─▶ start | wait | leave
//!           ours, for another     image ─▶ stop ─▶ set aside, create, start ─▶ ready: remove what was set aside
//!                                                             └ does not start ─▶ remove, bring back, start: Failed
//!           a stranger's          Failed
//! dropped:  running ─▶ stop       ended ─▶ remove
//! ```
//!
//! Whatever takes its time (a pull, a stop, a probe) is begun by one plan and found ended by a later one.

mod rolling_back;
#[cfg(test)]
mod tests;

use agent_model::{ContainerSpec, Digest, Failure, Plan, PullPolicy, RestartPolicy, Retry, Standing};
use serde_json::json;

use super::{
    failures,
    observation::{ContainerObservation, Ended, Found, Image, Running, Slot, State},
    record::ContainerRecord,
    step::ContainerStep,
};
use crate::workload::{backoff, health::Health, words};

/// Where there is what it printed.
const OUTPUT: &str = "the runtime has what it printed";

type ContainerPlan = Plan<ContainerStep, ContainerRecord>;

/// What is decided about, in all its parts.
struct Case<'a> {
    spec: &'a ContainerSpec,
    wanted: String,
    record: Option<&'a ContainerRecord>,
    observed: &'a ContainerObservation,
}

/// Makes the container run as declared.
pub(super) fn establish(
    spec: &ContainerSpec,
    digest: &Digest,
    record: Option<&ContainerRecord>,
    observed: &ContainerObservation,
) -> ContainerPlan {
    let case = Case { spec, wanted: digest.to_string(), record, observed };
    if let Some(plan) = tidy(record, observed) {
        return plan;
    }
    match &observed.current {
        Slot::Stranger { who } => blocked(record, failures::name_taken(who)),
        Slot::Empty => case.absent(),
        Slot::Ours(found) if found.digest == case.wanted => case.as_declared(found),
        Slot::Ours(found) => case.otherwise(found),
    }
}

/// Ends the container and removes it, with the one that it replaced.
pub(super) fn undo(record: Option<&ContainerRecord>, observed: &ContainerObservation) -> ContainerPlan {
    if let Some(plan) = tidy(record, observed) {
        return plan;
    }
    let mut steps = Vec::new();
    if let Some(found) = observed.current.ours() {
        match &found.state {
            State::Running(_) | State::Paused => {
                return stop(found, record, "it is declared no longer", "it is being stopped");
            }
            State::Stopping | State::Leaving => return wait(record, "Stopping", "it is being stopped"),
            State::Created | State::Ended(_) => {
                steps.push(ContainerStep::Remove { id: found.id.clone(), what: "it" });
            }
        }
    }
    steps.extend(remove_previous(observed));
    Plan { intent: record.cloned(), steps, record: None, then: Standing::Gone }
}

/// What was made for it and cannot be used, as somebody has given it another name, goes first: it may hold what
/// the one that is wanted needs.
fn tidy(record: Option<&ContainerRecord>, observed: &ContainerObservation) -> Option<ContainerPlan> {
    if observed.leftovers.is_empty() {
        return None;
    }
    let remove = |id: &String| ContainerStep::Remove { id: id.clone(), what: "a leftover of it" };
    Some(Plan {
        intent: held(record),
        steps: observed.leftovers.iter().map(remove).collect(),
        record: held(record),
        then: Standing::pending("Tidying", "leftovers of it have been removed"),
    })
}

impl Case<'_> {
    /// Nothing has its name.
    fn absent(&self) -> ContainerPlan {
        let previous = self.observed.previous.ours();
        if let Some(previous) = previous {
            if let Some(failure) = &self.observed.not_started {
                return self.roll_back(None, previous, failure);
            }
            if let Some(refused) = self.refused() {
                return self.go_on_rolling_back(vec![], previous, refused);
            }
            if previous.digest == self.wanted {
                return self.take_back(vec![], previous);
            }
        }
        if let Some(refused) = self.refused() {
            return blocked(self.record, refused.failure());
        }
        if let Err(plan) = self.image() {
            return *plan;
        }
        let removed = self.record.is_some_and(|record| record.existed) && previous.is_none();
        self.create(vec![], removed.then_some("somebody has removed it"), previous.is_some())
    }

    /// What has its name is what is declared.
    fn as_declared(&self, found: &Found) -> ContainerPlan {
        match &found.state {
            State::Running(running) => self.judge(found, running),
            State::Paused => Plan {
                intent: held(self.record),
                steps: vec![ContainerStep::Resume { id: found.id.clone() }],
                record: held(self.record),
                then: Standing::pending("Resuming", "somebody had paused it; it goes on"),
            },
            State::Stopping => wait(self.record, "Stopping", "it is being stopped"),
            State::Leaving => wait(self.record, "Leaving", "the runtime is removing it"),
            State::Created => match (&self.observed.not_started, self.observed.previous.ours()) {
                (Some(failure), Some(previous)) => self.roll_back(Some(found), previous, failure),
                // What was cut off in the middle of its start may never start: podman gives it the address again
                // that it has from the first time, and the network does not.
                (None, previous) if self.was_cut_off() => {
                    let remove = ContainerStep::Remove { id: found.id.clone(), what: "what was cut off" };
                    self.create(vec![remove], None, previous.is_some())
                }
                (_, previous) => {
                    let again = previous.is_some();
                    let step = ContainerStep::Start { id: found.id.clone(), again };
                    self.start(vec![step], 0, None)
                }
            },
            State::Ended(ended) => self.over(found, ended),
        }
    }

    /// What has its name was made for another declaration.
    fn otherwise(&self, found: &Found) -> ContainerPlan {
        if let Some(refused) = self.refused() {
            return self.keep(found, refused);
        }
        let previous = self.observed.previous.ours();
        let is_wanted = previous.filter(|previous| previous.digest == self.wanted);
        if let (None, Err(plan)) = (is_wanted, self.image()) {
            return *plan;
        }
        let remove = ContainerStep::Remove { id: found.id.clone(), what: "the container before it" };
        match (&found.state, is_wanted) {
            (State::Running(_) | State::Paused, _) => stop(
                found,
                self.record,
                "it is declared otherwise now",
                "it is stopped, to be replaced as declared now",
            ),
            (State::Stopping | State::Leaving, _) => wait(self.record, "Stopping", "it is being stopped"),
            (State::Created | State::Ended(_), Some(previous)) => self.take_back(vec![remove], previous),
            // What is set aside already has worked, and this one has yet to show that.
            (State::Created | State::Ended(_), None) if previous.is_some() => {
                self.create(vec![remove], None, true)
            }
            (State::Created, None) => self.create(vec![remove], None, false),
            (State::Ended(_), None) => match &self.observed.previous {
                Slot::Stranger { who } => blocked(self.record, failures::name_taken(who)),
                Slot::Empty | Slot::Ours(_) => {
                    let set_aside = ContainerStep::SetAside { id: found.id.clone() };
                    self.create(vec![set_aside], None, true)
                }
            },
        }
    }

    /// What is declared runs: how is it?
    fn judge(&self, found: &Found, running: &Running) -> ContainerPlan {
        let known = self.known(found);
        let has_started = matches!(running.health, Health::Ready | Health::NotReady { .. });
        let record = self.of_run(found);
        let unenforced = match known {
            Some(record) => record.unenforced.clone(),
            None => self.observed.unenforced.clone(),
        };
        let started = record.started || has_started;
        let record = ContainerRecord { started, stopping: false, refused: None, unenforced, ..record };
        let not_ready = || Some(ContainerRecord { ready: false, ..record.clone() });
        match &running.health {
            Health::Starting { message } => {
                Plan::nothing(not_ready(), Standing::pending("Starting", message))
            }
            Health::NotReady { message } => {
                Plan::nothing(not_ready(), Standing::pending("NotReady", message))
            }
            Health::Ready => {
                // Had an agent given it up and ended before it could stop it, then it has recovered since.
                let record = ContainerRecord { ready: true, given_up: None, ..record };
                let mut details =
                    json!({"id": found.id, "image": found.image, "startedAt": running.started_at});
                if let (Some(how), Some(fields)) = (&record.last_end, details.as_object_mut()) {
                    fields.insert("lastEnd".to_owned(), how.as_str().into());
                }
                let message = words::not_enforced(&record.unenforced);
                Plan {
                    intent: Some(record.clone()),
                    steps: remove_previous(self.observed).collect(),
                    record: Some(record),
                    then: Standing::Ready { reason: "Running".into(), message, details },
                }
            }
            Health::GivenUp { reason, message } => {
                let given_up = Some(format!("{reason}: {message}"));
                let record = ContainerRecord { given_up, ..record };
                stop_run(found, record, "a probe gave it up", reason, message)
            }
        }
    }

    /// What is declared has run and is over: what follows?
    fn over(&self, found: &Found, ended: &Ended) -> ContainerPlan {
        let known = self.known(found);
        let given_up = known.and_then(|record| record.given_up.as_deref());
        let how = how_it_ended(self.spec, ended, given_up);
        let again = |crashes| {
            let step = ContainerStep::Start { id: found.id.clone(), again: true };
            self.start(vec![step], crashes, Some(how.clone()))
        };
        if self.record.and_then(|record| record.boot.as_ref()).is_some_and(|boot| *boot != self.observed.boot)
        {
            return again(0);
        }
        // It was stopped for a document that is no longer wanted: nothing is wrong with it.
        if given_up.is_none() && known.is_some_and(|record| record.stopping) {
            return again(known.map_or(0, |record| record.crashes));
        }
        let succeeded = ended.exit_code == 0 && given_up.is_none();
        if succeeded && self.spec.restart != RestartPolicy::Always {
            let record = Some(self.of_run(found));
            return Plan {
                intent: record.clone(),
                steps: remove_previous(self.observed).collect(),
                record,
                then: Standing::Ready {
                    reason: "Completed".into(),
                    message: how,
                    details: json!({"id": found.id, "image": found.image, "exitCode": ended.exit_code}),
                },
            };
        }
        let unproven = !known.is_some_and(|record| record.ready);
        if let Some(previous) = self.observed.previous.ours().filter(|_| unproven) {
            return self.roll_back(Some(found), previous, &failures::did_not_last(&how));
        }
        if self.spec.restart == RestartPolicy::Never {
            return blocked(self.record, words::ended(&how));
        }
        let crashes = self.crashes(found, ended);
        match backoff::delay(crashes).checked_sub(ended.ended_ago) {
            Some(left) if !left.is_zero() => {
                blocked(self.record, words::crash_loop(&how, crashes, left, OUTPUT))
            }
            _ => again(crashes),
        }
    }

    /// How often in a row it has ended by itself, this time included.
    fn crashes(&self, found: &Found, ended: &Ended) -> u64 {
        let before = match (self.record, self.known(found)) {
            (_, Some(known)) => known.crashes,
            // The agent was ended between this start and noting it: the end before it counts too.
            (Some(ContainerRecord { run: Some(_), crashes, .. }), None) => crashes.saturating_add(1),
            (Some(ContainerRecord { run: None, crashes, .. }), None) => *crashes,
            (None, None) => 0,
        };
        backoff::crashes(before, ended.ran_for)
    }

    /// Whether the image that it is to be made from is there; until then, what to do about that.
    fn image(&self) -> Result<(), Box<ContainerPlan>> {
        let reference = self.spec.image.as_str();
        let pull = || {
            Err(Box::new(Plan {
                intent: held(self.record),
                steps: vec![ContainerStep::Pull { reference: reference.to_owned() }],
                record: held(self.record),
                then: Standing::pending("Pulling", format!("the image {reference} is being pulled")),
            }))
        };
        let fails = |failure| Err(Box::new(blocked(self.record, failure)));
        // Said before anything is pulled or stopped for it.
        if let Some(unusable) = &self.observed.unusable {
            return fails(unusable.clone());
        }
        match &self.observed.image {
            Image::Present { fresh, .. } if *fresh || self.spec.pull_policy != PullPolicy::Always => Ok(()),
            Image::Absent if self.spec.pull_policy == PullPolicy::Never => {
                fails(failures::image_not_present(reference))
            }
            Image::Absent | Image::Present { .. } | Image::NotNeeded => pull(),
            Image::Pulling { progress } => {
                Err(Box::new(Plan::nothing(held(self.record), Standing::pending("Pulling", progress))))
            }
            Image::NotPulled { wait, .. } if wait.is_zero() => pull(),
            Image::NotPulled { failure, attempts, wait } => {
                let retry = Retry::After { delay: *wait, attempts: *attempts };
                fails(Failure { retry, ..failure.clone() })
            }
        }
    }

    /// Creates and starts it, after these steps.
    fn create(
        &self,
        mut steps: Vec<ContainerStep>,
        cause: Option<&'static str>,
        again: bool,
    ) -> ContainerPlan {
        steps.extend([ContainerStep::Create { cause }, ContainerStep::StartNew { again }]);
        self.start(steps, 0, None)
    }

    /// Starts it by these steps.
    fn start(&self, steps: Vec<ContainerStep>, crashes: u64, last_end: Option<String>) -> ContainerPlan {
        let created = steps.iter().any(|step| matches!(step, ContainerStep::Create { .. }));
        let unenforced = match self.record {
            Some(record) if !created && record.existed => record.unenforced.clone(),
            _ => self.observed.unenforced.clone(),
        };
        // Until it is started, what is known of the run before must not be forgotten.
        let intent = held(self.record);
        Plan {
            intent: intent.map(|record| ContainerRecord { creating: record.creating || created, ..record }),
            steps,
            record: Some(ContainerRecord {
                unenforced,
                last_end,
                ..ContainerRecord::of_run(None, &self.observed.boot, crashes)
            }),
            then: Standing::pending("Starting", "it has been started"),
        }
    }

    /// Whether it was to be created and started, and nobody knows what came of that.
    fn was_cut_off(&self) -> bool {
        self.record.is_some_and(|record| record.creating)
    }

    /// Takes the one that was set aside: it is what is declared.
    fn take_back(&self, mut steps: Vec<ContainerStep>, previous: &Found) -> ContainerPlan {
        let id = previous.id.clone();
        steps.extend([ContainerStep::BringBack { id: id.clone() }, ContainerStep::Start { id, again: true }]);
        self.start(steps, 0, None)
    }

    /// What is remembered of the run that it is in or was in last.
    fn known(&self, found: &Found) -> Option<&ContainerRecord> {
        let run = found.run()?;
        self.record.filter(|record| record.run.as_ref() == Some(&run))
    }

    /// The same; of a run that nobody has seen yet, only what can be seen.
    fn of_run(&self, found: &Found) -> ContainerRecord {
        match (self.known(found), self.record) {
            (Some(known), _) => known.clone(),
            (None, record) => ContainerRecord {
                last_end: record.and_then(|record| record.last_end.clone()),
                unenforced: record.map(|record| record.unenforced.clone()).unwrap_or_default(),
                ..ContainerRecord::of_run(
                    found.run(),
                    &self.observed.boot,
                    record.map_or(0, |record| record.crashes),
                )
            },
        }
    }
}

fn stop(
    found: &Found,
    record: Option<&ContainerRecord>,
    cause: &'static str,
    message: &str,
) -> ContainerPlan {
    let run = found.run();
    let record = match record {
        Some(record) if record.run == run => record.clone(),
        Some(record) => ContainerRecord { run, ..record.clone() },
        None => ContainerRecord { run, existed: true, ..ContainerRecord::default() },
    };
    stop_run(found, record, cause, "Stopping", message)
}

fn stop_run(
    found: &Found,
    record: ContainerRecord,
    cause: &'static str,
    reason: &'static str,
    message: &str,
) -> ContainerPlan {
    let record = ContainerRecord { ready: false, stopping: true, ..record };
    let id = &found.id;
    let resume = (found.state == State::Paused).then(|| ContainerStep::Resume { id: id.clone() });
    Plan {
        intent: Some(record.clone()),
        steps: resume.into_iter().chain([ContainerStep::Stop { id: id.clone(), cause }]).collect(),
        record: Some(record),
        then: Standing::pending(reason, message),
    }
}

fn remove_previous(observed: &ContainerObservation) -> impl Iterator<Item = ContainerStep> {
    let previous = observed.previous.ours();
    previous
        .map(|previous| ContainerStep::Remove { id: previous.id.clone(), what: "the container before it" })
        .into_iter()
}

/// What it ended like, in words that follow nothing.
fn how_it_ended(spec: &ContainerSpec, ended: &Ended, given_up: Option<&str>) -> String {
    const KILLED: i64 = 128 + 9;
    let ran_for = humantime::format_duration(words::rounded(ended.ran_for));
    if let Some(why) = given_up {
        return format!("it was stopped after {ran_for} because of its probe ({why})");
    }
    let memory = match (ended.out_of_memory, ended.exit_code, spec.limits.memory) {
        (true, ..) => ", for want of memory".to_owned(),
        // Some runtimes do not notice who killed it.
        (false, KILLED, Some(limit)) => {
            format!(", as the kernel does to what takes more than its limit of {limit} bytes of memory")
        }
        _ => String::new(),
    };
    match ended.exit_code {
        KILLED => format!("it was killed{memory} after {ran_for}"),
        code @ 129..=192 => format!("it was ended by signal {} after {ran_for}", code - 128),
        code => format!("it exited with code {code}{memory} after {ran_for}"),
    }
}

fn wait(record: Option<&ContainerRecord>, reason: &'static str, message: &str) -> ContainerPlan {
    Plan::nothing(held(record), Standing::pending(reason, message))
}

fn blocked(record: Option<&ContainerRecord>, failure: Failure) -> ContainerPlan {
    Plan::blocked(record.cloned(), failure)
}

/// What is remembered stays so. What nothing was remembered of is ours from now on.
fn held(record: Option<&ContainerRecord>) -> Option<ContainerRecord> {
    Some(record.cloned().unwrap_or_default())
}
