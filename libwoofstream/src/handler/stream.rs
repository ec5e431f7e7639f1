//! Long-lived handlers: a program that is started once gets elements in one framed stream and answers each, so that a trigger costs a write.
//!
//! On its standard output the line `ok` answers the oldest element that has no answer: done. `failed REASON` answers it too. Any other line is output.
//!
//! Failure contract: when the program ends, or does not answer in time, the oldest element without an answer has failed with that; those behind it
//! go back and are given to the next program. Elements of another depth go to a program of their own, as what it puts has that depth.

use super::attempt::{Became, Output};
use super::bindings::Binding;
use super::dispatch::Event;
use super::element::Element;
use super::follow::{self, Pipe};
use super::run::{Channel, Failure, Run, Runner, Running, Started};
use crate::content::ContentType;
use crate::log::{Cursor, Item, Mark, Woof};
use crate::space::context;
use crate::wire::encode;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// With so many bytes waiting to be read by the program, no more elements are read from the woof.
const WAITING_MAX: usize = 256 << 10;

/// How long a program that is not needed any more has to end.
const LEAVE: Duration = Duration::from_secs(2);

/// What the thread needs to know.
pub(super) struct Setup {
    pub(super) namespace: Arc<PathBuf>,
    pub(super) binding: Arc<Binding>,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) woof: Woof,
    pub(super) content: ContentType,
    pub(super) events: Sender<Event>,
}

/// The thread that talks to the program of a binding.
pub(super) struct Stream {
    jobs: Option<Sender<Vec<u64>>>,
    wake: Arc<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stream {
    pub(super) fn start(setup: Setup) -> std::io::Result<Stream> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (send, receive) = channel();
        let own = Arc::clone(&wake);
        let thread = std::thread::Builder::new().name("woof-stream".to_owned()).spawn(move || {
            let cursor = setup.woof.cursor(1);
            let mut worker =
                Worker { setup, cursor, program: None, jobs: VecDeque::new(), answers: Vec::new() };
            worker.work(&receive, &own);
        })?;
        Ok(Stream { jobs: Some(send), wake, thread: Some(thread) })
    }

    /// Hands over triggers, in order. They come back as [`Event::Answers`].
    pub(super) fn push(&self, jobs: Vec<u64>) {
        if let Some(send) = &self.jobs {
            // The thread ends after this does.
            let _ = send.send(jobs);
        }
        self.wake();
    }

