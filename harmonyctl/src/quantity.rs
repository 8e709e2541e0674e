//! Sizes as Kubernetes writes them.

/// Reads `10Gi`, `500M` or `1048576` as a number of bytes.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!("{text:?} is not a size: use a whole number and one of Ki Mi Gi Ti k M G T, for example 10Gi")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1_i64 << 40,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units_and_nothing_else_is() {
        assert_eq!(parse("10Gi"), Ok(10 << 30));
        assert_eq!(parse("500M"), Ok(500_000_000));
        assert_eq!(parse("7"), Ok(7));
        for text in ["", "Gi", "10GB", "-1", "1.5Gi", "0", "9999999999Ti", "10 Gi"] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
