//! Numbers, strings, timestamps and durations as they are written in an expression.

use super::ast::Literal;
use super::fault::{Result, fault};
use jiff::civil;
use jiff::fmt::temporal::Pieces;

/// A literal at the begin of a text, and how many bytes of the text it took.
pub(super) struct Found {
    pub(super) literal: Literal,
    pub(super) len: usize,
}

/// A number at the begin of `text`, which begins with a digit or a point.
pub(super) fn number(text: &str, at: usize) -> Result<Found> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(0);
    if byte(0) == b'0' && matches!(byte(1), b'x' | b'X') {
        let len = bytes.iter().skip(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        return integer(text, at, 16, 2, 2 + len);
    }
    let mut len = digits(0);
    let mut whole = true;
    if byte(len) == b'.' && byte(len + 1).is_ascii_digit() {
        whole = false;
        len += 1 + digits(len + 1);
    }
    if matches!(byte(len), b'e' | b'E') {
        whole = false;
        let sign = usize::from(matches!(byte(len + 1), b'+' | b'-'));
        let exponent = digits(len + 1 + sign);
        if exponent == 0 {
            return fault(at + len, "expected the digits of an exponent after 'e'");
        }
        len += 1 + sign + exponent;
    }
    if whole {
        return integer(text, at, 10, 0, len);
    }
    refuse_trailing(text, at, len)?;
    let digits = text.get(..len).unwrap_or("");
    match digits.parse::<f64>() {
        Ok(0.0)
            if digits
                .split(['e', 'E'])
                .next()
                .is_some_and(|mantissa| mantissa.contains(|c| matches!(c, '1'..='9'))) =>
        {
            fault(at, "this number is too close to 0")
        }
        Ok(value) if value.is_finite() => Ok(Found { literal: Literal::Float(value), len }),
        _ => fault(at, "this number is too large"),
    }
}

fn integer(text: &str, at: usize, radix: u32, from: usize, to: usize) -> Result<Found> {
    let digits = text.get(from..to).unwrap_or("");
    if digits.is_empty() {
        return fault(at + to, "expected hexadecimal digits after '0x'");
    }
    let unsigned = matches!(text.as_bytes().get(to), Some(b'u' | b'U'));
    let len = to + usize::from(unsigned);
    refuse_trailing(text, at, len)?;
    let Ok(value) = u64::from_str_radix(digits, radix) else {
        return fault(at, "this number does not fit 64 bits");
    };
    // A number between 2^63 and 2^64 is taken as unsigned without its mark: sequence numbers may be as large.
    let literal = match i64::try_from(value) {
        Ok(value) if !unsigned => Literal::Int(value),
        _ => Literal::UInt(value),
    };
    Ok(Found { literal, len })
}

fn refuse_trailing(text: &str, at: usize, len: usize) -> Result<()> {
    match text.get(len..).and_then(|rest| rest.chars().next()) {
        Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
            fault(at + len, format!("expected an operator or the end after a number, found '{c}'"))
        }
        _ => Ok(()),
    }
}

