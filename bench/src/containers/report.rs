//! The figures of containers in words.

use std::time::Duration;

use super::{Containers, IDLE, Starting, starting::COMMAND};
use crate::{
    report::{CPU_AIM_PERCENT, PSS_AIM_MIB},
    samples::Samples,
    table::{bound, bounds, ratios, table, time},
};

/// All figures, and what was measured.
pub(crate) fn words(containers: &Containers) -> String {
    let Containers { runtime, starting, idle } = containers;
    let bounds = bounds(
        &format!("idle, with {IDLE} containers"),
        [
            bound("agent: memory (PSS)", "MiB", idle.pss_mib(), PSS_AIM_MIB),
            bound("agent: processor", "% of a core", idle.percent_of_a_core(), CPU_AIM_PERCENT),
        ],
    );
    format!(
        "{}\n{bounds}\n\
         **put -> `Ready` of a container**, {} samples of each, with {runtime}: from writing a document with one \
         container (`{}`, in the runtime's own network, from an image that is there, with a readiness probe that \
         connects to its port) to seeing in a watch of all statuses that this generation is applied and it is `Ready`. \
         Floor: the same container created and started over the same socket; whether it answers is not waited for. \
         Each is removed before the next. Where the time goes, by medians:\n\n{}\n\
         **Idle**: a connected agent with {IDLE} containers that sleep, without probes, and default intervals, with signs of life and a \
         pass that nobody woke, {}. {}.",
        ratios([("put -> `Ready`, against create and start".to_owned(), &starting.all)]),
        starting.all.subject.count(),
        COMMAND.join(" "),
        phases(starting),
        idle.in_ticks(),
        idle.anonymous(),
    )
}

fn phases(starting: &Starting) -> String {
    let Starting { all, create, start } = starting;
    let median = |samples: &Samples| samples.percentile(50);
    let row = |what: &str, floor: Option<Duration>, agent: Duration| {
        [what.to_owned(), floor.map(time).unwrap_or_default(), time(agent)]
    };
    let waited = median(&create.subject) + median(&start.subject);
    table(&[
        ["", "floor", "agent"].map(str::to_owned),
        row("create", Some(median(&create.floor)), median(&create.subject)),
        row(
            "start; the agent's with a look at what runs",
            Some(median(&start.floor)),
            median(&start.subject),
        ),
        row(
            "the rest: document, ledger, passes, probe, status",
            None,
            median(&all.subject).saturating_sub(waited),
        ),
    ])
}
