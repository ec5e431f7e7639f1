//! One attempt: the element is read, the handler is run, its output goes where it belongs. Done in a thread of the pool.

use super::output::{Output, Patience};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use woof_core::content::ContentType;
use woof_local::handler::bindings::Binding;
use woof_local::handler::dead::DeadLetter;
use woof_local::handler::element::{self, Element};
use woof_local::handler::run::{self, Failure, Run};
use woof_local::handler::runner::Runner;
use woof_local::handler::written::Written;
use woof_log::{Mark, Woof};
use woof_space::TOO_DEEP;

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
            open: None,
        };
        let patience = Patience { until: Instant::now() + self.binding.timeout(), over: &self.over };
        let mut output = match Output::open(&self.namespace, &self.binding, run.depth) {
            Ok(output) => output,
            Err(reason) => return Became::Failed(reason),
        };
        let handler = &self.binding.handler;
        let mut take =
            |channel, written: Written<'_>| output.take(&self.trigger, handler, channel, written, patience);
        match self.runner.run(&run, &mut take) {
            Ok(()) => Became::Done,
            Err(failure) => failure.into(),
        }
    }
}
