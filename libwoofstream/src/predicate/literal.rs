//! Numbers, strings, timestamps and durations as they are written in an expression.

use super::ast::Literal;
use super::fault::{Result, fault};
use chrono::{DateTime, Datelike};

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
    match text.get(..len).unwrap_or("").parse::<f64>() {
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
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    if !(1..=9999).contains(&time.year()) {
        return None;
    }
    Some(i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()))
}

/// A duration as CEL writes it (`1h30m`, `-1.5s`), with `d` for 24 hours besides; in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9), ("d", 86_400e9)];
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0i64;
    loop {
        let len = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let number = rest.get(..len)?;
        rest = rest.get(len..)?;
        let (unit, nanos) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = rest.get(unit.len()..)?;
        #[expect(clippy::cast_possible_truncation, reason = "units are whole, and the sum is checked")]
        let part = match number.parse::<i64>() {
            Ok(whole) => whole.checked_mul(nanos as i64)?,
            Err(_) => {
                let nanos = number.parse::<f64>().ok()? * nanos;
                (nanos.abs() < 9e18).then_some(nanos as i64)?
            }
        };
        sum = sum.checked_add(part)?;
        if rest.is_empty() {
            return Some(if negative { -sum } else { sum });
        }
    }
}
