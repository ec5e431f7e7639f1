//! The bytes that were read and not used yet, and how more of them come.
//!
//! Failure contract: errors of the system name the channel. After the end of the input was seen, it is not read again (a
//! terminal would go on). The buffer grows only when bytes that belong together fill it, to at most twice what they need.

use super::wait::BeforeWait;
use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of the buffer at first, which takes what four full pipes hold.
const SIZE: usize = 256 << 10;

/// A buffer larger than this is given back once it is empty.
const KEPT_MAX: usize = 4 << 20;

/// With less room than this behind the unread bytes, they are moved to the beginning if they are few.
const ROOM_MIN: usize = 64 << 10;

/// Not more unread bytes than this are moved to the beginning before each read, so that the same few pages are used.
const FEW: usize = 4 << 10;

/// A descriptor with the bytes that were read from it and not used yet.
#[derive(Debug)]
pub(super) struct Buffer {
    fd: OwnedFd,
    name: String,
    bytes: Vec<u8>,
    /// Where the unread bytes begin and end in `bytes`.
    start: usize,
    end: usize,
    /// The end of the input was seen.
    eof: bool,
}

impl Buffer {
    pub(super) fn new(fd: OwnedFd, name: String) -> Buffer {
        Buffer { fd, name, bytes: Vec::new(), start: 0, end: 0, eof: false }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The unread bytes.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        // The two never leave the buffer, so the default is never taken.
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The `len` bytes before the unread ones.
    #[inline]
    pub(super) fn used(&self, len: usize) -> &[u8] {
        self.bytes.get(self.start.wrapping_sub(len)..self.start).unwrap_or_default()
    }

    /// Takes bytes off the beginning of the unread ones.
    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Nothing will come after the unread bytes.
    pub(super) fn is_eof(&self) -> bool {
        self.eof
    }

    /// Reads more bytes behind the unread ones, of which `need` are missing at least. Waits for one byte at most, and
    /// tells `idle` before it does. False at the end of the input.
    pub(super) fn fill(&mut self, need: usize, idle: &mut dyn BeforeWait) -> Result<bool> {
        if self.eof {
            return Ok(false);
        }
        self.make_room(need);
        if idle.pending() && !self.ready(Some(&Timespec::default()))? {
            idle.before_wait()?;
        }
        loop {
            match rustix::io::read(&self.fd, self.bytes.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => {
                    self.eof = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    idle.before_wait()?;
                    self.ready(None)?;
                }
                Err(err) => return Err(Error::io(&*self.name, "read", err)),
            }
        }
    }

    /// Whether a read would not wait (input, its end, or an error is there); waits for that as long as `timeout` allows.
    fn ready(&self, timeout: Option<&Timespec>) -> Result<bool> {
        loop {
            match poll(&mut [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN)], timeout) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(err) => return Err(Error::io(&*self.name, "wait for input", err)),
            }
        }
    }

    /// Sees to it that there is room behind the unread bytes.
    fn make_room(&mut self, need: usize) {
        let unread = self.end - self.start;
        if unread == 0 {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_MAX {
                self.bytes = Vec::new();
            }
        }
        if self.bytes.is_empty() {
            self.bytes = vec![0; SIZE];
        }
        let room = self.bytes.len() - self.end;
        // Moving costs at most as much as was used since the last time, or brings room for a whole message.
        if self.start > 0 && (room < need || ((room < ROOM_MIN || unread <= FEW) && unread <= self.start)) {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, unread);
        }
        // What fills over half of the buffer and is still not whole gets a larger one: claims take no memory, bytes do.
        if self.end == self.bytes.len() || (self.start == 0 && self.end > self.bytes.len() / 2 && room < need)
        {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}
