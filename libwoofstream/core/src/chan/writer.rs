//! Writes messages to a descriptor, in batches.

use crate::error::{Error, Result};
use crate::wire::{Addr, Dir, Fault, Kind, PREAMBLE, Raw, encode};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

/// A batch goes out when it is this large, in bytes, and no more of it than a multiple of this. It is what a pipe holds: a
/// write of a little more would wait for the reader, and pages that are not full would hold less.
const BATCH: usize = 64 << 10;

/// Payloads from this size on go out from where they are.
const LARGE: usize = 16 << 10;

/// A batch that grew larger than this is given back.
const KEPT_MAX: usize = 256 << 10;

/// Writes a stream of messages to a descriptor.
///
/// Messages are batched. A batch goes out when it is full, on [`Writer::flush`], and at the end; give the writer to
/// [`super::Reader::next`], which flushes before it waits.
///
/// A writer that is dropped without [`Writer::end`] leaves the stream cut, on purpose: whatever made the program stop, its
/// reader is told that data is missing. A program that may be killed before its first message calls [`Writer::begin`] first:
/// input without a preamble is empty raw input to a reader, and not cut.
///
/// ```
/// use woof_core::chan::{Input, Reader, Writer};
/// let (read, write) = rustix::pipe::pipe().unwrap();
/// let mut writer = Writer::new(write, "out");
/// writer.elem(1, 0, b"21.5")?;
/// writer.end(Ok(()))?;
///
/// let mut reader = Reader::new(read, "in");
/// let Input::Message(raw) = reader.next(&mut ())? else { panic!("no message") };
/// assert_eq!(raw.elem()?.data, b"21.5");
/// assert!(matches!(reader.next(&mut ())?, Input::End(Ok(()))));
/// assert!(matches!(reader.next(&mut ())?, Input::Eof));
/// # Ok::<(), woof_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    fd: OwnedFd,
    name: String,
    /// What was not written yet. The preamble waits here for the first message, or for [`Writer::begin`].
    batch: Vec<u8>,
    /// The preamble was written.
    begun: bool,
    /// The write that failed: nothing can come after it.
    failed: Option<Errno>,
}

impl Writer {
    /// A writer to this descriptor; `name` is what errors call it. The preamble goes out with the first message, or by
    /// [`Writer::begin`].
    pub fn new(fd: OwnedFd, name: impl Into<String>) -> Writer {
        let mut batch = Vec::with_capacity(BATCH + LARGE);
        encode::preamble(&mut batch);
        Writer { fd, name: name.into(), batch, begun: false, failed: None }
    }

    /// Sends the preamble now, so that from here on the stream is cut unless it is ended. Where it cannot be written, the next
    /// write says so.
    pub fn begin(&mut self) {
        if !self.begun {
            // Kept by the writer, which stays failed.
            let _ = self.send(self.batch.len(), &[]);
        }
    }

