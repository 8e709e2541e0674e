//! Amounts as documents write them: sizes and processor time as in Kubernetes, lengths of time as
//! humantime reads them, and counts.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::Value;

use crate::reader::{Field, Findings, shown};

/// The units of a size with their bytes, in the order in which they are preferred.
const SIZE_UNITS: [(&str, u64); 13] = [
    ("Ei", 1 << 60),
    ("Pi", 1 << 50),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("E", 1_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

/// The units of processor time in thousandths of a processor.
const CPU_UNITS: [(&str, u64); 2] = [("", 1000), ("m", 1)];

/// The units of a length of time with their nanoseconds, the longest first.
const TIME_UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Most digits of a size or of processor time: with them no product leaves a `u128`.
const MAX_DIGITS: usize = 20;
/// Most digits of a length of time, all its parts together. Not even as many of humantime's longest unit,
/// the year, come near what a [`Duration`] holds, at the edge of which humantime panics.
const MAX_TIME_DIGITS: usize = 11;

/// A size in its shortest spelling: `64Mi`, `128M`, `1023`.
pub(crate) fn size_text(bytes: u64) -> String {
    let spellings = SIZE_UNITS.iter().filter(|(_, factor)| bytes.is_multiple_of(*factor));
    let spellings = spellings.map(|(unit, factor)| format!("{}{unit}", bytes / factor));
    spellings.min_by_key(String::len).unwrap_or_default()
}

/// Processor time, given in thousandths of a processor: `2`, `1500m`.
pub(crate) fn cpus_text(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// A length of time in the longest unit of which it is a whole number: `90s`, `10m`, `0s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match TIME_UNITS.iter().find(|(_, factor)| nanos != 0 && nanos.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", nanos / factor),
        None => "0s".to_owned(),
    }
}

/// A size in bytes, written as a Kubernetes quantity; `None` for what is none. As in Kubernetes, a part of
/// a byte takes a whole one.
pub fn parse_size(text: &str) -> Option<u64> {
    let Scaled { whole, is_exact } = scaled(text, &SIZE_UNITS)?;
    whole.checked_add(u64::from(!is_exact))
}

/// Reads a size in bytes: a Kubernetes quantity, or a number.
pub(crate) fn size(bounds: RangeInclusive<u64>) -> impl FnOnce(Field<'_>, &mut Findings) -> Option<u64> {
    |field: Field<'_>, findings: &mut Findings| read_size(field, bounds, findings)
}

fn read_size(field: Field<'_>, bounds: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
    let text = quantity(&field, "a size, for example \"64Mi\"", findings)?;
    match parse_size(&text) {
        Some(bytes) => within(bytes, bounds, size_text, &text, &field, findings),
        None => {
            let message = format!(
                "{:?} is not a size: use a number and one of Ki Mi Gi Ti k M G T, for example \"64Mi\"",
                shown(&text)
            );
            findings.problem(field.pointer, message);
            None
        }
    }
}

/// Reads processor time in thousandths of a processor: a Kubernetes quantity, or a number of processors.
pub(crate) fn cpus(bounds: RangeInclusive<u64>) -> impl FnOnce(Field<'_>, &mut Findings) -> Option<u64> {
    |field: Field<'_>, findings: &mut Findings| read_cpus(field, bounds, findings)
}

fn read_cpus(field: Field<'_>, bounds: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
    let text = quantity(&field, "a number of processors, for example \"500m\" or 1.5", findings)?;
    let problem = match scaled(&text, &CPU_UNITS) {
        Some(Scaled { whole, is_exact: true }) => {
            return within(whole, bounds, cpus_text, &text, &field, findings);
        }
        Some(_) => "is finer than 1m, a thousandth of a processor",
        None => "is no number of processors: use for example \"500m\" or 1.5",
    };
    findings.problem(field.pointer, format!("{:?} {problem}", shown(&text)));
    None
}

/// Reads a length of time.
pub(crate) fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl FnOnce(Field<'_>, &mut Findings) -> Option<Duration> {
    |field: Field<'_>, findings: &mut Findings| read_duration(field, bounds, findings)
}

fn read_duration(
    field: Field<'_>,
    bounds: RangeInclusive<Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    if field.value.is_number() {
        let message =
            "expected a string, found a number: put it in quotes with its unit, for example \"30s\"";
        findings.problem(field.pointer, message);
        return None;
    }
    let text = field.text(findings)?;
    match time(text) {
        Ok(duration) => within(duration, bounds, duration_text, text, &field, findings),
        Err(problem) => {
            findings.problem(field.pointer, format!("{:?} {problem}", shown(text)));
            None
        }
    }
}

/// A length of time, or the end of a message about it.
fn time(text: &str) -> Result<Duration, &'static str> {
    if text.bytes().filter(u8::is_ascii_digit).count() > MAX_TIME_DIGITS {
        return Err("is no length of time: it has more than 11 digits");
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration.subsec_nanos() % 1_000_000 == 0 => Ok(duration),
        Ok(_) => Err("is finer than 1ms, a millisecond"),
        Err(_) => {
            Err("is no length of time: use numbers with ms, s, m or h, for example \"30s\" or \"1m 30s\"")
        }
    }
}

