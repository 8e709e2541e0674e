//! The agent is killed at every single crash point of what can befall a job, and started again. Each job runs once at
//! most, never beside another of its name, and nothing of it is left.

use std::fs;

use agent_model::status::{
    AgentStatus,
    ResourceState::{Failed, Pending, Ready},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    agent::Agent,
    document::job,
    eventually::eventually,
    site::{Access, Site},
};

use super::{allowing, open_folder};
use crate::{
    crash_walk::{Round, Walker, place, walk},
    status_words::{accepted, converged_at, stands},
};

/// So many devices.
const DEVICES: usize = 6;

const ROUND: Round<'static> =
    &[("run", 25), ("run that takes too long", 25), ("stop and run", 25), ("stop and removal", 25)];

/// What a device's jobs tell, a line each: `begun` or `ended` and what run it is.
struct Told(TempDir);

impl Told {
    fn script(&self, script: &str) -> String {
        let folder = self.0.path().display();
        format!("told() {{ echo \"$1 $RUN\" >> {folder}/told; }}\n{script}")
    }

    /// Ends at once.
    fn short(&self) -> String {
        self.script("told begun")
    }

    /// Ends when it is killed.
    fn stubborn(&self) -> String {
        self.script("trap '' TERM; told begun; sleep infinity")
    }

    /// Ends when it is asked to, and tells if another one runs.
    fn long(&self) -> String {
        let lock = self.0.path().join("lock");
        let lock = lock.display();
        self.script(&format!(
            "trap 'rmdir {lock}; told ended; exit 0' TERM; mkdir {lock} || told beside; told begun; sleep infinity & wait"
        ))
    }

    fn job(&self, name: &str, script: &str, run: &str) -> Value {
        let mut job = job(name, script);
        job["spec"]["env"] = json!({"RUN": run});
        job["spec"]["writablePaths"] = json!([self.0.path()]);
        job["spec"]["timeout"] = json!(if name == "stubborn" { "1s" } else { "1h" });
        job
    }

    fn count(&self, what: &str, run: &str) -> usize {
        let told = fs::read_to_string(self.0.path().join("told")).unwrap_or_default();
        told.lines().filter(|line| *line == format!("{what} {run}")).count()
    }

    /// Has the long job run, and waits until it does.
    async fn run_long(&self, walker: &mut Walker<'_>, run: &str) {
        let long = self.job("long", &self.long(), run);
        walker.change(&[long], None, |generation| comes_to(generation, "long", Pending, "Running")).await;
        eventually("it has begun", async || match self.count("begun", run) {
            0 => Err("not yet".to_owned()),
            _ => Ok(()),
        })
        .await;
    }
}

/// Whether a job stands like this. Where the agent was ended between noting its start and starting it, nobody can know
/// whether it ran, and it stays so.
fn comes_to(
    generation: u64,
    name: &'static str,
    state: agent_model::status::ResourceState,
    reason: &'static str,
) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        accepted(status) == Some(generation)
            && (stands(name, state, reason)(status) || stands(name, Failed, "Interrupted")(status))
    }
}

#[tokio::test]
async fn a_job_runs_once_at_most_and_ends_though_the_power_of_the_agent_is_cut_at_every_step() {
    let site = Site::start(Access::Open).await;
    let devices = (0..DEVICES).map(|number| {
        let told = Told(open_folder());
        let jobs = [told.short(), told.stubborn(), told.long()].map(|script| job("any", &script));
        let device = Agent::new(&format!("edge-{number}"), &site.server.url());
        (Walker::new(allowing(device, &jobs.each_ref()), &site.platform), told, 0)
    });
    walk(ROUND, devices.collect(), async |(walker, told, runs), change, passed| {
        *runs += 1;
        let run = runs.to_string();
        let was_killed = match change {
            0 => {
                let short = told.job("short", &told.short(), &run);
                let (was_killed, status) = walker
                    .change(&[short], passed, |generation| comes_to(generation, "short", Ready, "Succeeded"))
                    .await;
                let succeeded = stands("short", Ready, "Succeeded")(&status);
                assert!(!succeeded || told.count("begun", &run) == 1, "said to have run {}", place(passed));
                was_killed
            }
            1 => {
                let stubborn = told.job("stubborn", &told.stubborn(), &run);
                let end = |generation| comes_to(generation, "stubborn", Failed, "TimedOut");
                walker.change(&[stubborn], passed, end).await.0
            }
            2 => {
                let before = format!("before {run}");
                told.run_long(walker, &before).await;
                let long = told.job("long", &told.long(), &run);
                let end = |generation| comes_to(generation, "long", Pending, "Running");
                let was_killed = walker.change(&[long], passed, end).await.0;
                let counted = (told.count("begun", &before), told.count("ended", &before));
                assert_eq!(counted, (1, 1), "{}\n{}", place(passed), walker.device.log());
                was_killed
            }
            _ => {
                // What the change before was to start may have been interrupted.
                told.run_long(walker, &run).await;
                let was_killed = walker.change(&[], passed, converged_at).await.0;
                let counted = (told.count("begun", &run), told.count("ended", &run));
                assert_eq!(counted, (1, 1), "{}\n{}", place(passed), walker.device.log());
                was_killed
            }
        };
        let about = format!("{}, {}\n{}", ROUND[change].0, place(passed), walker.device.log());
        assert!(told.count("begun", &run) <= 1, "it ran more than once: {about}");
        assert_eq!(told.count("beside", &run), 0, "it ran beside another one: {about}");
        if change != 2 {
            assert_eq!(walker.device.workloads(), [], "something is left: {about}");
        }
        was_killed
    })
    .await;
}
