//! What a program that runs writes, passed on to its end.
//!
//! Failure contract: whatever the program does with its output, this ends at the time limit at the latest; then the program is killed.

use super::run::{Channel, Failure, OnWritten, Outcome, Started};
use super::written::Splitter;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use woof_core::sys::timespec;

/// After the program has ended, what it wrote is read for so long.
pub const DRAIN: Duration = Duration::from_secs(1);

/// Passes on what a program writes until it ended, or the time is over.
pub fn to_the_end(started: Started, limit: Duration, on_written: OnWritten<'_>) -> Outcome {
    let Started { mut running, stdout, stderr } = started;
    let mut pipes = [Pipe::new(Channel::Out, stdout), Pipe::new(Channel::Err, stderr)];
    let (mut failed, mut ended) = (Ok(()), None);
    let mut until = Instant::now() + limit;
    while ended.is_none() || pipes.iter().any(|pipe| pipe.file.is_some()) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            if ended.is_some() {
                // Somebody who left the group has the pipes; what it writes is nobody's output.
                break;
            }
            running.kill();
            // What went wrong before may be why it is late.
            let late = || format!("not done after {limit:?}, the time limit: killed");
            return Err(Failure::Failed(failed.err().unwrap_or_else(late)));
        }
        let mut polled: Vec<PollFd<'_>> = pipes
            .iter()
            .filter_map(|pipe| pipe.file.as_ref())
            .map(|file| PollFd::new(file, PollFlags::IN))
            .collect();
        let end = running.ended();
        if ended.is_none() {
            polled.push(PollFd::new(&end, PollFlags::IN));
        }
        match poll(&mut polled, Some(&timespec(left))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(Failure::Failed(format!("wait for it: {err}"))),
        }
        let exited = ended.is_none() && polled.last().is_some_and(|last| !last.revents().is_empty());
        drop(polled);
        for pipe in &mut pipes {
            let passed = pipe.pass(on_written);
            if failed.is_ok() {
                failed = passed;
            }
        }
        if exited {
            ended = Some(running.end());
            until = Instant::now() + DRAIN;
        }
    }
    for pipe in &mut pipes {
        let passed = pipe.end(on_written);
        if failed.is_ok() {
            failed = passed;
        }
    }
    ended.unwrap_or(Ok(())).and(failed.map_err(Failure::Failed))
}

/// A pipe that a handler writes to.
pub struct Pipe {
    channel: Channel,
    /// Its end here; `None` once all was read.
    pub file: Option<File>,
    splitter: Splitter,
}

impl Pipe {
    /// The pipe of a channel.
    pub fn new(channel: Channel, fd: OwnedFd) -> Pipe {
        let file = File::from(fd);
        // Failing that, a read waits for what the poll has promised.
        let _ = set_nonblocking(&file);
        Pipe { channel, file: Some(file), splitter: Splitter::default() }
    }

    /// Passes on what is there now.
    pub fn pass(&mut self, on_written: OnWritten<'_>) -> Result<(), String> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut buffer = [0; 16 << 10];
        let (mut done, channel) = (Ok(()), self.channel);
        match file.read(&mut buffer) {
            Ok(0) => self.file = None,
            Ok(count) => {
                // After a failure it is read on, so that the program can end.
                done = self
                    .splitter
                    .take(buffer.get(..count).unwrap_or_default(), |written| on_written(channel, written));
            }
            Err(err)
                if matches!(err.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {
            }
            Err(_) => self.file = None,
        }
        done
    }

    /// Passes on what has no end, once nothing more comes.
    pub fn end(&mut self, on_written: OnWritten<'_>) -> Result<(), String> {
        let channel = self.channel;
        self.splitter.end(|written| on_written(channel, written))
    }
}

/// Has nobody wait who reads or writes a pipe.
pub fn set_nonblocking(file: &File) -> std::io::Result<()> {
    let flags = fcntl_getfl(file)?;
    Ok(fcntl_setfl(file, flags | OFlags::NONBLOCK)?)
}
