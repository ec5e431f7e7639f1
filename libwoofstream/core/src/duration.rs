//! Lengths of time as people write them: `500ms`, `2h30m`, `1.5h`, `1w`. One form for flags, files and predicates.

/// The units, in nanoseconds; a longer name before one that it begins with.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// More digits behind a point are looked at and say nothing: the largest unit has 15.
const FRACTION_DIGITS: usize = 18;

/// Reads a sum of numbers with units (ns, us, ms, s, m, h, d, w), each a whole number or one with a decimal point; gives nanoseconds, rounded down.
/// `None` for anything else, and for what is over 584 years.
///
/// ```
/// use woof_core::duration;
/// assert_eq!(duration::parse("2h30m"), Some(9_000_000_000_000));
/// assert_eq!(duration::parse("1.5s"), Some(1_500_000_000));
/// assert_eq!(duration::parse("90"), None);
/// ```
pub fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0u64;
    loop {
        let len = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, tail) = rest.split_at(len);
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        sum = sum.checked_add(part(number, *nanos)?)?;
        rest = tail.get(unit.len()..)?;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// A number of units, in nanoseconds.
fn part(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let nanos = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.checked_mul(unit)? };
    let fraction = fraction.get(..FRACTION_DIGITS).unwrap_or(fraction);
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let below =
        if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? * u128::from(unit) / scale };
    nanos.checked_add(u64::try_from(below).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_summed() {
        for (text, nanos) in [
            ("0s", 0),
            ("1w2d3h4m5s6ms7us8ns", 788_645_006_007_008),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("0.1ns", 0),
            ("1.1s", 1_100_000_000),
            ("0.3333333333333333333333w", 201_599_999_999_999),
            ("18446744073709551615ns", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_none() {
        for text in [
            "",
            "1",
            "s",
            ".s",
            "1.2.3s",
            "-1s",
            "+1s",
            "1 s",
            "1h ",
            "1x",
            "1e3s",
            "١s",
            "18446744073709551616ns",
            "31000w",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
