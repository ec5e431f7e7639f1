//! A connection to a server with one exchange at a time: requests out, bytes of answers in.

use super::transport::{Transport, Waited};
use super::{Dial, answer::Answer};
use crate::net::{Received, Request, Role, Session};
use rustix::event::PollFd;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::ANSWER_WINDOW;
use woof_core::name::Address;
use woof_core::wire::Fault;
use woof_space::Stop;

/// After so much silence the server is asked whether it is alive, and after as much again it is taken for dead.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection on which nothing was said for so long is not used for a first request: servers wait for some seconds only.
const STALE: Duration = Duration::from_secs(2);

/// So much is read at once: at first, and once that was too little.
const READ_MIN: usize = 16 << 10;
const READ: usize = 64 << 10;

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is lost; another one may work.
    Lost(Error),
    /// Trying again would not help.
    Final(Error),
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Failure::Lost(err) | Failure::Final(err) => err,
        }
    }
}

/// Errors of sinks and of what came are final.
impl From<Error> for Failure {
    fn from(err: Error) -> Failure {
        match err.code() {
            Code::Stopped | Code::Unreachable => Failure::Lost(err),
            _ => Failure::Final(err),
        }
    }
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Bytes of the answer, which were given to it.
    Bytes,
    /// The answer is complete.
    End,
    /// More can be sent than before.
    Credit,
    /// Nothing is there now.
    Nothing,
    /// It was stopped.
    Stopped,
}

/// Whether and how to wait for something to come.
#[derive(Clone, Copy)]
pub(super) enum Wait<'a> {
    /// Only send and take what can be at once.
    No,
    /// Until something came; a follow that is told to stop by this.
    Yes(Option<&'a Stop>),
}

/// A connection to a server.
pub(super) struct Link {
    transport: Box<dyn Transport>,
    dial: Arc<dyn Dial>,
    session: Session,
    /// What is called so in messages: `woof://host`.
    shown: String,
    exchange: u32,
    /// What came and was not parsed is from `start` to `end`. All of it stays as it was filled last, since filling it with zeros
    /// for each read would take longer than the read.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// So much is read at once.
    read_len: usize,
    /// How many bytes of the session's output were taken by the transport.
    sent: usize,
    /// Something was not taken to be sent for want of room in the output.
    held_back: bool,
    /// When something last came.
    heard: Duration,
    /// When it was asked since then whether the server is alive.
    pinged: Option<Duration>,
    /// Nothing can be sent any more; what came before can still be read.
    unsendable: Option<std::io::Error>,
    /// When it was begun to connect.
    begun: Duration,
    /// The greeting is to come by then.
    deadline: Option<Duration>,
    /// Requests may travel before the handshake is over.
    early: bool,
    /// Requests were made over it before.
    reused: bool,
    /// Nothing is there to be read without a wait, as far as is known.
    drained: bool,
    /// Credit for what came is given when that was used up, and not as it comes.
    deferred: bool,
    /// How many bytes came and were not used up yet.
    owed: usize,
}

impl Link {
    /// Connects. What it takes is not waited for until something is to be read.
    pub(super) fn connect(
        dial: &Arc<dyn Dial>,
        address: &Address,
        shown: &str,
        timeout: Duration,
    ) -> std::result::Result<Link, Failure> {
        let begun = dial.now();
        let transport = dial.dial(address, timeout).map_err(|err| Failure::from(err.of(shown)))?;
        Ok(Link {
            transport,
            dial: Arc::clone(dial),
            session: Session::new(Role::Client, 1),
            shown: shown.to_owned(),
            exchange: 0,
            input: Vec::new(),
            start: 0,
            end: 0,
            read_len: READ_MIN,
            sent: 0,
            held_back: false,
            heard: begun,
            pinged: None,
            unsendable: None,
            begun,
            deadline: Some(begun + timeout),
            early: true,
            reused: false,
            drained: true,
            deferred: false,
            owed: 0,
        })
    }

    /// Whether it was idle before the request that is open, so that it may have been dead already.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// When something last came.
    pub(super) fn heard(&self) -> Duration {
        self.heard
    }

    /// Whether it was left alone for so long that the server may have given up waiting for the first request.
    pub(super) fn is_stale(&self) -> bool {
        self.dial.now().saturating_sub(self.begun) > STALE
    }

