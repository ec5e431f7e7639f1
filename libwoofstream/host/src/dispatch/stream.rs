//! Long-lived handlers: a program that is started once gets elements in one framed stream and answers each, so that a trigger costs a write.
//!
//! On its standard output the line `ok` answers the oldest element that has no answer: done. `failed REASON` answers it too. Any other line is output, and so is
//! whatever stands in a stream that one of our commands wrote in between: data that reads `ok` is no answer.
//!
//! Failure contract: when the program ends, or does not answer in time, the oldest element without an answer has failed with that; those behind it
//! go back and are given to the next program. Elements of another depth go to a program of their own, as what it puts has that depth.
//!
//! One that is told to end takes no more elements; its program gets the end of the stream and is killed after a while. Nobody waits for that, and the
//! dispatcher is told ([`Event::More`]) when it is over.
//!
//! A thread for each starts the program, takes its answers and sees to its time limit. A few elements for a program that is there are written to it by
//! who hands them over, so that a trigger waits for no other thread.

use super::attempt::Became;
use super::dispatcher::Event;
use super::output::{Output, Patience};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use woof_core::attrs::context;
use woof_core::content::ContentType;
use woof_core::sys::{poll_for, timespec};
use woof_core::wire::encode;
use woof_local::handler::bindings::Binding;
use woof_local::handler::element::Element;
use woof_local::handler::follow::{self, Pipe};
use woof_local::handler::run::{Channel, Failure, Run, Running, Started};
use woof_local::handler::runner::Runner;
use woof_local::handler::written::Written;
use woof_log::{Cursor, Item, Mark, Woof};

/// With so many bytes waiting to be read by the program, no more elements are read from the woof.
const WAITING_MAX: usize = 256 << 10;

/// With more triggers than so many, giving them is the work of the thread.
const FEW: usize = 16;

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

