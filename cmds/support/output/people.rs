//! Messages as text for people. Control characters of data do not reach the terminal from here: an element is one line,
//! whatever is in it.

use super::context::Context;
use super::json::escape;
use crate::support::{time, units};
use libwoofstream::content::ContentType;
use libwoofstream::name::{is_steering, show};
use libwoofstream::space::is_time;
use libwoofstream::sys;
use libwoofstream::wire::{Addr, Dir, Elem, Message, Value};
use std::io::Write as _;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const OFF: &str = "\x1b[0m";

fn paint(color: bool, code: &'static str) -> &'static str {
    if color { code } else { "" }
}

/// An element in columns: seqno, age, data.
pub(super) fn elem(elem: &Elem<'_>, content: ContentType, color: bool, out: &mut Vec<u8>) {
    let age = time::in_words(elem.time_ns, sys::now_ns());
    let _ = write!(out, "{}{:>8}  {age:<16}{}  ", paint(color, DIM), elem.seqno, paint(color, OFF));
    shown(content, elem.data, out);
    out.push(b'\n');
}

/// The name of a woof above its elements.
pub(super) fn heading(context: &Context, color: bool, out: &mut Vec<u8>) {
    let _ = writeln!(out, "{}{}{}", paint(color, BOLD), clean(&context.woof), paint(color, OFF));
}

/// The name of what a `Dir` stands for.
pub(super) fn listed(dir: &Dir, plain: bool, out: &mut Vec<u8>) {
    let Some(name) = dir.name("path").or_else(|| dir.name("name")) else { return };
    // A program gets the name as it is.
    if plain {
        out.extend_from_slice(name)
    } else {
        out.extend_from_slice(clean(name).as_bytes())
    }
    out.push(b'\n');
}

/// A message that is neither data nor a `Dir`, on one line.
pub(super) fn short(message: &Message<'_>, out: &mut Vec<u8>) {
    match message {
        Message::SeqNo { seqno, woof } => drop(writeln!(out, "{} {seqno}", clean(woof))),
        Message::Addr(addr) => drop(writeln!(out, "{}", address(addr))),
        _ => {}
    }
}

/// A message with all that is known of it, on one line.
pub(super) fn long(message: &Message<'_>, context: &Context, color: bool, out: &mut Vec<u8>) {
    let (dim, off) = (paint(color, DIM), paint(color, OFF));
    let mut kind = |name: &str| drop(write!(out, "{dim}{name:<8}{off} "));
    match message {
        Message::Bytes(data) => {
            kind("bytes");
            sized(data, ContentType::Bytes, out);
        }
        Message::Elem(elem) => {
            kind("elem");
            let woof = if context.woof.is_empty() { "-" } else { &context.woof };
            let time = time::rfc3339(elem.time_ns);
            let _ = write!(out, "{} {:>8}  {dim}{time}{off} ", clean(woof), elem.seqno);
            sized(elem.data, context.content, out);
        }
        Message::SeqNo { seqno, woof } => {
            kind("seqno");
            let _ = write!(out, "{} {seqno:>8}", clean(woof));
        }
        Message::Dir(dir) => {
            kind("dir");
            let attributes = dir
                .attrs
                .iter()
                .map(|(name, value)| format!("{}={}", clean(escape(name)), attribute(name, value)));
            out.extend_from_slice(attributes.collect::<Vec<_>>().join(" ").as_bytes());
        }
        Message::FileEnd { len, crc32c } => {
            kind("file-end");
            let _ = write!(out, "{} crc32c {crc32c:08x}", units::human_size(*len));
        }
        Message::Mark(name) => {
            kind("mark");
            out.extend_from_slice(clean(name).as_bytes());
        }
        Message::Addr(addr) => {
            kind("addr");
            out.extend_from_slice(address(addr).as_bytes());
        }
        Message::Err(fault) => {
            kind("error");
            let _ =
                write!(out, "{} {} {}", clean(&fault.code), clean(&fault.origin), clean(fault.to_string()));
        }
        Message::Ign { kind: of, payload, .. } => {
            kind("ign");
            let _ = write!(out, "{} ", of.name());
            sized(payload, ContentType::Bytes, out);
        }
        Message::App { name, data } => {
            kind("app");
            let _ = write!(out, "{} ", clean(name));
            sized(data, ContentType::Bytes, out);
        }
        Message::Position(position) => {
            kind("position");
            let _ = write!(out, "{} {}", clean(&position.woof), position.seqno);
        }
        Message::Unknown(raw) => {
            kind("unknown");
            let _ = write!(out, "{} ", raw.kind.0);
            sized(raw.payload, ContentType::Bytes, out);
        }
    }
    out.push(b'\n');
}

/// The size of data, then the data.
fn sized(data: &[u8], content: ContentType, out: &mut Vec<u8>) {
    let _ = write!(out, "{:>8}  ", units::human_size(data.len() as u64));
    let data = if content.is_number() { data } else { data.strip_suffix(b"\n").unwrap_or(data) };
    shown(content, data, out);
}

/// Data in its text form with control characters and what is not UTF-8 escaped.
fn shown(content: ContentType, data: &[u8], out: &mut Vec<u8>) {
    let (mut text, mut line) = (Vec::new(), String::new());
    content.write_text(data, &mut text);
    show(&text, |char| is_steering(char) && char != '\t', &mut line);
    out.extend_from_slice(line.as_bytes());
}

/// A name that cannot steer the terminal.
fn clean(name: impl AsRef<[u8]>) -> String {
    libwoofstream::name::shown(name.as_ref())
}

/// The value of an attribute as people write it: times as dates, modes in octal.
pub(crate) fn attribute(name: &str, value: &Value) -> String {
    match value {
        Value::Int(time) if is_time(name) && *time >= 0 => time::rfc3339(time.unsigned_abs()),
        Value::Int(mode) if name == "mode" => format!("{mode:04o}"),
        Value::Bytes(bytes) if matches!(name, "path" | "name") => clean(bytes),
        _ => brief(value),
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Nil => "-".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) if text.contains(char::is_whitespace) => {
            format!("\"{}\"", clean(text.escape_debug().to_string()))
        }
        Value::Text(text) => clean(text),
        Value::Bytes(bytes) => units::human_size(bytes.len() as u64),
        Value::List(items) => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(",")),
        Value::Map(items) => {
            let items = items.iter().map(|(name, item)| format!("{}:{}", clean(name), brief(item)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(","))
        }
    }
}

