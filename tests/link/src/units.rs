//! Durations, rates and spans of time as they are typed. What does not parse is refused with what would.

use std::time::Duration;

/// From when to when, after a start; without an end, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Option<Duration>,
}

/// `100ms`, `1.5s`, `200us`.
///
/// # Errors
/// When it is not a number with one of these units.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = parts(text);
    let seconds_each = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err("expected a number and us, ms or s".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a number and us, ms or s".to_owned())?;
    // Rounded, so that 0.07 s is 70 ms and not one nanosecond less.
    Duration::try_from_secs_f64((number * seconds_each * 1e9).round() / 1e9).map_err(|err| err.to_string())
}

/// `12MB/s`, `1MiB/s`, `100Mbit/s`, in bytes a second.
///
/// # Errors
/// When it is not a number with such a unit, or less than one byte a second.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a number and a unit as MB/s, MiB/s or Mbit/s";
    let (number, unit) = parts(text);
    let bytes_each = match unit {
        "B/s" => 1.0,
        "kB/s" | "KB/s" => 1e3,
        "MB/s" => 1e6,
        "GB/s" => 1e9,
        "KiB/s" => 1024.0,
        "MiB/s" => 1024.0 * 1024.0,
        "GiB/s" => 1024.0 * 1024.0 * 1024.0,
        "kbit/s" => 1e3 / 8.0,
        "Mbit/s" => 1e6 / 8.0,
        "Gbit/s" => 1e9 / 8.0,
        _ => return Err(EXPECTED.to_owned()),
    };
    let bytes = number.parse::<f64>().map_err(|_| EXPECTED.to_owned())? * bytes_each;
    // More than any machine has, and far inside of what a u64 can be.
    if (1.0..1e15).contains(&bytes) { Ok(bytes as u64) } else { Err("not a rate of a link".to_owned()) }
}

/// `2s..5s`, or `2s..` for ever.
///
/// # Errors
/// When an end is no duration, or before the beginning.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    let (from, to) = text.split_once("..").ok_or("expected FROM..TO or FROM..")?;
    let from = duration(from)?;
    let to = if to.is_empty() { None } else { Some(duration(to)?) };
    if to.is_some_and(|to| to < from) {
        return Err("ends before it begins".to_owned());
    }
    Ok(Span { from, to })
}

/// The number and the unit behind it.
fn parts(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("100ms"), Ok(100 * MS));
        assert_eq!(duration("0.07s"), Ok(70 * MS));
        assert_eq!(duration("250us"), Ok(MS / 4));
        for text in ["100", "ms", "", "1h", "x1ms"] {
            assert_eq!(duration(text), Err("expected a number and us, ms or s".to_owned()), "{text}");
        }
        assert!(duration("-1s").is_err());
    }

    #[test]
    fn rates_are_bytes_or_bits_a_second() {
        assert_eq!(rate("12MB/s"), Ok(12_000_000));
        assert_eq!(rate("1.5KiB/s"), Ok(1536));
        assert_eq!(rate("100Mbit/s"), Ok(12_500_000));
        assert_eq!(rate("12MB"), Err("expected a number and a unit as MB/s, MiB/s or Mbit/s".to_owned()));
        assert_eq!(rate("0.5B/s"), Err("not a rate of a link".to_owned()));
        assert_eq!(rate("-1MB/s"), Err("not a rate of a link".to_owned()));
    }

    #[test]
    fn a_span_may_have_no_end() {
        assert_eq!(span("2s..5s"), Ok(Span { from: 2000 * MS, to: Some(5000 * MS) }));
        assert_eq!(span("20ms.."), Ok(Span { from: 20 * MS, to: None }));
        assert_eq!(span("0.5s..1.5s"), Ok(Span { from: 500 * MS, to: Some(1500 * MS) }));
        assert_eq!(span("5s..2s"), Err("ends before it begins".to_owned()));
        assert_eq!(span("5s"), Err("expected FROM..TO or FROM..".to_owned()));
    }
}