/// The thread that talks to the program of a binding, and the way to it.
pub(super) struct Stream {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the thread has together with who hands over triggers.
struct Shared {
    setup: Setup,
    /// Triggers that are claimed and no program has, by seqno. Never locked for long.
    jobs: Mutex<VecDeque<u64>>,
    /// Locked before `jobs` where both are.
    feed: Mutex<Feed>,
    /// Wakes the thread.
    wake: OwnedFd,
    /// It is told to end.
    closed: AtomicBool,
    /// It has ended, and so has its program.
    ended: AtomicBool,
}

/// The way of elements to the program.
struct Feed {
    cursor: Cursor,
    program: Option<Fed>,
    /// The thread sleeps for as long as nobody wakes it.
    asleep: bool,
}

/// What is on its way to a program.
struct Fed {
    stdin: Option<Arc<File>>,
    /// What it has not read yet.
    waiting: Vec<u8>,
    /// Elements that it was given and has not answered.
    given: VecDeque<u64>,
    depth: u8,
    /// When the oldest of them has to be answered.
    deadline: Instant,
}

/// What there is to do before the next element can be given.
enum Next {
    /// Nothing: all were given, or the program is to read first.
    Wait,
    /// The trigger of this element is answered with this.
    Answer(u64, Became),
    /// A program is to be started for this element, and others of this depth.
    Program(u64, u8),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    pub(super) fn start(setup: Setup) -> std::io::Result<Stream> {
        let feed = Feed { cursor: setup.woof.cursor(1), program: None, asleep: false };
        let shared = Arc::new(Shared {
            setup,
            jobs: Mutex::default(),
            feed: Mutex::new(feed),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("woof-stream".to_owned()).spawn(move || {
            // Dropped last, however this ends.
            let _over = Over(Arc::clone(&own));
            let mut worker = Worker { shared: own, program: None, answers: Vec::new(), is_idle: false };
            worker.work();
        })?;
        Ok(Stream { shared, thread: Some(thread) })
    }

    /// Hands over triggers, in order. They come back as [`Event::Answers`].
    pub(super) fn push(&self, jobs: Vec<u64>) {
        let shared = &*self.shared;
        let few = {
            let mut waiting = locked(&shared.jobs);
            waiting.extend(jobs);
            waiting.len() <= FEW
        };
        // The thread has it locked only while it is awake, and looks for jobs before it sleeps: when it was told to.
        if few && let Ok(mut feed) = shared.feed.try_lock() {
            let next = feed.give(shared);
            let is_written = feed.program.as_ref().is_some_and(|program| program.waiting.is_empty());
            if matches!(next, Next::Wait) && is_written && !feed.asleep {
                return;
            }
        }
        shared.wake();
    }
}

impl Stream {
    /// Tells it to end.
    pub(super) fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// Whether it has ended, and its program too.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// The binding it is of.
    pub(super) fn binding(&self) -> &Binding {
        &self.shared.setup.binding
    }
}

/// Notes, when it is dropped, that a thread is over, and tells the dispatcher.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        // Without a receiver the dispatcher has ended.
        let _ = self.0.setup.events.send(Event::More);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close();
        // Its program has ended when this returns.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn wake(&self) {
        // Full means that it is awake.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Feed {
    /// Gives elements to the program as long as it reads them.
    fn give(&mut self, shared: &Shared) -> Next {
        let next = self.fill(shared);
        if let Some(program) = &mut self.program {
            program.write();
        }
        next
    }

    fn fill(&mut self, shared: &Shared) -> Next {
        let setup = &shared.setup;
        loop {
            if self.program.as_ref().is_some_and(|program| program.waiting.len() >= WAITING_MAX) {
                return Next::Wait;
            }
            let Some(seqno) = locked(&shared.jobs).front().copied() else { return Next::Wait };
            let element = match self.read(&setup.woof, seqno) {
                Ok(element) => element,
                Err(reason) => return Next::Answer(seqno, Became::Lost(reason.to_owned())),
            };
            let depth = element.mark.depth();
            if depth >= Mark::DEPTH_MAX && !setup.binding.chain {
                return Next::Answer(seqno, Became::Hopeless(woof_space::TOO_DEEP.to_owned()));
            }
            let depth = (depth + 1).min(Mark::DEPTH_MAX);
            match &mut self.program {
                Some(program) if program.depth == depth => {
                    locked(&shared.jobs).pop_front();
                    if program.given.is_empty() {
                        program.deadline = Instant::now() + setup.binding.timeout();
                    }
                    program.given.push_back(seqno);
                    encode::elem(&mut program.waiting, seqno, element.time_ns, &element.data);
                }
                // It goes on when those before it are answered.
                Some(program) if !program.given.is_empty() => return Next::Wait,
                _ => return Next::Program(seqno, depth),
            }
        }
    }

    /// Reads an element; mostly the one behind the last.
    fn read(&mut self, woof: &Woof, seqno: u64) -> Result<Element, &'static str> {
        let at = self.cursor.seqno();
        if at > seqno || seqno - at > 4096 {
            self.cursor = woof.cursor(seqno);
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
}

/// A program that runs.
struct Program {
    running: Box<dyn Running>,
    pipes: [Pipe; 2],
    /// Where its output goes, once there is some.
    output: Option<Output>,
}

struct Worker {
    shared: Arc<Shared>,
    /// The program that is fed, if one is.
    program: Option<Program>,
    answers: Vec<(u64, Became)>,
    /// Nothing was given for as long as an answer may take.
    is_idle: bool,
}

impl Worker {
    fn work(&mut self) {
        loop {
            if self.is_closed() {
                return self.leave();
            }
            self.give();
            self.tell();
            self.wait();
            self.tell();
        }
    }

    fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Sends what was answered.
    fn tell(&mut self) {
        if !self.answers.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            let Setup { binding, events, .. } = &self.shared.setup;
            let _ = events.send(Event::Answers { binding: binding.id, answers });
        }
    }

    /// Gives elements, and does what has to be done before the next one can be given.
    fn give(&mut self) {
        // A program that took long to start may not be wanted any more.
        while !self.is_closed() {
            let next = locked(&self.shared.feed).give(&self.shared);
            match next {
                Next::Wait => return,
                Next::Answer(seqno, became) => self.answer(seqno, became),
                Next::Program(seqno, depth) => {
                    self.leave();
                    // Nothing is locked while it starts.
                    match self.start(depth) {
                        Ok((program, fed)) => {
                            self.program = Some(program);
                            locked(&self.shared.feed).program = Some(fed);
                        }
                        Err(failure) => {
                            self.answer(seqno, failure.into());
                            return self.give_back();
                        }
                    }
                }
            }
        }
    }

    /// Answers a trigger that no program has. By now it may be another that would be given next, or a program may have got it: then that answers it.
    fn answer(&mut self, seqno: u64, became: Became) {
        let mut jobs = locked(&self.shared.jobs);
        if let Some(at) = jobs.iter().position(|job| *job == seqno) {
            jobs.remove(at);
            self.answers.push((seqno, became));
        }
    }

    /// Everything that no program has goes back.
    fn give_back(&mut self) {
        let jobs = std::mem::take(&mut *locked(&self.shared.jobs));
        self.answers.extend(jobs.into_iter().map(|seqno| (seqno, Became::Returned)));
    }

    fn start(&self, depth: u8) -> Result<(Program, Fed), Failure> {
        let Setup { namespace, binding, content, runner, .. } = &self.shared.setup;
        let trigger = format!("{}-stream", binding.id);
        let (attempt, asked, open) = (None, None, None);
        let run = Run { namespace, binding, trigger: &trigger, depth, attempt, asked, args: &[], open };
        let piped = pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from);
        let piped = piped.and_then(|(stdin, feed)| {
            let feed = File::from(feed);
            follow::set_nonblocking(&feed)?;
            Ok((stdin, feed))
        });
        let (stdin, feed) = piped.map_err(|err| format!("start: {err}"))?;
        let Started { running, stdout, stderr } = runner.start(&run, stdin)?;
        let mut waiting = Vec::new();
        encode::preamble(&mut waiting);
        drop(encode::dir(&mut waiting, &context(&binding.woof, *content)));
        let pipes = [Pipe::new(Channel::Out, stdout), Pipe::new(Channel::Err, stderr)];
        let fed = Fed {
            stdin: Some(Arc::new(feed)),
            waiting,
            given: VecDeque::new(),
            depth,
            deadline: Instant::now() + binding.timeout(),
        };
        Ok((Program { running, pipes, output: None }, fed))
    }

