//! Amounts as documents write them: sizes and processor time as in Kubernetes, lengths of time as
//! people write them.

use std::time::Duration;

/// The units of a size with their bytes, in the order in which they are preferred.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

/// The units of a length of time with their nanoseconds, the longest first.
const TIME_UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

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
