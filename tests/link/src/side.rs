//! One end of a link: a namespace with an address, and ways to do something in it. What does not work there is an
//! `io::Error` of one line.

use crate::namespace;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// How often it is looked whether somebody listens.
const LISTENING_INTERVAL: Duration = Duration::from_millis(5);

/// One end of a [`Link`](crate::Link).
#[derive(Debug)]
pub struct Side {
    namespace: File,
    address: Ipv4Addr,
}

impl Side {
    pub(crate) fn new(namespace: File, address: Ipv4Addr) -> Side {
        Side { namespace, address }
    }

    /// The address of this side, which the other one reaches over the link, and this one without it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs inside. It is `nsenter` (util-linux) that becomes the program, so the process is the program's, and a
    /// program that is not there is a status of 127. The link has to be there when it starts. Where a `Command` of your own exists
    /// already, `side.enter(|| command.spawn())` does without `nsenter`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let namespace = format!("--net=/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd());
        command.arg(namespace).arg("--").arg(program);
        command
    }

    /// Does something inside: on a thread of its own, which this one waits for. Sockets that it opens stay on this side wherever
    /// they are used, and so do threads and processes that it starts.
    ///
    /// # Errors
    /// When the namespace cannot be entered. A panic of `what` goes on in the caller.
    pub fn enter<T: Send>(&self, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        namespace::enter(&self.namespace, what)
    }

    /// Waits until somebody listens on a TCP port here, without connecting to it.
    ///
    /// # Errors
    /// `TimedOut` when nobody does within `timeout`.
    pub fn wait_listening(&self, port: u16, timeout: Duration) -> io::Result<()> {
        let give_up = Instant::now() + timeout;
        while !self.is_listening(port)? {
            if Instant::now() > give_up {
                let why = format!("link: nobody listens on {}:{port} after {timeout:?}", self.address);
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            std::thread::sleep(LISTENING_INTERVAL);
        }
        Ok(())
    }

    /// Whether somebody listens on a TCP port here.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn is_listening(&self, port: u16) -> io::Result<bool> {
        let tables = self.enter(|| {
            // A kernel without IPv6 has no second table.
            let six = fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default();
            fs::read_to_string("/proc/thread-self/net/tcp").map(|four| four + &six)
        })??;
        Ok(tables.lines().any(|line| listens(line, port)))
    }
}

/// Whether a line of `/proc/net/tcp` is of a listening socket on this port: `0: 00000000:1BE8 00000000:0000 0A ...`.
fn listens(line: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let own_port = fields.next().and_then(|own| own.rsplit(':').next());
    own_port.and_then(|own| u16::from_str_radix(own, 16).ok()) == Some(port) && fields.nth(1) == Some(LISTEN)
}
