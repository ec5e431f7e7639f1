//! Descriptors that were open when the program started, taken over by their numbers. The only `unsafe` of the channels.
//!
//! Failure contract: a number that is not open is told as such. That nobody else in this process owns the number cannot be
//! checked; [`super::Channels`] looks at the numbers when it is made and takes each at most once, and its documentation asks
//! for being made before anything is opened.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Whether this number is an open descriptor.
pub(super) fn is_open(number: RawFd) -> bool {
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