    fn wake(&self) {
        // Full means that it is awake.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.jobs = None;
        self.wake();
        // Its program has ended when this returns.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A program that runs, and what is on its way to it.
struct Program {
    running: Box<dyn Running>,
    stdin: Option<File>,
    pipes: [Pipe; 2],
    /// What it has not read yet.
    waiting: Vec<u8>,
    /// Elements that it was given and has not answered.
    given: VecDeque<u64>,
    depth: u8,
    /// When the oldest of them has to be answered.
    deadline: Instant,
}

struct Worker {
    setup: Setup,
    cursor: Cursor,
    program: Option<Program>,
    /// Triggers that are claimed, by seqno.
    jobs: VecDeque<u64>,
    answers: Vec<(u64, Became)>,
}

impl Worker {
    fn work(&mut self, receive: &Receiver<Vec<u64>>, wake: &OwnedFd) {
        loop {
            loop {
                match receive.try_recv() {
                    Ok(jobs) => self.jobs.extend(jobs),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return self.leave(),
                }
            }
            self.give();
            self.tell();
            self.wait(wake);
            self.tell();
        }
    }

    /// Sends what was answered.
    fn tell(&mut self) {
        if !self.answers.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            let _ = self.setup.events.send(Event::Answers { binding: self.setup.binding.id, answers });
        }
    }

    /// Gives elements to the program as long as it reads them.
    fn give(&mut self) {
        while let Some(seqno) = self.jobs.front().copied() {
            if self.program.as_ref().is_some_and(|program| program.waiting.len() >= WAITING_MAX) {
                break;
            }
            let element = match self.read(seqno) {
                Ok(element) => element,
                Err(reason) => {
                    self.jobs.pop_front();
                    self.answers.push((seqno, Became::Lost(reason.to_owned())));
                    continue;
                }
            };
            let depth = element.mark.depth();
            if depth >= Mark::DEPTH_MAX && !self.setup.binding.chain {
                self.jobs.pop_front();
                self.answers.push((seqno, Became::Hopeless(super::attempt::TOO_DEEP.to_owned())));
                continue;
            }
            let depth = (depth + 1).min(Mark::DEPTH_MAX);
            if let Some(program) = &self.program
                && program.depth != depth
            {
                if !program.given.is_empty() {
                    // It goes on when these are answered.
                    self.cursor = self.setup.woof.cursor(seqno);
                    break;
                }
                self.leave();
            }
            if self.program.is_none() {
                match self.start(depth) {
                    Ok(program) => self.program = Some(program),
                    Err(failure) => {
                        self.jobs.pop_front();
                        self.answers.push((seqno, failure.into()));
                        self.give_back();
                        break;
                    }
                }
            }
            self.jobs.pop_front();
            if let Some(program) = &mut self.program {
                if program.given.is_empty() {
                    program.deadline = Instant::now() + self.setup.binding.timeout();
                }
                program.given.push_back(seqno);
                encode::elem(&mut program.waiting, seqno, element.time_ns, &element.data);
            }
        }
        if let Some(program) = &mut self.program {
            program.write();
        }
    }

    /// Everything that no program has goes back.
    fn give_back(&mut self) {
        self.answers.extend(self.jobs.drain(..).map(|seqno| (seqno, Became::Returned)));
    }

    /// Reads an element; mostly the one behind the last.
    fn read(&mut self, seqno: u64) -> Result<Element, &'static str> {
        let at = self.cursor.seqno();
        if at > seqno || seqno - at > 4096 {
            self.cursor = self.setup.woof.cursor(seqno);
        }
        loop {
            match self.cursor.next() {
                Some(Item::Elem { seqno: at, .. }) if at < seqno => {}
                Some(Item::Elem { seqno: at, time_ns, mark, data, .. }) if at == seqno => {
                    return Ok(Element { time_ns, mark, data: data.to_vec() });
                }
                Some(Item::Damaged { seqno: at }) if at < seqno => {}
                Some(Item::Gone { to, .. }) if to < seqno => {}
                Some(Item::Damaged { .. }) => return Err("the element is damaged"),
                Some(_) => return Err("the element was overwritten before it was handled"),
                None => return Err("the element is not there"),
            }
        }
    }

