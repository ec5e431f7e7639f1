//! JSON lines back into messages: the inverse of what `--json` writes. A line that is no message is an error that
//! names the line; nothing is guessed. Members that are not known are passed over.

use super::base64;
use super::context::Context;
use super::json::unescape;
use crate::support::time;
use libwoofstream::content::ContentType;
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::space::{context, is_time};
use libwoofstream::wire::{Addr, Dir, Fault, Kind, Raw, Value, encode};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Reads JSON lines; remembers the context that turns the text of a number into its 8 bytes.
#[derive(Debug, Default)]
pub struct FromJson {
    context: Context,
    lines: u64,
}

impl FromJson {
    /// A reader at the first line.
    pub fn new() -> FromJson {
        FromJson::default()
    }

    /// Appends the frames of the message in `line` to `out`; a blank line is no message. An element that names another
    /// woof than the last `dir` gets a `dir` of its own before it.
    ///
    /// # Errors
    /// [`Code::Invalid`] when the line is no JSON object or no message, [`Code::Mismatch`] when data does not fit the
    /// content type; `out` is then as it was.
    pub fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let start = out.len();
        let object = serde_json::from_slice::<Map<String, Json>>(line);
        let read = object
            .map_err(|err| invalid(format!("no JSON object: {err}")))
            .and_then(|object| self.object(&object, out));
        read.map_err(|err| {
            out.truncate(start);
            let why = if err.object().is_empty() { err.text().to_owned() } else { err.to_string() };
            Error::new(err.code(), format!("line {}", self.lines), why)
        })
    }

    fn object(&mut self, object: &Map<String, Json>, out: &mut Vec<u8>) -> Result<()> {
        match text(object, "type")? {
            "elem" => self.elem(object, out)?,
            "bytes" => encode::bytes(out, &data(object)?),
            "seqno" => encode::seqno(out, number(object, "seqno")?, text(object, "woof")?),
            "dir" => {
                let mut dir = Dir::new();
                for (name, member) in object.iter().filter(|(name, _)| *name != "type") {
                    let read = match member.as_str() {
                        Some(text) if is_time(name) => Value::from(time::parse_time(text, 0)?),
                        _ => value(member)?,
                    };
                    dir = dir.set(unescape(name), read);
                }
                self.context.enter(&dir);
                encode::dir(out, &dir)?;
            }
            "file-end" => encode::file_end(out, number(object, "len")?, narrow(object, "crc32c")?),
            "mark" => encode::mark(out, text(object, "name")?),
            "addr" => {
                let name = text(object, "name")?.to_owned();
                let [lines, bytes, seqnos] = ["lines", "bytes", "seqnos"].map(|name| ends(object, name));
                encode::addr(out, &Addr { name, lines: lines?, bytes: bytes?, seqnos: seqnos? })?;
            }
            "error" => {
                let [code, origin, object, text] = ["code", "origin", "object", "text"]
                    .map(|name| object.get(name).and_then(Json::as_str).unwrap_or_default().to_owned());
                encode::err(out, &Fault { code, origin, object, text });
            }
            "ign" => {
                let payload = data(object)?;
                let kind = Kind(narrow(object, "kind")?);
                encode::ign(
                    out,
                    &Raw { kind, flags: narrow(object, "flags")?, reserved: 0, payload: &payload },
                );
            }
            "app" => encode::app(out, text(object, "name")?, &data(object)?)?,
            "unknown" => self.unknown(object, out)?,
            other => return Err(invalid(format!("\"{}\" is no type of a message", other.escape_default()))),
        }
        Ok(())
    }

    fn elem(&mut self, object: &Map<String, Json>, out: &mut Vec<u8>) -> Result<()> {
        let woof = object.get("woof").and_then(Json::as_str);
        let content = object.get("content").and_then(Json::as_str).map(ContentType::parse).transpose()?;
        if woof.is_some_and(|woof| woof != self.context.woof)
            || content.is_some_and(|content| content != self.context.content)
        {
            let dir = context(woof.unwrap_or_default(), content.unwrap_or_default());
            self.context.enter(&dir);
            encode::dir(out, &dir)?;
        }
        let seqno = number(object, "seqno")?;
        let time = text(object, "time")?;
        // An age has no place here: it would make another time of the same line each time it is read.
        if !time.contains('T') && !time.contains('t') {
            return Err(invalid(format!("\"{}\" is no time", time.escape_default())));
        }
        let time_ns = time::parse_time(time, 0)?;
        let written = data(object)?;
        let content = self.context.content;
        // A number may stand as its text, or as its bytes where it was no whole number.
        if content.is_number() && object.contains_key("data") {
            let mut bytes = Vec::with_capacity(8);
            content.encode_text(&written, &mut bytes)?;
            encode::elem(out, seqno, time_ns, &bytes);
        } else {
            encode::elem(out, seqno, time_ns, &written);
        }
        Ok(())
    }

    fn unknown(&self, object: &Map<String, Json>, out: &mut Vec<u8>) -> Result<()> {
        let kind = Kind(narrow(object, "kind")?);
        if kind.name() != "unknown" || kind.0 == 0 {
            return Err(invalid(format!("kind {} is no unknown one", kind.0)));
        }
        let payload = data(object)?;
        let (flags, reserved) = (narrow(object, "flags")?, narrow(object, "reserved")?);
        encode::raw(out, &Raw { kind, flags, reserved, payload: &payload });
        Ok(())
    }
}

