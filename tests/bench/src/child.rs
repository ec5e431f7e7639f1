//! What the benchmark does as the other process of a pair: it starts itself with [`FLAG`] and a role.

use crate::Result;
use crate::handlers::stream;
use crate::mapping::Mapping;
use crate::net::echo;
use crate::place::Place;
use crate::wan;
use libwoofstream::chan::{Input, Reader};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The first argument of a process that is the other one.
pub(crate) const FLAG: &str = "--child";
/// As much as our reader asks for at once.
const BUFFER: usize = 256 << 10;
/// Bytes of a mapping with two words, each in a cache line of its own.
pub(crate) const WORDS_LEN: usize = 4096;
/// Where the process that is measured writes, and where the other one answers.
pub(crate) const PING: usize = 0;
/// Where the other one answers.
pub(crate) const PONG: usize = 64;
/// Sent instead of a number: end.
pub(crate) const STOP: u32 = u32::MAX;

/// Plays a role to its end.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["framed"] => told_when_done(framed),
        ["raw"] => told_when_done(raw),
        ["element-seen"] => stream::seen(),
        ["answers"] => stream::answers(),
        ["pong", path] => pong(Path::new(path)),
        ["tls-echo", keys] => echo::run(Path::new(keys), None),
        ["tls-echo", keys, file] => echo::run(Path::new(keys), Some(Path::new(file))),
        ["tcp-sink", port] => wan::sink(port.parse()?),
        _ => Err(format!("{FLAG}: no such role: {arguments:?}").into()),
    }
}

/// This program in a role, with pipes to it and from it.
pub(crate) fn start(place: &Place, role: &[&str]) -> Result<Child> {
    Ok(command(place, role)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

/// The command that is this program in a role.
pub(crate) fn command(place: &Place, role: &[&str]) -> Result<Command> {
    let mut command = place.other(&std::env::current_exe()?);
    command.arg(FLAG).args(role);
    Ok(command)
}

/// Reads standard input with `read`; tells by one byte that it is ready, and by 8 bytes how much it was.
fn told_when_done(read: fn(OwnedFd) -> Result<u64>) -> Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(b"!")?;
    stdout.flush()?;
    let count = read(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    stdout.write_all(&count.to_le_bytes())?;
    Ok(stdout.flush()?)
}

/// Reads messages and counts the bytes of data.
fn framed(fd: OwnedFd) -> Result<u64> {
    let mut reader = Reader::new(fd, "in");
    let mut count = 0;
    loop {
        match reader.next(&mut ())? {
            Input::Message(raw) => count += raw.data().map_or(0, |data| data.len() as u64),
            Input::End(status) => status.map_err(|fault| fault.to_string())?,
            Input::Eof => return Ok(count),
        }
    }
}

/// Reads bytes and counts them.
fn raw(fd: OwnedFd) -> Result<u64> {
    let mut file = std::fs::File::from(fd);
    let mut buffer = vec![0; BUFFER];
    let mut count = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(count),
            some => count += some as u64,
        }
    }
}

/// Answers each number with the same number.
fn pong(path: &Path) -> Result<()> {
    let words = Mapping::new(path, WORDS_LEN)?;
    let mut seen = 0;
    loop {
        seen = words.wait_change(PING, seen);
        if seen == STOP {
            return Ok(());
        }
        words.tell(PONG, seen);
    }
}
