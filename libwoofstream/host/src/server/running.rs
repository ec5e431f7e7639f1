//! A handler on demand on its way: what the client sends is its input, what it writes is the answer.
//!
//! Its pipes are read and written as far as that goes without waiting, and the exchange is woken when it goes on ([`super::ready`]).
//!
//! Failure contract: the program is killed with all that came of it when the client goes, cancels, or sends what is no stream. That comes
//! before the end of its input, which it thus never takes for the end of something whole. A program that does not read, or a client that
//! does not, stalls this exchange and no other; no more than the window of the exchange is held.

use super::answer::Answer;
use super::exchange::{Context, Flow, Progress};
use super::held::Held;
use super::ready::{Ready, Watched};
use super::runs::Place;
use super::site::Site;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::cell::RefCell;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Instant;
use woof_core::access::Right;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{PUT_WINDOW, RUN_MESSAGE_MAX};
use woof_core::wire::{Decoder, Event, Kind, encode};
use woof_local::handler::{self, Channel, Logged, Outcome, Splitter, Started, Written};
use woof_net::net::{self, ran};
use woof_space::{Call, RunOptions};

/// So much is read of a pipe at once: what a pipe holds.
const READ: usize = 64 << 10;

/// After the program has ended, what it wrote is read for so many seconds.
const DRAIN_SECS: i64 = 1;

