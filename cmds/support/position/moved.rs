//! The other end of a kept position: who has put the elements away says so in its file.
//!
//! Failure contract: a stream says where the file is, and a stream can be old or a stranger's. So the file is touched only where it is
//! a position in its usual place with the token of that very stream in it, and its seqno only grows. A stream that is older than the token has
//! its elements known by the stamps, and moves nothing. Everything else is passed over in silence: it is no position of ours.

use super::record::{Locked, Record, Token, lock_target, try_lock_target};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::wire;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A position that a stream moves.
#[derive(Debug)]
pub(crate) struct Moved {
    file: File,
    path: String,
    token: Token,
    made_ns: u64,
    /// Another stream has taken the position since.
    is_old: bool,
    /// With which id elements are stamped.
    writer: u64,
}

impl Moved {
    /// The position that a message is about, if it is one of ours.
    pub(crate) fn find(message: &wire::Position) -> Option<Moved> {
        let path = Path::new(&message.path);
        let dir = path.parent()?;
        let usual =
            dir.ends_with(".woof/positions") || super::user_positions().is_some_and(|user| user == dir);
        if !path.is_absolute() || !usual {
            return None;
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(path, flags, Mode::empty()).ok()?);
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            return None;
        }
        let record = {
            // Not half of one that is being written.
            let _locked = Locked::change(&file).ok()?;
            Record::parse(&Record::read(&file).ok()?)?
        };
        let (token, made_ns) = (Token(message.token), message.made_ns);
        if record.made_ns != made_ns || !record.token.has_the_numbers_of(token) {
            return None;
        }
        let is_old = record.token != token;
        Some(Moved { file, path: message.path.clone(), token, made_ns, is_old, writer: record.writer })
    }

    fn is_of(&self, record: &Record) -> bool {
        record.token == self.token && record.made_ns == self.made_ns
    }

    /// Whether a message is about this position, from the same stream.
    pub(crate) fn is_named(&self, message: &wire::Position) -> bool {
        self.path == message.path && self.token.0 == message.token
    }

    /// The writer id for stamps.
    pub(crate) fn writer(&self) -> u64 {
        self.writer
    }

    /// Waits until no other process puts what this position is about into `target`: one whose source was killed may still be at it.
    ///
    /// # Errors
    /// When the system cannot lock. For an old stream also when another process is at it: that can be for ever, and sends what is left of this
    /// one again.
    pub(crate) fn lock(&self, target: &str) -> Result<()> {
        let of_path = |err: Error| err.of(&*self.path);
        if !self.is_old {
            return lock_target(&self.file, target).map_err(of_path);
        }
        if try_lock_target(&self.file, target).map_err(of_path)? {
            return Ok(());
        }
        let text = format!("a newer stream of this position is being put into {target}: none of this one is");
        Err(Error::new(Code::Exists, &*self.path, text))
    }

    /// Keeps that all elements up to `seqno` are done with, unless it is known already or the position is another stream's by
    /// now. It is not synced: a position that a power loss sets back only has elements sent again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn to(&self, seqno: u64) -> Result<()> {
        let failed = |err: std::io::Error| Error::io(&*self.path, "write", err);
        let _locked = Locked::change(&self.file).map_err(|err| err.of(&*self.path))?;
        let Some(mut record) = Record::parse(&Record::read(&self.file).map_err(failed)?) else {
            return Ok(());
        };
        if !self.is_of(&record) || record.done >= seqno {
            return Ok(());
        }
        record.done = seqno;
        self.file.write_all_at(record.compose().as_bytes(), 0).map_err(failed)
    }
}

/// Positions whose elements are on their way, and those that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    known: Vec<Moved>,
    /// Messages that are about no position of ours, by path and token.
    strange: Vec<(String, [u8; 16])>,
    /// By place in `known`: how far it is when all that was given is put away.
    waiting: Vec<(usize, u64)>,
}

impl Arrivals {
    /// A stream has so many positions at most; further ones are not moved.
    const MAX: usize = 1024;

    /// Takes note of a message.
    pub(crate) fn note(&mut self, message: &wire::Position) {
        if let Some(index) = self.index(message) {
            match self.waiting.iter_mut().find(|(waiting, _)| *waiting == index) {
                Some((_, seqno)) => *seqno = message.seqno,
                None => self.waiting.push((index, message.seqno)),
            }
        }
    }

    fn index(&mut self, message: &wire::Position) -> Option<usize> {
        if let Some(index) = self.known.iter().position(|known| known.is_named(message)) {
            return Some(index);
        }
        let is_strange =
            |(path, token): &(String, [u8; 16])| *path == message.path && *token == message.token;
        if self.known.len() + self.strange.len() >= Self::MAX || self.strange.iter().any(is_strange) {
            return None;
        }
        match Moved::find(message) {
            Some(moved) => {
                self.known.push(moved);
                Some(self.known.len() - 1)
            }
            None => {
                self.strange.push((message.path.clone(), message.token));
                None
            }
        }
    }

    /// Whether there is something to keep when all is put away.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// All that was given is put away.
    ///
    /// # Errors
    /// When a position cannot be written.
    pub(crate) fn arrived(&mut self) -> Result<()> {
        for (index, seqno) in std::mem::take(&mut self.waiting) {
            if let Some(moved) = self.known.get(index) {
                moved.to(seqno)?;
            }
        }
        Ok(())
    }
}
