//! A crowd's figures in words.

use std::{fmt::Write as _, time::Duration};

use super::{
    Crowd, StateOn,
    course::{IDLE, Phase},
    workers::WORKERS,
};
use crate::{
    samples::Samples,
    table::{RATIO_AIM, table, verdict},
};

/// Every figure that has an aim.
pub(crate) fn summary(crowds: &[Crowd]) -> String {
    let head =
        ["", "floor p50", "p99", "all", "agents p50", "p99", "all", "ratio", "aim", ""].map(str::to_owned);
    let mut ratios = vec![head];
    for crowd in crowds {
        for ((what, floor), (_, agents)) in crowd.floor.seen().zip(crowd.agents.seen()) {
            let ratio = worst_ratio(floor, agents);
            ratios.push([
                format!("{}: {what}", crowd.name()),
                seconds(floor.percentile(50)),
                seconds(floor.percentile(99)),
                seconds(floor.percentile(100)),
                seconds(agents.percentile(50)),
                seconds(agents.percentile(99)),
                seconds(agents.percentile(100)),
                format!("{ratio:.2}"),
                format!("<= {RATIO_AIM}"),
                verdict(ratio, RATIO_AIM),
            ]);
        }
    }
    let consumers = crowds.iter().map(|crowd| crowd.agents.consumers).max().unwrap_or(0);
    let bounds = [
        ["a crowd", "measured", "aim", ""].map(str::to_owned),
        [
            "consumers of all streams".to_owned(),
            consumers.to_string(),
            "0".to_owned(),
            verdict(consumers as f64, 0.0),
        ],
    ];
    format!("{}\n{}", table(&ratios), table(&bounds))
}

/// All figures, and what was measured.
pub(crate) fn words(crowds: &[Crowd]) -> String {
    let mut text = summary(crowds);
    let _ = write!(
        text,
        "\n**A crowd**: agents in {WORKERS} processes, each agent with a connection and folders of its own and the \
         default intervals, at one server. They are wired as the daemon is, but without inotify: a user may have 128 \
         instances, so none is given any, and changes by other hands would be found by the drift timer. Floor: as many \
         bare devices in as many processes, which send and receive the same messages and sync the same files as often; \
         only the claim of a status that is there already, which an agent may write before its first, they leave out. \
         Each of the two has a new server, and they take turns in this order:\n\n\
         - attach: from starting the processes, without documents, until the first status of each device is seen\n\
         - first converge: all are killed, the documents are written, the processes are started; until each is seen to \
         have converged\n\
         - one document to all: from the first of the writes, as fast as the server takes them, until each is seen to \
         have converged\n\
         - server killed, then one document to all: the server is killed and started again at once on its store, and as \
         soon as it answers the documents are written; from the kill until each is seen to have converged. How soon a \
         device returns is chance, by design: the pause before an attempt is drawn from a range that doubles up to a \
         minute, for the floor as well\n\n\
         All is seen in one watch of all statuses, made before each of these and ended after it. Consumers are counted \
         when it is gone. The ratio is the largest of those of p50, p99 and all. On `tmpfs` are the state folders and \
         files of the devices; the server's store is on the disk in every case. On `disk` all devices share the one \
         disk that they never would share.\n\n"
    );
    let _ = writeln!(
        text,
        "Where the time goes: processor time, and messages from and to the server's clients, per device.\n"
    );
    let _ = writeln!(text, "{}", shares(crowds));
    let _ = writeln!(
        text,
        "Memory per device: the server's resident set beyond what it was before, when all are attached and quiet; a worker's (PSS) at the end.\n"
    );
    let _ = writeln!(text, "{}", memory(crowds));
    for crowd in crowds {
        let name = crowd.name();
        for (who, course) in [("agents", &crowd.agents), ("floor", &crowd.floor)] {
            if let Some(idle) = &course.idle {
                let _ = writeln!(
                    text,
                    "Idle ({name}; {who}), over {} s: server {:.2} %, all devices together {:.2} % of a core.\n",
                    IDLE.as_secs(),
                    idle.server,
                    idle.workers
                );
            }
            if let Some(storm) = &course.storm {
                let _ = writeln!(
                    text,
                    "Server killed ({name}; {who}): it answered after {}, all were connected after {}, and none of the \
                     documents was lost. The server used {} of processor time since its start, and its resident set was \
                     at most {:.0} MiB, after {:.0} MiB before.\n",
                    seconds(storm.server_back),
                    seconds(storm.connected),
                    seconds(storm.server),
                    storm.server_peak_kib as f64 / 1024.0,
                    storm.server_before_kib as f64 / 1024.0,
                );
            }
        }
    }
    text
}

impl Crowd {
    fn name(&self) -> String {
        let state = match self.cell.state {
            StateOn::Disk => "disk",
            StateOn::Tmpfs => "tmpfs",
        };
        format!("{}, {state}, sync_interval {}", self.devices, self.cell.sync.as_str())
    }
}

fn worst_ratio(floor: &Samples, subject: &Samples) -> f64 {
    let ratio = |percent| subject.percentile(percent).as_secs_f64() / floor.percentile(percent).as_secs_f64();
    [50, 99, 100].map(ratio).into_iter().fold(0.0, f64::max)
}

fn shares(crowds: &[Crowd]) -> String {
    let mut rows = vec![
        ["", "floor: server", "devices", "in", "out", "agents: server", "devices", "in", "out"]
            .map(str::to_owned),
    ];
    for crowd in crowds {
        let devices = crowd.devices;
        for ((what, floor), (_, agents)) in crowd.floor.phases().into_iter().zip(crowd.agents.phases()) {
            let [a, b, c, d] = share(floor, devices);
            let [e, f, g, h] = share(agents, devices);
            rows.push([format!("{}: {what}", crowd.name()), a, b, c, d, e, f, g, h]);
        }
    }
    table(&rows)
}

fn share(phase: &Phase, devices: usize) -> [String; 4] {
    let micros = |time: Duration| format!("{:.0} µs", time.as_secs_f64() * 1e6 / devices as f64);
    let count = |messages: u64| format!("{:.1}", messages as f64 / devices as f64);
    let Phase { seen: _, server, workers, messages: (received, sent) } = phase;
    [micros(*server), micros(*workers), count(*received), count(*sent)]
}

fn memory(crowds: &[Crowd]) -> String {
    let mut rows = vec![["", "floor: server", "worker", "agents: server", "worker"].map(str::to_owned)];
    let kib = |kib: f64| format!("{kib:.1} KiB");
    rows.extend(crowds.iter().map(|crowd| {
        let Crowd { agents, floor, .. } = crowd;
        [
            crowd.name(),
            kib(floor.server_kib_per_device),
            kib(floor.worker_kib_per_device),
            kib(agents.server_kib_per_device),
            kib(agents.worker_kib_per_device),
        ]
    }));
    table(&rows)
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
