//! Descriptors that were open when the program started, taken over by their numbers. The only `unsafe` of the channels.
//!
//! Failure contract: a number that is not open is told as such. That nobody else in this process owns the number cannot be
//! checked; [`super::Channels`] looks at the numbers when it is made and takes each at most once, and its documentation asks
//! for being made before anything is opened.
//!
//! Which of the numbers 0 to 2 were closed when the program was started has to be found out before `main`: by then the runtime
//! of Rust has opened the null device in their place, so that no file gets their numbers, and it is the same that a user may give.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use std::ops::RangeInclusive;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};

/// The standard descriptors that were closed when the program was started, a bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The standard descriptors.
const STANDARD: RangeInclusive<RawFd> = 0..=2;

extern "C" fn note_closed() {
    for number in STANDARD.filter(|number| !is_there(*number)) {
        CLOSED.fetch_or(1 << number, Ordering::Relaxed);
    }
}

// SAFETY: the C runtime calls what is in this section once, before `main`, with arguments that a function of the C convention may
// leave alone. This one makes system calls and stores to an atomic, for which nothing has to be set up, and cannot panic.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE_CLOSED: extern "C" fn() = note_closed;

/// Whether this number is a descriptor that was open when the program was started, or is one that was opened since.
pub(super) fn is_open(number: RawFd) -> bool {
    if STANDARD.contains(&number) {
        return CLOSED.load(Ordering::Relaxed) & (1 << number) == 0;
    }
    is_there(number)
}

/// Whether this number is an open descriptor.
fn is_there(number: RawFd) -> bool {
    borrow(number).is_some_and(|fd| rustix::io::fcntl_getfd(fd) != Err(Errno::BADF))
}

/// Whether it can be read from, and written to.
pub(super) fn modes(fd: BorrowedFd<'_>) -> std::result::Result<(bool, bool), Errno> {
    let access = rustix::fs::fcntl_getfl(fd)? & OFlags::ACCMODE;
    Ok((access != OFlags::WRONLY, access == OFlags::WRONLY || access == OFlags::RDWR))
}

/// The descriptor of this number, to look at.
pub(super) fn borrow(number: RawFd) -> Option<BorrowedFd<'static>> {
    if number < 0 {
        return None;
    }
    // SAFETY: the number is not -1, which is what `BorrowedFd` needs to be well formed. It need not be open: the callers only
    // pass it to fcntl, which says so by EBADF. They keep it no longer than that.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Takes the descriptor of this number, which must be open. Programs started later do not inherit it.
///
/// Numbers 0 to 2 are duplicated, and the null device put in their place (standard error stays): if they became free, the
/// next file to be opened would be what a stray print writes to.
pub(super) fn take(number: RawFd, name: &str) -> Result<OwnedFd> {
    let failed = |err: Errno| Error::io(name, "take its descriptor", err);
    let borrowed = borrow(number).ok_or_else(|| failed(Errno::BADF))?;
    if number > 2 {
        rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC).map_err(failed)?;
        // SAFETY: `fcntl_setfd` succeeded, so the number is open. That nobody else owns it is kept by `Channels`, which
        // saw it open before this program opened anything, takes each number once, and names no number twice.
        return Ok(unsafe { OwnedFd::from_raw_fd(number) });
    }
    let own = rustix::io::fcntl_dupfd_cloexec(borrowed, 3).map_err(failed)?;
    // Where there is no null device the number keeps its pipe, which is seen to end when the program does.
    if number < 2
        && let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
    {
        let replaced =
            if number == 0 { rustix::stdio::dup2_stdin(&null) } else { rustix::stdio::dup2_stdout(&null) };
        replaced.map_err(failed)?;
    }
    Ok(own)
}
