//! The program that is run: started as a stream or for one message, and how it ended.
//!
//! Failure contract: a program that cannot be started is a failure of the command, by its name. One that does not read what
//! it is given is no failure.

use super::lines::Lines;
use crate::support::prelude::*;
use crate::support::time;
use libwoofstream::chan::Split;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::retry_on_intr;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};

/// A program with its arguments.
#[derive(Debug)]
pub(super) struct Program {
    argv: Vec<OsString>,
    /// The program as it was typed, for messages.
    name: String,
}

/// What to run, and how data becomes its input and its output becomes data.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) program: &'a Program,
    /// What follows the text form of an element.
    pub(super) delimiter: &'static [u8],
    /// How its output is cut.
    pub(super) split: Split,
}

/// What a program is told of the message it is run for; empty or 0 where it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) woof: &'a str,
    pub(super) seqno: u64,
    pub(super) time_ns: u64,
}

impl Program {
    /// The program of the operand `PROG`.
    pub(super) fn of(args: &Args) -> Program {
        let argv: Vec<OsString> = args.bytes("PROG").map(|arg| OsString::from_vec(arg.to_vec())).collect();
        let name = argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Program { argv, name }
    }

    /// The program as it was typed.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Starts it with this standard input, and a pipe for its output.
    pub(super) fn start(&self, about: &About<'_>, stdin: Stdio) -> Result<Child, Failure> {
        let mut argv = self.argv.iter();
        let mut command =
            std::process::Command::new(argv.next().map(OsString::as_os_str).unwrap_or_default());
        command.args(argv).stdin(stdin).stdout(Stdio::piped());
        // Our channels are not its channels: it has the standard ones.
        command.env_remove("WOOF_CHANNELS");
        let known = |value: String| Some(value).filter(|value| !value.is_empty());
        let number = |number: u64, text: fn(u64) -> String| (number > 0).then(|| text(number));
        for (name, value) in [
            ("WOOF_NAME", known(about.woof.replace('\0', "\u{fffd}"))),
            ("WOOF_SEQNO", number(about.seqno, |seqno| seqno.to_string())),
            ("WOOF_TIME", number(about.time_ns, time::rfc3339)),
        ] {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.spawn().map_err(|err| {
            let searched = !self.name.contains('/') && err.kind() == std::io::ErrorKind::NotFound;
            Failure::from(if searched {
                Error::new(Code::NotFound, &*self.name, "not found in PATH")
            } else {
                Error::io(&*self.name, "run", err)
            })
        })
    }
}

impl Job<'_> {
    /// Runs the program to its end with `input` as its standard input, and passes on what it writes.
    ///
    /// The input is a file in memory and no pipe: a program whose `wrun` is killed beside it would take the end of a pipe for
    /// the end of the element, and work on a part of it.
    pub(super) fn once(
        &self,
        about: &About<'_>,
        input: &[u8],
        out: &mut Output,
    ) -> Result<ExitStatus, Failure> {
        let name = self.program.name();
        let stdin = in_memory(input).map_err(|err| Error::io(name, "make its input", err))?;
        let mut child = self.program.start(about, stdin.into())?;
        let passed = self.pass(child.stdout.take().map(OwnedFd::from), out);
        // Also after a failure of ours the program is waited for, with its output closed: it must not outlive its element.
        let ended = child.wait().map_err(|err| Error::io(name, "wait for it", err));
        passed?;
        Ok(ended?)
    }

    /// Passes on the output of the program to its end.
    fn pass(&self, stdout: Option<OwnedFd>, out: &mut Output) -> Result<(), Failure> {
        let mut lines = Lines::new(stdout, self)?;
        loop {
            let more = lines.pass(out)?;
            let Some(fd) = lines.fd() else {
                return Ok(());
            };
            if !more {
                out.flush()?;
                retry_on_intr(|| poll(&mut [PollFd::new(fd, PollFlags::IN)], None))
                    .map_err(|err| Error::io(self.program.name(), "read from it", err))?;
            }
        }
    }
}

/// A file without a name that holds `data`, to be read from its beginning.
fn in_memory(data: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("element", MemfdFlags::CLOEXEC)?);
    file.write_all(data)?;
    file.rewind()?;
    Ok(file)
}

/// What is wrong with how a program ended, and the exit status a shell would give it; `None` when all is well.
pub(super) fn failure(status: ExitStatus) -> Option<(u8, String)> {
    if let Some(signal) = status.signal() {
        let number = u8::try_from(128 + signal).unwrap_or(u8::MAX);
        return Some((number, format!("killed by signal {signal}")));
    }
    match status.code() {
        Some(0) => None,
        code => {
            let number = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
            Some((number, format!("exit status {number}")))
        }
    }
}