/// Reads a whole number; the bounds are within what its type can hold.
pub(crate) fn count<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl FnOnce(Field<'_>, &mut Findings) -> Option<T> {
    |field: Field<'_>, findings: &mut Findings| read_count(field, bounds, findings)?.try_into().ok()
}

fn read_count(field: Field<'_>, bounds: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
    let (from, to) = (bounds.start(), bounds.end());
    match field.value {
        Value::Number(number) => {
            let count = number.as_u64().filter(|count| bounds.contains(count));
            if count.is_none() {
                let message = format!("{number} is not a whole number from {from} to {to}");
                findings.problem(field.pointer, message);
            }
            count
        }
        Value::String(_) => field.mistyped("a number without quotes", findings),
        _ => field.mistyped(&format!("a whole number from {from} to {to}"), findings),
    }
}

/// The text of an amount that may be written as a number too.
fn quantity(field: &Field<'_>, expected: &str, findings: &mut Findings) -> Option<String> {
    match field.value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => field.mistyped(expected, findings),
    }
}

/// The amount, if it lies within its bounds.
fn within<T: PartialOrd + Copy>(
    amount: T,
    bounds: RangeInclusive<T>,
    text: fn(T) -> String,
    given: &str,
    field: &Field<'_>,
    findings: &mut Findings,
) -> Option<T> {
    let problem = if amount < *bounds.start() {
        format!("is too little: give at least {}", text(*bounds.start()))
    } else if amount > *bounds.end() {
        format!("is too much: give at most {}", text(*bounds.end()))
    } else {
        return Some(amount);
    };
    findings.problem(&field.pointer, format!("{:?} {problem}", shown(given)));
    None
}

/// A number of the smallest unit, rounded down.
struct Scaled {
    whole: u64,
    is_exact: bool,
}

/// Reads a decimal number with a unit, or with a decimal exponent and none.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<Scaled> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    if whole.is_empty() || whole.len() + fraction.len() > MAX_DIGITS {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, exponent) = match suffix.strip_prefix(['e', 'E']).filter(|exponent| !exponent.is_empty()) {
        Some(exponent) if !suffix.ends_with('i') => (unit_of("", units)?, exponent.parse().ok()?),
        _ => (unit_of(suffix, units)?, 0_i32),
    };
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scale = 10_u128.checked_pow(exponent.unsigned_abs())?;
    let product = digits.checked_mul(factor.into())?;
    let (whole, rest) =
        if exponent < 0 { (product / scale, product % scale) } else { (product.checked_mul(scale)?, 0) };
    Some(Scaled { whole: whole.try_into().ok()?, is_exact: rest == 0 })
}

fn unit_of(suffix: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(unit, _)| *unit == suffix).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests;
