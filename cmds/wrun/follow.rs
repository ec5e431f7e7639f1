//! A program for each element of a woof that is not a file of this machine: as `elements`, through a follow of its space.
//!
//! Failure contract: that of `elements`. The position is kept in the user's state directory. Over elements that are gone or damaged
//! it moves with the next one that is there, so they may be told once more.

use super::elements::{RETRIES, Worked, element, position_name, stopped};
use super::program::{About, Job};
use super::stop::Stop;
use crate::support::position::{self, Place, Position};
use crate::support::prelude::*;
use libwoofstream::content::ContentType;
use libwoofstream::error;
use libwoofstream::space::{self, Follow, MessageRef, Selection, Space as _};
use std::path::Path;

/// Follows the woof of `--on`.
pub(super) fn run(job: &Job<'_>, args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let name = args.text("on").unwrap_or_default();
    let spaces = env.spaces();
    let woof = position::woof_of(&spaces, name)?;
    let (made_ns, next) = position::attributes(&spaces, name)?;
    let about_woof = |err: Error| if err.object().is_empty() { err.of(name) } else { err };
    let begin = args.number("from").unwrap_or(next) - 1;
    let keep = position_name(args, Path::new(name), job);
    let mut position = Position::take(&Place::of_user(&woof)?, made_ns, &keep, begin).map_err(about_woof)?;
    // Looked at again: whoever held the position until now may have gone further meanwhile.
    let (_, next) = position::attributes(&spaces, name)?;
    let first = position.go_on(next, name, env)?;
    let follow = space::Stop::default();
    let stop = {
        let follow = follow.clone();
        Stop::on_signals(move || follow.stop())
    };
    let range = SeqRange { from: Bound::Seqno(first), to: Bound::Open };
    let selection = Selection {
        range: Some(range),
        limit: args.number("count"),
        follow: Some(Follow { stop: follow }),
        ..Selection::default()
    };
    let retries = args.number("retries").unwrap_or(RETRIES);
    let content = ContentType::default();
    let mut each =
        Each { job, name, env, out, position, stop, retries, content, text: Vec::new(), ended: None };
    let read = spaces.read(name, &selection, &mut each);
    match (each.ended, read) {
        (Some(ended), _) => ended,
        (None, Err(error)) => Err(error.into()),
        (None, Ok(())) => Ok(each.stop.signal().map_or(Outcome::Done, stopped)),
    }
}

/// Runs the program for each element that comes.
struct Each<'a> {
    job: &'a Job<'a>,
    name: &'a str,
    env: &'a mut Env,
    out: &'a mut Output,
    position: Position,
    stop: Stop,
    retries: u64,
    content: ContentType,
    text: Vec<u8>,
    /// How the work ended, where it is not the source that did.
    ended: Option<Run>,
}

impl Each<'_> {
    /// Ends the source.
    fn end(&mut self, run: Run) -> error::Result<()> {
        self.ended = Some(run);
        Err(Error::new(Code::Cut, "", "no more is wanted"))
    }
}

impl Each<'_> {
    fn elem(&mut self, seqno: u64, time_ns: u64, data: &[u8]) -> error::Result<()> {
        if let Some(signal) = self.stop.signal() {
            return self.end(Ok(stopped(signal)));
        }
        self.text.clear();
        self.content.write_text(data, &mut self.text);
        self.text.extend_from_slice(self.job.delimiter);
        let about = About { woof: self.name, seqno, time_ns, ..About::default() };
        match element(self.job, &about, &self.text, self.retries, &self.stop, self.env, self.out) {
            Ok(Worked::Done) => match self.position.keep(seqno, Some(time_ns)) {
                Ok(()) => Ok(()),
                Err(error) => self.end(Err(error.into())),
            },
            Ok(Worked::GivenUp) => self.end(Ok(Outcome::Done)),
            Ok(Worked::Stopped) => {
                let outcome = self.stop.signal().map_or(Outcome::Done, stopped);
                self.end(Ok(outcome))
            }
            Err(failure) => self.end(Err(failure)),
        }
    }
}

impl space::Sink for Each<'_> {
    fn message(&mut self, message: MessageRef<'_>) -> error::Result<()> {
        match message {
            MessageRef::Elem { seqno, time_ns, data } => return self.elem(seqno, time_ns, data),
            MessageRef::Dir(dir) => {
                self.content =
                    dir.text("content").and_then(|name| ContentType::parse(name).ok()).unwrap_or_default();
            }
            MessageRef::Fault(fault) => self.env.error(&fault.to_error()),
            _ => {}
        }
        Ok(())
    }

    fn before_wait(&mut self) -> error::Result<()> {
        self.out.flush()
    }
}
