//! Any of what workloads have in common, for property tests.

use std::time::Duration;

use proptest::{collection, option, prelude::*, sample};

use super::{Environment, HttpScheme, Limits, LogBounds, Probe, ProbeAction, Probes};
use crate::Principal;

pub(crate) fn command() -> impl Strategy<Value = Vec<String>> {
    ("[^\0]{1,12}", collection::vec("[^\0]{0,12}", 0..4))
        .prop_map(|(program, arguments)| [vec![program], arguments].concat())
}

pub(crate) fn principal() -> impl Strategy<Value = Option<Principal>> {
    let name = "[a-z_][a-z0-9_-]{0,30}".prop_map(Principal::Name);
    option::of(prop_oneof![(0..u32::MAX).prop_map(Principal::Id), name])
}

/// From `from` to `to`, both of them often.
pub(crate) fn millis(from: u64, to: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(from),
        Just(to),
        from..=to,
        (from / 1000..=to / 1000).prop_map(move |it| (it * 1000).max(from))
    ]
    .prop_map(Duration::from_millis)
}

fn probe() -> impl Strategy<Value = Probe> {
    let port = prop_oneof![Just(1), Just(u16::MAX), 1..=u16::MAX];
    let action = prop_oneof![
        command().prop_map(|command| ProbeAction::Exec { command }),
        (port.clone(), "/[!-~]{0,12}", sample::select(HttpScheme::ALL.to_vec()))
            .prop_map(|(port, path, scheme)| ProbeAction::Http { port, path, scheme }),
        port.prop_map(|port| ProbeAction::Tcp { port }),
    ];
    let threshold = prop_oneof![Just(Probe::DEFAULT_FAILURE_THRESHOLD), 1..=1000_u32];
    (action, millis(100, 3_600_000), millis(100, 600_000), threshold, millis(0, 86_400_000)).prop_map(
        |(action, interval, timeout, failure_threshold, start_period)| Probe {
            action,
            interval,
            timeout,
            failure_threshold,
            start_period,
        },
    )
}

pub(crate) fn env() -> impl Strategy<Value = Environment> {
    collection::btree_map("[^\0=]{1,8}", "[^\0]{0,8}", 0..4).prop_map(|variables| {
        let mut env = Environment::default();
        variables.iter().for_each(|(name, value)| env.set(name, value).unwrap());
        env
    })
}

pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    (
        option::of((1_u64 << 20)..=1 << 60),
        option::of(10..=8_192_000_u64),
        option::of(1..=1_u64 << 22),
        option::of(16..=1_u64 << 30),
    )
        .prop_map(|(memory, cpu_millis, pids, open_files)| Limits {
            memory,
            cpu_millis,
            pids,
            open_files,
        })
}

pub(crate) fn probes() -> impl Strategy<Value = Probes> {
    (option::of(probe()), option::of(probe()), option::of(probe()))
        .prop_map(|(startup, readiness, liveness)| Probes { startup, readiness, liveness })
}

pub(crate) fn log() -> impl Strategy<Value = LogBounds> {
    prop_oneof![
        Just(LogBounds::default()),
        ((4_u64 << 10)..=1 << 30, 0..=100_u32).prop_map(|(max_size, keep)| LogBounds { max_size, keep }),
    ]
}
