//! A program in the stream: once for all of it, or once for each message.
//!
//! Once for all of it there are three threads, so that none waits for another in a circle: one reads the stream and feeds the
//! program, one waits for its end, and this one passes on its output and the messages that go past it. The feeder hands such
//! a message over before it touches the data behind it, and there is never more than one under way.

use super::lines::Lines;
use super::program;
use super::program::{About, Job, Started};
use crate::support::output::Context;
use crate::support::prelude::*;
use libwoofstream::chan::{BeforeWait, Split};
use libwoofstream::handler::Exit;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Data for the program is collected up to this many bytes, as long as more is at hand.
const BATCH: usize = 64 << 10;

/// Positions of so many files are held back at most.
const POSITIONS_MAX: usize = 1024;

/// What the other threads have to say.
enum Note {
    /// A message that goes past the program.
    Past { kind: Kind, flags: u8, reserved: u16, payload: Vec<u8> },
    /// A stream came to its end.
    End(Result<(), Fault>),
    /// The stream could not be read, or the program not be fed.
    Failed(Error),
    /// The program ended.
    Ended(Result<Exit, Error>),
}

/// How the other threads say it: the event wakes the reader of `notes`, who then takes them.
#[derive(Clone)]
struct Post {
    notes: SyncSender<Note>,
    event: Arc<OwnedFd>,
}

impl Post {
    /// Says it and waits until it was taken. False when nobody listens any more.
    fn send(&self, note: Note) -> bool {
        rustix::io::write(&*self.event, &1u64.to_ne_bytes()).is_ok() && self.notes.send(note).is_ok()
    }
}

/// Runs the program once, as a filter.
pub(super) fn whole(job: &Job<'_>, input: Reader, out: &mut Output) -> Run {
    let name = job.program.name();
    let failed = |doing: &'static str| move |err: std::io::Error| Error::io(name, doing, err);
    let Started { stdin, stdout, end } = job.program.start(&About::default(), program::Stdin::Piped)?;
    let event = eventfd(0, EventfdFlags::CLOEXEC).map_err(|err| Error::io(name, "watch it", err))?;
    let (send, notes) = sync_channel(0);
    let post = Post { notes: send, event: Arc::new(event) };
    let mut lines = Lines::new(stdout, job)?;
    let stdin = Stdin { pipe: stdin, batch: Vec::new(), name: name.to_owned() };
    // A program that gets all of a raw input gets it as it comes.
    let input = input.with_split(Split::Bytes(1));
    let feeder = Feeder { input, stdin, post: post.clone(), delimiter: job.delimiter };
    let spawn = |work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().spawn(work).map(drop);
    let (ender, of) = (post.clone(), name.to_owned());
    spawn(Box::new(move || {
        ender.send(Note::Ended(end.wait(&of)));
    }))
    .map_err(failed("watch it"))?;
    // Its thread is left behind in a read when the program ends before the stream does; it goes with the process.
    spawn(Box::new(move || feeder.run())).map_err(failed("feed it"))?;

    let (mut ended, mut refused) = (None::<Result<Exit, Error>>, None);
    let (mut positions, mut whole) = (Vec::<Vec<u8>>::new(), false);
    loop {
        let more = lines.pass(out)?;
        if lines.fd().is_none()
            && let Some(exit) = ended.take()
        {
            let exit = exit?;
            if exit.why.is_none() && refused.is_none() && whole {
                for payload in &positions {
                    out.message(&Raw { kind: Kind::POSITION, ..Raw::bytes(payload) })?;
                }
            }
            return close(name, exit, refused, out);
        }
        if !more {
            out.flush()?;
        }
        for _ in 0..wait(&post.event, &lines, more).map_err(|err| Error::io(name, "watch it", err))? {
            let Ok(note) = notes.recv() else { break };
            // What the program wrote before goes out before.
            lines.pass(out)?;
            match note {
                // What the program has made of the elements before it is known when it got all and has ended well.
                Note::Past { kind: Kind::POSITION, payload, .. } => held(&mut positions, payload),
                Note::Past { kind, flags, reserved, payload } => {
                    out.message(&Raw { kind, flags, reserved, payload: &payload })?;
                }
                Note::End(status) => {
                    whole = status.is_ok();
                    out.ended(status)?;
                }
                Note::Failed(error) => refused = Some(error),
                Note::Ended(exit) => ended = Some(exit),
            }
        }
    }
}

