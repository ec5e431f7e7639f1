//! The other end of a kept position: who has put the elements away says so in its file.
//!
//! Failure contract: a stream says where the file is, and a stream can be old or a stranger's. So the file is touched only where it is
//! a position in its usual place with the token of that very stream in it, and its seqno only grows. A stream that is older than the
//! token moves nothing.

use super::record::{Locked, Record, Token, carry};
use libwoofstream::error::{Error, Result};
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
}

/// How far a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) seqno: u64,
    /// The last element up to there that was sent, with its time.
    pub(crate) last: (u64, u64),
}

impl From<&wire::Position> for Reached {
    fn from(message: &wire::Position) -> Reached {
        Reached { seqno: message.seqno, last: message.last }
    }
}

/// Why a stream moves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotMoved {
    /// A newer stream has taken the position.
    IsOld,
    /// The file cannot be reached from here, or is no position.
    Because(String),
}

impl Moved {
    /// The position that a message is about, if it can be moved from here.
    pub(crate) fn find(message: &wire::Position) -> std::result::Result<Moved, NotMoved> {
        let because = |text: &str| NotMoved::Because(text.to_owned());
        let io = |err: std::io::Error| NotMoved::Because(Error::io("", "", err).text().to_owned());
        let path = Path::new(&message.path);
        let usual = |dir: &Path| dir.ends_with(".woof/positions") || dir.ends_with("woofstream/positions");
        if !path.is_absolute() || !path.parent().is_some_and(usual) {
            return Err(because("no place where positions are kept"));
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(path, flags, Mode::empty()).map_err(|err| io(err.into()))?);
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Err(because("no regular file"));
        }
        let record = {
            // Not half of one that is being written.
            let _locked = Locked::change(&file).map_err(|err| because(err.text()))?;
            Record::parse(&Record::read(&file).map_err(io)?)
        };
        let record = record.ok_or_else(|| because("no position"))?;
        let (token, made_ns) = (Token(message.token), message.made_ns);
        if record.made_ns != made_ns || record.token != token {
            return Err(NotMoved::IsOld);
        }
        carry(&file);
        Ok(Moved { file, path: message.path.clone(), token, made_ns })
    }

    /// Keeps that all elements up to `seqno` are done with, unless it is known already or the position is another stream's by
    /// now. It is not synced: a position that a power loss sets back only has elements sent again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn to(&self, Reached { seqno, last }: Reached) -> Result<()> {
        let failed = |err: std::io::Error| Error::io(&*self.path, "write", err);
        let _locked = Locked::change(&self.file).map_err(|err| err.of(&*self.path))?;
        let Some(mut record) = Record::parse(&Record::read(&self.file).map_err(failed)?) else {
            return Ok(());
        };
        let is_ours = record.token == self.token && record.made_ns == self.made_ns;
        if !is_ours || record.done >= seqno {
            return Ok(());
        }
        (record.done, record.last) = (seqno, last);
        self.file.write_all_at(record.compose().as_bytes(), 0).map_err(failed)
    }
}

/// The writer id of a position's stamps.
pub(crate) fn writer_of(message: &wire::Position) -> u64 {
    Token(message.token).writer()
}

/// What is to be said of a position that is not moved from here.
pub(crate) fn is_not_moved(message: &wire::Position, why: &NotMoved) -> Option<String> {
    let NotMoved::Because(why) = why else { return None };
    let wire::Position { path, woof, .. } = message;
    Some(format!("{woof}: position {path} cannot be moved from here: {why}"))
}

/// The first message of a stream about a position, and whether it can be moved.
type Known = (wire::Position, std::result::Result<Moved, NotMoved>);

/// Positions whose elements are on their way, and those that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    known: Vec<Known>,
    /// By place in `known`: how far it is when all that was given is put away.
    waiting: Vec<(usize, Reached)>,
}

impl Arrivals {
    /// A stream has so many positions at most; further ones are not moved.
    const MAX: usize = 1024;

    /// Takes note of a message.
    pub(crate) fn note(&mut self, message: &wire::Position) {
        let same = |(known, _): &Known| known.path == message.path && known.token == message.token;
        let index = match self.known.iter().position(same) {
            Some(index) => index,
            None if self.known.len() >= Self::MAX => return,
            None => {
                self.known.push((message.clone(), Moved::find(message)));
                self.known.len() - 1
            }
        };
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == index) {
            Some((_, reached)) => *reached = message.into(),
            None => self.waiting.push((index, message.into())),
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
        for (index, reached) in std::mem::take(&mut self.waiting) {
            if let Some((_, Ok(moved))) = self.known.get(index) {
                moved.to(reached)?;
            }
        }
        Ok(())
    }

    /// What is to be said of those that cannot be moved from here.
    pub(crate) fn not_moved(&self) -> impl Iterator<Item = String> {
        self.known.iter().filter_map(|(message, found)| is_not_moved(message, found.as_ref().err()?))
    }
}
