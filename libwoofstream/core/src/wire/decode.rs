//! Takes a stream apart, without I/O.

use super::{Detected, Fault, HEADER_SIZE, Header, Kind, MORE, PREAMBLE, Raw, VERSION, detect, structured};
use crate::error::{Code, Error, Result};
use crate::limits;

/// A buffer for continued messages larger than this is given back after the message.
const KEPT_MAX: usize = 4 << 20;

/// What was at the beginning of the input.
#[derive(Debug)]
pub enum Step<'a> {
    /// Not yet a whole something: at least this many more bytes are needed (after those not used).
    Need(usize),
    /// A stream begins.
    Preamble,
    /// A whole message.
    Message(Raw<'a>),
    /// The end of a stream, with the status its writer gave it. A further stream may begin after it.
    End(std::result::Result<(), Fault>),
}

/// The same without borrowing anything, so that a reader can go on filling its buffer.
#[derive(Debug)]
pub enum Event {
    /// At least so many bytes more are needed.
    Need(usize),
    /// A stream begins.
    Preamble,
    /// A message whose payload is the last `header.len` bytes of those used.
    Whole(Header),
    /// A message whose payload is what [`Decoder::assembled`] has.
    Assembled(Header),
    /// The end of a stream.
    End(std::result::Result<(), Fault>),
}

/// Where in a stream the decoder stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before the first preamble.
    Start,
    /// After a preamble, between two messages.
    Open,
    /// Between the frames of a continued message, which began with this header.
    Continued(Header),
    /// After an end.
    Ended,
    /// After an error: where the next message would begin, nobody knows.
    Failed,
}

/// Takes a stream apart. It is given the unread bytes, and says how many it used and what they were.
///
/// Messages in one frame are handed out as they lie in the input; continued ones are put together in a buffer of the decoder.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The largest message that is accepted, in bytes of payload.
    message_max: usize,
    /// The largest message that is accepted in one frame.
    frame_max: usize,
    /// The payload so far of a continued message.
    assembled: Vec<u8>,
    /// Messages since the first preamble.
    messages: u64,
}

impl Decoder {
    /// A decoder at the beginning of a stream, which refuses messages with more than `message_max` bytes of payload.
    pub fn new(message_max: usize) -> Decoder {
        let frame_max = message_max.min(limits::FRAME_PAYLOAD_MAX);
        Decoder { state: State::Start, message_max, frame_max, assembled: Vec::new(), messages: 0 }
    }

