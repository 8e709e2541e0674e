//! The figures in words: what was found, and below it what was measured.

use crate::{
    convergence::{CONTENT_LEN, Convergence, PACE},
    endurance::{self, Endurance, Series},
    idle::{Idle, PROCESSES},
    noop_pass::{FILES, FOLDERS, NoopPass},
    samples::Samples,
    table::{bound, bounds, ratios, table, time, verdict},
    traffic::{Traffic, WINDOW},
};

/// The most memory an idle agent should take (PSS).
pub(crate) const PSS_AIM_MIB: f64 = 8.0;
/// The most memory that a shim should take (PSS).
const SHIM_PSS_AIM_MIB: f64 = 0.5;
/// The most that should cross its wire in an idle month, in millions of bytes.
const TRAFFIC_AIM_MB: f64 = 10.0;
/// The most of a core it should take, in percent.
pub(crate) const CPU_AIM_PERCENT: f64 = 0.1;

/// The most that an agent should grow by what it goes through, which is what one and the same agent differs
/// by from one moment to the next.
const GROWTH_AIM_MIB: f64 = 0.25;

/// How long it takes to converge.
pub(crate) fn convergence(convergence: &[Convergence]) -> String {
    let first = &convergence[0];
    let rows = convergence.iter().map(|measured| {
        (format!("put -> `Converged`, sync_interval {}", measured.sync.as_str()), &measured.comparison)
    });
    format!(
        "{}\n\
         **put -> `Converged`**, {} samples of each: from writing a document with one file of {CONTENT_LEN} bytes, \
         another content each time, to seeing in a watch of all statuses that this generation is applied and \
         the phase `Converged`. Floor: a bare loop that takes the same steps (hint, Direct Get, three files \
         replaced and synced with their folders: {} bytes for the intent, the file, {} bytes for the record; \
         then a status of {} bytes by compare-and-swap), seen in the same watch. A round begins at \
         most every {} ms, because the agent writes its status at most four times a second, which is not what \
         is measured here.",
        ratios(rows),
        first.comparison.subject.count(),
        first.ledger_len,
        first.ledger_len,
        first.status_len,
        PACE.as_millis(),
    )
}

/// The pass without changes, with where its time goes.
pub(crate) fn noop_pass(noop_pass: &NoopPass) -> String {
    let NoopPass { comparison, prepare, observe, plan, run } = noop_pass;
    let median = |samples: &Samples| samples.percentile(50);
    let parts = median(observe) + median(plan);
    let row = |what: &str, took| [what.to_owned(), time(took)];
    let phases = table(&[
        ["phase", "p50"].map(str::to_owned),
        row("prepare", median(prepare)),
        row("- of it the reconciler's `observe`: the files themselves", median(observe)),
        row("- of it the reconciler's `plan`", median(plan)),
        row("- the rest: what the executor does around these", median(prepare).saturating_sub(parts)),
        row("run", median(run)),
    ]);
    format!(
        "{}\n\
         **Pass without changes**, {} samples of each: `Executor::prepare` and `Pass::run` over {FILES} files \
         in {FOLDERS} folders, all as declared and long unchanged. Floor: `stat` of the same paths. Where the \
         agent's time goes, by medians:\n\n{phases}",
        ratios([(format!("pass without changes, {FILES} files"), comparison)]),
        comparison.subject.count(),
    )
}

/// What an idle agent takes.
pub(crate) fn idle(idle: &Idle) -> String {
    let shim_pss = idle.shim_pss_kib as f64 / 1024.0;
    let rows = bounds(
        "idle, with three processes",
        [
            bound("agent: memory (PSS)", "MiB", idle.agent.pss_mib(), PSS_AIM_MIB),
            bound("agent: processor", "% of a core", idle.agent.percent_of_a_core(), CPU_AIM_PERCENT),
            bound("largest shim: memory (PSS)", "MiB", shim_pss, SHIM_PSS_AIM_MIB),
        ],
    );
    format!(
        "{rows}\n\
         **Idle**: a connected agent with one converged file, {} processes that sleep, and default intervals, with signs of life and a pass that nobody woke, \
         {}. PSS counts what several programs share by its part: the more shims there are, the less each takes. {}.",
        PROCESSES.len(),
        idle.agent.in_ticks(),
        idle.agent.anonymous(),
    )
}

/// What crosses the wire in a month, and whether its pieces add up.
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
    format!(
        "{}\n\
         **Control traffic**: IP packets in both directions, counted on a veth pair between the agent's network \
         namespace and the server, over TLS, with a document of {} bytes that stays converged and a status of \
         {} bytes. Each piece is the average of many in a row and is multiplied by how often it occurs in 30 \
         days with the default intervals. To see whether the pieces add up: in {} s with those intervals {} bytes \
         crossed the wire; the pieces that occur in that time come to {:.0} on average.",
        table(&rows),
        traffic.document_len,
        traffic.status_len,
        WINDOW.as_secs(),
        traffic.window_bytes,
        traffic.expected_in_window(),
    )
}

/// Whether it grows.
pub(crate) fn endurance(endurance: &Endurance) -> String {
    let Endurance { process, device } = endurance;
    let grew = [
        (format!("agent: by {} documents", endurance::DOCUMENTS), &process.documents),
        (format!("agent: by {} touches of its files", endurance::TOUCHES), &process.touches),
        (format!("device: by {} documents in force", endurance::DOCUMENTS_IN_FORCE), &device.documents),
        (format!("device: by {} passes without changes", endurance::PASSES), &device.passes),
    ];
    let growths = grew.iter().flat_map(|(what, growth)| {
        [grown(what, &growth.all()), grown("- of it anonymous", &growth.anonymous())]
    });
    let head = ["KiB after each tenth", "all", "anonymous"].map(str::to_owned);
    let series = grew
        .iter()
        .map(|(what, growth)| [what.clone(), growth.all().to_string(), growth.anonymous().to_string()]);
    format!(
        "{}\n\
         **Agent**: a process as it ships, with {} files, gets {} documents, of which it reads the last of each burst: \
         it put {} in force. Then its files are touched {} times, so that they are not as declared: it repaired \
         {} and looked again and again. **Device**: all of the agent but its connection and its watches, with \
         the same files on a tmpfs. It puts {} documents in force one after the other, each with other content for one of \
         the files, and then makes {} passes that find nothing to do, with a status after each.\n\n\
         Growth is from after a tenth of each kind of work, by when everything has happened that happens once, to its end. \
         Anonymous is what is no page of a file as it lies on the disk: heap and stacks above all.\n\n{}",
        bounds("growth of memory (PSS)", growths),
        endurance::FILES,
        endurance::DOCUMENTS,
        process.applied,
        endurance::TOUCHES,
        process.repairs,
        endurance::DOCUMENTS_IN_FORCE,
        endurance::PASSES,
        table(&[head].into_iter().chain(series).collect::<Vec<_>>()),
    )
}

fn grown(what: &str, series: &Series) -> [String; 4] {
    bound(what, "MiB", series.growth_kib() as f64 / 1024.0, GROWTH_AIM_MIB)
}
