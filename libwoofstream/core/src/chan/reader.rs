//! Reads messages from a descriptor, framed or raw.

use super::buffer::Buffer;
use super::{BeforeWait, Split};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::wire::{self, Decoder, Detected, Event, Fault, Header, Raw};
use std::os::fd::OwnedFd;

/// What came next.
#[derive(Debug)]
pub enum Input<'a> {
    /// A message.
    Message(Raw<'a>),
    /// The end of one framed stream, with the status its writer gave it; or the end of raw input. Further streams may follow.
    End(std::result::Result<(), Fault>),
    /// Nothing more will come.
    Eof,
}

/// How the input is read, which its first bytes decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Unknown,
    Framed,
    Raw,
    /// The end of raw input was told.
    RawEnded,
}

/// What lies where, so that it can be borrowed once the loop that found it is over.
enum Found {
    /// The last bytes that were used.
    Used(Header),
    /// In the decoder.
    Assembled(Header),
    /// The last so many bytes that were used are a raw message.
    Raw(usize),
    End(std::result::Result<(), Fault>),
    Eof,
    /// Only with more input.
    Nothing,
}

/// Reads the messages of a descriptor, framed or raw: the first bytes tell which it is.
///
/// Input that begins with the preamble is a framed stream, and can be followed by further ones. Anything else is raw bytes to
/// its end, and becomes `Bytes` messages as [`Split`] says, bytes kept as they are. Empty input has an end and no message.
///
/// ```
/// use woof_core::chan::{Input, Reader};
/// let (read, write) = rustix::pipe::pipe().unwrap();
/// rustix::io::write(&write, b"20.5\n21").unwrap();
/// drop(write);
/// let mut reader = Reader::new(read, "in");
/// let mut lines = Vec::new();
/// while let Input::Message(raw) = reader.next(&mut ())? {
///     lines.push(raw.payload.to_vec());
/// }
/// assert_eq!(lines, [b"20.5\n".to_vec(), b"21".to_vec()]);
/// # Ok::<(), woof_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    buffer: Buffer,
    decoder: Decoder,
    mode: Mode,
    split: Split,
    message_max: usize,
    /// Raw: how many of the unread bytes are known to hold no delimiter.
    searched: usize,
}

impl Reader {
    /// A reader of this descriptor; `name` is what errors call it. Nothing is read yet.
    pub fn new(fd: OwnedFd, name: impl Into<String>) -> Reader {
        Reader {
            buffer: Buffer::new(fd, name.into()),
            decoder: Decoder::new(limits::MESSAGE_MAX),
            mode: Mode::Unknown,
            split: Split::Line,
            message_max: limits::MESSAGE_MAX,
            searched: 0,
        }
    }

    /// The same, cutting raw input another way than by line.
    #[must_use]
    pub fn with_split(mut self, split: Split) -> Reader {
        self.split = split;
        self
    }

    /// The same with another limit than [`limits::MESSAGE_MAX`] on the bytes of one message. To be set before reading.
    #[must_use]
    pub fn with_message_max(mut self, bytes: usize) -> Reader {
        self.message_max = bytes;
        self.decoder = Decoder::new(bytes);
        self
    }

