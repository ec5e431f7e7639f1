//! The stream of an answer as it comes in pieces.

use woof_core::error::{Code, Error, Result};
use woof_core::limits::MESSAGE_MAX;
use woof_core::wire::{self, Decoder, Event, Fault, Raw};

/// Room that is given back when it is not needed.
const KEPT_MAX: usize = 1 << 20;

/// What is at the front of an answer.
pub(super) enum Step<'a> {
    /// A message.
    Message(Raw<'a>),
    /// The end, with its status.
    End(std::result::Result<(), Fault>),
    /// Nothing whole: more bytes are to come.
    Need,
}

/// The stream of an answer.
pub(super) struct Answer {
    decoder: Decoder,
    bytes: Vec<u8>,
    start: usize,
}

impl Answer {
    pub(super) fn new() -> Answer {
        Answer { decoder: Decoder::new(MESSAGE_MAX), bytes: Vec::new(), start: 0 }
    }

    /// Takes bytes that came.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.shrink_to(KEPT_MAX);
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next something off the front.
    pub(super) fn next(&mut self) -> Result<Step<'_>> {
        loop {
            let (used, event) = self.decoder.event(self.bytes.get(self.start..).unwrap_or_default())?;
            self.start += used;
            match event {
                Event::Preamble => {}
                Event::Need(_) => return Ok(Step::Need),
                Event::End(status) => return Ok(Step::End(status)),
                Event::Whole(header) => {
                    let begin = self.start - header.len as usize;
                    let payload = self.bytes.get(begin..self.start).unwrap_or_default();
                    return Ok(Step::Message(wire::message(header, payload)));
                }
                Event::Assembled(header) => {
                    return Ok(Step::Message(wire::message(header, self.decoder.assembled())));
                }
            }
        }
    }

    /// The error of an answer that came to its end on the connection and not in its stream.
    pub(super) fn cut(&self) -> Error {
        let cut = || Error::new(Code::Cut, "", "the server's answer has no end");
        self.decoder.finish(self.bytes.len() - self.start).err().unwrap_or_else(cut)
    }
}
