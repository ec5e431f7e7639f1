//! Messages as JSON lines. `docs` name every member; [`super::FromJson`] reads them back.

use super::base64;
use super::context::Context;
use crate::support::time;
use libwoofstream::content::{ContentType, json_line};
use libwoofstream::space::is_time;
use libwoofstream::wire::{Addr, Dir, Elem, Fault, Message, Value};
use std::collections::BTreeMap;
use std::io::Write as _;

/// Members of our own in a `dir` object; an attribute of such a name gets a `_` before it.
const RESERVED: [&str; 2] = ["type", "data_base64"];

/// The name under which an attribute stands. What is already escaped is escaped once more, so it reads back.
pub(super) fn escape(name: &str) -> String {
    let bare = name.trim_start_matches('_');
    if RESERVED.contains(&bare) { format!("_{name}") } else { name.to_owned() }
}

/// The attribute of a member, the inverse of [`escape`].
pub(super) fn unescape(member: &str) -> &str {
    let bare = member.trim_start_matches('_');
    if RESERVED.contains(&bare) { member.strip_prefix('_').unwrap_or(member) } else { member }
}

/// Appends `message` as one line.
pub(super) fn line(message: &Message<'_>, context: &Context, out: &mut Vec<u8>) {
    match message {
        Message::Elem(element) => elem(element, context, out),
        Message::Bytes(bytes) => {
            out.extend_from_slice(b"{\"type\":\"bytes\"");
            data(bytes, out);
        }
        Message::SeqNo { seqno, woof } => {
            out.extend_from_slice(b"{\"type\":\"seqno\",\"woof\":");
            string(woof, out);
            let _ = write!(out, ",\"seqno\":{seqno}");
        }
        Message::Dir(attributes) => dir(attributes, out),
        Message::FileEnd { len, crc32c } => {
            let _ = write!(out, "{{\"type\":\"file-end\",\"len\":{len},\"crc32c\":{crc32c}");
        }
        Message::Mark(name) => {
            out.extend_from_slice(b"{\"type\":\"mark\",\"name\":");
            string(name, out);
        }
        Message::Addr(range) => addr(range, out),
        Message::Err(fault) => error(fault, out),
        Message::Ign { kind, flags, payload } => {
            let _ = write!(out, "{{\"type\":\"ign\",\"kind\":{},\"flags\":{flags}", kind.0);
            data(payload, out);
        }
        Message::App { name, data: payload } => {
            out.extend_from_slice(b"{\"type\":\"app\",\"name\":");
            string(name, out);
            data(payload, out);
        }
        Message::Position(position) => {
            out.extend_from_slice(b"{\"type\":\"position\",\"woof\":");
            string(&position.woof, out);
            let _ = write!(out, ",\"seqno\":{}", position.seqno);
        }
        Message::Unknown(raw) => {
            let _ = write!(
                out,
                "{{\"type\":\"unknown\",\"kind\":{},\"flags\":{},\"reserved\":{}",
                raw.kind.0, raw.flags, raw.reserved
            );
            data(raw.payload, out);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// An element: the one on the fast path.
fn elem(element: &Elem<'_>, context: &Context, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"elem\"");
    if let Some(raw) = context.raw_name() {
        out.extend_from_slice(b",\"woof\":");
        bytes(raw, out);
    } else if !context.woof.is_empty() {
        out.extend_from_slice(b",\"woof\":");
        string(&context.woof, out);
    }
    let _ = write!(out, ",\"seqno\":{},\"time\":\"", element.seqno);
    time::write_rfc3339(element.time_ns, out);
    out.push(b'"');
    let json = if context.content == ContentType::Json { json_line(element.data) } else { None };
    if let Some(json) = json {
        out.extend_from_slice(b",\"value\":");
        out.extend_from_slice(json.as_bytes());
    } else if !context.content.is_number() {
        data(element.data, out);
    } else if reads_back(context.content, element.data) {
        let mut text = Vec::new();
        context.content.write_text(element.data, &mut text);
        data(&text, out);
    } else {
        // Bytes that are no number must not read back as the text of one.
        binary(element.data, out);
    }
    // JSON has no number for what is not finite.
    match context.content.number(element.data) {
        _ if context.content == ContentType::Json => {}
        Some(number) if number.float().is_finite() => drop(write!(out, ",\"value\":{number}")),
        _ => {}
    }
    // Each line says all about its element, so that no line before it is needed.
    if context.content != ContentType::Text {
        let _ = write!(out, ",\"content\":\"{}\"", context.content);
    }
}

/// Whether the text of a number stands for exactly these bytes: not where they are no number, nor for the many NaNs that all
/// read `NaN`.
fn reads_back(content: ContentType, data: &[u8]) -> bool {
    let is_nan = content == ContentType::F64 && content.value(data).is_some_and(f64::is_nan);
    data.len() == 8 && (!is_nan || data == f64::NAN.to_le_bytes())
}

fn dir(attributes: &Dir, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"dir\"");
    for (name, attribute) in &attributes.attrs {
        out.push(b',');
        string(&escape(name), out);
        out.push(b':');
        match attribute {
            Value::Int(time) if is_time(name) && *time >= 0 => {
                out.push(b'"');
                time::write_rfc3339(time.unsigned_abs(), out);
                out.push(b'"');
            }
            _ => value(attribute, out),
        }
    }
}

fn addr(range: &Addr, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"addr\",\"name\":");
    string(&range.name, out);
    for (name, ends) in [("lines", range.lines), ("bytes", range.bytes), ("seqnos", range.seqnos)] {
        if let Some((first, last)) = ends {
            let _ = write!(out, ",\"{name}\":[{first},{last}]");
        }
    }
}

fn error(fault: &Fault, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"error\"");
    fault_members(fault, out);
}

/// Appends what an error says, behind another member.
pub(super) fn fault_members(fault: &Fault, out: &mut Vec<u8>) {
    for (name, text) in
        [("code", &fault.code), ("origin", &fault.origin), ("object", &fault.object), ("text", &fault.text)]
    {
        let _ = write!(out, ",\"{name}\":");
        string(text, out);
    }
}

fn value(of: &Value, out: &mut Vec<u8>) {
    match of {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(yes) => drop(write!(out, "{yes}")),
        Value::Int(number) => drop(write!(out, "{number}")),
        Value::UInt(number) => drop(write!(out, "{number}")),
        // The Debug form has a point or an exponent, so that it reads back as what it is.
        Value::Float(number) if number.is_finite() => drop(write!(out, "{number:?}")),
        Value::Float(_) => out.extend_from_slice(b"null"),
        Value::Text(text) => string(text, out),
        Value::Bytes(value) => bytes(value, out),
        Value::List(values) => {
            out.push(b'[');
            for (index, item) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value(item, out);
            }
            out.push(b']');
        }
        Value::Map(values) => map(values, out),
    }
}

/// Bytes where text could stand: an object, so that nobody takes them for text.
fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"data_base64\":\"");
    base64::encode(value, out);
    out.extend_from_slice(b"\"}");
}

fn map(values: &BTreeMap<String, Value>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, item)) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(&escape(name), out);
        out.push(b':');
        value(item, out);
    }
    out.push(b'}');
}

/// The member `data`, or `data_base64` for what is not UTF-8.
fn data(bytes: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(b",\"data\":");
            string(text, out);
        }
        Err(_) => binary(bytes, out),
    }
}

fn binary(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"data_base64\":\"");
    base64::encode(bytes, out);
    out.push(b'"');
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Text into memory always succeeds.
    let _ = serde_json::to_writer(out, text);
}
