//! Writes messages as frames, appended to a buffer. A payload over [`limits::FRAME_PAYLOAD_MAX`] is continued in further
//! frames.
//!
//! Failure contract: what no reader would accept (a structured message over its limits, a type name that is empty or too
//! long) is an error, and the buffer is then as it was. All else cannot fail.

use super::{Addr, Dir, Fault, Header, Kind, MORE, PREAMBLE, Raw, structured};
use crate::error::{Code, Error, Result};
use crate::limits;
use serde::Serialize;

/// Begins a stream.
pub fn preamble(out: &mut Vec<u8>) {
    out.extend_from_slice(&PREAMBLE);
}

/// Appends a `Bytes` message.
#[inline]
pub fn bytes(out: &mut Vec<u8>, data: &[u8]) {
    if data.len() > limits::FRAME_PAYLOAD_MAX {
        return continued(out, Raw::bytes(data), &[]);
    }
    out.reserve(super::HEADER_SIZE + data.len());
    out.extend_from_slice(&header(Kind::BYTES, data.len()));
    out.extend_from_slice(data);
}

/// Appends an `Elem` message: an element of a woof, appended at `time_ns` (nanoseconds since 1970).
#[inline]
pub fn elem(out: &mut Vec<u8>, seqno: u64, time_ns: u64, data: &[u8]) {
    let len = super::ELEM_PREFIX + data.len();
    if len > limits::FRAME_PAYLOAD_MAX {
        let prefix = elem_prefix(seqno, time_ns);
        return continued(out, Raw { kind: Kind::ELEM, ..Raw::bytes(data) }, &prefix);
    }
    out.reserve(super::HEADER_SIZE + len);
    let mut fixed = [0; super::HEADER_SIZE + super::ELEM_PREFIX];
    fixed[..8].copy_from_slice(&header(Kind::ELEM, len));
    fixed[8..].copy_from_slice(&elem_prefix(seqno, time_ns));
    out.extend_from_slice(&fixed);
    out.extend_from_slice(data);
}

/// Appends a `SeqNo` message: something was appended to `woof` and got this number.
pub fn seqno(out: &mut Vec<u8>, seqno: u64, woof: &str) {
    continued(out, Raw { kind: Kind::SEQNO, ..Raw::bytes(woof.as_bytes()) }, &seqno.to_le_bytes());
}

/// Appends a `Dir` message.
///
/// # Errors
/// [`Code::TooLarge`] where it is over [`limits::STRUCTURED_MAX`] or nested deeper than [`limits::STRUCTURED_DEPTH_MAX`].
pub fn dir(out: &mut Vec<u8>, dir: &Dir) -> Result<()> {
    dir.check_depth()?;
    one_frame(out, Kind::DIR, dir)
}

/// Appends a `FileEnd` message: bytes of the file just sent, and their CRC-32C.
pub fn file_end(out: &mut Vec<u8>, len: u64, crc32c: u32) {
    continued(out, Raw { kind: Kind::FILE_END, ..Raw::bytes(&crc32c.to_le_bytes()) }, &len.to_le_bytes());
}

/// Appends a `Mark` message ([`super::mark`] has the names).
pub fn mark(out: &mut Vec<u8>, name: &str) {
    continued(out, Raw { kind: Kind::MARK, ..Raw::bytes(name.as_bytes()) }, &[]);
}

/// Appends an `Addr` message.
///
/// # Errors
/// [`Code::TooLarge`] where it is over [`limits::STRUCTURED_MAX`].
pub fn addr(out: &mut Vec<u8>, addr: &Addr) -> Result<()> {
    one_frame(out, Kind::ADDR, addr)
}

/// Appends an `Err` message. Texts over 16 KiB are clipped: an error is always told.
pub fn err(out: &mut Vec<u8>, fault: &Fault) {
    // The clipped fault is far below the limits, so there is nothing that could fail.
    let _ = one_frame(out, Kind::ERR, &*fault.clipped());
}

/// Appends an `Ign` message that holds `set_aside`, which a filter takes out of the data.
pub fn ign(out: &mut Vec<u8>, set_aside: &Raw<'_>) {
    let prefix = [set_aside.kind.0, set_aside.flags & !MORE];
    continued(out, Raw { kind: Kind::IGN, ..Raw::bytes(set_aside.payload) }, &prefix);
}

