//! A fleet under random faults, looked at from outside.

use std::{
    env,
    time::{Duration, Instant},
};

use tests::schedule::{self, Seed};

/// The seed of a run that is to be run again: see CONTRIBUTING.md.
const SEED: &str = "HARMONY_SEED";
/// How long to go on with new seeds.
const MINUTES: &str = "SOAK_MINUTES";
/// Steps of a schedule that is run with all other tests …
const SHORT: usize = 60;
/// … and of one that is run for the sake of what shows only now and then.
const LONG: usize = 300;

/// The seed that was asked for, or a new one.
fn seed(steps: usize) -> Seed {
    match env::var(SEED) {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => Seed::fresh(steps),
    }
}

async fn run(seed: Seed) {
    println!("{SEED}={seed}");
    println!("{seed}: {}", schedule::run(seed).await);
}

#[tokio::test]
async fn a_fleet_under_random_faults_loses_nothing_and_tells_the_truth() {
    run(seed(SHORT)).await;
}

#[tokio::test]
#[ignore = "takes as long as it is told to: make soak"]
async fn a_fleet_under_random_faults_for_as_long_as_it_is_asked_for() {
    let minutes: u64 = env::var(MINUTES).expect("SOAK_MINUTES is set").parse().unwrap();
    let (start, length) = (Instant::now(), Duration::from_secs(60 * minutes));
    let mut runs = 0;
    while start.elapsed() < length {
        run(Seed::fresh(LONG)).await;
        runs += 1;
    }
    println!("{runs} schedules in {} minutes", start.elapsed().as_secs() / 60);
}
