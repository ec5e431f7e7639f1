//! One output for several sources that run at once. Each batches on its own; when the source changes, its `Dir` is sent again,
//! so that what follows has the right context.

use super::output::Output;
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::space::{MessageRef, Sink, Stop};
use libwoofstream::wire::{self, Decoder, Dir, Step};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much a source batches before it passes it on.
const BATCH: usize = 32 << 10;

/// The output, and what is common to the sources.
pub(crate) struct Shared<'a> {
    inner: Mutex<Inner<'a>>,
}

struct Inner<'a> {
    out: &'a mut Output,
    /// The source whose messages were sent last.
    last: Option<usize>,
    sources: usize,
    /// Elements that may still be sent.
    left: u64,
    failed: Option<Error>,
}

impl<'a> Shared<'a> {
    /// For `out`, which gets at most `limit` elements.
    pub(crate) fn new(out: &'a mut Output, limit: Option<u64>) -> Shared<'a> {
        let left = limit.unwrap_or(u64::MAX);
        Shared { inner: Mutex::new(Inner { out, last: None, sources: 0, left, failed: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<'a>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink for one more source. `stop` ends them all.
    pub(crate) fn sink(&self, stop: Stop) -> SharedSink<'_, 'a> {
        let mut inner = self.lock();
        inner.sources += 1;
        SharedSink { shared: self, number: inner.sources, stop, dir: Dir::new(), batch: Vec::new() }
    }

    /// What could not be written, if anything.
    pub(crate) fn finish(self) -> Result<()> {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        inner.failed.map_or(Ok(()), Err)
    }
}

/// The sink of one source.
pub(crate) struct SharedSink<'s, 'a> {
    shared: &'s Shared<'a>,
    number: usize,
    stop: Stop,
    dir: Dir,
    /// Encoded messages that were not passed on yet.
    batch: Vec<u8>,
}

impl SharedSink<'_, '_> {
    /// Notes how the source ended. An error of one source does not end the others.
    pub(crate) fn end(mut self, done: Result<()>) {
        let passed = self.pass_on(true);
        let mut inner = self.shared.lock();
        if let (Err(error), Ok(())) = (done, passed)
            && error.code() != Code::Cut
            // The other sources may be asleep for long.
            && let Err(error) = inner.out.error(&error).and_then(|()| inner.out.flush())
        {
            inner.failed.get_or_insert(error);
            self.stop.stop();
        }
    }

    fn batched(&mut self) -> Result<()> {
        if self.batch.len() < BATCH { Ok(()) } else { self.pass_on(false) }
    }

    fn pass_on(&mut self, flush: bool) -> Result<()> {
        let mut inner = self.shared.lock();
        let inner = &mut *inner;
        // Ended by another source: quietly, by an error that is not told.
        let over = || Err(Error::new(Code::Cut, "", "no more is wanted"));
        if inner.failed.is_some() || inner.left == 0 {
            self.batch.clear();
            return over();
        }
        let mut pass = || -> Result<()> {
            if !self.batch.is_empty() && inner.last != Some(self.number) {
                inner.last = Some(self.number);
                inner.out.dir(&self.dir)?;
            }
            let mut decoder = Decoder::new(usize::MAX);
            let mut rest = &self.batch[..];
            while !rest.is_empty() && inner.left > 0 {
                let (used, step) = decoder.step(rest)?;
                match step {
                    // Of these there are only those that the source itself told.
                    Step::Message(raw) if raw.kind == wire::Kind::ERR => {
                        if let wire::Message::Err(fault) = raw.decode()? {
                            inner.out.own_fault(&fault)?;
                        }
                    }
                    Step::Message(raw) => {
                        inner.left -= u64::from(raw.kind == wire::Kind::ELEM);
                        inner.out.message(&raw)?;
                    }
                    _ => {}
                }
                rest = &rest[used..];
            }
            if flush || inner.left == 0 { inner.out.flush() } else { Ok(()) }
        };
        let passed = pass();
        self.batch.clear();
        if let Err(error) = passed {
            inner.failed.get_or_insert(error);
        }
        if inner.failed.is_some() || inner.left == 0 {
            self.stop.stop();
            return over();
        }
        Ok(())
    }
}

impl Sink for SharedSink<'_, '_> {
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        if let MessageRef::Dir(dir) = message {
            // Sent when there is something it is the context of.
            self.dir = dir.clone();
            return Ok(());
        }
        self.open();
        match message {
            MessageRef::Elem { seqno, time_ns, data } => {
                wire::encode::elem(&mut self.batch, seqno, time_ns, data)
            }
            MessageRef::Bytes(data) => wire::encode::bytes(&mut self.batch, data),
            MessageRef::FileEnd { len, crc32c } => wire::encode::file_end(&mut self.batch, len, crc32c),
            MessageRef::Addr(addr) => wire::encode::addr(&mut self.batch, addr)?,
            MessageRef::Fault(fault) => wire::encode::err(&mut self.batch, fault),
            MessageRef::Other(raw) => wire::encode::raw(&mut self.batch, raw),
            MessageRef::Mark(name) => {
                wire::encode::mark(&mut self.batch, name);
                return Ok(());
            }
            MessageRef::Dir(_) => {}
        }
        self.batched()
    }

    fn before_wait(&mut self) -> Result<()> {
        self.pass_on(true)
    }
}

impl SharedSink<'_, '_> {
    /// The batch is a stream of its own for the decoder.
    fn open(&mut self) {
        if self.batch.is_empty() {
            wire::encode::preamble(&mut self.batch);
        }
    }
}