    /// Takes the next something off the beginning of `input`; says how many bytes it used and what they were. Bytes that
    /// were not used must be at the beginning of the input of the next call.
    ///
    /// # Errors
    /// [`Code::Damaged`] (no preamble, kind 0, a continued message of changing kind, bytes after the end, a bad end status),
    /// [`Code::TooLarge`] (a frame or message over its limit), [`Code::Unsupported`] (another version). The stream cannot
    /// be read further then.
    #[inline]
    pub fn step<'a>(&'a mut self, input: &'a [u8]) -> Result<(usize, Step<'a>)> {
        if let Some(header) = self.whole(input) {
            let used = HEADER_SIZE + header.len as usize;
            return Ok((
                used,
                Step::Message(message(header, input.get(HEADER_SIZE..used).unwrap_or_default())),
            ));
        }
        let (used, event) = self.event_rare(input)?;
        let step = match event {
            Event::Whole(header) => {
                let payload = input.get(used - header.len as usize..used).unwrap_or_default();
                Step::Message(message(header, payload))
            }
            Event::Assembled(header) => Step::Message(message(header, &self.assembled)),
            Event::Need(more) => Step::Need(more),
            Event::Preamble => Step::Preamble,
            Event::End(status) => Step::End(status),
        };
        Ok((used, step))
    }

    /// Says whether the input may end here, where `unread` bytes were not used.
    ///
    /// # Errors
    /// [`Code::Cut`] unless it ends before the first preamble or after an end.
    pub fn finish(&self, unread: usize) -> Result<()> {
        match self.state {
            State::Start | State::Ended if unread == 0 => Ok(()),
            _ => {
                let plural = if self.messages == 1 { "" } else { "s" };
                Err(Error::new(Code::Cut, "", format!("stream cut after {} message{plural}", self.messages)))
            }
        }
    }

    /// How many messages there were, in all streams one after another.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// The payload of the continued message that was the last event.
    #[inline]
    pub fn assembled(&self) -> &[u8] {
        &self.assembled
    }

    /// The same, to be taken out.
    pub fn assembled_mut(&mut self) -> &mut Vec<u8> {
        &mut self.assembled
    }

    /// How many bytes are here of a continued message that has not come whole.
    pub fn assembled_len(&self) -> usize {
        if matches!(self.state, State::Continued(_)) { self.assembled.len() } else { 0 }
    }

    /// The header of the message that `input` begins with, if it is whole and in one frame. The message is taken then.
    #[inline]
    pub fn whole(&mut self, input: &[u8]) -> Option<Header> {
        let (header, rest) = input.split_first_chunk()?;
        let header = Header::decode(*header);
        let len = header.len as usize;
        let whole = self.state == State::Open
            && header.kind.is_message()
            && header.flags & MORE == 0
            && len <= rest.len()
            && len <= self.frame_max;
        if whole {
            self.messages += 1;
            Some(header)
        } else {
            None
        }
    }

    /// As [`Decoder::step`], without borrowing.
    #[inline]
    pub fn event(&mut self, input: &[u8]) -> Result<(usize, Event)> {
        match self.whole(input) {
            Some(header) => Ok((HEADER_SIZE + header.len as usize, Event::Whole(header))),
            None => self.event_rare(input),
        }
    }

    /// All that is not a whole message in one frame.
    #[inline(never)]
    fn event_rare(&mut self, input: &[u8]) -> Result<(usize, Event)> {
        let event = self.event_any(input);
        if event.is_err() {
            self.state = State::Failed;
        }
        event
    }

    fn event_any(&mut self, input: &[u8]) -> Result<(usize, Event)> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let first = match self.state {
                State::Start | State::Ended => {
                    return self.begin(rest).map(|(more, event)| (used + more, event));
                }
                State::Failed => return Err(damaged("nothing can be read after an error in the stream")),
                State::Open => None,
                State::Continued(first) => Some(first),
            };
            let Some((header, rest)) = rest.split_first_chunk() else {
                return Ok((used, Event::Need(HEADER_SIZE - rest.len())));
            };
            let header = Header::decode(*header);
            self.check(header, first)?;
            let Some(payload) = rest.get(..header.len as usize) else {
                return Ok((used, Event::Need(header.len as usize - rest.len())));
            };
            used += HEADER_SIZE + payload.len();
            if header.kind == Kind::END {
                let status = end_status(payload)?;
                self.state = State::Ended;
                return Ok((used, Event::End(status)));
            }
            if first.is_none() {
                if header.flags & MORE == 0 {
                    self.messages += 1;
                    return Ok((used, Event::Whole(header)));
                }
                self.assembled.clear();
                self.assembled.shrink_to(KEPT_MAX);
            }
            self.assembled.extend_from_slice(payload);
            if header.flags & MORE == 0 {
                self.messages += 1;
                self.state = State::Open;
                return Ok((used, Event::Assembled(header)));
            }
            self.state = State::Continued(header);
        }
    }

    /// Before a stream: a preamble, and nothing else.
    fn begin(&mut self, input: &[u8]) -> Result<(usize, Event)> {
        match detect(input) {
            Detected::Framed(VERSION) => {
                self.state = State::Open;
                Ok((PREAMBLE.len(), Event::Preamble))
            }
            Detected::Framed(version) => Err(Error::new(
                Code::Unsupported,
                "",
                format!("stream format version {version}, this program reads version {VERSION}"),
            )),
            Detected::Need(more) => Ok((0, Event::Need(more))),
            Detected::Raw if self.state == State::Ended => {
                Err(damaged("bytes after the end of the stream that begin no further stream"))
            }
            Detected::Raw => Err(damaged("not a stream of messages")),
        }
    }

    /// Whether a frame with this header may stand here; `first` began the message that it must continue.
    fn check(&self, header: Header, first: Option<Header>) -> Result<()> {
        let len = header.len as usize;
        if header.kind == Kind(0) {
            return Err(damaged("a frame of kind 0"));
        }
        if let Some(first) = first
            && (first.kind != header.kind
                || first.flags & !MORE != header.flags & !MORE
                || first.reserved != header.reserved)
        {
            return Err(damaged(&format!(
                "a message of kind {} is continued by a frame of kind {} or with other flags",
                first.kind.0, header.kind.0
            )));
        }
        if header.kind == Kind::END && header.flags & MORE != 0 {
            return Err(damaged("an end frame that is to be continued"));
        }
        if len > limits::FRAME_PAYLOAD_MAX {
            return Err(too_large(format!(
                "frame of {len} bytes, the limit is {}",
                limits::FRAME_PAYLOAD_MAX
            )));
        }
        let so_far = if first.is_some() { self.assembled.len() } else { 0 };
        if header.kind != Kind::END && so_far + len > self.message_max {
            return Err(too_large(format!(
                "message of {} bytes or more, the limit is {}",
                so_far + len,
                self.message_max
            )));
        }
        Ok(())
    }
}

/// The message with this header and payload.
#[inline]
pub fn message(header: Header, payload: &[u8]) -> Raw<'_> {
    Raw { kind: header.kind, flags: header.flags & !MORE, reserved: header.reserved, payload }
}

fn end_status(payload: &[u8]) -> Result<std::result::Result<(), Fault>> {
    if payload.is_empty() {
        return Ok(Ok(()));
    }
    structured::decode(Kind::END, payload).map(Err)
}

#[cold]
fn damaged(text: &str) -> Error {
    Error::new(Code::Damaged, "", text)
}

#[cold]
fn too_large(text: String) -> Error {
    Error::new(Code::TooLarge, "", text)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
