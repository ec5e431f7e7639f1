//! Streams to feed to commands.

use libwoofstream::error::Result;
use libwoofstream::wire::{Dir, Fault, Kind, Raw, encode};

/// A stream of these messages, with its end.
pub(crate) fn stream(messages: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = open(messages);
    encode::end(&mut out, Ok(()));
    out
}

/// The same, cut before its end.
pub(crate) fn open(messages: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode::preamble(&mut out);
    messages(&mut out);
    out
}

/// The context of a woof.
pub(crate) fn woof_dir(out: &mut Vec<u8>, path: &str, content: &str) {
    let written: Result<()> = encode::dir(out, &Dir::new().set("path", path).set("content", content));
    written.unwrap();
}

/// An element of a woof of type `f64`.
pub(crate) fn number(out: &mut Vec<u8>, seqno: u64, time_ns: u64, value: f64) {
    encode::elem(out, seqno, time_ns, &value.to_le_bytes());
}

/// An error as another command would have put it into the stream.
pub(crate) fn fault() -> Fault {
    Fault {
        code: "gone".into(),
        origin: "wget".into(),
        object: "farm/temp".into(),
        text: "no element 1".into(),
    }
}

/// A message of a kind that nobody knows yet.
pub(crate) const FUTURE: Raw<'_> = Raw { kind: Kind(77), flags: 2, reserved: 9, payload: b"\xffnew" };

/// Everything that is no data, and that every filter must pass as it is.
pub(crate) fn others(out: &mut Vec<u8>) {
    encode::mark(out, "caught-up");
    encode::seqno(out, 7, "farm/alerts");
    encode::file_end(out, 5, 6);
    encode::err(out, &fault());
    encode::ign(out, &Raw::bytes(b"set aside"));
    encode::raw(out, &FUTURE);
}