    fn start(&self, depth: u8) -> Result<Program, Failure> {
        let Setup { namespace, binding, content, .. } = &self.setup;
        let trigger = format!("{}-stream", binding.id);
        let run = Run { namespace, binding, trigger: &trigger, depth, attempt: None, asked: None, args: &[] };
        let piped = pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from);
        let piped = piped.and_then(|(stdin, feed)| {
            let feed = File::from(feed);
            follow::set_nonblocking(&feed)?;
            Ok((stdin, feed))
        });
        let (stdin, feed) = piped.map_err(|err| format!("start: {err}"))?;
        let Started { running, stdout, stderr } = self.setup.runner.start(&run, stdin)?;
        let mut waiting = Vec::new();
        encode::preamble(&mut waiting);
        drop(encode::dir(&mut waiting, &context(&binding.woof, *content)));
        Ok(Program {
            running,
            stdin: Some(feed),
            pipes: [Pipe::new(Channel::Out, stdout), Pipe::new(Channel::Err, stderr)],
            waiting,
            given: VecDeque::new(),
            depth,
            deadline: Instant::now() + binding.timeout(),
        })
    }

    /// Waits for the program, for jobs, or for the deadline, and takes what came.
    fn wait(&mut self, wake: &OwnedFd) {
        let timeout = match &self.program {
            Some(program) if !program.given.is_empty() => {
                Some(program.deadline.saturating_duration_since(Instant::now()))
            }
            _ => None,
        };
        let mut polled = vec![PollFd::new(wake, PollFlags::IN)];
        if let Some(program) = &self.program {
            polled.push(PollFd::from_borrowed_fd(program.running.ended(), PollFlags::IN));
            polled.extend(
                program
                    .pipes
                    .iter()
                    .filter_map(|pipe| pipe.file.as_ref())
                    .map(|file| PollFd::new(file, PollFlags::IN)),
            );
            if let Some(stdin) = program.stdin.as_ref().filter(|_| !program.waiting.is_empty()) {
                polled.push(PollFd::new(stdin, PollFlags::OUT));
            }
        }
        let timespec = timeout.map(follow::timespec);
        // However it ends, what came is looked at.
        let _ = poll(&mut polled, timespec.as_ref());
        let woken = polled.first().is_some_and(|first| !first.revents().is_empty());
        let exited = polled.get(1).is_some_and(|second| !second.revents().is_empty());
        drop(polled);
        if woken {
            let mut count = [0; 8];
            let _ = rustix::io::read(wake, &mut count);
        }
        self.take_answers();
        if exited {
            self.take_answers();
            let status = self.program.as_mut().map(|program| program.running.end());
            let how = match status {
                Some(Err(failure)) => failure.reason().to_owned(),
                _ => "exit status 0".to_owned(),
            };
            self.fail(format!("ended without an answer: {how}"));
        } else if self.is_late() {
            // Whatever else it has to say: one that never stops writing is never waited for.
            let limit = self.setup.binding.timeout();
            self.fail(format!("no answer after {limit:?}, the time limit: killed"));
        }
    }

    /// Whether an answer that is due has not come.
    fn is_late(&self) -> bool {
        self.program
            .as_ref()
            .is_some_and(|program| !program.given.is_empty() && Instant::now() >= program.deadline)
    }

    /// Takes what the program wrote.
    fn take_answers(&mut self) {
        let Some(program) = &mut self.program else { return };
        let Setup { namespace, binding, .. } = &self.setup;
        let (given, answers) = (&mut program.given, &mut self.answers);
        let before = answers.len();
        let mut wrong = None;
        for pipe in &mut program.pipes {
            let mut line = |channel, text: &[u8]| {
                let answer = match text {
                    b"ok" => Became::Done,
                    text if text.starts_with(b"failed") => {
                        let reason = text.strip_prefix(b"failed").unwrap_or_default().trim_ascii();
                        Became::Failed(String::from_utf8_lossy(reason).into_owned())
                    }
                    text => {
                        let seqno = given.front().copied().unwrap_or(0);
                        let trigger = format!("{}-{seqno}", binding.id);
                        let depth = program.depth;
                        let run = Run {
                            namespace,
                            binding,
                            trigger: &trigger,
                            depth,
                            attempt: None,
                            asked: None,
                            args: &[],
                        };
                        return Output::open(namespace, &run)?.line(channel, text);
                    }
                };
                if channel == Channel::Err {
                    return Ok(());
                }
                match given.pop_front() {
                    Some(seqno) => answers.push((seqno, answer)),
                    None => return Err("an answer too many".to_owned()),
                }
                Ok(())
            };
            // As much as is there, so that what it wrote before its end is not lost; a pipe holds 64 KiB.
            for _ in 0..8 {
                if let Err(reason) = pipe.pass(&mut line) {
                    wrong = Some(reason);
                }
            }
        }
        if answers.len() > before {
            program.deadline = Instant::now() + binding.timeout();
        }
        if let Some(reason) = wrong {
            self.fail(reason);
        }
    }

    /// Ends the program: the oldest element without an answer has failed, the others go back.
    fn fail(&mut self, reason: String) {
        let Some(mut program) = self.program.take() else { return };
        if let Some(seqno) = program.given.pop_front() {
            self.answers.push((seqno, Became::Failed(reason)));
        } else {
            tracing::warn!(handler = self.setup.binding.handler, reason, "a long-lived handler ended");
        }
        self.answers.extend(program.given.drain(..).map(|seqno| (seqno, Became::Returned)));
        self.give_back();
        // Killed as it is dropped, if it lives.
    }

    /// Ends the program with the end of its stream.
    fn leave(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        encode::end(&mut program.waiting, Ok(()));
        program.write();
        program.stdin = None;
        let mut polled = [PollFd::from_borrowed_fd(program.running.ended(), PollFlags::IN)];
        if poll(&mut polled, Some(&follow::timespec(LEAVE))) == Ok(1) {
            let _ = program.running.end();
        }
    }
}

impl Program {
    /// Writes what the pipe takes.
    fn write(&mut self) {
        let Some(stdin) = &mut self.stdin else { return self.waiting.clear() };
        match stdin.write(&self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(err)
                if matches!(err.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {
            }
            // It does not read any more. Whether it still answers its time limit shows.
            Err(_) => self.stdin = None,
        }
    }
}
