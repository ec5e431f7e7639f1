//! What carries the bytes of a connection, and how one is made: sockets in earnest, a simulated link in tests.

use rustix::event::{PollFd, Timespec, poll};
use std::io;
use std::time::Duration;
use woof_core::error::Result;
use woof_core::name::Address;
use woof_space::Stop;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Something can be read, or written if that was asked for.
    Ready,
    /// The time is over.
    TimedOut,
    /// Somebody called [`Stop::stop`].
    Stopped,
}

/// A connection that carries bytes both ways and never blocks but in [`Transport::wait`].
pub trait Transport: Send {
    /// Reads what came.
    ///
    /// # Errors
    /// `WouldBlock` when nothing did. 0 bytes are the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Takes bytes to be sent.
    ///
    /// # Errors
    /// `WouldBlock` when none can be taken.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Takes bytes that may be sent before the other side is known to be there now, and that nobody is harmed by if they are
    /// sent twice. 0 where that is not possible.
    fn write_early(&mut self, _bytes: &[u8]) -> usize {
        0
    }
    /// Waits until something can be read, or taken if `write` is set. A connection is given the same `stop` always.
    ///
    /// # Errors
    /// When the connection is broken.
    fn wait(&mut self, write: bool, timeout: Option<Duration>, stop: Option<&Stop>) -> io::Result<Waited>;
    /// As [`Transport::wait`], and until one of `others` is ready; it is looked at those even if no wait is needed.
    ///
    /// # Errors
    /// When the connection is broken.
    fn wait_with(&mut self, write: bool, timeout: Duration, others: &[PollFd<'_>]) -> io::Result<Waited> {
        match poll(&mut others.to_vec(), Some(&Timespec::default()))? {
            0 => self.wait(write, Some(timeout), None),
            _ => Ok(Waited::Ready),
        }
    }
    /// Whether the other side has shown that it is the server it should be. Where nothing shows that, it is false.
    fn is_proven(&self) -> bool {
        false
    }
    /// What an error of reading or writing means, if this knows better than the error itself.
    fn explain(&self, _error: &io::Error) -> Option<woof_core::error::Error> {
        None
    }
}

/// Makes connections, and has the clock that goes with them.
pub trait Dial: Send + Sync {
    /// Connects to a server. A handshake may still be going on when this returns.
    ///
    /// # Errors
    /// Says which step failed. [`woof_core::error::Code::Unreachable`] when it may work later.
    fn dial(&self, address: &Address, timeout: Duration) -> Result<Box<dyn Transport>>;
    /// Time since some moment.
    fn now(&self) -> Duration;
    /// Waits; false when it was stopped meanwhile.
    fn pause(&self, time: Duration, stop: &Stop) -> bool;
    /// A random number.
    fn random(&self) -> u64;
}