    /// The descriptor, to ask about and not to write to.
    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What errors call this output.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether messages wait to be sent.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.batch.len() > if self.begun { 0 } else { PREAMBLE.len() }
    }

    /// The batch, for callers that encode straight into it ([`encode`]) and then call [`Writer::written`]. What is in it must
    /// stay.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.batch
    }

    /// Sends the batch if it is full. To be called after messages were added to [`Writer::buffer`].
    ///
    /// # Errors
    /// Those of [`Writer::flush`].
    #[inline]
    pub fn written(&mut self) -> Result<()> {
        if self.batch.len() < BATCH { Ok(()) } else { self.send_full() }
    }

    /// Writes a `Bytes` message.
    ///
    /// # Errors
    /// Those of [`Writer::flush`], as for all messages here.
    #[inline]
    pub fn bytes(&mut self, data: &[u8]) -> Result<()> {
        if data.len() >= LARGE {
            return self.large(Raw::bytes(data), &[]);
        }
        encode::bytes(&mut self.batch, data);
        self.written()
    }

    /// Writes an `Elem` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    #[inline]
    pub fn elem(&mut self, seqno: u64, time_ns: u64, data: &[u8]) -> Result<()> {
        if data.len() >= LARGE {
            let prefix = encode::elem_prefix(seqno, time_ns);
            return self.large(Raw { kind: Kind::ELEM, ..Raw::bytes(data) }, &prefix);
        }
        encode::elem(&mut self.batch, seqno, time_ns, data);
        self.written()
    }

    /// Writes a `SeqNo` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn seqno(&mut self, seqno: u64, woof: &str) -> Result<()> {
        encode::seqno(&mut self.batch, seqno, woof);
        self.written()
    }

    /// Writes a `Dir` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`]; [`crate::error::Code::TooLarge`] as [`encode::dir`], and nothing of it is written.
    pub fn dir(&mut self, dir: &Dir) -> Result<()> {
        encode::dir(&mut self.batch, dir).map_err(|err| err.of(&*self.name))?;
        self.written()
    }

    /// Writes a `FileEnd` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn file_end(&mut self, len: u64, crc32c: u32) -> Result<()> {
        encode::file_end(&mut self.batch, len, crc32c);
        self.written()
    }

    /// Writes a `Mark` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn mark(&mut self, name: &str) -> Result<()> {
        encode::mark(&mut self.batch, name);
        self.written()
    }

    /// Writes an `Addr` message.
    ///
    /// # Errors
    /// As [`Writer::dir`].
    pub fn addr(&mut self, addr: &Addr) -> Result<()> {
        encode::addr(&mut self.batch, addr).map_err(|err| err.of(&*self.name))?;
        self.written()
    }

    /// Writes an `Err` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn err(&mut self, fault: &Fault) -> Result<()> {
        encode::err(&mut self.batch, fault);
        self.written()
    }

    /// Writes an `Ign` message that holds `set_aside`.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn ign(&mut self, set_aside: &Raw<'_>) -> Result<()> {
        encode::ign(&mut self.batch, set_aside);
        self.written()
    }

    /// Writes an `App` message.
    ///
    /// # Errors
    /// As [`Writer::bytes`]; [`crate::error::Code::Invalid`] as [`encode::app`], and nothing of it is written.
    pub fn app(&mut self, name: &str, data: &[u8]) -> Result<()> {
        encode::app(&mut self.batch, name, data).map_err(|err| err.of(&*self.name))?;
        self.written()
    }

    /// Writes a message as it came.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    #[inline]
    pub fn raw(&mut self, message: &Raw<'_>) -> Result<()> {
        if message.payload.len() >= LARGE {
            return self.large(*message, &[]);
        }
        encode::raw(&mut self.batch, message);
        self.written()
    }

    /// Sends what was batched.
    ///
    /// # Errors
    /// Those of the system; [`Error::is_broken_pipe`] when nobody reads any more. A writer that failed once stays failed, since
    /// nobody knows what part of a message went out.
    pub fn flush(&mut self) -> Result<()> {
        if self.is_pending() { self.send(self.batch.len(), &[]) } else { Ok(()) }
    }

    /// Ends the stream with its status, and sends all. A stream without messages is begun and ended.
    ///
    /// # Errors
    /// Those of [`Writer::flush`]: the stream is cut then.
    pub fn end(mut self, status: std::result::Result<(), &Fault>) -> Result<()> {
        encode::end(&mut self.batch, status);
        self.send(self.batch.len(), &[])
    }

    /// Writes a message whose payload is not copied, but for the piece that does not fill a batch.
    #[inline(never)]
    fn large(&mut self, message: Raw<'_>, prefix: &[u8]) -> Result<()> {
        for (prefix, piece, more) in encode::pieces(prefix, message.payload) {
            self.batch.extend_from_slice(&encode::frame_header(&message, prefix.len() + piece.len(), more));
            self.batch.extend_from_slice(prefix);
            let over = (self.batch.len() + piece.len()) % BATCH;
            let (now, later) = piece.split_at(piece.len().saturating_sub(over));
            if self.batch.len() + now.len() >= BATCH {
                self.send(self.batch.len(), now)?;
            } else {
                self.batch.extend_from_slice(now);
            }
            self.batch.extend_from_slice(later);
        }
        self.written()
    }

    /// Writes the full part of the batch.
    #[inline(never)]
    fn send_full(&mut self) -> Result<()> {
        self.send(self.batch.len() - self.batch.len() % BATCH, &[])
    }

    /// Writes `len` bytes of the batch and then `after`, all of it.
    #[inline(never)]
    fn send(&mut self, len: usize, after: &[u8]) -> Result<()> {
        let sent = match self.failed {
            Some(errno) => Err(errno),
            None => self.send_all(len, after),
        };
        self.begun = true;
        match sent {
            Ok(()) => {
                self.batch.drain(..len);
                self.batch.shrink_to(KEPT_MAX);
                Ok(())
            }
            Err(errno) => {
                self.failed = Some(errno);
                self.batch.clear();
                Err(Error::io(&*self.name, "write", errno))
            }
        }
    }

    fn send_all(&self, len: usize, after: &[u8]) -> std::result::Result<(), Errno> {
        let (mut first, mut second) = (self.batch.get(..len).unwrap_or_default(), after);
        while !(first.is_empty() && second.is_empty()) {
            let written = if second.is_empty() {
                rustix::io::write(&self.fd, first)
            } else {
                rustix::io::writev(&self.fd, &[IoSlice::new(first), IoSlice::new(second)])
            };
            match written {
                Ok(count) => {
                    let of_first = count.min(first.len());
                    first = first.get(of_first..).unwrap_or_default();
                    second = second.get(count - of_first..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait()?,
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Waits until something can be written.
    fn wait(&self) -> std::result::Result<(), Errno> {
        match poll(&mut [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::OUT)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(err) => Err(err),
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