    /// How long there is nothing to do unless somebody wakes it.
    fn time_to_sleep(&self, feed: &Feed) -> Option<Duration> {
        match &feed.program {
            Some(program) if !program.given.is_empty() => {
                Some(program.deadline.saturating_duration_since(Instant::now()))
            }
            // No answer to what is given from now on is due before that: who gives it need not wake this thread.
            Some(_) if !self.is_idle => Some(self.shared.setup.binding.timeout()),
            _ => None,
        }
    }

    /// Waits for the program, for jobs, or for the deadline, and takes what came.
    fn wait(&mut self) {
        let (timeout, stdin, is_answered) = {
            let mut feed = locked(&self.shared.feed);
            let timeout = self.time_to_sleep(&feed);
            feed.asleep = timeout.is_none();
            let program = feed.program.as_ref();
            let is_answered = program.is_none_or(|program| program.given.is_empty());
            let stdin = program.filter(|program| !program.waiting.is_empty());
            (timeout, stdin.and_then(|program| program.stdin.clone()), is_answered)
        };
        let wake = &self.shared.wake;
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
            polled.extend(stdin.as_deref().map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        }
        let timespec = timeout.map(timespec);
        // However it ends, what came is looked at.
        let count = poll(&mut polled, timespec.as_ref());
        self.is_idle = is_answered && count == Ok(0);
        let woken = polled.first().is_some_and(|first| !first.revents().is_empty());
        let exited = polled.get(1).is_some_and(|second| !second.revents().is_empty());
        drop(polled);
        if woken {
            let mut count = [0; 8];
            let _ = rustix::io::read(wake, &mut count);
        }
        self.take_answers(false);
        if exited {
            self.take_answers(true);
            match self.program.as_mut().map(|program| program.running.end()) {
                Some(Err(Failure::Failed(how))) => self.fail(format!("ended without an answer: {how}")),
                Some(Err(not_ready)) => self.fail(not_ready),
                _ => self.fail("ended without an answer: exit status 0".to_owned()),
            }
        } else if self.is_late() {
            // Whatever else it has to say: one that never stops writing is never waited for.
            let limit = self.shared.setup.binding.timeout();
            self.fail(format!("no answer after {limit:?}, the time limit: killed"));
        }
    }

    /// Whether an answer that is due has not come.
    fn is_late(&self) -> bool {
        let feed = locked(&self.shared.feed);
        feed.program
            .as_ref()
            .is_some_and(|program| !program.given.is_empty() && Instant::now() >= program.deadline)
    }

