//! The output of a program, read without ever waiting for it.
//!
//! Failure contract: output that begins like a stream and stops before its end is an error, as any cut stream.

use super::program::Job;
use crate::support::prelude::*;
use libwoofstream::chan::BeforeWait;
use std::os::fd::OwnedFd;

/// After so many bytes other work gets its turn, however much more the program writes.
const TURN: usize = 1 << 20;

/// Reads the standard output of a program, as lines or as the stream that it is.
#[derive(Debug)]
pub(super) struct Lines {
    /// `None` after the end of the output.
    open: Option<(Reader, OwnedFd)>,
}

impl Lines {
    /// Of this descriptor, which is missing only when it was taken before.
    pub(super) fn new(stdout: Option<OwnedFd>, job: &Job<'_>) -> Result<Lines, Error> {
        let name = job.program.name();
        let Some(fd) = stdout else {
            return Ok(Lines { open: None });
        };
        let watched = fd.try_clone().map_err(|err| Error::io(name, "read from it", err))?;
        Ok(Lines { open: Some((Reader::new(fd, name).with_split(job.split), watched)) })
    }

    /// What to poll; `None` after the end of the output.
    pub(super) fn fd(&self) -> Option<&OwnedFd> {
        self.open.as_ref().map(|(_, fd)| fd)
    }

    /// Passes on what there is. True when it stopped before there was nothing more, to give others their turn.
    pub(super) fn pass(&mut self, out: &mut Output) -> Result<bool, Failure> {
        let Some((reader, _)) = &mut self.open else {
            return Ok(false);
        };
        let mut passed = 0;
        while passed < TURN {
            let mut idle = Idle { asked: false };
            match reader.next(&mut idle) {
                Ok(Input::Message(raw)) => {
                    passed += raw.payload.len() + 1;
                    out.message(&raw)?;
                }
                Ok(Input::End(status)) => out.ended(status)?,
                Ok(Input::Eof) => {
                    self.open = None;
                    return Ok(false);
                }
                Err(_) if idle.asked => return Ok(false),
                Err(err) => return Err(err.into()),
            }
        }
        Ok(true)
    }
}

/// Turns a wait into a return.
struct Idle {
    asked: bool,
}

impl BeforeWait for Idle {
    fn before_wait(&mut self) -> Result<(), Error> {
        self.asked = true;
        Err(Error::new(Code::Io, "", "nothing there yet"))
    }
}
