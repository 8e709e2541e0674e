//! The figures in words: tables for the terminal, and `RESULTS.md` around them.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use crate::{
    convergence::{CONTENT_LEN, Convergence, PACE},
    crowd::{self, Crowd},
    endurance::{self, Endurance, Growth},
    idle::{DURATION, Idle, PROCESSES},
    machine::Machine,
    noop_pass::{FILES, FOLDERS, NoopPass},
    samples::{Comparison, Samples},
    traffic::{Traffic, WINDOW},
};

/// The most that convergence and a pass without changes should cost, in floors.
pub(crate) const RATIO_AIM: f64 = 2.0;
/// The most memory an idle agent should take (PSS).
const PSS_AIM_MIB: f64 = 8.0;
/// The most memory that a shim should take (PSS).
const SHIM_PSS_AIM_MIB: f64 = 0.5;
/// The most that should cross its wire in an idle month, in millions of bytes.
const TRAFFIC_AIM_MB: f64 = 10.0;
/// The most of a core it should take, in percent.
const CPU_AIM_PERCENT: f64 = 0.1;

/// The most that an agent should grow by what it goes through, which is what one and the same agent differs
/// by from one moment to the next.
const GROWTH_AIM_MIB: f64 = 0.25;

/// All that a run found.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) convergence: Vec<Convergence>,
    pub(crate) noop_pass: NoopPass,
    pub(crate) idle: Idle,
    pub(crate) traffic: Traffic,
    pub(crate) endurance: Endurance,
    pub(crate) crowds: Vec<Crowd>,
}

impl Report {
    /// Every figure that has an aim.
    pub(crate) fn tables(&self) -> String {
        let mut ratios = vec![ratio_head()];
        ratios.extend(self.convergence.iter().map(convergence_ratio));
        ratios.push(noop_pass_ratio(&self.noop_pass));

        let pss = self.idle.pss_kib as f64 / 1024.0;
        let cpu = self.idle.percent_of_a_core();
        let shim_pss = self.idle.shim_pss_kib as f64 / 1024.0;
        let bounds = vec![
            ["idle, with three processes", "measured", "aim", ""].map(str::to_owned),
            bound("agent: memory (PSS)", "MiB", pss, PSS_AIM_MIB),
            bound("agent: processor", "% of a core", cpu, CPU_AIM_PERCENT),
            bound("largest shim: memory (PSS)", "MiB", shim_pss, SHIM_PSS_AIM_MIB),
        ];
        let Endurance { documents, touches, .. } = &self.endurance;
        let growth = vec![
            ["agent: growth of memory (PSS)", "measured", "aim", ""].map(str::to_owned),
            grown(format!("by {} documents", endurance::DOCUMENTS), documents),
            grown(format!("by {} touches of its files", endurance::TOUCHES), touches),
        ];
        let tables = [
            table(&ratios),
            table(&bounds),
            traffic(&self.traffic),
            table(&growth),
            crowd::summary(&self.crowds),
        ];
        tables.join("\n")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { machine, convergence, noop_pass, idle, traffic, endurance, crowds } = self;
        let first = &convergence[0];
        writeln!(
            f,
            "# Results\n\n\
             Written by `make bench`. Compare ratios only: the floor is measured in turns with the agent, in the \
             same run.\n\n\
             {}\n\
             - Taken: {} at {}\n\
             - Machine: {} cores, {:.0} GiB, Linux {}, temporary files on {}\n\
             - Versions: agent {}, nats-server {}, {}; release build\n\n\
             ## What is measured\n",
            self.tables(),
            machine.time,
            machine.commit,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            machine.file_system,
            first.agent_version,
            first.server_version,
            machine.rustc,
        )?;
        writeln!(
            f,
            "**put -> `Converged`**, {} samples of each: from writing a document with one file of {} bytes, \
             another content each time, to seeing in a watch of all statuses that this generation is applied and \
             the phase `Converged`. Floor: a bare loop that takes the same steps (hint, Direct Get, three files \
             replaced and synced with their folders: {} bytes for the intent, the file, {} bytes for the record; \
             then a status of {} bytes by compare-and-swap), seen in the same watch. A round begins at \
             most every {} ms, because the agent writes its status at most four times a second, which is not what \
             is measured here.\n",
            first.comparison.subject.count(),
            CONTENT_LEN,
            first.ledger_len,
            first.ledger_len,
            first.status_len,
            PACE.as_millis(),
        )?;
        writeln!(
            f,
            "**Pass without changes**, {} samples of each: `Executor::prepare` and `Pass::run` over {FILES} files \
             in {FOLDERS} folders, all as declared and long unchanged. Floor: `stat` of the same paths. Where the \
             agent's time goes, by medians:\n\n{}",
            noop_pass.comparison.subject.count(),
            phases(noop_pass),
        )?;
        writeln!(
            f,
            "**Idle**: a connected agent with one converged file, {} processes that sleep, and default intervals, \
             over {} s, in which it used {} ticks of {} ms. PSS counts what several programs share by its \
             part: the more shims there are, the less each takes.\n",
            PROCESSES.len(),
            DURATION.as_secs(),
            idle.ticks,
            1000 / idle.ticks_per_second,
        )?;
        writeln!(
            f,
            "**Control traffic**: IP packets in both directions, counted on a veth pair between the agent's network \
             namespace and the server, over TLS, with a document of {} bytes that stays converged and a status of \
             {} bytes. Each piece is the average of many in a row and is multiplied by how often it occurs in 30 \
             days with the default intervals. {}\n",
            traffic.document_len,
            traffic.status_len,
            traffic_check(traffic),
        )?;
        writeln!(
            f,
            "**Growth of memory**: an agent with {} files gets {} documents, of which it reads the last of each burst: \
             it put {} in force. Then its files are touched {} times, so that they are not as declared: it repaired \
             {} and looked again and again. Growth is from after a tenth of each kind of work, by when everything has \
             happened that happens once, to its end. In KiB after each tenth: documents {}; touches {}.\n",
            endurance::FILES,
            endurance::DOCUMENTS,
            endurance.applied,
            endurance::TOUCHES,
            endurance.repairs,
            endurance.documents,
            endurance.touches,
        )?;
        f.write_str(&crowd::words(crowds))
    }
}

