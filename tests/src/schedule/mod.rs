//! Random schedules of faults: from a seed comes a list of things to do, and a fleet to which they are done.
//!
//! ```text
//! Seed ─▶ Schedule (plain data) ─▶ Field: servers, cables, agents ─▶ healed, at rest
//!                                     │ looked at by
//!                                     ▼
//!                                   eyes ─▶ Coordinator ─▶ Verdict
//! ```
//!
//! The same seed gives the same schedule. What becomes of it differs from run to run, as the machine does.

mod action;
mod drawing;
mod eyes;
mod field;
mod paper;
mod scene;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

pub use self::{
    action::{Action, Cable, Loss, Member, Server},
    paper::Paper,
};
use self::{drawing::Drawing, field::Field};

/// How many devices there are. The first holds a process, the others can be cloned.
const DEVICES: usize = 4;

/// So many at most, between one rest and the next.
const STEPS_OF_A_ROUND: usize = 30;

/// How long nobody may ask for anything when a round is over, and when all is: whoever asks for something every half
/// minute shows only then.
const QUIET: Duration = Duration::from_secs(10);
const QUIET_IN_THE_END: Duration = Duration::from_secs(35);

/// What a fleet is served by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Servers {
    /// One server.
    One,
    /// A cluster of three, which holds each stream three times.
    Cluster,
}

impl Servers {
    /// What the seeds of its schedules end with.
    fn suffix(self) -> &'static str {
        match self {
            Self::One => "",
            Self::Cluster => "-cluster",
        }
    }
}

/// What a schedule is drawn from. Written as `NUMBER-STEPS`, or `NUMBER-STEPS-cluster`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// What the schedule is for.
    pub servers: Servers,
    /// Of the random numbers.
    pub number: u64,
    /// How many things are done. A longer schedule begins as a shorter one of the same number.
    pub steps: usize,
}

impl Seed {
    /// A seed that nobody had before.
    pub fn fresh(servers: Servers, steps: usize) -> Self {
        // Short enough to be copied from a screen.
        Self { servers, number: u64::from(rand::random::<u32>()), steps }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}{}", self.number, self.steps, self.servers.suffix())
    }
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (plain, servers) = match text.strip_suffix(Servers::Cluster.suffix()) {
            Some(plain) => (plain, Servers::Cluster),
            None => (text, Servers::One),
        };
        let parsed = plain.split_once('-').and_then(|(number, steps)| {
            Some(Self { servers, number: number.parse().ok()?, steps: steps.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            format!("{text:?} is no seed: copy it from the run that printed it, like 123456-60")
        })
    }
}

/// One step: a pause, and then something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long nothing is done before.
    pub after: Duration,
    /// What is done.
    pub action: Action,
}

/// Steps, after which all is healed and has to come to rest: what was lost must show before something newer
/// takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// One after the other.
    pub steps: Vec<Step>,
    /// Written at the end to those that have a clone then, so that the two meet.
    pub to_cloned: BTreeMap<usize, Paper>,
}

/// All that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Whether members of the cluster are cut off from each other. Hints can be lost by that though no
    /// connection of a device is, so the devices are set up for it as ADR-023 asks.
    pub parts_members: bool,
    /// One after the other.
    pub rounds: Vec<Round>,
    /// Written to all when they have come to rest, to see whether they still follow.
    pub last: Vec<Paper>,
}

impl Schedule {
    /// The schedule of that seed.
    pub fn draw(seed: Seed) -> Self {
        let mut drawing = Drawing::new(seed.servers, seed.number);
        let mut left = seed.steps;
        let mut rounds = Vec::new();
        while left > 0 {
            let count = left.min(STEPS_OF_A_ROUND);
            let steps = (0..count).map(|_| drawing.step()).collect();
            rounds.push(Round { steps, to_cloned: drawing.heal() });
            left -= count;
        }
        Self { parts_members: drawing.parts_members(), rounds, last: drawing.paper_for_each() }
    }
}

/// Runs the schedule of that seed on a fleet of its own, and tells how much was seen.
///
/// # Panics
/// When the fleet is found guilty, with the seed, what was done, and the evidence.
pub async fn run(seed: Seed) -> String {
    let schedule = Schedule::draw(seed);
    let mut field = Field::start(seed, schedule.parts_members).await;
    for round in &schedule.rounds {
        for step in &round.steps {
            tokio::time::sleep(step.after).await;
            field.carry_out(&step.action).await;
            field.assert_not_guilty();
        }
        field.heal(&round.to_cloned).await;
        field.comes_to_rest().await;
        field.is_quiet_for(QUIET).await;
    }
    let before_the_last = field.write_to_all(&schedule.last).await;
    field.comes_to_rest().await;
    field.is_quiet_for(QUIET_IN_THE_END).await;
    field.assert_all_was_seen(before_the_last);
    field.summary()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reads_back_as_it_is_printed_and_gives_the_same_schedule() {
        for servers in [Servers::One, Servers::Cluster] {
            let seed = Seed { servers, number: 7, steps: 200 };
            assert_eq!(seed.to_string().parse(), Ok(seed));
            assert_eq!(Schedule::draw(seed), Schedule::draw(seed));
            assert_ne!(Schedule::draw(seed).rounds, Schedule::draw(Seed { number: 8, ..seed }).rounds);
        }
        for none in ["7", "7-cluster", "7-200-", "7-200-one"] {
            assert!(none.parse::<Seed>().is_err(), "{none}");
        }
    }

    #[test]
    fn a_longer_schedule_begins_as_a_shorter_one() {
        for servers in [Servers::One, Servers::Cluster] {
            let [short, long] =
                [60, 90].map(|steps| Schedule::draw(Seed { servers, number: 7, steps }).rounds);
            assert_eq!(short, long[..2]);
        }
    }
}
