//! A handler that runs at a server: what is read here is its input, and what it writes comes back.
//!
//! Failure contract: it is run once at the most. When the connection is lost after the request was made, nobody here knows how far it came;
//! that is an error and nothing is tried again. Whatever waits, for the server, for input or for whoever reads the output, hinders nothing
//! else; no more than the window of an answer is held.

use super::answer::{Answer, Step};
use super::link::{Came, Failure, Link, Wait};
use super::remote::Remote;
use crate::net::{self, Request, ran};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use woof_core::error::{Code, Error, Result};
use woof_core::wire::{Message, encode};
use woof_space::{Call, Exit, Pipes, told_to_stop};

/// So much is read at once, and sent as one message.
const READ: usize = 64 << 10;

/// Runs a handler of a namespace at the server to its end.
pub(super) fn run(remote: &Remote, namespace: &str, call: &Call, pipes: Pipes<'_>) -> Result<Exit> {
    let target = remote.target(namespace)?;
    call.check().map_err(|err| err.of(namespace))?;
    let request = Request::Run(net::Run {
        name: target.path.clone(),
        handler: call.handler.clone(),
        args: call.args.clone(),
        depth: call.depth,
        woof: call.woof.clone(),
        seqno: call.seqno,
        time: call.time_ns,
    });
    let Pipes { stdin, stdout, stderr, stop } = pipes;
    let mut output = Output::new(stdout).map_err(|err| err.of(namespace))?;
    let mut input = Input::new(stdin).map_err(|err| err.of(namespace))?;
    let mut link = match remote.take_open(&target) {
        Some(link) => link,
        None => remote.connect(&target).map_err(Failure::into_error)?,
    };
    link.open(&request)?;
    link.defer_credit();
    let mut answer = Answer::new();
    let (mut status, mut complete) = (None, false);
    let ended = loop {
        match take(&mut answer, &mut output, &mut input, &mut status, stderr) {
            Ok(Taken::End(ended)) => break ended,
            Ok(Taken::All) if complete => return Err(answer.cut().of(namespace)),
            Ok(Taken::All) => link.give_credit(),
            Ok(Taken::Full) => {}
            Err(err) => {
                link.cancel(&Error::new(Code::Cut, "", "what the handler writes is not read any more"));
                // The server sees the end of the connection if this does not arrive.
                let _ = link.flush();
                return Err(if err.object().is_empty() { err.of(namespace) } else { err });
            }
        }
        input.send(&mut link).map_err(|err| err.of(namespace))?;
        match link.next(&mut answer, Wait::No, &mut || Ok(())) {
            Ok(Came::Nothing) => {
                let told = wait(&mut link, &input, &output, stop).map_err(|failure| lost(failure, call))?;
                if told {
                    link.cancel(&Error::new(Code::Cut, "", "the client was told to stop"));
                    let _ = link.flush();
                    return Err(told_to_stop().of(namespace));
                }
            }
            Ok(Came::End) => complete = true,
            Ok(Came::Bytes | Came::Credit | Came::Stopped) => {}
            Err(failure) => return Err(lost(failure, call)),
        }
    };
    // Nothing more of the input is wanted, if there is more.
    link.end();
    remote.keep_idle(&target, link);
    match (ended, status) {
        (Ok(()), _) => Ok(Exit::DONE),
        (Err(fault), Some(status)) => Ok(Exit { status, why: Some(fault.text) }),
        (Err(fault), None) => Err(target.told(&fault)),
    }
}

/// The error of a connection that was lost with the request under way.
fn lost(failure: Failure, call: &Call) -> Error {
    match failure {
        Failure::Lost(err) => {
            let text =
                format!("{}; {} is not run again, how far it came is not known", err.text(), call.handler);
            Error::new(err.code(), err.object(), text)
        }
        Failure::Final(err) => err,
    }
}

/// How far an answer was taken.
enum Taken {
    /// To its end, with its status.
    End(std::result::Result<(), woof_core::wire::Fault>),
    /// All that is here.
    All,
    /// As far as somebody reads the output.
    Full,
}

