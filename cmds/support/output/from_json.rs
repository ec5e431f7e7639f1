//! JSON lines back into messages: the inverse of what `--json` writes. A line that is no message is an error that
//! names the line; nothing is guessed. Members that are not known are passed over.

use super::base64;
use super::context::Context;
use super::json::unescape;
use super::json_end;
use crate::support::time;
use libwoofstream::content::ContentType;
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::space::{context, is_time};
use libwoofstream::wire::{Addr, Dir, Fault, Kind, Raw, Value, encode};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// The members of a line, each as it is written: what is read as a number too soon has lost digits.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Reads JSON lines; remembers the context that turns the text of a number into its 8 bytes.
#[derive(Debug, Default)]
pub struct FromJson {
    context: Context,
    lines: u64,
    /// The last line was an end.
    ended: bool,
}

impl FromJson {
    /// A reader at the first line.
    pub fn new() -> FromJson {
        FromJson::default()
    }

    /// How many lines were read.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the last line that was not blank was the end of a stream.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Appends the frames of the message, or of the end, in `line` to `out`; a blank line is no message. An element that names another
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
        let parse = |line| {
            serde_json::from_slice::<Members<'_>>(line)
                .map_err(|err| invalid(format!("no JSON object: {err}")))
        };
        let read =
            libwoofstream::text::unmarked(line).and_then(parse).and_then(|object| self.object(&object, out));
        read.map_err(|err| {
            out.truncate(start);
            let why = if err.object().is_empty() { err.text().to_owned() } else { err.to_string() };
            Error::new(err.code(), format!("line {}", self.lines), why)
        })
    }

    fn object(&mut self, object: &Members<'_>, out: &mut Vec<u8>) -> Result<()> {
        let kind = text(object, "type")?;
        self.ended = kind == "end";
        match kind.as_str() {
            "elem" => self.elem(object, out)?,
            "bytes" => encode::bytes(out, &data(object)?),
            "seqno" => encode::seqno(out, number(object, "seqno")?, &text(object, "woof")?),
            "dir" => {
                let mut dir = Dir::new();
                for (name, raw) in object.iter().filter(|(name, _)| *name != "type") {
                    let member: Json = read(raw, name)?;
                    let read = match member.as_str() {
                        Some(text) if is_time(name) => Value::from(time::parse_time(text, 0)?),
                        _ => value(&member)?,
                    };
                    dir = dir.set(unescape(name), read);
                }
                self.context.enter(&dir);
                encode::dir(out, &dir)?;
            }
            "file-end" => encode::file_end(out, number(object, "len")?, narrow(object, "crc32c")?),
            "mark" => encode::mark(out, &text(object, "name")?),
            "addr" => {
                let name = text(object, "name")?;
                let [lines, bytes, seqnos] = ["lines", "bytes", "seqnos"].map(|name| ends(object, name));
                encode::addr(out, &Addr { name, lines: lines?, bytes: bytes?, seqnos: seqnos? })?;
            }
            "error" => encode::err(out, &fault(object)),
            "end" => {
                let status = json_end::read(&text(object, "status")?, fault(object))?;
                encode::end(out, status.as_ref().map_or_else(Err, |()| Ok(())));
                // What is behind it is a stream of its own.
                self.context = Context::default();
            }
            "ign" => {
                let payload = data(object)?;
                let kind = Kind(narrow(object, "kind")?);
                encode::ign(
                    out,
                    &Raw { kind, flags: narrow(object, "flags")?, reserved: 0, payload: &payload },
                );
            }
            "app" => encode::app(out, &text(object, "name")?, &data(object)?)?,
            "unknown" => self.unknown(object, out)?,
            other => return Err(invalid(format!("\"{}\" is no type of a message", other.escape_default()))),
        }
        Ok(())
    }

    fn elem(&mut self, object: &Members<'_>, out: &mut Vec<u8>) -> Result<()> {
        let woof = object.get("woof").map(|raw| name(&read(raw, "woof")?)).transpose()?;
        let content = optional(object, "content")?.map(|name| ContentType::parse(&name)).transpose()?;
        if woof.as_ref().is_some_and(|woof| woof != self.context.name())
            || content.is_some_and(|content| content != self.context.content)
        {
            let dir = context(OsStr::from_bytes(&woof.unwrap_or_default()), content.unwrap_or_default());
            self.context.enter(&dir);
            encode::dir(out, &dir)?;
        }
        let seqno = number(object, "seqno")?;
        let time = text(object, "time")?;
        // An age has no place here: it would make another time of the same line each time it is read.
        if !time.contains('T') && !time.contains('t') {
            return Err(invalid(format!("\"{}\" is no time", time.escape_default())));
        }
        let time_ns = time::parse_time(&time, 0)?;
        encode::elem(out, seqno, time_ns, &element(object, self.context.content)?);
        Ok(())
    }

    fn unknown(&self, object: &Members<'_>, out: &mut Vec<u8>) -> Result<()> {
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

/// The data of an element: what `data` or `data_base64` says, or `value`, which is enough. Where there are both, they have to agree.
fn element(object: &Members<'_>, content: ContentType) -> Result<Vec<u8>> {
    let value = object.get("value").map(|raw| raw.get());
    let mut element = Vec::new();
    match (object.contains_key("data"), object.contains_key("data_base64"), value) {
        (false, false, Some(value)) => {
            content.encode_json(value, &mut element)?;
            return Ok(element);
        }
        (false, false, None) => return Err(invalid("no member \"value\" or \"data\"".to_owned())),
        // A number may stand as its text, or as its bytes where it was no whole number.
        (true, false, _) if content.is_number() => content.encode_text(&data(object)?, &mut element)?,
        _ => element = data(object)?,
    }
    if let Some(value) = value {
        content.agrees_with_json(&element, value)?;
    }
    Ok(element)
}

fn member<'a>(object: &'a Members<'_>, name: &str) -> Result<&'a RawValue> {
    object.get(name).copied().ok_or_else(|| invalid(format!("no member \"{name}\"")))
}

/// A member that is what `T` is.
fn read<T: DeserializeOwned>(raw: &RawValue, name: &str) -> Result<T> {
    serde_json::from_str(raw.get()).map_err(|err| invalid(format!("\"{}\": {err}", name.escape_default())))
}

fn text(object: &Members<'_>, name: &str) -> Result<String> {
    read(member(object, name)?, name).map_err(|_| invalid(format!("\"{name}\" is no text")))
}

/// As [`text`], of a member that need not be there.
fn optional(object: &Members<'_>, name: &str) -> Result<Option<String>> {
    object.contains_key(name).then(|| text(object, name)).transpose()
}

fn number(object: &Members<'_>, name: &str) -> Result<u64> {
    read(member(object, name)?, name).map_err(|_| invalid(format!("\"{name}\" is no whole number")))
}

fn narrow<T: TryFrom<u64>>(object: &Members<'_>, name: &str) -> Result<T> {
    let wide = number(object, name)?;
    T::try_from(wide).map_err(|_| invalid(format!("\"{name}\" is {wide}, which is too large")))
}

fn data(object: &Members<'_>) -> Result<Vec<u8>> {
    match optional(object, "data_base64")? {
        Some(text) => base64::decode(&text).ok_or_else(|| invalid("\"data_base64\" is no base64".to_owned())),
        None => text(object, "data").map(String::into_bytes),
    }
}

fn ends(object: &Members<'_>, name: &str) -> Result<Option<(u64, u64)>> {
    let Some(raw) = object.get(name) else {
        return Ok(None);
    };
    let pair: Option<(u64, u64)> = read(raw, name).ok();
    pair.map(Some).ok_or_else(|| invalid(format!("\"{name}\" is no pair of whole numbers")))
}

/// The error in an object; what it does not have is empty.
fn fault(object: &Members<'_>) -> Fault {
    let [code, origin, object, text] =
        ["code", "origin", "object", "text"].map(|name| text(object, name).unwrap_or_default());
    Fault { code, origin, object, text }
}

/// A name: text, or bytes where it is not UTF-8.
fn name(json: &Json) -> Result<Vec<u8>> {
    match value(json)? {
        Value::Text(text) => Ok(text.into_bytes()),
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(invalid("\"woof\" is no name".to_owned())),
    }
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
