//! One attempt: the element is read, the handler is run, its output goes where it belongs. Done in a thread of the pool.

use super::bindings::Binding;
use super::dead::DeadLetter;
use super::element::{self, Element};
use super::logged::Logged;
use super::run::{self, Channel, Failure, Run, Runner};
use crate::content::{ContentType, convert};
use crate::error::Code;
use crate::limits::HANDLER_OUTPUT_MAX;
use crate::log::{self, Appender, Mark, Woof};
use crate::name::stay_inside;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After so long, who waits for room in a woof looks whether it is to end.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why an element of the greatest depth is not handled.
pub(super) const TOO_DEEP: &str = "put by handlers of handlers 15 deep (a loop? wbind --chain allows it)";

/// What is to be run.
pub(super) struct Attempt {
    pub(super) namespace: Arc<PathBuf>,
    /// Whose options count.
    pub(super) binding: Arc<Binding>,
    /// The id of the trigger.
    pub(super) trigger: String,
    pub(super) woof: Woof,
    pub(super) content: ContentType,
    pub(super) seqno: u64,
    pub(super) attempt: u32,
    pub(super) cause: String,
    /// A dead letter that was put back: its element is in it.
    pub(super) letter: Option<DeadLetter>,
    pub(super) runner: Arc<dyn Runner>,
    /// Set once the dispatcher has ended: its output is not waited with any more.
    pub(super) over: Arc<AtomicBool>,
}

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Became {
    Done,
    Failed(String),
    /// It would fail again.
    Hopeless(String),
    /// There is no element any more.
    Lost(String),
    /// It did not begin.
    Returned,
    /// It could not begin, for a reason that may pass and is no fault of the handler.
    NotReady(String),
}

impl From<Failure> for Became {
    fn from(failure: Failure) -> Became {
        match failure {
            Failure::Failed(reason) => Became::Failed(reason),
            Failure::NotReady(reason) => Became::NotReady(reason),
        }
    }
}

impl Attempt {
    /// Runs it; gives also the element, where there was one.
    pub(super) fn run(&self) -> (Became, Option<Element>) {
        let element = match self.element() {
            Ok(element) => element,
            Err(reason) => return (Became::Lost(reason), None),
        };
        let became = self.handle(&element);
        (became, Some(element))
    }

    fn element(&self) -> Result<Element, String> {
        let Some(letter) = &self.letter else {
            return element::read(&self.woof, self.seqno).map_err(str::to_owned);
        };
        let (_, data) = letter.take_data().ok_or("a dead letter without data")?;
        Ok(Element { time_ns: letter.time, mark: Mark::new(0, letter.depth), data })
    }

    fn handle(&self, element: &Element) -> Became {
        let depth = element.mark.depth();
        if depth >= Mark::DEPTH_MAX && !self.binding.chain {
            return Became::Hopeless(TOO_DEEP.to_owned());
        }
        let woof = self.letter.as_ref().map_or(&*self.binding.woof, |letter| &letter.woof);
        let attempt = run::Attempt {
            woof,
            seqno: self.letter.as_ref().map_or(self.seqno, |letter| letter.seqno),
            time_ns: element.time_ns,
            content: self.content,
            data: &element.data,
            number: self.attempt,
            cause: &self.cause,
        };
        let run = Run {
            namespace: &self.namespace,
            binding: &self.binding,
            trigger: &self.trigger,
            depth: (depth + 1).min(Mark::DEPTH_MAX),
            attempt: Some(attempt),
            asked: None,
            args: &[],
        };
        let patience = Patience { until: Instant::now() + self.binding.timeout(), over: &self.over };
        let mut output = match Output::open(&self.namespace, &run, patience) {
            Ok(output) => output,
            Err(reason) => return Became::Failed(reason),
        };
        match self.runner.run(&run, &mut |channel, line| output.line(channel, line)) {
            Ok(()) => Became::Done,
            Err(failure) => failure.into(),
        }
    }
}

/// How long output waits for room in a woof that is full of elements whose handlers are not done. Meanwhile nobody reads what the handler writes, so
/// that it waits too.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) until: Instant,
    /// Set when there is to be no more waiting.
    pub(super) over: &'a AtomicBool,
}

/// Where the lines of an attempt go.
pub(super) struct Output<'a> {
    run: &'a Run<'a>,
    patience: Patience<'a>,
    logged: Logged,
    into: Option<Into>,
}

/// A woof that lines are appended to.
struct Into {
    name: String,
    appender: Appender,
    content: ContentType,
    bytes: u64,
}

impl<'a> Output<'a> {
    pub(super) fn open(
        namespace: &Path,
        run: &'a Run<'a>,
        patience: Patience<'a>,
    ) -> Result<Output<'a>, String> {
        let into = run.binding.into.as_deref().map(|name| {
            let failed = |err: crate::error::Error| format!("output: {}", err.of(name));
            let path = namespace.join(name);
            // By now it may be a link: handlers can make some.
            let woof = stay_inside(name, &path).and_then(|()| log::open(&path)).map_err(failed)?;
            let mut appender = woof.appender().map_err(failed)?;
            appender.set_mark(Mark::new(0, run.depth));
            Ok::<_, String>(Into {
                name: name.to_owned(),
                appender,
                content: woof.options().content,
                bytes: 0,
            })
        });
        Ok(Output { run, patience, logged: Logged::default(), into: into.transpose()? })
    }

    pub(super) fn line(&mut self, channel: Channel, line: &[u8]) -> Result<(), String> {
        if let (Channel::Out, Some(into)) = (channel, &mut self.into) {
            return into.line(line, self.patience);
        }
        self.logged.line(self.run.trigger, &self.run.binding.handler, channel, line);
        Ok(())
    }
}

impl Into {
    fn line(&mut self, line: &[u8], patience: Patience<'_>) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(line.len() as u64 + 1);
        if self.bytes > HANDLER_OUTPUT_MAX {
            return Err(format!(
                "output of more than {HANDLER_OUTPUT_MAX} bytes, the limit of what goes into a woof"
            ));
        }
        let mut data = Vec::with_capacity(line.len());
        convert(line, ContentType::Text, self.content, &mut data)
            .and_then(|()| self.append(&data, patience))
            .map_err(|err| format!("output: {}", err.of(&*self.name)))
    }

    fn append(&mut self, data: &[u8], patience: Patience<'_>) -> crate::error::Result<()> {
        loop {
            let left = patience.until.saturating_duration_since(Instant::now());
            let left = if patience.over.load(Ordering::Acquire) { Duration::ZERO } else { left };
            self.appender.set_wait(left.min(LOOK_AGAIN));
            match self.appender.append(data) {
                // A disk that is full says so at the next try, in other words.
                Err(err) if err.code() == Code::Full && !left.is_zero() => {}
                appended => return appended.map(|_| ()),
            }
        }
    }
}
