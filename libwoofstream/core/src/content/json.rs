//! Elements as JSON values, there and back. Text stays as it is written: numbers with all their digits, keys in their order, keys that come
//! twice, escapes.

use super::{ContentType, mismatch, quoted};
use crate::error::Result;
use crate::number::Number;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The JSON value that data is, without blanks around it and on one line; `None` where it is none.
///
/// ```
/// use woof_core::content::json_line;
/// assert_eq!(json_line(b"{\"b\":1,\n \"a\":1.50}\n").as_deref(), Some("{\"b\":1,  \"a\":1.50}"));
/// assert_eq!(json_line(b"{"), None);
/// ```
pub fn json_line(data: &[u8]) -> Option<Cow<'_, str>> {
    ContentType::Json.check(data).ok()?;
    let text = std::str::from_utf8(data.trim_ascii()).ok()?;
    // Within strings line ends are escaped, so these stand between values.
    Some(match text.contains(['\n', '\r']) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.replace(['\n', '\r'], " ")),
    })
}

impl ContentType {
    /// Turns a JSON value, as it is written, into an element, appended to `out`: a number of a woof of numbers, the text of a string, any
    /// value of a JSON woof.
    ///
    /// # Errors
    /// [`Code::Mismatch`](crate::error::Code::Mismatch) where the value is none of this type; `out` is then as it was.
    pub fn encode_json(self, json: &str, out: &mut Vec<u8>) -> Result<()> {
        let json = json.trim_ascii();
        match self {
            ContentType::Json | ContentType::I64 | ContentType::F64 => self.encode_text(json.as_bytes(), out),
            ContentType::Msgpack => {
                let value = serde_json::from_str::<Value>(json).map_err(|err| mismatch(err.to_string()))?;
                let element = rmp_serde::to_vec(&value).map_err(|err| mismatch(err.to_string()))?;
                out.extend_from_slice(&element);
                Ok(())
            }
            ContentType::Text | ContentType::Bytes => {
                let text = string(json);
                if text.is_none() && json == "null" {
                    return Err(mismatch("null is no data".to_owned()));
                }
                out.extend_from_slice(text.as_deref().unwrap_or(json).as_bytes());
                Ok(())
            }
        }
    }

    /// Looks whether a JSON value, as it is written, says the same as an element.
    ///
    /// # Errors
    /// [`Code::Mismatch`](crate::error::Code::Mismatch) with both.
    pub fn agrees_with_json(self, data: &[u8], json: &str) -> Result<()> {
        let json = json.trim_ascii();
        let same = match self {
            ContentType::Json => {
                data.trim_ascii() == json.as_bytes() || same_value(serde_json::from_slice(data), json)
            }
            // A number of the text, or what is no number and no value.
            _ if json == "null" => true,
            _ if json.starts_with('"') => string(json).is_some_and(|text| text.as_bytes() == data),
            ContentType::Msgpack if self.number(data).is_none() => {
                same_value(rmp_serde::from_slice(data), json)
            }
            _ => match (self.number(data), Number::of_text(json.as_bytes())) {
                (Some(data), Some(json)) => data.compare(json) == Some(Ordering::Equal),
                _ => false,
            },
        };
        if same {
            return Ok(());
        }
        let mut text = Vec::new();
        self.write_text(data, &mut text);
        let (data, json) = (quoted(&text), quoted(json.as_bytes()));
        Err(mismatch(format!(
            "\"data\" is {data} and \"value\" is {json}: leave out the one that is not meant"
        )))
    }
}

/// The text of a JSON string.
fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn same_value<E>(data: std::result::Result<Value, E>, json: &str) -> bool {
    data.is_ok_and(|data| serde_json::from_str(json).is_ok_and(|json: Value| data == json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(content: ContentType, json: &str) -> std::result::Result<Vec<u8>, String> {
        let mut out = Vec::new();
        content.encode_json(json, &mut out).map(|()| out).map_err(|err| err.to_string())
    }

    #[test]
    fn a_json_value_becomes_an_element_as_it_is_written() {
        for json in
            ["18446744073709551617.000", "{\"b\":1,\"a\":2,\"b\":3}", "\"\\ud800\"", "1e400", "-0", "null"]
        {
            assert_eq!(encoded(ContentType::Json, json).unwrap(), json.as_bytes());
        }
        assert_eq!(encoded(ContentType::I64, "9223372036854775807").unwrap(), i64::MAX.to_le_bytes());
        assert_eq!(encoded(ContentType::F64, "-0").unwrap(), (-0.0f64).to_le_bytes());
        assert_eq!(encoded(ContentType::Text, "9007199254740993").unwrap(), b"9007199254740993");
        assert_eq!(encoded(ContentType::Text, "\"a\\n\"").unwrap(), b"a\n");
        assert_eq!(encoded(ContentType::Msgpack, "[1,-2]").unwrap(), b"\x92\x01\xfe");
        for (content, json) in [
            (ContentType::I64, "1.5"),
            (ContentType::I64, "9223372036854775808"),
            (ContentType::I64, "\"5\""),
            (ContentType::F64, "1e400"),
            (ContentType::F64, "null"),
            (ContentType::Text, "null"),
            (ContentType::Json, "{"),
        ] {
            assert!(encoded(content, json).is_err(), "{content} {json}");
        }
    }

    #[test]
    fn data_and_value_agree_by_what_they_say() {
        let i64 = |value: i64| value.to_le_bytes().to_vec();
        for (content, data, json, agree) in [
            (ContentType::Text, b"21.50\n".to_vec(), "21.5", true),
            (ContentType::Text, b"21.5".to_vec(), "43", false),
            (ContentType::Text, b"9007199254740993".to_vec(), "9007199254740992", false),
            (ContentType::Text, b"warm".to_vec(), "null", true),
            (ContentType::Text, b"warm".to_vec(), "\"warm\"", true),
            (ContentType::Text, b"warm".to_vec(), "5", false),
            (ContentType::I64, i64(i64::MAX), "9223372036854775807", true),
            (ContentType::I64, i64(i64::MAX), "9223372036854775808", false),
            (ContentType::F64, f64::NAN.to_le_bytes().to_vec(), "5", false),
            (ContentType::F64, 1e300f64.to_le_bytes().to_vec(), "1e+300", true),
            (ContentType::Json, b"{\"a\":1}".to_vec(), "{ \"a\" : 1 }", true),
            (ContentType::Json, b"{\"a\":1}".to_vec(), "{\"a\":2}", false),
            (ContentType::Json, b"1".to_vec(), "null", false),
            (ContentType::Msgpack, b"\x05".to_vec(), "5", true),
            (ContentType::Msgpack, b"\x91\x05".to_vec(), "[5]", true),
            (ContentType::Msgpack, b"\x91\x05".to_vec(), "[6]", false),
            (ContentType::Bytes, b"5".to_vec(), "5", false),
        ] {
            assert_eq!(content.agrees_with_json(&data, json).is_ok(), agree, "{content} {data:?} {json}");
        }
        let err = ContentType::Text.agrees_with_json(b"21.5", "43").unwrap_err();
        assert_eq!(
            err.text(),
            "\"data\" is \"21.5\" and \"value\" is \"43\": leave out the one that is not meant"
        );
    }
}