/// Takes what came of an answer, as far as it can be handed on.
fn take(
    answer: &mut Answer,
    output: &mut Output,
    input: &mut Input,
    status: &mut Option<u8>,
    stderr: &mut dyn FnMut(&[u8]),
) -> Result<Taken> {
    while output.write()? {
        match answer.next()? {
            Step::Message(raw) => match raw.decode()? {
                Message::Bytes(bytes) => output.waiting.extend_from_slice(bytes),
                Message::App { name: ran::STDERR, data } => stderr(data),
                Message::App { name: ran::CLOSED, .. } => input.close(),
                Message::App { name: ran::EXIT, data } => *status = data.first().copied(),
                // Of a later version, and none that this side asked for.
                _ => {}
            },
            Step::End(status) => return Ok(Taken::End(status)),
            Step::Need => return Ok(Taken::All),
        }
    }
    Ok(Taken::Full)
}

/// Waits until something comes, or goes; true when it is to be killed.
fn wait(
    link: &mut Link,
    input: &Input,
    output: &Output,
    stop: &OwnedFd,
) -> std::result::Result<bool, Failure> {
    let flags = if output.waiting.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
    // Watched in any case: it is to be known when nobody reads it any more.
    let mut others = vec![PollFd::new(&output.file, flags), PollFd::new(stop, PollFlags::IN)];
    others.extend(input.file.as_ref().filter(|_| input.is_dry).map(|file| PollFd::new(file, PollFlags::IN)));
    link.wait_with(&others)?;
    let mut looked = [PollFd::new(&output.file, PollFlags::empty()), PollFd::new(stop, PollFlags::IN)];
    let found = poll(&mut looked, Some(&Timespec::default())).unwrap_or(0);
    let [output, stop] = looked.map(|fd| fd.revents());
    if found > 0 && output.contains(PollFlags::ERR) {
        let broken = io::Error::from(ErrorKind::BrokenPipe);
        return Err(Failure::Final(Error::io("", "write its output", broken)));
    }
    Ok(found > 0 && !stop.is_empty())
}

/// Where the output goes.
struct Output {
    file: File,
    /// What was not taken yet.
    waiting: Vec<u8>,
    written: usize,
}

impl Output {
    fn new(fd: OwnedFd) -> Result<Output> {
        set_nonblocking(&fd)?;
        Ok(Output { file: File::from(fd), waiting: Vec::new(), written: 0 })
    }

    /// Writes what waits; true when all of it was taken.
    fn write(&mut self) -> Result<bool> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(len) => self.written += len,
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return Err(Error::io("", "write its output", err)),
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(4 * READ);
        self.written = 0;
        Ok(true)
    }
}

/// Where the input comes from.
struct Input {
    /// `None` after its end, or when it is not wanted any more.
    file: Option<File>,
    /// What was read, as it goes out.
    bytes: Vec<u8>,
    sent: usize,
    /// The end was sent.
    ended: bool,
    /// Nothing was there when it was last read.
    is_dry: bool,
    buffer: Vec<u8>,
}

impl Input {
    fn new(fd: OwnedFd) -> Result<Input> {
        set_nonblocking(&fd)?;
        let mut bytes = Vec::new();
        encode::preamble(&mut bytes);
        let buffer = vec![0; READ];
        Ok(Input { file: Some(File::from(fd)), bytes, sent: 0, ended: false, is_dry: false, buffer })
    }

    /// Throws away what is left of it.
    fn close(&mut self) {
        self.file = None;
        self.bytes.clear();
        self.sent = 0;
    }

    /// Sends what there is, as long as there is credit for it.
    fn send(&mut self, link: &mut Link) -> Result<()> {
        self.is_dry = false;
        loop {
            if let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
                self.sent += link.send(rest);
                if self.sent < self.bytes.len() {
                    return Ok(());
                }
                self.bytes.clear();
                self.sent = 0;
            }
            let Some(file) = &mut self.file else {
                if !std::mem::replace(&mut self.ended, true) {
                    link.end();
                }
                return Ok(());
            };
            if link.credit() == 0 {
                return Ok(());
            }
            match file.read(&mut self.buffer) {
                Ok(0) => {
                    self.file = None;
                    encode::end(&mut self.bytes, Ok(()));
                }
                Ok(len) => encode::bytes(&mut self.bytes, self.buffer.get(..len).unwrap_or_default()),
                Err(err) if err.kind() == ErrorKind::WouldBlock => {
                    self.is_dry = true;
                    return Ok(());
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return Err(Error::io("", "read its input", err)),
            }
        }
    }
}

/// Has nobody wait who reads or writes a pipe.
fn set_nonblocking(fd: &OwnedFd) -> Result<()> {
    let set = || fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK);
    set().map_err(|err| Error::io("", "make its pipes", err))
}
