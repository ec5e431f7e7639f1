//! Messages: as they stand in a stream ([`Raw`]), and taken apart ([`Message`]).

use super::{Addr, Dir, ELEM_PREFIX, Fault, Kind, MORE, Position, structured};
use crate::error::{Code, Error, Result};

/// One whole message as it stood in the stream, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// What it is.
    pub kind: Kind,
    /// The flags of its frames, without [`MORE`].
    pub flags: u8,
    /// The reserved bytes of its frames.
    pub reserved: u16,
    /// The payload, whole even where it came in several frames.
    pub payload: &'a [u8],
}

/// An element of a woof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elem<'a> {
    /// Its sequence number; 0 for data that has none yet.
    pub seqno: u64,
    /// When it was appended, in nanoseconds since 1970-01-01T00:00:00Z.
    pub time_ns: u64,
    /// The data.
    pub data: &'a [u8],
}

/// A message taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<'a> {
    /// Raw data.
    Bytes(&'a [u8]),
    /// An element of a woof.
    Elem(Elem<'a>),
    /// Where something was appended.
    SeqNo {
        /// The sequence number it got.
        seqno: u64,
        /// The name of the woof.
        woof: &'a str,
    },
    /// Attributes that give context to the data after them.
    Dir(Dir),
    /// The end of the file just sent.
    FileEnd {
        /// Bytes of the file.
        len: u64,
        /// CRC-32C of these bytes.
        crc32c: u32,
    },
    /// A place in the stream ([`super::mark`] has the names).
    Mark(&'a str),
    /// A name with a range.
    Addr(Addr),
    /// An error in its place.
    Err(Fault),
    /// Data that a filter set aside.
    Ign {
        /// The kind of the message that was set aside.
        kind: Kind,
        /// Its flags.
        flags: u8,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Data of an application's own type.
    App {
        /// The name of the type, 1 to 255 bytes.
        name: &'a str,
        /// The data, laid out as the application has it.
        data: &'a [u8],
    },
    /// How far the elements before it go.
    Position(Position),
    /// Of a kind that this version does not know: to be forwarded as it is.
    Unknown(Raw<'a>),
}

impl<'a> Raw<'a> {
    /// A `Bytes` message with this data.
    #[inline]
    pub fn bytes(data: &'a [u8]) -> Raw<'a> {
        Raw { kind: Kind::BYTES, flags: 0, reserved: 0, payload: data }
    }

    /// Takes the message apart.
    ///
    /// # Errors
    /// [`Code::Damaged`] where the payload does not fit the kind, [`Code::TooLarge`] where a structured one is over its limit.
    pub fn decode(&self) -> Result<Message<'a>> {
        let payload = self.payload;
        Ok(match self.kind {
            Kind::BYTES => Message::Bytes(payload),
            Kind::ELEM => Message::Elem(self.elem()?),
            Kind::SEQNO => {
                let (seqno, woof) = payload.split_first_chunk().ok_or_else(|| self.short(8))?;
                Message::SeqNo { seqno: u64::from_le_bytes(*seqno), woof: self.text(woof)? }
            }
            Kind::DIR => Message::Dir(Dir::decode(payload)?),
            Kind::FILE_END => {
                let (len, crc) = payload.split_first_chunk().ok_or_else(|| self.short(12))?;
                // A later version may say more after the two, so further bytes are left alone.
                let crc = crc.first_chunk().ok_or_else(|| self.short(12))?;
                Message::FileEnd { len: u64::from_le_bytes(*len), crc32c: u32::from_le_bytes(*crc) }
            }
            Kind::MARK => Message::Mark(self.text(payload)?),
            Kind::ADDR => Message::Addr(structured::decode(Kind::ADDR, payload)?),
            Kind::ERR => Message::Err(structured::decode(Kind::ERR, payload)?),
            Kind::IGN => {
                let inner = self.set_aside()?;
                Message::Ign { kind: inner.kind, flags: inner.flags, payload: inner.payload }
            }
            Kind::APP => {
                let (name, data) =
                    app_parts(payload).ok_or_else(|| self.damaged("has no whole type name"))?;
                Message::App { name: self.text(name)?, data }
            }
            Kind::POSITION => Message::Position(Position::decode(payload)?),
            _ => Message::Unknown(*self),
        })
    }

    /// The parts of an `Elem` message, without a copy.
    ///
    /// # Errors
    /// [`Code::Damaged`] where it is of another kind or shorter than an `Elem` can be.
    #[inline]
    pub fn elem(&self) -> Result<Elem<'a>> {
        match self.payload.split_first_chunk::<ELEM_PREFIX>() {
            Some((prefix, data)) if self.kind == Kind::ELEM => {
                let both = u128::from_le_bytes(*prefix);
                #[expect(clippy::cast_possible_truncation, reason = "the low and the high half, one each")]
                Ok(Elem { seqno: both as u64, time_ns: (both >> 64) as u64, data })
            }
            _ => Err(self.no_elem()),
        }
    }

    /// The data of `Bytes`, `Elem` and `App`; `None` for other kinds, and where the message is too short to have data.
    ///
    /// ```
    /// use woof_core::wire::{Kind, Raw};
    /// assert_eq!(Raw::bytes(b"21.5").data(), Some(&b"21.5"[..]));
    /// assert_eq!(Raw { kind: Kind::MARK, ..Raw::bytes(b"caught-up") }.data(), None);
    /// ```
    #[inline]
    pub fn data(&self) -> Option<&'a [u8]> {
        match self.kind {
            Kind::BYTES => Some(self.payload),
            Kind::ELEM => self.payload.get(ELEM_PREFIX..),
            Kind::APP => app_parts(self.payload).map(|(_, data)| data),
            _ => None,
        }
    }

    /// The message that an `Ign` message holds, as it was before a filter set it aside.
    ///
    /// # Errors
    /// [`Code::Damaged`] where this is no `Ign` message, or what it holds can be no message.
    pub fn set_aside(&self) -> Result<Raw<'a>> {
        match *self.payload {
            [kind, flags, ref payload @ ..] if self.kind == Kind::IGN && Kind(kind).is_message() => {
                Ok(Raw { kind: Kind(kind), flags: flags & !MORE, reserved: 0, payload })
            }
            _ => Err(self.damaged("holds no message that was set aside")),
        }
    }

    fn text(&self, bytes: &'a [u8]) -> Result<&'a str> {
        std::str::from_utf8(bytes).map_err(|_| self.damaged("has a name that is not UTF-8"))
    }

    #[cold]
    fn no_elem(&self) -> Error {
        if self.kind == Kind::ELEM { self.short(ELEM_PREFIX) } else { self.damaged("is no element") }
    }

    #[cold]
    fn short(&self, least: usize) -> Error {
        self.damaged(&format!("is {} bytes, the least is {least}", self.payload.len()))
    }

    #[cold]
    fn damaged(&self, what: &str) -> Error {
        Error::new(Code::Damaged, "", format!("{} message {what}", self.kind.name()))
    }
}

/// The name and the data of an `App` payload.
fn app_parts(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = payload.split_first()?;
    if *len == 0 { None } else { rest.split_at_checked(usize::from(*len)) }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
