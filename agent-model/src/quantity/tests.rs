use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::UnknownKeys;

/// What is read of a value, or the only problem with it.
fn read<T>(value: &Value, read: impl FnOnce(Field<'_>, &mut Findings) -> Option<T>) -> Result<T, String> {
    let mut findings = Findings::new(UnknownKeys::AreProblems);
    let amount = read(Field { value, pointer: String::new() }, &mut findings);
    let (problems, _) = findings.into_parts();
    assert_eq!(amount.is_none(), problems.len() == 1, "{value}: {problems:?}");
    amount.ok_or_else(|| problems[0].message.clone())
}

#[test]
fn sizes_are_read_as_kubernetes_reads_them() {
    for (value, bytes) in [
        (json!("64Mi"), 64 << 20),
        (json!("128M"), 128_000_000),
        (json!("1Gi"), 1 << 30),
        (json!("1.5Gi"), 3 << 29),
        (json!("1k"), 1000),
        (json!("2E"), 2_000_000_000_000_000_000),
        (json!("1Ei"), 1 << 60),
        (json!("7"), 7),
        (json!(4096), 4096),
        (json!("129e6"), 129_000_000),
        (json!("1.29E+8"), 129_000_000),
        (json!(1.5e3), 1500),
        (json!("0.0001k"), 1),
        (json!("0"), 0),
    ] {
        assert_eq!(read(&value, size(0..=u64::MAX)), Ok(bytes), "{value}");
    }
    for text in [
        "",
        "Mi",
        "64MB",
        "64mi",
        "64 Mi",
        "-1",
        "+1",
        ".5Gi",
        "1.Gi",
        "1..5",
        "1e",
        "1e3Mi",
        "0x10",
        "400m",
        "1e400",
        "1e-400",
        "99999999999999999999",
        "17Ei",
        "1e20",
    ] {
        let problem = read(&json!(text), size(0..=u64::MAX)).unwrap_err();
        assert!(problem.contains("is not a size"), "{text:?}: {problem}");
    }
    let problem = read(&json!([1]), size(0..=9)).unwrap_err();
    assert_eq!(problem, "expected a size, for example \"64Mi\", found an array");
}

#[test]
fn processor_time_is_read_to_the_thousandth() {
    for (value, millis) in [
        (json!("500m"), 500),
        (json!("1.5"), 1500),
        (json!(0.1), 100),
        (json!(2), 2000),
        (json!("2e0"), 2000),
        (json!("10.0m"), 10),
    ] {
        assert_eq!(read(&value, cpus(1..=u64::MAX)), Ok(millis), "{value}");
    }
    for (value, problem) in [
        (json!("0.5m"), "is finer than 1m"),
        (json!(0.0001), "is finer than 1m"),
        (json!("1k"), "is no number of processors"),
        (json!("50%"), "is no number of processors"),
        (json!(-1), "is no number of processors"),
        (json!(true), "expected a number of processors"),
    ] {
        let found = read(&value, cpus(1..=u64::MAX)).unwrap_err();
        assert!(found.contains(problem), "{value}: {found}");
    }
}

#[test]
fn lengths_of_time_are_read_to_the_millisecond() {
    for (text, millis) in
        [("30s", 30_000), ("1m 30s", 90_000), ("1h30m", 5_400_000), ("500ms", 500), ("0s", 0), ("1.5s", 1500)]
    {
        let read = read(&json!(text), duration(Duration::ZERO..=Duration::MAX));
        assert_eq!(read, Ok(Duration::from_millis(millis)), "{text}");
    }
    for (value, problem) in [
        (json!(30), "in quotes with its unit"),
        (json!("30"), "use numbers with ms, s, m or h"),
        (json!(""), "is no length of time"),
        (json!("soon"), "is no length of time"),
        (json!("-1s"), "is no length of time"),
        (json!("1500us"), "is finer than 1ms"),
        (json!("1 2 3 4 5 6 7 8 9 0 1 2s"), "more than 11 digits"),
        // At this one humantime panics.
        (json!("18446744073709551615s 1000ms"), "more than 11 digits"),
    ] {
        let found = read(&value, duration(Duration::ZERO..=Duration::MAX)).unwrap_err();
        assert!(found.contains(problem), "{value}: {found}");
    }
}

#[test]
fn what_is_out_of_bounds_is_told_the_nearest_bound() {
    let problem = |value: Value, bound: RangeInclusive<u64>| read(&value, size(bound)).unwrap_err();
    assert_eq!(problem(json!("1Ki"), 1 << 20..=1 << 30), "\"1Ki\" is too little: give at least 1Mi");
    assert_eq!(problem(json!("1Ti"), 1 << 20..=1 << 30), "\"1Ti\" is too much: give at most 1Gi");
    let bounds = Duration::from_millis(100)..=Duration::from_secs(600);
    assert_eq!(read(&json!("11m"), duration(bounds)).unwrap_err(), "\"11m\" is too much: give at most 10m");
    for (value, problem) in [
        (json!(0), "0 is not a whole number from 1 to 9"),
        (json!(10), "10 is not a whole number from 1 to 9"),
        (json!(1.5), "1.5 is not a whole number from 1 to 9"),
        (json!("5"), "expected a number without quotes, found a string"),
        (json!(null), "expected a whole number from 1 to 9, found null"),
    ] {
        assert_eq!(read(&value, count::<u64>(1..=9)).unwrap_err(), problem);
    }
    assert_eq!(read(&json!(9), count::<u16>(1..=9)), Ok(9));
}

proptest! {
    #[test]
    fn amounts_read_back_as_written(amount: u64, unit in 0..SIZE_UNITS.len(), millis in 0..1_000_000_000_u64) {
        let (_, factor) = SIZE_UNITS[unit];
        let bytes = amount / factor * factor;
        prop_assert_eq!(read(&json!(size_text(bytes)), size(0..=u64::MAX)), Ok(bytes));
        prop_assert_eq!(read(&json!(cpus_text(millis)), cpus(0..=u64::MAX)), Ok(millis));
        let length = Duration::from_millis(millis);
        prop_assert_eq!(
            read(&json!(duration_text(length)), duration(Duration::ZERO..=Duration::MAX)),
            Ok(length)
        );
    }

    #[test]
    fn no_text_makes_reading_an_amount_panic(text in "[0-9.eEmkMGi+ -]{0,24}|[0-9]{1,20}[a-z]{1,2} ?[0-9]{1,10}[a-z]{1,2}") {
        let _ = read(&json!(text), size(0..=u64::MAX));
        let _ = read(&json!(text), cpus(0..=u64::MAX));
        let _ = read(&json!(text), duration(Duration::ZERO..=Duration::MAX));
    }
}