fn invalid(text: String) -> Error {
    Error::new(Code::Invalid, "", text)
}

fn member<'a>(object: &'a Map<String, Json>, name: &str) -> Result<&'a Json> {
    object.get(name).ok_or_else(|| invalid(format!("no member \"{name}\"")))
}

fn text<'a>(object: &'a Map<String, Json>, name: &str) -> Result<&'a str> {
    member(object, name)?.as_str().ok_or_else(|| invalid(format!("\"{name}\" is no text")))
}

fn number(object: &Map<String, Json>, name: &str) -> Result<u64> {
    member(object, name)?.as_u64().ok_or_else(|| invalid(format!("\"{name}\" is no whole number")))
}

fn narrow<T: TryFrom<u64>>(object: &Map<String, Json>, name: &str) -> Result<T> {
    let wide = number(object, name)?;
    T::try_from(wide).map_err(|_| invalid(format!("\"{name}\" is {wide}, which is too large")))
}

fn data(object: &Map<String, Json>) -> Result<Vec<u8>> {
    match object.get("data_base64").and_then(Json::as_str) {
        Some(text) => base64::decode(text).ok_or_else(|| invalid("\"data_base64\" is no base64".to_owned())),
        None => Ok(text(object, "data")?.as_bytes().to_vec()),
    }
}

fn ends(object: &Map<String, Json>, name: &str) -> Result<Option<(u64, u64)>> {
    let Some(member) = object.get(name) else {
        return Ok(None);
    };
    match member.as_array().map(Vec::as_slice) {
        Some([first, last]) => Ok(first.as_u64().zip(last.as_u64())),
        _ => Ok(None),
    }
    .and_then(|ends| ends.map(Some).ok_or_else(|| invalid(format!("\"{name}\" is no pair of whole numbers"))))
}

fn value(json: &Json) -> Result<Value> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => Value::from(number),
            (_, Some(number), _) => Value::Int(number),
            (.., Some(number)) => Value::Float(number),
            _ => return Err(invalid(format!("{number} is out of range"))),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(value).collect::<Result<_>>()?),
        Json::Object(members) => match members.get("data_base64") {
            Some(text) => {
                let bytes = text.as_str().and_then(base64::decode);
                Value::Bytes(bytes.ok_or_else(|| invalid("\"data_base64\" is no base64".to_owned()))?)
            }
            None => {
                let mut map = BTreeMap::new();
                for (name, member) in members {
                    map.insert(unescape(name).to_owned(), value(member)?);
                }
                Value::Map(map)
            }
        },
    })
}