    /// Takes what the program wrote, which is all that it will write if it has ended.
    fn take_answers(&mut self, ended: bool) {
        let Setup { namespace, binding, .. } = &self.shared.setup;
        let mut feed = locked(&self.shared.feed);
        feed.asleep = false;
        let (Some(program), Some(fed)) = (&mut self.program, &mut feed.program) else { return };
        let (given, answers, depth) = (&mut fed.given, &mut self.answers, fed.depth);
        let before = answers.len();
        // Without an element to answer it has no time limit of its own.
        let until = if given.is_empty() { Instant::now() + binding.timeout() } else { fed.deadline };
        let patience = Patience { until, over: &self.shared.closed };
        let mut wrong = None;
        for pipe in &mut program.pipes {
            let mut take = |channel, written: Written<'_>| {
                let answer = match (channel, written) {
                    (Channel::Out, Written::Line(line)) => answer(line),
                    _ => None,
                };
                let Some(answer) = answer else {
                    let trigger = format!("{}-{}", binding.id, given.front().copied().unwrap_or(0));
                    let output = match &mut program.output {
                        Some(output) => output,
                        None => program.output.insert(Output::open(namespace, binding, depth)?),
                    };
                    return output.take(&trigger, &binding.handler, channel, written, patience);
                };
                match given.pop_front() {
                    Some(seqno) => answers.push((seqno, answer)),
                    None => return Err("an answer too many".to_owned()),
                }
                program.output.as_mut().map(Output::of_the_next);
                Ok(())
            };
            // As much as is there, so that what it wrote before its end is not lost; a pipe holds 64 KiB.
            for _ in 0..8 {
                if let Err(reason) = pipe.pass(&mut take) {
                    wrong = Some(reason);
                }
            }
            if ended && let Err(reason) = pipe.end(&mut take) {
                wrong = Some(reason);
            }
        }
        if answers.len() > before {
            fed.deadline = Instant::now() + binding.timeout();
        }
        drop(feed);
        if let Some(reason) = wrong {
            self.fail(reason);
        }
    }

    /// Ends the program: the oldest element without an answer has failed, the others go back.
    fn fail(&mut self, failure: impl Into<Failure>) {
        let failure = failure.into();
        let fed = locked(&self.shared.feed).program.take();
        let mut given = fed.map_or_else(VecDeque::new, |fed| fed.given);
        if let Some(seqno) = given.pop_front() {
            self.answers.push((seqno, failure.into()));
        } else {
            let (handler, reason) = (&self.shared.setup.binding.handler, failure.reason());
            tracing::warn!(handler, reason, "a long-lived handler ended");
        }
        self.answers.extend(given.into_iter().map(|seqno| (seqno, Became::Returned)));
        self.give_back();
        // Killed as it is dropped, if it lives.
        self.program = None;
    }

    /// Ends the program with the end of its stream.
    fn leave(&mut self) {
        let fed = locked(&self.shared.feed).program.take();
        let (Some(mut program), Some(mut fed)) = (self.program.take(), fed) else { return };
        encode::end(&mut fed.waiting, Ok(()));
        fed.write();
        drop(fed);
        let mut polled = [PollFd::from_borrowed_fd(program.running.ended(), PollFlags::IN)];
        if poll_for(&mut polled, Some(LEAVE)) == Ok(1) {
            let _ = program.running.end();
        }
    }
}

/// What a line answers, if it is an answer.
fn answer(line: &[u8]) -> Option<Became> {
    if line == b"ok" {
        return Some(Became::Done);
    }
    let reason = line.strip_prefix(b"failed")?.trim_ascii();
    Some(Became::Failed(String::from_utf8_lossy(reason).into_owned()))
}

impl Fed {
    /// Writes what the pipe takes.
    fn write(&mut self) {
        let Some(stdin) = self.stdin.as_deref() else { return self.waiting.clear() };
        if self.waiting.is_empty() {
            return;
        }
        match (&*stdin).write(&self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(err)
                if matches!(err.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {
            }
            // It does not read any more. Whether it still answers its time limit shows.
            Err(_) => self.stdin = None,
        }
    }
}

#[cfg(test)]
mod tests;
