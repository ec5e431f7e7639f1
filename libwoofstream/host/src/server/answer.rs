//! The stream of an answer on its way out: encoded messages that wait for credit.

use super::spare;
use std::sync::Arc;
use woof_core::error::{Code, Error, Result};
use woof_core::wire::{Fault, encode};
use woof_net::net::Session;
use woof_space::{MessageRef, Sink};

/// With this many bytes at hand, no more are made before some are sent.
const ENOUGH: usize = 64 << 10;

/// The stream of one answer.
#[derive(Debug)]
pub(super) struct Answer {
    exchange: u32,
    bytes: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    ended: bool,
    /// What is not said: where on its machine is what the server serves.
    hidden: Arc<str>,
}

impl Answer {
    pub(super) fn new(exchange: u32, hidden: Arc<str>) -> Answer {
        let mut bytes = spare::take();
        encode::preamble(&mut bytes);
        Answer { exchange, bytes, sent: 0, ended: false, hidden }
    }

    /// Where messages are encoded to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spare::take();
        }
        &mut self.bytes
    }

    /// Whether more messages are worth making now.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() - self.sent < ENOUGH
    }

    /// Ends the stream.
    pub(super) fn end(&mut self, status: Result<()>) {
        let fault = status.err().map(|err| Fault::from(&self.without_hidden(err)));
        encode::end(&mut self.bytes, fault.as_ref().map_or(Ok(()), Err));
        self.ended = true;
    }

    /// An error as a client may be told it: by the names that it knows.
    fn without_hidden(&self, err: Error) -> Error {
        let hidden = &*self.hidden;
        // The root of all files is in each path, and says nothing.
        if hidden.len() < 2 || !(err.text().contains(hidden) || err.object().contains(hidden)) {
            return err;
        }
        let below = format!("{hidden}/");
        let named = |text: &str| text.replace(&below, "").replace(hidden, "what is served");
        Error::new(err.code(), named(err.object()), named(err.text()))
    }

    /// Sends what there is credit for; true when all of an ended stream was sent.
    pub(super) fn send(&mut self, session: &mut Session) -> bool {
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        self.sent += session.send(self.exchange, rest);
        if self.sent < self.bytes.len() {
            return false;
        }
        self.sent = 0;
        self.bytes.clear();
        if self.ended {
            spare::give(std::mem::take(&mut self.bytes));
            session.end(self.exchange);
        }
        self.ended
    }

    /// Gives memory back while nothing is going on.
    pub(super) fn rest(&mut self) {
        if self.bytes.is_empty() {
            spare::give(std::mem::take(&mut self.bytes));
        }
    }
}

impl Sink for Answer {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { seqno, time_ns, data } => encode::elem(self.buffer(), seqno, time_ns, data),
            MessageRef::Bytes(data) => encode::bytes(self.buffer(), data),
            MessageRef::Dir(dir) => return encode::dir(&mut self.bytes, dir),
            MessageRef::FileEnd { len, crc32c } => encode::file_end(&mut self.bytes, len, crc32c),
            MessageRef::Addr(addr) => return encode::addr(&mut self.bytes, addr),
            MessageRef::Mark(name) => encode::mark(&mut self.bytes, name),
            MessageRef::Fault(fault) => encode::err(&mut self.bytes, fault),
            MessageRef::Other(raw) => encode::raw(&mut self.bytes, raw),
        }
        Ok(())
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_full(&self) -> bool {
        !self.has_room()
    }
}

/// The error of what this server does not do, about `name`.
pub(super) fn about(name: &str) -> impl Fn(Error) -> Error + '_ {
    move |err| if err.object().is_empty() || err.object() == name { err.of(name) } else { err }
}

/// The error of a woof that cannot be opened; `made` is given by who had it open before.
pub(super) fn missing(name: &str, made: Option<u64>) -> impl Fn(Error) -> Error + '_ {
    move |err| match made {
        Some(_) if err.code() == Code::NotFound => {
            Error::new(Code::Removed, name, "the woof was removed meanwhile")
        }
        _ => err.of(name),
    }
}