    /// Makes a request. There must be no other that is open.
    pub(super) fn open(&mut self, request: &Request) -> Result<()> {
        self.reused = self.exchange > 0;
        // The answer before is complete, and what comes next answers to this.
        self.drained = true;
        (self.deferred, self.owed) = (false, 0);
        self.exchange = self.session.open(&request.encode()?, ANSWER_WINDOW)?;
        if self.early && request.is_repeatable() {
            let output = self.session.output();
            let taken = self.transport.write_early(output);
            output.drain(..taken);
        }
        self.early = false;
        Ok(())
    }

    /// Sends as many of these bytes as there is credit for.
    pub(super) fn send(&mut self, bytes: &[u8]) -> usize {
        // What does not fit the socket stays with the caller, not here.
        if self.session.output().len() - self.sent > 4 * READ {
            self.held_back = true;
            return 0;
        }
        let piece = bytes.get(..bytes.len().min(4 * READ)).unwrap_or(bytes);
        self.session.send(self.exchange, piece)
    }

    /// How many bytes the server takes now.
    pub(super) fn credit(&self) -> usize {
        self.session.credit(self.exchange)
    }

    /// From now on credit for what comes in this exchange is given by [`Link::give_credit`].
    pub(super) fn defer_credit(&mut self) {
        self.deferred = true;
    }

    /// All that came was used up.
    pub(super) fn give_credit(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if owed > 0 {
            self.session.used(self.exchange, owed);
        }
    }

    /// Whether it is open, as far as can be known without asking the server. No exchange must be open.
    pub(super) fn is_open(&mut self) -> bool {
        let mut answer = Answer::new();
        loop {
            match self.next(&mut answer, Wait::No, &mut || Ok(())) {
                Ok(Came::Nothing) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// Says that our stream is complete.
    pub(super) fn end(&mut self) {
        self.session.end(self.exchange);
    }

    /// Ends the exchange.
    pub(super) fn cancel(&mut self, why: &Error) {
        self.session.cancel(self.exchange, &Fault::from(why));
    }

    /// Sends, and takes what came: what is there already, or what comes when it waits. Before it waits it calls `before_wait`.
    pub(super) fn next(
        &mut self,
        answer: &mut Answer,
        wait: Wait<'_>,
        before_wait: &mut dyn FnMut() -> Result<()>,
    ) -> std::result::Result<Came, Failure> {
        loop {
            self.flush()?;
            if self.held_back && self.session.output().len() - self.sent <= 2 * READ {
                self.held_back = false;
                return Ok(Came::Credit);
            }
            if let Some(came) = self.parse(answer)? {
                return Ok(came);
            }
            // A look that is known to find nothing is left out, for it costs as much as one that finds something.
            let look = !self.drained || self.unsendable.is_some() || matches!(wait, Wait::No);
            if look && self.read()? {
                continue;
            }
            if let Some(err) = self.unsendable.take() {
                return Err(self.broken(&err));
            }
            let Wait::Yes(stop) = wait else { return Ok(Came::Nothing) };
            before_wait()?;
            if self.wait(stop)? {
                return Ok(Came::Stopped);
            }
            self.drained = false;
        }
    }

    /// Whether the server has shown who it is.
    pub(super) fn is_proven(&self) -> bool {
        self.transport.is_proven()
    }

    /// Hands output to the transport.
    pub(super) fn flush(&mut self) -> std::result::Result<(), Failure> {
        loop {
            let output = self.session.output();
            let rest = output.get(self.sent..).unwrap_or_default();
            if rest.is_empty() || self.unsendable.is_some() {
                output.clear();
                self.sent = 0;
                return Ok(());
            }
            match self.transport.write(rest) {
                Ok(0) => return Err(self.lost("the connection was closed")),
                Ok(len) => self.sent += len,
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                // What the server had to say before it closed is more telling than that it closed.
                Err(err) if matches!(err.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    self.unsendable = Some(err);
                }
                Err(err) => return Err(self.broken(&err)),
            }
        }
    }

    /// Takes what came off the transport; false when nothing did.
    fn read(&mut self) -> std::result::Result<bool, Failure> {
        self.make_room();
        let read = self.transport.read(self.input.get_mut(self.end..).unwrap_or_default());
        match read {
            Ok(0) if self.session.is_greeted() => Err(self.lost("the connection was closed by the server")),
            Ok(0) => Err(self.lost("the connection was closed before the server answered")),
            Ok(len) => {
                self.end += len;
                if len >= READ_MIN {
                    self.read_len = READ;
                }
                self.heard = self.dial.now();
                self.pinged = None;
                self.drained = false;
                Ok(true)
            }
            Err(err) if err.kind() == ErrorKind::WouldBlock => {
                self.drained = true;
                Ok(false)
            }
            Err(err) if err.kind() == ErrorKind::Interrupted => Ok(true),
            Err(err) => Err(self.broken(&err)),
        }
    }

    /// Makes room for a read behind what came: what is left of a frame moves to the front.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.input.len() - self.end < self.read_len {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.input.len() - self.end < self.read_len {
                self.input.resize(self.end + self.read_len, 0);
            }
        }
    }

