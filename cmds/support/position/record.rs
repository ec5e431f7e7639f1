//! What stands in the file of a position, and the locks on it.
//!
//! Failure contract: what was not written here is no record.

use libwoofstream::error::{Error, Result};
use libwoofstream::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

const FIRST_LINE: &str = "woofstream position 1";
/// Of larger files no more is read: they are no positions.
const FILE_MAX: usize = 4096;

/// The record of a position.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// The woof as its line in the file has it.
    pub(super) woof: String,
    pub(super) made_ns: u64,
    pub(super) done: u64,
    /// The last element up to `done` of which the time is known, and that; 0 for none.
    pub(super) last: (u64, u64),
    pub(super) token: Token,
}

/// Tells which stream moves a position, and which streams have their numbers from it. Nobody guesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Token(pub(super) [u8; 16]);

impl Token {
    /// For numbers that are for other elements than before.
    pub(super) fn of_new_numbers() -> Token {
        let mut token = Token::default().of_next_stream();
        token.0[8..].copy_from_slice(&sys::random_u64().to_le_bytes());
        token
    }

    /// For one more stream of the same numbers.
    pub(super) fn of_next_stream(self) -> Token {
        let mut next = self;
        next.0[..8].copy_from_slice(&sys::random_u64().to_le_bytes());
        next
    }

    /// The writer id of stamps: streams in which a number is the same element have it in common.
    pub(super) fn writer(self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Record {
    /// The text of the file.
    pub(super) fn compose(&self) -> String {
        let Record { woof, made_ns, done, last: (last, last_ns), token } = self;
        let token = u128::from_be_bytes(token.0);
        let lines = format!(
            "{FIRST_LINE}\nwoof {woof}\nmade {made_ns:<20}\ndone {done:<20}\nlast {last:<20} {last_ns:<20}\ntoken {token:032x}\n"
        );
        let sum = crc32c::crc32c(lines.as_bytes());
        format!("{lines}sum {sum:08x}\n")
    }

    /// `None` for anything that [`Record::compose`] did not write.
    pub(super) fn parse(text: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.lines();
        let _ = lines.next().filter(|line| *line == FIRST_LINE)?;
        let mut value = |name: &str| Some(lines.next()?.strip_prefix(name)?.strip_prefix(' ')?.trim_end());
        let record = Record {
            woof: value("woof")?.to_owned(),
            made_ns: value("made")?.parse().ok()?,
            done: value("done")?.parse().ok()?,
            last: {
                let (last, last_ns) = value("last")?.split_once(' ')?;
                (last.parse().ok()?, last_ns.trim_start().parse().ok()?)
            },
            token: Token(u128::from_str_radix(value("token")?, 16).ok()?.to_be_bytes()),
        };
        (record.compose() == text).then_some(record)
    }

    /// What is in the file, at most so much as can be a record.
    pub(super) fn read(file: &File) -> std::io::Result<Vec<u8>> {
        let mut text = vec![0; FILE_MAX];
        let mut len = 0;
        while let Some(rest) = text.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, len as u64)? {
                0 => break,
                more => len += more,
            }
        }
        text.truncate(len);
        Ok(text)
    }
}

/// The byte that is locked while the record is changed.
const CHANGE: i64 = 0;
/// The byte that is locked, by several at once, by those who have in hand what the position is about. It is beyond the file.
const CARRIED: i64 = 1 << 32;

/// A lock on a byte of the file; whoever holds it may be killed, and then it is free.
#[derive(Debug)]
pub(super) struct Locked<'a>(&'a File);

impl Locked<'_> {
    /// Waits until nobody else changes the record.
    pub(super) fn change(file: &File) -> Result<Locked<'_>> {
        lock(file, CHANGE, libc::F_WRLCK).map(|()| Locked(file))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = lock(self.0, CHANGE, libc::F_UNLCK);
    }
}

/// Notes, as long as `file` is open, that what the position is about is in hand. Without the note, its reader waits less long.
pub(super) fn carry(file: &File) {
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&range(CARRIED, libc::F_RDLCK)));
}

/// Whether another process has what the position is about in hand.
pub(super) fn is_carried(file: &File) -> bool {
    let mut range = range(CARRIED, libc::F_WRLCK);
    let asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut range));
    asked.is_ok() && i32::from(range.l_type) != libc::F_UNLCK
}

fn failed(err: Errno) -> Error {
    Error::io("", "lock", std::io::Error::from_raw_os_error(err as i32))
}

fn range(at: i64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: at,
        l_len: 1,
        l_pid: 0,
    }
}

fn lock(file: &File, at: i64, kind: libc::c_int) -> Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLKW(&range(at, kind))) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(err) => return Err(failed(err)),
        }
    }
}
