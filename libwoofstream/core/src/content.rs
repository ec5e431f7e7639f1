//! Content types of woofs: what the bytes of an element are, and how numbers come in and go out as text.
//!
//! Numbers are 8 bytes little endian inside. As text they are their shortest exact decimal.

mod json;

pub use json::json_line;

use crate::error::{Code, Error, Result};
use crate::number::Number;
use crate::text;
use serde::de::{Deserialize, Deserializer, Visitor};
use std::fmt;
use std::io::Write;

/// What the elements of a woof are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ContentType {
    /// Text in UTF-8 by convention; any bytes are kept as they are.
    #[default]
    Text = 1,
    /// One JSON value.
    Json = 2,
    /// One MessagePack value.
    Msgpack = 3,
    /// A signed integer of 64 bits, little endian.
    I64 = 4,
    /// A binary64 floating point number, little endian.
    F64 = 5,
    /// Bytes without a meaning known here.
    Bytes = 6,
}

impl ContentType {
    /// All content types, in the order of their numbers in the file format.
    pub const ALL: [ContentType; 6] = [
        ContentType::Text,
        ContentType::Json,
        ContentType::Msgpack,
        ContentType::I64,
        ContentType::F64,
        ContentType::Bytes,
    ];

    /// The name used on command lines and in attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentType::Text => "text",
            ContentType::Json => "json",
            ContentType::Msgpack => "msgpack",
            ContentType::I64 => "i64",
            ContentType::F64 => "f64",
            ContentType::Bytes => "bytes",
        }
    }

    /// The content type of a name.
    ///
    /// # Errors
    /// [`Code::Invalid`] for a name that is none of [`ContentType::ALL`].
    pub fn parse(name: &str) -> Result<ContentType> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
            Error::new(
                Code::Invalid,
                name,
                "no such content type: text, json, msgpack, i64, f64 and bytes are known",
            )
        })
    }

    /// The content type of a number in the file format.
    pub fn from_number(number: u8) -> Option<ContentType> {
        Self::ALL.into_iter().find(|known| *known as u8 == number)
    }

    /// True for the types whose elements are 8-byte numbers.
    pub fn is_number(self) -> bool {
        matches!(self, ContentType::I64 | ContentType::F64)
    }

    /// Turns text as a person or a UNIX tool writes it into the bytes of an element, appended to `out`.
    ///
    /// ```
    /// use woof_core::content::ContentType;
    /// let mut element = Vec::new();
    /// ContentType::F64.encode_text(b"21.5", &mut element).unwrap();
    /// assert_eq!(element, 21.5f64.to_le_bytes());
    /// ```
    ///
    /// # Errors
    /// [`Code::Mismatch`] where the text is no value of this type; `out` is then as it was.
    pub fn encode_text(self, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let parsed = || text::unmarked(text).map_err(|err| mismatch(err.text().to_owned()));
        match self {
            ContentType::I64 => out.extend_from_slice(&parse_i64(parsed()?)?.to_le_bytes()),
            ContentType::F64 => out.extend_from_slice(&parse_f64_strict(parsed()?)?.to_le_bytes()),
            ContentType::Json => {
                let text = parsed()?;
                self.check(text)?;
                out.extend_from_slice(text);
            }
            _ => {
                self.check(text)?;
                out.extend_from_slice(text);
            }
        }
        Ok(())
    }

    /// Looks whether `data` can be an element of this type.
    ///
    /// # Errors
    /// [`Code::Mismatch`] says what does not fit.
    pub fn check(self, data: &[u8]) -> Result<()> {
        match self {
            ContentType::Text | ContentType::Bytes => Ok(()),
            ContentType::I64 | ContentType::F64 if data.len() == 8 => Ok(()),
            ContentType::I64 | ContentType::F64 => {
                Err(mismatch(format!("element is {} bytes, an {self} is 8", data.len())))
            }
            ContentType::Json => {
                serde_json::from_slice::<serde::de::IgnoredAny>(data)
                    .map_err(|err| mismatch(format!("not a JSON value: {err}")))?;
                // What is passed over is not looked at for this.
                std::str::from_utf8(data).map(|_| ()).map_err(|err| {
                    mismatch(format!("not a JSON value: byte {} is no UTF-8", err.valid_up_to() + 1))
                })
            }
            ContentType::Msgpack => {
                let mut rest = data;
                let value = rmp_serde::from_read::<_, serde::de::IgnoredAny>(&mut rest);
                match value {
                    Ok(_) if rest.is_empty() => Ok(()),
                    Ok(_) => Err(mismatch(format!("{} bytes after a MessagePack value", rest.len()))),
                    Err(err) => Err(mismatch(format!("not a MessagePack value: {err}"))),
                }
            }
        }
    }

    /// Writes the text form of an element to `out`: numbers as their shortest exact decimal, all others as they are.
    pub fn write_text(self, data: &[u8], out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        match (self, <[u8; 8]>::try_from(data)) {
            (ContentType::I64, Ok(bytes)) => drop(write!(out, "{}", i64::from_le_bytes(bytes))),
            (ContentType::F64, Ok(bytes)) => drop(write!(out, "{}", f64::from_le_bytes(bytes))),
            _ => out.extend_from_slice(data),
        }
    }

    /// The number that an element is, or reads as; `None` where it is none.
    ///
    /// ```
    /// use woof_core::content::ContentType;
    /// assert_eq!(ContentType::Text.value(b" 30.5\n"), Some(30.5));
    /// assert_eq!(ContentType::I64.value(&7i64.to_le_bytes()), Some(7.0));
    /// assert_eq!(ContentType::Text.value(b"warm"), None);
    /// ```
    pub fn value(self, data: &[u8]) -> Option<f64> {
        self.number(data).map(Number::float)
    }

    /// As [`ContentType::value`], with integers as they are.
    ///
    /// ```
    /// use woof_core::content::ContentType;
    /// use woof_core::number::Number;
    /// assert_eq!(ContentType::I64.number(&i64::MAX.to_le_bytes()), Some(Number::Int(i64::MAX)));
    /// assert_eq!(ContentType::Text.number(b"18446744073709551615"), Some(Number::UInt(u64::MAX)));
    /// ```
    pub fn number(self, data: &[u8]) -> Option<Number> {
        match self {
            ContentType::F64 => Some(Number::Float(f64::from_le_bytes(data.try_into().ok()?))),
            ContentType::I64 => Some(Number::Int(i64::from_le_bytes(data.try_into().ok()?))),
            ContentType::Text | ContentType::Json => Number::of_text(data),
            ContentType::Msgpack => rmp_serde::from_slice::<OneNumber>(data).ok().map(|number| number.0),
            ContentType::Bytes => None,
        }
    }
}