    /// The descriptor, to ask about and not to read from.
    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.buffer.as_fd()
    }

    /// What errors call this input.
    pub fn name(&self) -> &str {
        self.buffer.name()
    }

    /// How raw input is cut.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Whether the input is raw bytes; `None` before its first bytes came.
    pub fn is_raw(&self) -> Option<bool> {
        match self.mode {
            Mode::Unknown => None,
            Mode::Framed => Some(false),
            Mode::Raw | Mode::RawEnded => Some(true),
        }
    }

    /// How many messages of framed streams there were.
    pub fn messages(&self) -> u64 {
        self.decoder.messages()
    }

    /// The next message or end. Waits for it if need be, and tells `idle` before.
    ///
    /// # Errors
    /// [`Code::Cut`] where a framed stream stops before its end, [`Code::Damaged`], [`Code::TooLarge`] and [`Code::Unsupported`]
    /// as [`Decoder::step`], those of the system, and those of `idle`. All but the last are final.
    #[inline]
    pub fn next(&mut self, idle: &mut dyn BeforeWait) -> Result<Input<'_>> {
        // Nearly all messages are whole in the buffer. This way for them moves nothing but what they are.
        match self.mode {
            Mode::Framed => {
                if let Some(header) = self.decoder.whole(self.buffer.unread()) {
                    return Ok(Input::Message(self.framed(header)));
                }
            }
            Mode::Raw => {
                if let Some(len) = self.split.first(self.buffer.unread(), self.searched)
                    && len <= self.message_max
                {
                    return Ok(Input::Message(self.raw(len)));
                }
            }
            _ => {}
        }
        self.next_rare(idle)
    }

    #[inline(never)]
    fn next_rare(&mut self, idle: &mut dyn BeforeWait) -> Result<Input<'_>> {
        let found = loop {
            match self.find()? {
                (Found::Nothing, need) => self.more(need, idle)?,
                (found, _) => break found,
            }
        };
        Ok(self.input(found))
    }

    /// The next message or end if it is in the buffer already; `None` where only [`Reader::next`] can tell, since it
    /// takes a read. For work on all that is there before something is done about it.
    ///
    /// # Errors
    /// As [`Reader::next`].
    #[inline]
    pub fn next_buffered(&mut self) -> Result<Option<Input<'_>>> {
        match self.find()? {
            (Found::Nothing, _) => Ok(None),
            (found, _) => Ok(Some(self.input(found))),
        }
    }

    /// Waits for the first bytes and says whether the input is raw. Empty input is.
    ///
    /// # Errors
    /// Those of the system, and those of `idle`.
    pub fn detect(&mut self, idle: &mut dyn BeforeWait) -> Result<bool> {
        while self.mode == Mode::Unknown {
            match wire::detect(self.buffer.unread()) {
                Detected::Framed(_) => self.mode = Mode::Framed,
                Detected::Raw => self.mode = Mode::Raw,
                Detected::Need(need) => {
                    if !self.buffer.fill(need, idle)? {
                        self.mode = Mode::Raw;
                    }
                }
            }
        }
        Ok(self.mode != Mode::Framed)
    }

    /// For bulk work on raw input: all whole messages that are there, as one slice. The last one of the input may lack its
    /// delimiter. `None` when the input has ended, and when it is framed: [`Reader::next`] goes on then. A message in it can be
    /// over the limit by what the buffer holds.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn raw_block(&mut self, idle: &mut dyn BeforeWait) -> Result<Option<&[u8]>> {
        if !self.detect(idle)? || self.mode == Mode::RawEnded {
            return Ok(None);
        }
        let len = loop {
            let unread = self.buffer.unread();
            if let Some(len) = self.split.all(unread, self.searched) {
                break len;
            }
            if self.buffer.is_eof() {
                break unread.len();
            }
            self.more_raw(idle)?;
        };
        if len == 0 {
            return Ok(None);
        }
        self.searched = 0;
        self.buffer.consume(len);
        Ok(Some(self.buffer.used(len)))
    }

    /// Takes a framed message off the unread bytes.
    #[inline]
    fn framed(&mut self, header: Header) -> Raw<'_> {
        let len = header.len as usize;
        self.buffer.consume(wire::HEADER_SIZE + len);
        wire::message(header, self.buffer.used(len))
    }

    /// Takes a raw message off the unread bytes.
    #[inline]
    fn raw(&mut self, len: usize) -> Raw<'_> {
        self.searched = 0;
        self.buffer.consume(len);
        Raw::bytes(self.buffer.used(len))
    }

    /// Finds what comes next in the unread bytes and uses them up. With nothing: how many bytes are missing at least.
    fn find(&mut self) -> Result<(Found, usize)> {
        match self.mode {
            Mode::Framed => self.find_framed(),
            Mode::Raw => self.find_raw(),
            Mode::RawEnded => Ok((Found::Eof, 0)),
            Mode::Unknown => Ok((Found::Nothing, 0)),
        }
    }

    fn find_framed(&mut self) -> Result<(Found, usize)> {
        loop {
            let (used, event) = match self.decoder.event(self.buffer.unread()) {
                Ok(found) => found,
                Err(err) => return Err(err.of(self.buffer.name())),
            };
            self.buffer.consume(used);
            return Ok(match event {
                Event::Whole(header) => (Found::Used(header), 0),
                Event::Assembled(header) => (Found::Assembled(header), 0),
                Event::End(status) => (Found::End(status), 0),
                Event::Preamble => continue,
                Event::Need(need) if !self.buffer.is_eof() => (Found::Nothing, need),
                Event::Need(_) => match self.decoder.finish(self.buffer.unread().len()) {
                    Ok(()) => (Found::Eof, 0),
                    Err(err) => return Err(err.of(self.buffer.name())),
                },
            });
        }
    }

    fn find_raw(&mut self) -> Result<(Found, usize)> {
        let unread = self.buffer.unread();
        let len = match self.split.first(unread, self.searched) {
            Some(len) => len,
            None if !self.buffer.is_eof() => return Ok((Found::Nothing, 1)),
            None if unread.is_empty() => {
                self.mode = Mode::RawEnded;
                return Ok((Found::End(Ok(())), 0));
            }
            None => unread.len(),
        };
        if len > self.message_max {
            return Err(self.too_large());
        }
        self.searched = 0;
        self.buffer.consume(len);
        Ok((Found::Raw(len), 0))
    }

    /// Borrows what was found.
    fn input(&self, found: Found) -> Input<'_> {
        match found {
            Found::Used(header) => {
                Input::Message(wire::message(header, self.buffer.used(header.len as usize)))
            }
            Found::Assembled(header) => Input::Message(wire::message(header, self.decoder.assembled())),
            Found::Raw(len) => Input::Message(Raw::bytes(self.buffer.used(len))),
            Found::End(status) => Input::End(status),
            Found::Eof | Found::Nothing => Input::Eof,
        }
    }

    /// Gets more input, or finds out that there is none.
    #[inline(never)]
    fn more(&mut self, need: usize, idle: &mut dyn BeforeWait) -> Result<()> {
        match self.mode {
            Mode::Unknown => self.detect(idle).map(|_| ()),
            Mode::Raw => self.more_raw(idle),
            _ => self.buffer.fill(need, idle).map(|_| ()),
        }
    }

    fn more_raw(&mut self, idle: &mut dyn BeforeWait) -> Result<()> {
        self.searched = self.buffer.unread().len();
        if self.searched > self.message_max {
            return Err(self.too_large());
        }
        self.buffer.fill(1, idle).map(|_| ())
    }

    #[cold]
    fn too_large(&self) -> Error {
        let max = self.message_max;
        let what = if self.split == Split::Line { "line" } else { "message" };
        Error::new(
            Code::TooLarge,
            self.name(),
            format!("{what} of over {max} bytes, the limit of a message: cut the input with --split SIZE"),
        )
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
