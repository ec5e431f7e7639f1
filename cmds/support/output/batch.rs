//! Bytes on their way to a descriptor, in batches. The rule is the same as for framed streams: a batch goes out when
//! it is large enough and before waiting for input, never on a timer.

use libwoofstream::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr, write};
use std::os::fd::OwnedFd;

/// A batch of this size goes out at once.
const BATCH: usize = 64 << 10;

/// A batched writer of raw bytes. A write that fails gives an error about the channel; what was in the batch is dropped.
#[derive(Debug)]
pub(super) struct Batch {
    fd: OwnedFd,
    name: String,
    pending: Vec<u8>,
}

impl Batch {
    pub(super) fn new(fd: OwnedFd, name: &str) -> Batch {
        Batch { fd, name: name.to_owned(), pending: Vec::new() }
    }

    pub(super) fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.fd)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where to append; [`Batch::written`] must follow.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Sends the batch when it is large enough.
    #[inline]
    pub(super) fn written(&mut self) -> Result<()> {
        if self.pending.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// Adds `bytes`; large ones go out without a copy.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() < BATCH {
            self.pending.extend_from_slice(bytes);
            return self.written();
        }
        self.flush()?;
        self.send(bytes).map_err(|err| Error::io(&self.name, "write", err))
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let sent = self.send(&self.pending);
        self.pending.clear();
        sent.map_err(|err| Error::io(&self.name, "write", err))
    }

    /// Writes all of `bytes`; a descriptor that does not block (another program may have made it so) is waited for.
    fn send(&self, mut bytes: &[u8]) -> std::result::Result<(), Errno> {
        while !bytes.is_empty() {
            match retry_on_intr(|| write(&self.fd, bytes)) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::AGAIN) => {
                    let mut ready = [PollFd::new(&self.fd, PollFlags::OUT)];
                    retry_on_intr(|| poll(&mut ready, None))?;
                }
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Whether bytes wait to be sent.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The descriptor and its name; what was batched is dropped.
    pub(super) fn into_parts(self) -> (OwnedFd, String) {
        (self.fd, self.name)
    }
}