/// A string or bytes literal, if `text` begins with one.
pub(super) fn quoted(text: &str, at: usize) -> Result<Option<Found>> {
    let prefix = text.bytes().take(2).take_while(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B')).count();
    let marks = text.get(..prefix).unwrap_or("").to_ascii_lowercase();
    let body = text.get(prefix..).unwrap_or("");
    let quote = match body.as_bytes().first() {
        Some(b'"') => '"',
        Some(b'\'') => '\'',
        _ => return Ok(None),
    };
    if marks == "rr" || marks == "bb" {
        return Ok(None);
    }
    let (raw, is_bytes) = (marks.contains('r'), marks.contains('b'));
    let triple = quote.to_string().repeat(3);
    let (delimiter, open) =
        if body.starts_with(&triple) { (triple.as_str(), 3) } else { (triple.get(..1).unwrap_or(""), 1) };
    let inside = body.get(open..).unwrap_or("");
    let mut out = Vec::new();
    let mut used = 0;
    loop {
        let rest = inside.get(used..).unwrap_or("");
        if rest.starts_with(delimiter) {
            break;
        }
        let Some(c) = rest.chars().next().filter(|c| *c != '\n' || open == 3) else {
            return fault(at, format!("this string does not end: expected {delimiter}"));
        };
        if c == '\\' && !raw {
            used += escape(rest, at + prefix + open + used, is_bytes, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            used += c.len_utf8();
        }
    }
    let len = prefix + open + used + delimiter.len();
    let literal = if is_bytes {
        Literal::Bytes(out)
    } else {
        // Everything that was put there is UTF-8.
        Literal::Text(String::from_utf8_lossy(&out).into_owned())
    };
    Ok(Some(Found { literal, len }))
}

/// Reads one escape at the begin of `text` and returns its length.
fn escape(text: &str, at: usize, is_bytes: bool, out: &mut Vec<u8>) -> Result<usize> {
    let Some(kind) = text.chars().nth(1) else {
        return fault(at, "this string does not end");
    };
    let (from, digits, radix) = match kind {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '\'' | '"' | '`' | '?' => {
            out.push(match kind {
                'a' => 7,
                'b' => 8,
                'f' => 12,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 11,
                '\\' => b'\\',
                '\'' => b'\'',
                '"' => b'"',
                '`' => b'`',
                _ => b'?',
            });
            return Ok(2);
        }
        'x' | 'X' => (2, 2, 16),
        'u' if !is_bytes => (2, 4, 16),
        'U' if !is_bytes => (2, 8, 16),
        '0'..='3' => (1, 3, 8),
        other => return fault(at, format!("no such escape: '\\{}'", other.escape_default())),
    };
    let code = text.get(from..from + digits).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let value = code.and_then(|code| u32::from_str_radix(code, radix).ok());
    let Some(value) = value else {
        return fault(at, format!("expected {digits} digits in this escape"));
    };
    match (is_bytes, u8::try_from(value), char::from_u32(value)) {
        (true, Ok(byte), _) => out.push(byte),
        (false, _, Some(c)) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => return fault(at, "this escape is no character"),
    }
    Ok(from + digits)
}

/// The time that an RFC 3339 text names, in nanoseconds since 1970; `None` where it is none, or outside of the
/// years 1 to 9999.
pub(super) fn time(text: &str) -> Option<i128> {
    // A zone in brackets would be passed over.
    let pieces =
        Pieces::parse(text).ok().filter(|_| text.as_bytes().get(4) == Some(&b'-') && !text.contains('['))?;
    // Computed from the parts, since a timestamp of the library ends a day before the year 9999 does.
    let local = pieces.date().to_datetime(pieces.time()?);
    let offset = pieces.to_numeric_offset()?;
    let since = local.duration_since(civil::date(1970, 1, 1).to_datetime(civil::Time::midnight()));
    let nanos = since.as_nanos() - i128::from(offset.seconds()) * 1_000_000_000;
    (TIME_MIN..=TIME_MAX).contains(&nanos).then_some(nanos)
}

/// The first and last nanosecond of the years 1 to 9999.
pub(super) const TIME_MIN: i128 = -62_135_596_800_000_000_000;
pub(super) const TIME_MAX: i128 = 253_402_300_799_999_999_999;

/// A duration as CEL writes it (`1h30m`, `-1.5s`), with `d` for 24 hours and `w` for seven of these besides; in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (negative, length) = match text.strip_prefix('-') {
        Some(length) => (true, length),
        None => (false, text),
    };
    let nanos = if length == "0" { 0 } else { i64::try_from(woof_core::duration::parse(length)?).ok()? };
    Some(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_between_the_years_1_and_9999() {
        assert_eq!(time("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(time("2026-11-22T01:00:00.5+01:00"), Some(1_795_305_600_500_000_000));
        assert_eq!(time("9999-12-31T23:59:59.999999999Z"), Some(TIME_MAX));
        assert_eq!(time("0001-01-01T00:00:00Z"), Some(TIME_MIN));
        for wrong in [
            "",
            "2026-11-22",
            "2026-11-22T01:00:00Z[Foo/Bar]",
            "20261122T010000Z",
            "2026-11-22T01:00:00",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+01:00",
            "now",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration("-1.5s"), Some(-1_500_000_000));
        assert_eq!(duration("1d2ms3us4ns"), Some(86_400_002_003_004));
        assert_eq!(duration("0"), Some(0));
        assert_eq!(duration("1.5w"), Some(907_200_000_000_000));
        assert_eq!(duration("9223372036854775807ns"), Some(i64::MAX));
        for wrong in ["", "-", "1", "h", "1.2.3s", "10 m", "1h-5m", "300000d", "9223372036854775808ns", "1x"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
