//! Noticing that nobody reads an output any more, without writing to it.

use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pipe or socket that somebody may stop reading.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

impl Watch {
    /// For `fd`; `None` when it is a file or a terminal, whose reader never goes.
    pub(super) fn new(fd: BorrowedFd<'_>) -> Option<Watch> {
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3).ok()?;
        super::is_pipe(&fd).then_some(Watch { fd })
    }

    /// Sleeps until nobody reads it.
    pub fn until_unread(&self) {
        loop {
            // Asked for nothing, poll(2) reports that the other end is closed.
            let mut polled = [PollFd::new(&self.fd, PollFlags::empty())];
            match poll(&mut polled, None) {
                Ok(_) if polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => return,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Without an answer the next write will tell.
                Err(_) => return std::thread::park(),
            }
        }
    }
}
