//! Whether a pipe that was closed here is still read by somebody.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

/// A pipe that goes on without us. It is neither a reader nor a writer, so its reader sees its end.
#[derive(Debug)]
pub struct Reading {
    /// `None` where it cannot be told who reads: sockets, or no `/proc`.
    place: Option<OwnedFd>,
}

impl Reading {
    /// For `fd`; `None` when it is a file or a terminal.
    pub(super) fn new(fd: BorrowedFd<'_>) -> Option<Reading> {
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3).ok().filter(super::is_pipe)?;
        Some(Reading { place: open(path(&fd), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok() })
    }

    /// Whether somebody has it open for reading.
    pub fn goes_on(&self) -> bool {
        // A writer for a moment: poll(2) tells those of an end that is closed.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = self.place.as_ref().and_then(|place| open(path(place), flags, Mode::empty()).ok());
        let Some(pipe) = opened else { return false };
        let mut polled = [PollFd::new(&pipe, PollFlags::empty())];
        let polled = poll(&mut polled, Some(&Timespec::default())).map(|_| polled[0].revents());
        polled.is_ok_and(|events| !events.intersects(PollFlags::ERR))
    }
}

fn path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