thread_local! {
    // One for each thread and none for each run: nothing is kept in it between two reads.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A program that runs for an exchange.
pub(super) struct Running {
    /// The first, so that it is killed before anything else goes.
    program: Box<dyn handler::Running>,
    name: String,
    pub(super) held: Held,
    handler: String,
    /// The id of the run.
    id: String,
    input: Input,
    stdout: Option<Watched>,
    stderr: Option<Watched>,
    /// Whose turn it is to be read first.
    turn: bool,
    /// Ready when the program has ended.
    end: Watched,
    /// How it ended.
    ended: Option<Outcome>,
    /// Ready when what it wrote was read for long enough.
    drained: Option<Watched>,
    splitter: Splitter,
    logged: Logged,
    started: Instant,
    /// It was logged how it ended.
    told: bool,
    _place: Place,
}

/// What the client sends, on its way into the program.
struct Input {
    decoder: Decoder,
    /// What came and was not used yet.
    bytes: Vec<u8>,
    /// What was used, and the pipe did not take yet.
    waiting: Vec<u8>,
    written: usize,
    /// The end of the stream came.
    ended: bool,
    /// The client has sent all that it will.
    got_all: bool,
    /// `None` once nothing more is to be written.
    pipe: Option<Watched>,
}

impl Running {
    /// Starts what was asked for.
    pub(super) fn open(context: &Context<'_>, flow: &mut Flow, request: &net::Run) -> Result<Running> {
        let exchange = context.exchange;
        let (site, name) = (context.site, &*request.name);
        let at = site.place(name)?;
        let held = site.hold(context.peer, at.namespace(), name, &[Right::Trigger], name)?;
        let namespace = at.as_namespace().map_err(|err| err.of(name))?;
        let runners = site
            .runners()
            .ok_or_else(|| Error::new(Code::Unsupported, name, "this server runs no handlers on demand"))?;
        let place = site.runs.take(context.peer.to_string(), site.limits()).map_err(|err| err.of(name))?;
        let call = Call {
            handler: request.handler.clone(),
            args: request.args.clone(),
            depth: request.depth,
            woof: request.woof.clone(),
            seqno: request.seqno,
            time_ns: request.time,
            here: RunOptions::default(),
        };
        let user = handler::user_of(context.peer);
        let failed = |err: io::Error| Error::io(name, "start", err);
        let (stdin, feed) = pipe_with(PipeFlags::CLOEXEC).map_err(|err| failed(err.into()))?;
        let runner = runners.of_exactly(namespace.path());
        let (id, started) =
            handler::start(&*runner, &namespace, &call, &user, stdin).map_err(|err| err.of(name))?;
        let Started { running: program, stdout, stderr } = started;
        let watch = |fd: OwnedFd| {
            set_nonblocking(&fd)?;
            site.ready.watch(fd, context.wake, exchange)
        };
        let end = program.ended().try_clone_to_owned();
        let end = end.and_then(|fd| site.ready.watch(fd, context.wake, exchange)).map_err(failed)?;
        let running = Running {
            program,
            name: name.to_owned(),
            held,
            handler: call.handler,
            id,
            input: Input {
                decoder: Decoder::new(RUN_MESSAGE_MAX),
                bytes: Vec::new(),
                waiting: Vec::new(),
                written: 0,
                ended: false,
                got_all: false,
                pipe: Some(watch(feed).map_err(failed)?),
            },
            stdout: Some(watch(stdout).map_err(failed)?),
            stderr: Some(watch(stderr).map_err(failed)?),
            turn: false,
            end,
            ended: None,
            drained: None,
            splitter: Splitter::default(),
            logged: Logged::default(),
            started: Instant::now(),
            told: false,
            _place: place,
        };
        let (trigger, handler) = (&*running.id, &*running.handler);
        tracing::info!(trigger, handler, name, user, "a handler runs on demand");
        flow.widen(PUT_WINDOW);
        site.metrics().runs.add(1);
        site.metrics().runs_open.add(1);
        Ok(running)
    }

    /// Takes bytes of the client's stream.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        if self.input.pipe.is_some() {
            self.input.bytes.extend_from_slice(bytes);
        }
    }

    /// Notes that the client's stream is complete.
    pub(super) fn end(&mut self) {
        self.input.got_all = true;
    }

    /// How many bytes of the client are here.
    pub(super) fn unfinished(&self) -> usize {
        let Input { decoder, bytes, waiting, .. } = &self.input;
        bytes.len() + waiting.len() + decoder.assembled_len()
    }

    /// Does what can be done without waiting.
    pub(super) fn step(&mut self, context: &Context<'_>, flow: &mut Flow, out: &mut Answer) -> Progress {
        let done = self.go_on(context, flow, out).unwrap_or_else(|err| {
            self.program.kill();
            Some(Err(if err.object().is_empty() { err.of(&*self.name) } else { err }))
        });
        match done {
            None if out.has_room() => Progress::Asleep,
            None => Progress::More,
            Some(status) => {
                self.say_ended(&status);
                out.end(status);
                Progress::Over
            }
        }
    }

    /// The status of the answer, if it is complete.
    fn go_on(
        &mut self,
        context: &Context<'_>,
        flow: &mut Flow,
        out: &mut Answer,
    ) -> Result<Option<Result<()>>> {
        if self.ended.is_none() && is_ready(&self.end) {
            self.ended = Some(self.program.end());
            self.input.close();
        }
        if self.input.feed(flow)? {
            app(out, ran::CLOSED, &[]);
        }
        self.pass(out);
        if let Some(outcome) = &self.ended {
            let is_dry = out.has_room();
            let all = self.stdout.is_none() && self.stderr.is_none();
            if all || (is_dry && self.drained.as_ref().is_some_and(is_ready)) {
                if let Some(status) = self.program.status().or(outcome.is_ok().then_some(0)) {
                    app(out, ran::EXIT, &[status]);
                }
                let failed =
                    |failure: &handler::Failure| Error::new(Code::Failed, &*self.name, failure.reason());
                return Ok(Some(outcome.as_ref().map_err(failed).copied()));
            }
            if self.drained.is_none() {
                // Whoever left its group may have its pipes, and keep them.
                self.drained = Some(timer(&context.site.ready, context)?);
            }
        }
        self.arm(out)?;
        Ok(None)
    }

    /// Takes what the program wrote, as long as there is room for more of the answer.
    fn pass(&mut self, out: &mut Answer) {
        BUFFER.with_borrow_mut(|buffer| {
            self.turn = !self.turn;
            let (mut which, mut dry) = (self.turn, 0);
            while out.has_room() && dry < 2 {
                let pipe = if which { &mut self.stdout } else { &mut self.stderr };
                let read = pipe.as_ref().map(|pipe| pipe.file().read(buffer));
                match read {
                    None => dry += 1,
                    Some(Ok(len)) if len > 0 => {
                        dry = 0;
                        let bytes = buffer.get(..len).unwrap_or_default();
                        if which {
                            encode::bytes(out.buffer(), bytes);
                        } else {
                            app(out, ran::STDERR, bytes);
                            let (id, handler, logged) = (&*self.id, &*self.handler, &mut self.logged);
                            self.splitter.take(bytes, |written| log(logged, id, handler, written));
                        }
                    }
                    Some(Err(err)) if err.kind() == ErrorKind::WouldBlock => dry += 1,
                    Some(Err(err)) if err.kind() == ErrorKind::Interrupted => {}
                    Some(_) => {
                        *pipe = None;
                        dry += 1;
                    }
                }
                which = !which;
            }
        });
    }

    /// Has the exchange woken when it can go on.
    fn arm(&self, out: &Answer) -> Result<()> {
        let arm = || {
            if let Some(pipe) = self.input.pipe.as_ref().filter(|_| !self.input.waiting.is_empty()) {
                pipe.arm_write()?;
            }
            if self.ended.is_none() {
                self.end.arm_read()?;
            }
            if let Some(drained) = &self.drained {
                drained.arm_read()?;
            }
            // Without room it goes on when the client takes something.
            let pipes = [&self.stdout, &self.stderr].into_iter().flatten();
            pipes.filter(|_| out.has_room()).try_for_each(Watched::arm_read)
        };
        arm().map_err(|err: io::Error| Error::io(&*self.name, "watch the handler", err))
    }

    /// Kills the program, as it was not done when the server had to end.
    pub(super) fn cut_off(&mut self, why: Error, out: &mut Answer) {
        self.program.kill();
        let status = Err(why.of(&*self.name));
        self.say_ended(&status);
        out.end(status);
    }

    fn say_ended(&mut self, status: &Result<()>) {
        self.told = true;
        let (id, handler, logged) = (&*self.id, &*self.handler, &mut self.logged);
        self.splitter.end(|written| log(logged, id, handler, written));
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match status {
            Ok(()) => tracing::info!(trigger = id, handler, ms, "done"),
            Err(err) => tracing::warn!(trigger = id, handler, ms, error = err.text(), "failed"),
        }
    }

    /// Notes that it is over.
    pub(super) fn close(&self, site: &Site) {
        site.metrics().runs_open.take(1);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.told {
            let gone = Err(Error::new(Code::Cut, "", "nobody waits for it any more: killed"));
            self.say_ended(&gone);
        }
    }
}