/// Keeps the last position of each file.
fn held(positions: &mut Vec<Vec<u8>>, payload: Vec<u8>) {
    // What differs between two of one stream is the seqno in front.
    if let Some(held) = positions.iter_mut().find(|held| held.get(8..) == payload.get(8..)) {
        *held = payload;
    } else if positions.len() < POSITIONS_MAX {
        // One that is not moved only has elements sent again.
        positions.push(payload);
    }
}

/// Tells how the program ended.
fn close(name: &str, exit: Exit, refused: Option<Error>, out: &mut Output) -> Run {
    let outcome = match exit {
        Exit { why: None, .. } => Outcome::Done,
        Exit { status, why: Some(text) } => {
            out.error(&Error::new(Code::Failed, name, text))?;
            Outcome::Status(status)
        }
    };
    refused.map_or(Ok(outcome), |error| Err(error.into()))
}

/// Waits for output or notes, or only looks; gives how many notes there are.
fn wait(event: &OwnedFd, lines: &Lines, only_look: bool) -> Result<u64, Errno> {
    let mut ready = vec![PollFd::new(event, PollFlags::IN)];
    ready.extend(lines.fd().map(|fd| PollFd::new(fd, PollFlags::IN)));
    let now = Timespec::default();
    match poll(&mut ready, only_look.then_some(&now)) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(0),
        Err(err) => return Err(err),
    }
    if ready.first().is_none_or(|event| event.revents().is_empty()) {
        return Ok(0);
    }
    let mut count = [0; 8];
    rustix::io::read(event, &mut count)?;
    Ok(u64::from_ne_bytes(count))
}

/// Reads the stream and feeds the program.
struct Feeder {
    input: Reader,
    stdin: Stdin,
    post: Post,
    delimiter: &'static [u8],
}

impl Feeder {
    fn run(mut self) {
        if let Err(error) = self.feed() {
            // What came before the error is data like any other.
            let _ = self.stdin.before_wait();
            self.post.send(Note::Failed(error));
        }
        // Dropped here, the pipe tells the program that this was all.
    }

    fn feed(&mut self) -> Result<(), Error> {
        if self.input.detect(&mut self.stdin)? {
            return self.feed_raw();
        }
        let mut context = Context::default();
        loop {
            let note = match self.input.next(&mut self.stdin)? {
                Input::Message(raw) => {
                    if let Some(data) = raw.data() {
                        self.stdin.put(&raw, data, &context, self.delimiter)?;
                        continue;
                    }
                    enter(&mut context, &raw);
                    let Raw { kind, flags, reserved, payload } = raw;
                    Note::Past { kind, flags, reserved, payload: payload.to_vec() }
                }
                Input::End(status) => Note::End(status),
                Input::Eof => return self.stdin.before_wait(),
            };
            self.stdin.before_wait()?;
            if !self.post.send(note) {
                return Ok(());
            }
        }
    }

