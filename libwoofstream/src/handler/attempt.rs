//! One attempt: the element is read, the handler is run, its output goes where it belongs. Done in a thread of the pool.

use super::bindings::Binding;
use super::dead::DeadLetter;
use super::element::{self, Element};
use super::journal::open_woof;
use super::logged::Logged;
use super::run::{self, Channel, Failure, Run, Runner};
use super::written::Written;
use crate::content::{ContentType, convert};
use crate::limits::HANDLER_OUTPUT_MAX;
use crate::log::{Appender, Mark, Woof};
use crate::name::Namespace;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        let mut output = match Output::open(&self.namespace, &run) {
            Ok(output) => output,
            Err(reason) => return Became::Failed(reason),
        };
        match self.runner.run(&run, &mut |channel, written| output.take(channel, written)) {
            Ok(()) => Became::Done,
            Err(failure) => failure.into(),
        }
    }
}

/// Where the output of an attempt goes.
pub(super) struct Output<'a> {
    run: &'a Run<'a>,
    logged: Logged,
    into: Option<Into>,
}

/// A woof that output is appended to.
struct Into {
    name: String,
    appender: Appender,
    content: ContentType,
    bytes: u64,
}

impl<'a> Output<'a> {
    pub(super) fn open(namespace: &Path, run: &'a Run<'a>) -> Result<Output<'a>, String> {
        let into = run.binding.into.as_deref().map(|name| {
            let failed = |err: crate::error::Error| format!("output: {}", err.of(name));
            let woof = Namespace::exactly(namespace).and_then(|namespace| open_woof(&namespace, name));
            let woof = woof.map_err(failed)?;
            let mut appender = woof.appender().map_err(failed)?;
            appender.set_mark(Mark::new(0, run.depth));
            Ok::<_, String>(Into {
                name: name.to_owned(),
                appender,
                content: woof.options().content,
                bytes: 0,
            })
        });
        Ok(Output { run, logged: Logged::default(), into: into.transpose()? })
    }

    pub(super) fn take(&mut self, channel: Channel, written: Written<'_>) -> Result<(), String> {
        if let (Channel::Out, Some(into)) = (channel, &mut self.into) {
            match written {
                Written::Line(line) => return into.append(ContentType::Text, line),
                Written::Data(content, data) => return into.append(content, data),
                // As `wput` does it: the newline is not the line's, but of bytes nobody knows.
                Written::Bytes(data) if into.content == ContentType::Bytes => {
                    return into.append(ContentType::Bytes, data);
                }
                Written::Bytes(data) => {
                    return into.append(ContentType::Text, data.strip_suffix(b"\n").unwrap_or(data));
                }
                Written::Broken(why) => return Err(format!("output: {why}")),
                // Where it belongs is the log.
                Written::Error(_) => {}
            }
        }
        self.logged.written(self.run.trigger, &self.run.binding.handler, channel, written);
        Ok(())
    }
}

impl Into {
    fn append(&mut self, content: ContentType, data: &[u8]) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(data.len() as u64 + 1);
        if self.bytes > HANDLER_OUTPUT_MAX {
            return Err(format!(
                "output of more than {HANDLER_OUTPUT_MAX} bytes, the limit of what goes into a woof"
            ));
        }
        let mut element = Vec::with_capacity(data.len());
        convert(data, content, self.content, &mut element)
            .and_then(|()| self.appender.append(&element))
            .map(|_| ())
            .map_err(|err| format!("output: {}", err.of(&*self.name)))
    }
}