/// Appends an `App` message: data of an application's own type, named with 1 to [`limits::NAME_MAX`] bytes.
///
/// # Errors
/// [`Code::Invalid`] where the name is empty or too long.
pub fn app(out: &mut Vec<u8>, name: &str, data: &[u8]) -> Result<()> {
    let prefix = app_prefix(name)?;
    continued(out, Raw { kind: Kind::APP, ..Raw::bytes(data) }, &prefix);
    Ok(())
}

/// Appends a message as it came: kind, flags, reserved bytes and payload are the same. Where its frames end can differ.
#[inline]
pub fn raw(out: &mut Vec<u8>, raw: &Raw<'_>) {
    if raw.payload.len() > limits::FRAME_PAYLOAD_MAX {
        return continued(out, *raw, &[]);
    }
    out.reserve(super::HEADER_SIZE + raw.payload.len());
    out.extend_from_slice(&frame_header(raw, raw.payload.len(), false));
    out.extend_from_slice(raw.payload);
}

/// Ends the stream, with its status.
pub fn end(out: &mut Vec<u8>, status: std::result::Result<(), &Fault>) {
    match status {
        Ok(()) => out.extend_from_slice(&header(Kind::END, 0)),
        // As in `err`, nothing here can fail.
        Err(fault) => drop(one_frame(out, Kind::END, &*fault.clipped())),
    }
}

/// The first bytes of an `Elem` payload.
#[inline]
pub fn elem_prefix(seqno: u64, time_ns: u64) -> [u8; super::ELEM_PREFIX] {
    (u128::from(seqno) | u128::from(time_ns) << 64).to_le_bytes()
}

/// The first bytes of an `App` payload.
pub fn app_prefix(name: &str) -> Result<Vec<u8>> {
    match u8::try_from(name.len()) {
        Ok(len) if len > 0 => Ok([&[len], name.as_bytes()].concat()),
        _ => Err(Error::new(
            Code::Invalid,
            "",
            format!(
                "name of an application type is {} bytes, it must be 1 to {}",
                name.len(),
                limits::NAME_MAX
            ),
        )),
    }
}

/// The header of a frame of `message` with `len` bytes of payload.
#[inline]
pub fn frame_header(message: &Raw<'_>, len: usize, more: bool) -> [u8; super::HEADER_SIZE] {
    // Callers keep to the limit of a frame, which is far below 4 GiB.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let flags = message.flags & !MORE | if more { MORE } else { 0 };
    Header { len, kind: message.kind, flags, reserved: message.reserved }.encode()
}

#[inline]
fn header(kind: Kind, len: usize) -> [u8; super::HEADER_SIZE] {
    frame_header(&Raw { kind, ..Raw::bytes(&[]) }, len, false)
}

/// Cuts `prefix` and payload, one after the other, into the pieces that go into one frame each. The prefix must be smaller
/// than a frame.
pub fn pieces<'a>(prefix: &'a [u8], payload: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8], bool)> {
    let mut prefix = Some(prefix);
    let mut rest = payload;
    std::iter::from_fn(move || {
        let first = prefix.take();
        if first.is_none() && rest.is_empty() {
            return None;
        }
        let first = first.unwrap_or_default();
        let (piece, after) = rest.split_at(rest.len().min(limits::FRAME_PAYLOAD_MAX - first.len()));
        rest = after;
        Some((first, piece, !rest.is_empty()))
    })
}

/// Appends a message of any length.
fn continued(out: &mut Vec<u8>, message: Raw<'_>, prefix: &[u8]) {
    for (prefix, piece, more) in pieces(prefix, message.payload) {
        out.reserve(super::HEADER_SIZE + prefix.len() + piece.len());
        out.extend_from_slice(&frame_header(&message, prefix.len() + piece.len(), more));
        out.extend_from_slice(prefix);
        out.extend_from_slice(piece);
    }
}

/// Appends a structured message, which always fits one frame.
fn one_frame<T: Serialize>(out: &mut Vec<u8>, kind: Kind, value: &T) -> Result<()> {
    const { assert!(limits::STRUCTURED_MAX <= limits::FRAME_PAYLOAD_MAX) };
    let start = out.len();
    out.extend_from_slice(&[0; super::HEADER_SIZE]);
    if let Err(err) = structured::encode(kind, value, out) {
        out.truncate(start);
        return Err(err);
    }
    let len = out.len() - start - super::HEADER_SIZE;
    if let Some(place) = out.get_mut(start..start + super::HEADER_SIZE) {
        place.copy_from_slice(&header(kind, len));
    }
    Ok(())
}