    /// Raw bytes need not be cut, as the program gets them all. One that reads no more ends the reading, since nothing can come
    /// past it.
    fn feed_raw(&mut self) -> Result<(), Error> {
        while let Some(block) = self.input.raw_block(&mut self.stdin)? {
            self.stdin.write(block)?;
            if self.stdin.pipe.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// The standard input of the program, with what was collected for it. Once the program reads no more, all is dropped.
struct Stdin {
    pipe: Option<File>,
    batch: Vec<u8>,
    name: String,
}

impl Stdin {
    fn put(&mut self, raw: &Raw<'_>, data: &[u8], context: &Context, delimiter: &[u8]) -> Result<(), Error> {
        if raw.kind != Kind::ELEM && data.len() >= BATCH {
            self.before_wait()?;
            return self.write(data);
        }
        append(raw, data, context, delimiter, &mut self.batch);
        if self.batch.len() < BATCH { Ok(()) } else { self.before_wait() }
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        match self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(data)) {
            Err(err) if err.kind() == std::io::ErrorKind::BrokenPipe => {
                self.pipe = None;
                Ok(())
            }
            written => written.map_err(|err| Error::io(&*self.name, "write to it", err)),
        }
    }
}

impl BeforeWait for Stdin {
    fn before_wait(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        self.write(&batch)?;
        self.batch = batch;
        self.batch.clear();
        self.batch.shrink_to(4 * BATCH);
        Ok(())
    }

    fn pending(&self) -> bool {
        !self.batch.is_empty()
    }
}

/// Takes over what a `Dir` says. One that cannot be read goes past like any other message.
fn enter(context: &mut Context, raw: &Raw<'_>) {
    if raw.kind == Kind::DIR
        && let Ok(Message::Dir(dir)) = raw.decode()
    {
        context.enter(&dir);
    }
}

/// Appends data as the program gets it.
fn append(raw: &Raw<'_>, data: &[u8], context: &Context, delimiter: &[u8], out: &mut Vec<u8>) {
    if raw.kind == Kind::ELEM {
        context.content.write_text(data, out);
        out.extend_from_slice(delimiter);
    } else {
        out.extend_from_slice(data);
    }
}

/// Runs the program once for each data message; its output stands in the place of the message.
pub(super) fn each_message(job: &Job<'_>, mut input: Reader, out: &mut Output) -> Run {
    let (mut context, mut number, mut text) = (Context::default(), 0u64, Vec::new());
    let name = input.name().to_owned();
    let stop = match job.program.stopped() {
        Some(stop) => {
            let input = input.as_fd().try_clone_to_owned();
            Some((input.map_err(|err| Error::io(&*name, "watch it", err))?, stop))
        }
        None => None,
    };
    loop {
        let raw = match input.next(&mut Between { out, stop: stop.as_ref() })? {
            Input::Message(raw) => raw,
            Input::End(status) => {
                out.ended(status)?;
                continue;
            }
            Input::Eof => return Ok(Outcome::Done),
        };
        let Some(data) = raw.data() else {
            enter(&mut context, &raw);
            out.message(&raw)?;
            continue;
        };
        number += 1;
        text.clear();
        append(&raw, data, &context, job.delimiter, &mut text);
        let mut about = About { woof: &context.woof, raw_name: context.raw_name(), ..About::default() };
        if raw.kind == Kind::ELEM {
            let elem = raw.elem()?;
            about = About { seqno: elem.seqno, time_ns: elem.time_ns, ..about };
        }
        if let Some(why) = job.once(&about, &text, out)?.why {
            let object = if context.woof.is_empty() { &name } else { &context.woof };
            let what = match about.seqno {
                0 => format!("message {number}"),
                seqno => format!("element {seqno}"),
            };
            out.error(&Error::new(Code::Failed, object, format!("{what}: {}: {why}", job.program.name())))?;
        }
    }
}

/// The wait for the next message, while no program is there that could be told to stop.
struct Between<'a> {
    out: &'a mut Output,
    /// The input, and what can be read once all is to stop.
    stop: Option<&'a (OwnedFd, Arc<OwnedFd>)>,
}

impl BeforeWait for Between<'_> {
    fn before_wait(&mut self) -> Result<(), Error> {
        self.out.flush()?;
        let Some((input, stop)) = self.stop else { return Ok(()) };
        let mut ready = [PollFd::new(input, PollFlags::IN), PollFd::new(&**stop, PollFlags::IN)];
        retry_on_intr(|| poll(&mut ready, None)).map_err(|err| Error::io("", "wait for input", err))?;
        if ready[1].revents().is_empty() {
            return Ok(());
        }
        Err(Error::new(Code::Stopped, "", "told to stop"))
    }

    fn pending(&self) -> bool {
        self.stop.is_some() || self.out.pending()
    }
}
