//! Whether who calls at the Unix socket is a handler in a container. The kernel says as which user it runs, often as the owner of what is served, whose rights are not for handlers.
//!
//! Failure contract: who may be one and has gone before that is known is taken for one. A server that is in a container itself does not see the processes of others,
//! and takes them for what their user is.

use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::path::Path;
use woof_local::handler::container::is_of_agent;

/// What is there wherever processes can be looked at.
const OURS: &str = "/proc/self";

/// Why it cannot be known.
const NO_PROC: &str = "/proc is not there: it is to be mounted where the server runs";
const ENDED: &str = "the process that called has ended";

/// So many processes above a caller are looked at.
const ABOVE_MAX: usize = 1 << 16;

/// Whether a caller, whose process has this number, is in a container of handlers.
pub(super) fn is_handler(stream: impl AsFd, pid: Option<i32>) -> Result<bool> {
    let Some(pid) = pid.and_then(Pid::from_raw) else { return Ok(false) };
    // Before Linux 6.5 the kernel does not say it, and a number may be another's by now.
    let process = match getsockopt(&stream, PeerPidfd) {
        Err(nix::errno::Errno::ENOPROTOOPT) => None,
        process => Some(process?),
    };
    let is_handler = match look(pid) {
        // Processes of others may be hidden (hidepid): of those none is a handler of the owner.
        Err(_) if test_kill_process(pid) == Err(Errno::PERM) => false,
        Err(_) if !Path::new(OURS).exists() => return Err(Error::other(NO_PROC)),
        Err(err) if err.kind() == ErrorKind::NotFound => return Err(Error::other(ENDED)),
        found => found?,
    };
    let ended = |process| {
        poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&Timespec::default()))
            .is_ok_and(|ready| ready > 0)
    };
    if process.as_ref().is_some_and(ended) {
        return Err(Error::other(ENDED));
    }
    Ok(is_handler)
}

/// Looks at a process and those above it, up to the first that is in no container. A handler may hide its own mounts from us, and not those of the
/// first process in its container, which is above all others.
fn look(pid: Pid) -> Result<bool> {
    let mut pid = pid.as_raw_nonzero().get();
    for _ in 0..ABOVE_MAX {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        // Its number for us, and for each container that it is in.
        if field("NSpid:").split_whitespace().count() <= 1 {
            return Ok(false);
        }
        if is_of_agent(&std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?) {
            return Ok(true);
        }
        pid = field("PPid:").trim().parse().map_err(Error::other)?;
    }
    Err(Error::other("there are too many processes above it"))
}
