//! A fleet under random faults, looked at from outside.

use std::{
    env,
    time::{Duration, Instant},
};

use tests::schedule::{self, Seed, Servers};

/// The seed of a run that is to be run again: see CONTRIBUTING.md.
const SEED: &str = "HARMONY_SEED";
/// How long to go on with new seeds.
const MINUTES: &str = "SOAK_MINUTES";
/// Steps of a schedule that is run with all other tests …
const SHORT: usize = 60;
/// … of one that is on a cluster, which takes its time to agree on a leader …
const SHORT_ON_A_CLUSTER: usize = 30;
/// … and of one that is run for the sake of what shows only now and then.
const LONG: usize = 300;

/// The seed of the run that was asked for.
fn asked_for() -> Option<Seed> {
    env::var(SEED).ok().map(|seed| seed.parse().unwrap())
}

/// Runs the schedule that was asked for if that is for such servers, or a new one if none was.
async fn run_short(servers: Servers, steps: usize) {
    match asked_for() {
        Some(seed) if seed.servers == servers => run(seed).await,
        Some(seed) => println!("{seed} is for other servers"),
        None => run(Seed::fresh(servers, steps)).await,
    }
}

async fn run(seed: Seed) {
    println!("{SEED}={seed}");
    println!("{seed}: {}", schedule::run(seed).await);
}

#[tokio::test]
async fn a_fleet_under_random_faults_loses_nothing_and_tells_the_truth() {
    run_short(Servers::One, SHORT).await;
}

#[tokio::test]
async fn a_fleet_of_a_cluster_under_random_faults_loses_nothing_and_tells_the_truth() {
    run_short(Servers::Cluster, SHORT_ON_A_CLUSTER).await;
}

#[tokio::test]
#[ignore = "takes as long as it is told to: make soak"]
async fn a_fleet_under_random_faults_for_as_long_as_it_is_asked_for() {
    let minutes: u64 = env::var(MINUTES).expect("SOAK_MINUTES is set").parse().unwrap();
    let (start, length) = (Instant::now(), Duration::from_secs(60 * minutes));
    let mut runs: u32 = 0;
    while start.elapsed() < length {
        // One that is asked for is run again and again: what it does is the same, its timing is not.
        run(asked_for().unwrap_or_else(|| Seed::fresh(servers_of(runs), LONG))).await;
        runs += 1;
    }
    println!("{runs} schedules in {} minutes", start.elapsed().as_secs() / 60);
}

/// Every other run is on a cluster.
fn servers_of(run: u32) -> Servers {
    if run.is_multiple_of(2) { Servers::One } else { Servers::Cluster }
}