/// A MessagePack value that is a number.
struct OneNumber(Number);

impl<'de> Deserialize<'de> for OneNumber {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> std::result::Result<OneNumber, D::Error> {
        reader.deserialize_any(NumberVisitor).map(OneNumber)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Number, E> {
        Ok(Number::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Number, E> {
        Ok(Number::unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Number, E> {
        Ok(Number::Float(value))
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn mismatch(text: String) -> Error {
    Error::new(Code::Mismatch, "", text)
}

/// What may be put into an `f64` woof: any number that a double can hold, the names `inf` and `nan` included, since they print as such.
fn parse_f64_strict(text: &[u8]) -> Result<f64> {
    let trimmed = text.trim_ascii();
    let number = std::str::from_utf8(trimmed).ok().and_then(|text| text.parse::<f64>().ok());
    let number = number.ok_or_else(|| mismatch(format!("{} is not a number", quoted(trimmed))))?;
    let has_digits = trimmed.iter().any(u8::is_ascii_digit);
    if has_digits && !number.is_finite() {
        return Err(mismatch(format!(
            "{} is beyond the range of an f64, which ends at 1.7976931348623157e308",
            quoted(trimmed)
        )));
    }
    // Of a zero with digits that count, nothing is left.
    let mantissa = trimmed.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    if number == 0.0 && mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Err(mismatch(format!(
            "{} is too close to 0 for an f64, whose least number is 5e-324",
            quoted(trimmed)
        )));
    }
    Ok(number)
}

fn parse_i64(text: &[u8]) -> Result<i64> {
    let trimmed = text.trim_ascii();
    std::str::from_utf8(trimmed).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        mismatch(format!(
            "{} is not an integer between -9223372036854775808 and 9223372036854775807",
            quoted(trimmed)
        ))
    })
}

/// Turns data of one content type into an element of another, appended to `out`: numbers meet through their decimals.
///
/// ```
/// use woof_core::content::{ContentType, convert};
/// let mut element = Vec::new();
/// convert(b"21.5", ContentType::Text, ContentType::F64, &mut element).unwrap();
/// assert_eq!(element, 21.5f64.to_le_bytes());
/// ```
///
/// # Errors
/// When the data does not fit; then `out` may hold a part of it.
pub fn convert(data: &[u8], from: ContentType, to: ContentType, out: &mut Vec<u8>) -> Result<()> {
    if from == to {
        to.check(data)?;
        out.extend_from_slice(data);
        return Ok(());
    }
    if from.is_number() {
        let mut text = Vec::new();
        from.write_text(data, &mut text);
        return to.encode_text(&text, out);
    }
    to.encode_text(data, out)
}

/// A short, printable form of some data for an error message.
pub fn quoted(data: &[u8]) -> String {
    const SHOWN: usize = 40;
    let cut = &data[..data.len().min(SHOWN)];
    let dots = if data.len() > SHOWN { "..." } else { "" };
    format!("\"{}{dots}\"", cut.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(content: ContentType, data: &[u8]) -> String {
        let mut out = Vec::new();
        content.write_text(data, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_print_as_their_shortest_exact_decimal() {
        assert_eq!(text_of(ContentType::F64, &98f64.to_le_bytes()), "98");
        assert_eq!(text_of(ContentType::F64, &21.5f64.to_le_bytes()), "21.5");
        assert_eq!(text_of(ContentType::F64, &0.1f64.to_le_bytes()), "0.1");
        assert_eq!(text_of(ContentType::I64, &(-7i64).to_le_bytes()), "-7");
    }

    #[test]
    fn text_that_is_no_number_is_refused_and_nothing_is_written() {
        let mut out = vec![1];
        let err = ContentType::F64.encode_text(b"warm", &mut out).unwrap_err();
        assert_eq!(err.to_string(), "\"warm\" is not a number");
        assert_eq!(out, [1]);
        assert!(ContentType::I64.encode_text(b"9223372036854775808", &mut out).is_err());
        assert!(ContentType::F64.encode_text(b"", &mut out).is_err());
    }

    #[test]
    fn json_and_msgpack_must_be_one_whole_value() {
        assert!(ContentType::Json.check(b"{\"a\":1}").is_ok());
        assert!(ContentType::Json.check(b"{\"a\":1} 2").is_err());
        assert!(ContentType::Json.check(b"").is_err());
        assert!(ContentType::Json.check(b"\"\xff\"").is_err());
        assert!(ContentType::Msgpack.check(&[0x01]).is_ok());
        assert!(ContentType::Msgpack.check(&[0x01, 0x02]).is_err());
        assert!(ContentType::Msgpack.check(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn words_for_numbers_are_no_values_of_text() {
        assert_eq!(ContentType::Text.value(b"inf"), None);
        assert_eq!(ContentType::Text.value(b"nan"), None);
        assert_eq!(ContentType::Text.value(b""), None);
        assert_eq!(ContentType::Text.value(b"-1e3"), Some(-1000.0));
        assert_eq!(ContentType::Json.value(b"12"), Some(12.0));
        assert_eq!(ContentType::Bytes.value(b"12"), None);
    }
}
