//! Where the native part takes its values from, and the values it takes.

use super::json;
use super::subject::{AttrRef, Subject};
use std::borrow::Cow;
use woof_core::content::ContentType;
use woof_core::number::Number as Num;
use woof_core::text;

/// A name of the language, or a path into `json`.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    Value,
    Text,
    Data,
    Seqno,
    Time,
    Size,
    Depth,
    /// Fields to follow from the top of the JSON value; none for the value itself.
    Json(Box<[Box<str>]>),
    Attr(Box<str>),
}

/// A value with one part.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Num(Num),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    /// Nanoseconds since 1970.
    Time(i128),
    /// A list or a map, which the native part only tells apart from everything else.
    Other,
}

impl Source {
    /// The source of a name.
    pub(super) fn of_name(name: &str) -> Source {
        match name {
            "value" => Source::Value,
            "text" => Source::Text,
            "data" => Source::Data,
            "seqno" => Source::Seqno,
            "time" => Source::Time,
            "size" => Source::Size,
            "depth" => Source::Depth,
            "json" => Source::Json(Box::default()),
            other => Source::Attr(other.into()),
        }
    }

    /// What the subject has there; `None` where it has nothing.
    pub(super) fn get<'a>(&self, subject: &Subject<'a>) -> Option<Scalar<'a>> {
        match self {
            Source::Value => value(subject).map(Scalar::Num),
            Source::Text => text(subject).map(Scalar::Text),
            Source::Data => subject.data.map(Scalar::Bytes),
            Source::Seqno => unsigned(subject.seqno).or_else(|| attr(subject, "seqno")),
            Source::Time => match subject.time_ns {
                Some(time) => Some(Scalar::Time(i128::from(time))),
                None => attr(subject, "time"),
            },
            Source::Size => match subject.data {
                Some(data) => unsigned(u64::try_from(data.len()).ok()),
                None => attr(subject, "size"),
            },
            Source::Depth => unsigned(subject.depth).or_else(|| attr(subject, "depth")),
            Source::Json(path) => json::at_path(json_data(subject)?, path),
            Source::Attr(name) => attr(subject, name),
        }
    }
}

fn unsigned<'a>(value: Option<u64>) -> Option<Scalar<'a>> {
    value.map(|value| Scalar::Num(Num::unsigned(value)))
}

/// The number that the data is or reads as. Integers stay integers.
#[inline]
pub(super) fn value(subject: &Subject<'_>) -> Option<Num> {
    subject.content.number(subject.data?)
}

/// The data as text, without one newline at its end. Numbers are the decimal that they print as.
pub(super) fn text<'a>(subject: &Subject<'a>) -> Option<Cow<'a, str>> {
    let data = subject.data?;
    if subject.content.is_number() {
        let mut out = Vec::new();
        subject.content.check(data).ok()?;
        subject.content.write_text(data, &mut out);
        return String::from_utf8(out).ok().map(Cow::Owned);
    }
    let text = std::str::from_utf8(data).ok()?;
    Some(Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text)))
}

/// The data that may be read as JSON: numbers in binary and MessagePack are not.
pub(super) fn json_data<'a>(subject: &Subject<'a>) -> Option<&'a [u8]> {
    let readable = matches!(subject.content, ContentType::Text | ContentType::Json | ContentType::Bytes);
    subject.data.filter(|_| readable).and_then(|data| text::unmarked(data).ok())
}

/// An attribute. Times may be given as integers.
pub(super) fn attr<'a>(subject: &Subject<'a>, name: &str) -> Option<Scalar<'a>> {
    let is_time = matches!(name, "time" | "mtime");
    Some(match subject.attrs?.attr(name)? {
        AttrRef::UInt(value) if is_time => Scalar::Time(i128::from(value)),
        AttrRef::Int(value) if is_time => Scalar::Time(i128::from(value)),
        AttrRef::Time(value) => Scalar::Time(i128::from(value)),
        AttrRef::Bool(value) => Scalar::Bool(value),
        AttrRef::Int(value) => Scalar::Num(Num::Int(value)),
        AttrRef::UInt(value) => return unsigned(Some(value)),
        AttrRef::Float(value) => Scalar::Num(Num::Float(value)),
        AttrRef::Text(value) => Scalar::Text(Cow::Borrowed(value)),
        AttrRef::Name(value) => Scalar::Text(String::from_utf8_lossy(value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: ContentType, data: &[u8]) -> Subject<'_> {
        Subject { data: Some(data), content, ..Subject::default() }
    }

    #[test]
    fn text_reads_as_an_integer_or_a_double() {
        assert_eq!(value(&of(ContentType::Text, b" -42\n")), Some(Num::Int(-42)));
        assert_eq!(value(&of(ContentType::Text, b"+7")), Some(Num::Int(7)));
        assert_eq!(value(&of(ContentType::Text, b"21.5")), Some(Num::Float(21.5)));
        for (text, number) in [
            (&b"1234567890123456789"[..], Num::Int(1_234_567_890_123_456_789)),
            (b"-9223372036854775808", Num::Int(i64::MIN)),
            (b"9223372036854775808", Num::UInt(1 << 63)),
            (b"18446744073709551615", Num::UInt(u64::MAX)),
            (b"18446744073709551616", Num::Float(18_446_744_073_709_551_616.0)),
            (b"000000000000000000000000007", Num::Int(7)),
        ] {
            assert_eq!(value(&of(ContentType::Text, text)), Some(number));
        }
        assert_eq!(value(&of(ContentType::Text, b"1e400")), None);
        assert_eq!(
            value(&of(ContentType::Msgpack, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff")),
            Some(Num::UInt(u64::MAX))
        );
        assert_eq!(value(&of(ContentType::Text, b"-")), None);
        assert_eq!(value(&of(ContentType::Text, b"")), None);
        assert_eq!(value(&of(ContentType::I64, &i64::MIN.to_le_bytes())), Some(Num::Int(i64::MIN)));
        assert_eq!(value(&of(ContentType::F64, b"short")), None);
    }

    #[test]
    fn text_loses_one_newline_and_must_be_utf8() {
        assert_eq!(text(&of(ContentType::Text, b"a\n\n")).as_deref(), Some("a\n"));
        assert_eq!(text(&of(ContentType::Text, b"\xff")), None);
        assert_eq!(text(&of(ContentType::F64, &21.5f64.to_le_bytes())).as_deref(), Some("21.5"));
        assert_eq!(text(&of(ContentType::F64, b"12")), None);
    }
}
