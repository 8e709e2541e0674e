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

/// Runs the schedule that was asked for if that is for such servers, or a new one if none was.
async fn run_short(servers: Servers, steps: usize) {
    match env::var(SEED).map(|seed| seed.parse::<Seed>().unwrap()) {
        Ok(seed) if seed.servers == servers => run(seed).await,
        Ok(seed) => println!("{seed} is for other servers"),
        Err(_) => run(Seed::fresh(servers, steps)).await,
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
    let mut runs = 0;
    while start.elapsed() < length {
        let servers = if runs % 2 == 0 { Servers::One } else { Servers::Cluster };
        run(Seed::fresh(servers, LONG)).await;
        runs += 1;
    }
    println!("{runs} schedules in {} minutes, every other one on a cluster", start.elapsed().as_secs() / 60);
}