impl Input {
    /// Hands the program what came, as far as its pipe takes it; true when it is found that it reads no more.
    fn feed(&mut self, flow: &mut Flow) -> Result<bool> {
        if self.pipe.is_none() {
            return Ok(false);
        }
        let mut used = 0;
        while self.write()? {
            if self.ended {
                self.pipe = None;
                break;
            }
            let rest = self.bytes.get(used..).unwrap_or_default();
            let (more, event) = self.decoder.event(rest)?;
            used += more;
            match event {
                Event::Need(_) if self.got_all => {
                    self.decoder.finish(rest.len() - more)?;
                    self.ended = true;
                }
                Event::Need(_) => break,
                Event::Preamble => {}
                Event::Whole(header) => {
                    let payload = rest.get(more - header.len as usize..more).unwrap_or_default();
                    // Kinds of later versions are passed over.
                    if header.kind == Kind::BYTES {
                        self.waiting.extend_from_slice(payload);
                    }
                }
                Event::Assembled(header) => {
                    if header.kind == Kind::BYTES {
                        self.waiting.extend_from_slice(self.decoder.assembled());
                    }
                }
                // What the client could not read is no end of its input.
                Event::End(status) => {
                    status.map_err(|fault| fault.to_error())?;
                    self.ended = true;
                }
            }
        }
        flow.used(used);
        self.bytes.drain(..used);
        let closed = self.pipe.is_none() && !self.ended;
        if self.pipe.is_none() {
            self.close();
        }
        Ok(closed)
    }

    /// Writes what waits; true when all of it was written.
    fn write(&mut self) -> Result<bool> {
        while let (Some(pipe), Some(rest)) =
            (&self.pipe, self.waiting.get(self.written..).filter(|it| !it.is_empty()))
        {
            match pipe.file().write(rest) {
                Ok(len) => self.written += len,
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                // That it reads no more is its own affair.
                Err(err) if err.kind() == ErrorKind::BrokenPipe => {
                    self.pipe = None;
                    return Ok(false);
                }
                Err(err) => return Err(Error::io("", "write to the handler", err)),
            }
        }
        self.waiting.clear();
        self.written = 0;
        Ok(true)
    }

    /// Throws away what is here.
    fn close(&mut self) {
        self.pipe = None;
        (self.bytes, self.waiting) = (Vec::new(), Vec::new());
    }
}

fn log(
    logged: &mut Logged,
    id: &str,
    handler: &str,
    written: Written<'_>,
) -> std::result::Result<(), std::convert::Infallible> {
    logged.written(id, handler, Channel::Err, written);
    Ok(())
}

fn app(out: &mut Answer, name: &str, data: &[u8]) {
    // Names of these lengths always fit.
    drop(encode::app(out.buffer(), name, data));
}

fn is_ready(watched: &Watched) -> bool {
    let mut polled = [PollFd::new(watched.file(), PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())) == Ok(1)
}

/// A descriptor that is ready after [`DRAIN_SECS`].
fn timer(ready: &Ready, context: &Context<'_>) -> Result<Watched> {
    let made = || {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let time = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec { tv_sec: DRAIN_SECS, tv_nsec: 0 },
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &time)?;
        ready.watch(timer, context.wake, context.exchange)
    };
    made().map_err(|err: io::Error| Error::io("", "wait for what the handler wrote", err))
}

/// Has nobody wait who reads or writes a pipe.
fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    Ok(fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}