/// The pass without changes alone, with where its time goes.
pub(crate) fn noop_pass(noop_pass: &NoopPass) -> String {
    format!("{}\n{}", table(&[ratio_head(), noop_pass_ratio(noop_pass)]), phases(noop_pass))
}

/// How long it takes to converge.
pub(crate) fn convergence(convergence: &[Convergence]) -> String {
    let rows: Vec<_> = [ratio_head()].into_iter().chain(convergence.iter().map(convergence_ratio)).collect();
    table(&rows)
}

fn convergence_ratio(convergence: &Convergence) -> [String; 8] {
    let what = format!("put -> `Converged`, sync_interval {}", convergence.sync.as_str());
    ratio(what, &convergence.comparison)
}

/// What crosses the wire in a month.
pub(crate) fn traffic(traffic: &Traffic) -> String {
    let mut rows = vec![["idle month on the wire", "bytes", "times", "MB", "aim", ""].map(str::to_owned)];
    rows.extend(traffic.pieces.iter().map(|piece| {
        let megabytes = format!("{:.2} MB", piece.bytes_a_month() / 1e6);
        let (bytes, times) = (format!("{:.0}", piece.bytes), piece.per_month.to_string());
        [piece.what.to_owned(), bytes, times, megabytes, String::new(), String::new()]
    }));
    let sum = traffic.megabytes_a_month();
    let aim = format!("<= {TRAFFIC_AIM_MB} MB");
    rows.push(
        ["all", "", "", &format!("{sum:.2} MB"), &aim, &verdict(sum, TRAFFIC_AIM_MB)].map(str::to_owned),
    );
    table(&rows)
}

/// Whether the pieces add up.
pub(crate) fn traffic_check(traffic: &Traffic) -> String {
    let (measured, expected) = (traffic.window_bytes, traffic.expected_in_window());
    format!(
        "To see whether the pieces add up: in {} s with those intervals {measured} bytes crossed the wire; the \
         pieces that occur in that time come to {expected:.0} on average.",
        WINDOW.as_secs(),
    )
}

fn ratio_head() -> [String; 8] {
    ["", "floor p50", "p99", "agent p50", "p99", "ratio", "aim", ""].map(str::to_owned)
}

fn noop_pass_ratio(noop_pass: &NoopPass) -> [String; 8] {
    ratio(format!("pass without changes, {FILES} files"), &noop_pass.comparison)
}

fn ratio(what: String, comparison: &Comparison) -> [String; 8] {
    let Comparison { floor, subject } = comparison;
    let ratio = comparison.ratio();
    [
        what,
        time(floor.percentile(50)),
        time(floor.percentile(99)),
        time(subject.percentile(50)),
        time(subject.percentile(99)),
        format!("{ratio:.2}"),
        format!("<= {RATIO_AIM}"),
        verdict(ratio, RATIO_AIM),
    ]
}

fn phases(noop_pass: &NoopPass) -> String {
    let NoopPass { comparison: _, prepare, observe, plan, run } = noop_pass;
    let median = |samples: &Samples| samples.percentile(50);
    let parts = median(observe) + median(plan);
    let row = |what: &str, took| [what.to_owned(), time(took)];
    table(&[
        ["phase", "p50"].map(str::to_owned),
        row("prepare", median(prepare)),
        row("- of it the reconciler's `observe`: the files themselves", median(observe)),
        row("- of it the reconciler's `plan`", median(plan)),
        row("- the rest: what the executor does around these", median(prepare).saturating_sub(parts)),
        row("run", median(run)),
    ])
}

fn bound(what: &str, unit: &str, measured: f64, aim: f64) -> [String; 4] {
    [what.to_owned(), format!("{measured:.2} {unit}"), format!("<= {aim} {unit}"), verdict(measured, aim)]
}

fn grown(what: String, growth: &Growth) -> [String; 4] {
    bound(&what, "MiB", growth.kib() as f64 / 1024.0, GROWTH_AIM_MIB)
}

pub(crate) fn verdict(measured: f64, aim: f64) -> String {
    (if measured <= aim { "met" } else { "missed" }).to_owned()
}

fn time(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// A Markdown table that can be read as it is; the first row is its head.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3)
    });
    let line = |cells: [String; N]| format!("| {} |\n", cells.join(" | "));
    let padded = |row: &[String; N]| line(std::array::from_fn(|i| format!("{:1$}", row[i], widths[i])));
    let rule = line(widths.map(|width| "-".repeat(width)));
    rows.iter().enumerate().map(|(i, row)| padded(row) + if i == 0 { &rule } else { "" }).collect()
}