/// `notes:5..7`: a name with its range, lines where nothing else is said.
fn address(addr: &Addr) -> String {
    let mut text = clean(&addr.name);
    for (unit, ends) in [("", addr.lines), ("byte ", addr.bytes), ("element ", addr.seqnos)] {
        if let Some((first, last)) = ends {
            text.push_str(&format!(":{unit}{first}"));
            if first != last {
                text.push_str(&format!("..{last}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_element_is_one_line_that_cannot_steer_the_terminal() {
        let data = b"a\nb\x1b[2J\xff";
        let line =
            text(|out| elem(&Elem { seqno: 5, time_ns: sys::now_ns(), data }, ContentType::Text, false, out));
        assert_eq!(line, "       5  just now          a\\nb\\u{1b}[2J\\xff\n");
    }

    #[test]
    fn the_long_form_says_all() {
        let context =
            Context { woof: "farm/temp".to_owned(), content: ContentType::F64, ..Context::default() };
        let data = 21.5f64.to_le_bytes();
        let message = Message::Elem(Elem { seqno: 5, time_ns: 4, data: &data });
        assert_eq!(
            text(|out| long(&message, &context, false, out)),
            "elem     farm/temp        5  1970-01-01T00:00:00.000000004Z      8 B  21.5\n"
        );
        let dir = Message::Dir(Dir::new().set("path", "farm/temp").set("history", 10u64));
        assert_eq!(
            text(|out| long(&dir, &context, true, out)),
            "\x1b[2mdir     \x1b[0m history=10 path=farm/temp\n"
        );
    }

    #[test]
    fn addresses_read_like_those_of_editors() {
        let addr = Addr { name: "notes".to_owned(), lines: Some((5, 7)), ..Addr::default() };
        assert_eq!(address(&addr), "notes:5..7");
        let addr = Addr { name: "w".to_owned(), seqnos: Some((9, 9)), ..Addr::default() };
        assert_eq!(address(&addr), "w:element 9");
    }
}