    /// Takes whole frames off the input up to one that its caller wants to know of.
    fn parse(&mut self, answer: &mut Answer) -> std::result::Result<Option<Came>, Failure> {
        let found = loop {
            let rest = self.input.get(self.start..self.end).unwrap_or_default();
            let (len, received) = match self.session.receive(rest) {
                Ok(received) => received,
                Err(err) => break Err(Failure::Final(err.of(&*self.shown))),
            };
            self.start += len;
            match received {
                Received::Need(_) => break Ok(None),
                Received::Nothing | Received::Pong | Received::Open { .. } => {}
                Received::Data { exchange, bytes } if exchange == self.exchange => {
                    answer.feed(bytes);
                    let len = bytes.len();
                    if self.deferred {
                        self.owed += len;
                    } else {
                        self.session.used(exchange, len);
                    }
                    break Ok(Some(Came::Bytes));
                }
                Received::Data { .. } => {}
                Received::End(exchange) if exchange == self.exchange => break Ok(Some(Came::End)),
                Received::End(_) => {}
                Received::Credit(_) => break Ok(Some(Came::Credit)),
                Received::Cancel(exchange, fault) if exchange == self.exchange => {
                    break Err(Failure::from(self.told(&fault)));
                }
                Received::Cancel(..) => {}
                // A server that stops goes on with what is open as far as it can.
                Received::Goaway(fault) if fault.code == Code::Stopped.as_str() => {}
                Received::Goaway(fault) => break Err(Failure::Final(self.told(&fault))),
            }
        };
        if self.session.is_greeted() {
            self.deadline = None;
        }
        found
    }

    /// Waits until something can be done; true when it was stopped.
    fn wait(&mut self, stop: Option<&Stop>) -> std::result::Result<bool, Failure> {
        self.wait_by(|transport, write, time| transport.wait(write, Some(time), stop))
    }

    /// Waits until something can be done, or one of `others` is ready.
    pub(super) fn wait_with(&mut self, others: &[PollFd<'_>]) -> std::result::Result<(), Failure> {
        self.drained = false;
        self.wait_by(|transport, write, time| transport.wait_with(write, time, others)).map(drop)
    }

    fn wait_by(
        &mut self,
        wait: impl FnOnce(&mut dyn Transport, bool, Duration) -> std::io::Result<Waited>,
    ) -> std::result::Result<bool, Failure> {
        let now = self.dial.now();
        // Counted from the question and not from what was heard last: we may have been away for long.
        let until = self.deadline.unwrap_or(self.pinged.unwrap_or(self.heard) + SILENCE);
        if now >= until {
            if self.deadline.is_some() {
                return Err(self.lost("no answer to the handshake in time (--timeout)"));
            }
            if self.pinged.is_some() {
                return Err(self.lost(&format!("no sign of life for {} s", SILENCE.as_secs())));
            }
            self.pinged = Some(now);
            self.session.ping();
            return Ok(false);
        }
        let write = self.session.output().len() > self.sent;
        match wait(&mut *self.transport, write, until.saturating_sub(now)) {
            Ok(waited) => Ok(waited == Waited::Stopped),
            Err(err) if err.kind() == ErrorKind::Interrupted => Ok(false),
            Err(err) => Err(self.broken(&err)),
        }
    }

    /// What the server said, about what the user typed.
    fn told(&self, fault: &Fault) -> Error {
        let err = fault.to_error();
        if err.object().is_empty() { err.of(&*self.shown) } else { err }
    }

    fn lost(&self, text: &str) -> Failure {
        Failure::Lost(Error::new(Code::Unreachable, &*self.shown, text))
    }

    fn broken(&self, err: &std::io::Error) -> Failure {
        match self.transport.explain(err) {
            Some(err) => Failure::from(err.of(&*self.shown)),
            None => {
                let told = Error::io("", "", std::io::Error::from(err.kind()));
                let text = if err.raw_os_error().is_some() {
                    Error::io("", "", std::io::Error::from_raw_os_error(err.raw_os_error().unwrap_or(0)))
                } else {
                    told
                };
                self.lost(&format!("the connection was lost: {}", text.text()))
            }
        }
    }
}
