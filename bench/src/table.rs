//! Figures beside their aims, in tables of Markdown.

use std::time::Duration;

use crate::samples::Comparison;

/// The most that anything should cost, in floors.
pub(crate) const RATIO_AIM: f64 = 2.0;

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

/// What was measured in turns with its floor.
pub(crate) fn ratios<'a>(rows: impl IntoIterator<Item = (String, &'a Comparison)>) -> String {
    let head = ["", "floor p50", "p99", "agent p50", "p99", "ratio", "aim", ""].map(str::to_owned);
    let rows = rows.into_iter().map(|(what, comparison)| ratio(what, comparison));
    table(&[head].into_iter().chain(rows).collect::<Vec<_>>())
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

/// What has a bound.
pub(crate) fn bounds(head: &str, rows: impl IntoIterator<Item = [String; 4]>) -> String {
    let head = [head, "measured", "aim", ""].map(str::to_owned);
    table(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

/// A row of those.
pub(crate) fn bound(what: &str, unit: &str, measured: f64, aim: f64) -> [String; 4] {
    [what.to_owned(), format!("{measured:.2} {unit}"), format!("<= {aim} {unit}"), verdict(measured, aim)]
}

pub(crate) fn verdict(measured: f64, aim: f64) -> String {
    (if measured <= aim { "met" } else { "missed" }).to_owned()
}

pub(crate) fn time(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}
