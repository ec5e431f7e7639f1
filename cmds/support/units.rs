//! Sizes as people write and read them. Input that is no size is an error of one line, never a guess.

use libwoofstream::error::{Code, Error, Result};
use std::ops::RangeInclusive;

/// Reads a whole number: digits alone, within these bounds. A sign, an exponent or blanks are no number, since each of them may
/// mean something else than what was typed.
///
/// ```
/// use woofcmds::support::units::parse_number;
/// assert_eq!(parse_number("10", 1..=u64::MAX).unwrap(), 10);
/// assert_eq!(parse_number("+5", 1..=9).unwrap_err().to_string(), "+5: not a whole number from 1 to 9");
/// ```
///
/// # Errors
/// [`Code::Invalid`] for anything else.
pub fn parse_number(text: &str, bounds: RangeInclusive<u64>) -> Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && bounds.contains(number));
    number.ok_or_else(|| {
        let why = format!("not a whole number from {} to {}", bounds.start(), bounds.end());
        Error::new(Code::Invalid, text, why)
    })
}

/// The units a size may end in. A plain letter counts in 1024, as `dd` and `head` do.
const UNITS: [(&str, u64); 17] = [
    ("", 1),
    ("B", 1),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("PiB", 1 << 50),
];

/// Reads a size in bytes: `4096`, `4k`, `64KiB`, `1GiB`, `10MB`.
///
/// ```
/// use woofcmds::support::units::parse_size;
/// assert_eq!(parse_size("64KiB").unwrap(), 65536);
/// assert_eq!(parse_size("4k").unwrap(), 4096);
/// assert!(parse_size("a lot").is_err());
/// ```
///
/// # Errors
/// [`Code::Invalid`] for what is no size, [`Code::TooLarge`] for one of 2^64 bytes and more.
pub fn parse_size(text: &str) -> Result<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
    let (Some(factor), false) = (factor, number.is_empty()) else {
        return Err(Error::new(
            Code::Invalid,
            text,
            "not a size: bytes, or a number with k, KiB, MiB, GiB or TiB",
        ));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| Error::new(Code::TooLarge, text, "size is over 16 EiB"))
}

/// A size for people: `512 B`, `1.5 KiB`, `16 MiB`.
///
/// ```
/// assert_eq!(woofcmds::support::units::human_size(1536), "1.5 KiB");
/// ```
pub fn human_size(bytes: u64) -> String {
    const NAMES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // One digit after the point, cut and not rounded, so that 1023.99 KiB never reads as 1024.
    let mut unit = 1u128 << 10;
    let mut names = NAMES.iter();
    let mut name = names.next().copied().unwrap_or("KiB");
    while u128::from(bytes) >= unit << 10 {
        unit <<= 10;
        name = names.next().copied().unwrap_or(name);
    }
    let tenths = u128::from(bytes) * 10 / unit;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) if whole < 100 => format!("{whole}.{tenth} {name}"),
        (whole, _) => format!("{whole} {name}"),
    }
}

/// A count with its noun, in the plural where English has one: `1 element`, `20 elements`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_in_both_families_of_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4k", 4096),
            ("4K", 4096),
            ("64KiB", 65536),
            ("64 KiB", 65536),
            ("10MB", 10_000_000),
            ("16MiB", 16_777_216),
            ("1GiB", 1_073_741_824),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_by_name() {
        for text in ["", "k", "-1", "1.5k", "4kk", "0x10", "4 4"] {
            let err = parse_size(text).unwrap_err();
            assert_eq!(err.code(), Code::Invalid, "{text}");
        }
        let err = parse_size("99999999999TiB").unwrap_err();
        assert_eq!(err.to_string(), "99999999999TiB: size is over 16 EiB");
    }

    #[test]
    fn sizes_print_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1023 KiB"),
            (16 << 20, "16 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "element"), "1 element");
        assert_eq!(counted(0, "element"), "0 elements");
    }
}
