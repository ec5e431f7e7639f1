//! Waiting for descriptors.

use rustix::event::{PollFd, Timespec, poll};
use std::time::{Duration, Instant};

/// A time as the kernel takes it.
pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

/// Waits until one of the descriptors is ready, or the time is over, whatever signals come meanwhile; gives how many are ready.
///
/// # Errors
/// When they cannot be waited for.
pub fn poll_for(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> rustix::io::Result<usize> {
    let end = timeout.and_then(|time| Instant::now().checked_add(time));
    loop {
        let left = end.map(|end| timespec(end.saturating_duration_since(Instant::now())));
        match poll(fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            done => return done,
        }
    }
}
