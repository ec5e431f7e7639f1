//! The elements of one woof that a selection asks for, given out in steps, so that who has many readers can serve them in turn.

use crate::span::{Span, subject};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use woof_core::error::{Code, Error, Result};
use woof_core::name::shown;
use woof_core::sys::{self, Became};
use woof_core::wire::{Dir, Fault, mark};
use woof_log::{self as log, Cursor, Item, Waker, Woken, Woof};
use woof_predicate::Predicate;
use woof_space::{Selection, Sink};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// All that is there was given out; wait for more.
    Idle,
    /// It is over.
    Done,
}

/// A read of one woof in progress.
pub struct Elements {
    /// What the woof is called in messages.
    name: String,
    woof: Woof,
    dir: Dir,
    selection: Selection,
    span: Span,
    cursor: Cursor,
    /// Elements that may still be sent.
    left: u64,
    /// Whether a follower was told that it has seen all there was.
    marked: bool,
    /// The last seqno that was given out, or that the reader was told it has been looked at.
    sent: u64,
    /// The last seqno that was looked at.
    looked: u64,
    /// The time of a follow was seen to be over: what is there by now is all.
    over: bool,
}

impl Elements {
    /// Opens the woof at `path`, which is called `name` in messages.
    ///
    /// # Errors
    /// When there is no such woof or element.
    pub fn open(path: &Path, name: impl AsRef<OsStr>, selection: &Selection) -> Result<Elements> {
        let name = name.as_ref();
        Elements::of(log::open(path).map_err(|err| err.of(shown(name.as_bytes())))?, name, selection)
    }

    /// As [`Elements::open`], of a woof that is open already.
    ///
    /// # Errors
    /// When there is no such element.
    pub fn of(woof: Woof, name: impl AsRef<OsStr>, selection: &Selection) -> Result<Elements> {
        let name = name.as_ref();
        let dir = woof_core::attrs::context(name, woof.options().content);
        let name = shown(name.as_bytes());
        let span = Span::of(selection, &woof, &dir).map_err(|err| err.of(&*name))?;
        Ok(Elements {
            name,
            cursor: woof.cursor(span.from),
            left: selection.limit.unwrap_or(u64::MAX),
            marked: selection.follow.is_none(),
            sent: span.from.saturating_sub(1),
            looked: span.from.saturating_sub(1),
            over: false,
            selection: selection.clone(),
            woof,
            dir,
            span,
        })
    }

    /// The `Dir` that goes before the elements.
    pub fn context(&self) -> &Dir {
        &self.dir
    }

    /// The woof.
    pub fn woof(&self) -> &Woof {
        &self.woof
    }

    /// The seqno that is looked at next.
    pub fn seqno(&self) -> u64 {
        self.cursor.seqno()
    }

    /// The last seqno that is in it; `None` for a follow without an end.
    pub fn last(&self) -> Option<u64> {
        Some(self.span.to).filter(|to| *to < u64::MAX)
    }

    /// The last seqno that was looked at.
    pub fn looked_at(&self) -> u64 {
        self.looked
    }

    /// The last seqno that was given out, or noted with [`Elements::told`]: those after it and up to [`Elements::looked_at`] did not
    /// match or are not there.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Looks at up to `most` elements, and gives out those that match.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn step(&mut self, sink: &mut dyn Sink, most: u64) -> Result<Step> {
        let fault = |code, text: String| Fault::from(&Error::new(code, &*self.name, text));
        let follows = self.selection.follow.is_some();
        let until = self.until_ns().unwrap_or(u64::MAX);
        for _ in 0..most {
            if self.left == 0 || self.cursor.seqno() > self.span.to {
                return Ok(Step::Done);
            }
            if sink.is_full() {
                return Ok(Step::More);
            }
            match self.cursor.next() {
                Some(Item::Elem { seqno, time_ns, data, .. }) => {
                    // What lay between was gone, or the time is over.
                    if seqno > self.span.to || time_ns > until {
                        return Ok(Step::Done);
                    }
                    let matches = self.selection.predicate.as_ref().is_none_or(|predicate| {
                        predicate.matches(&subject(&self.woof, &self.dir, seqno, time_ns, data))
                    });
                    if matches {
                        sink.elem(seqno, time_ns, data)?;
                        self.sent = seqno;
                        self.left -= 1;
                    } else if let Some(trouble) =
                        self.selection.predicate.as_ref().and_then(Predicate::trouble)
                    {
                        sink.fault(&Fault::from(&trouble))?;
                    }
                    self.looked = seqno;
                    if let Some(predicate) = &self.selection.predicate {
                        if let Some(over) = predicate.over() {
                            let text = format!("predicate: evaluation of element {seqno} {over}");
                            sink.fault(&fault(Code::TooLarge, text))?;
                        }
                        if let Some(ended) = predicate.ended() {
                            return Err(ended);
                        }
                        if predicate.is_turn_over() {
                            return Ok(Step::More);
                        }
                    }
                }
                Some(Item::Gone { from, to }) => {
                    let to = to.min(self.span.to);
                    let what = if from == to {
                        format!("element {from} is gone: overwritten before it was read")
                    } else {
                        format!("elements {from} to {to} are gone: overwritten before they were read")
                    };
                    sink.fault(&fault(Code::Gone, what))?;
                    self.looked = to;
                }
                Some(Item::Damaged { seqno }) => {
                    sink.fault(&fault(Code::Damaged, format!("element {seqno} is damaged")))?;
                    self.looked = seqno;
                }
                None if !follows || self.over => return Ok(Step::Done),
                // Elements of that time may have come between the look for more and the look at the clock.
                None if sys::now_ns() > until => self.over = true,
                None => {
                    if !self.marked {
                        self.marked = true;
                        sink.mark(mark::CAUGHT_UP)?;
                    }
                    return Ok(Step::Idle);
                }
            }
        }
        Ok(Step::More)
    }

    /// Whether the next step finds `len` bytes of records in memory, and does not wait for a disk.
    pub fn is_near(&self, len: usize) -> bool {
        self.cursor.is_near(len)
    }

    /// Notes that the reader was told how far was looked.
    pub fn told(&mut self) {
        self.sent = self.looked;
    }

    /// Gives memory back before a long wait.
    pub fn rest(&mut self) {
        self.cursor.rest();
    }

    /// Of a follow, the time up to which elements are wanted.
    fn until_ns(&self) -> Option<u64> {
        self.selection.until_ns.filter(|_| self.selection.follow.is_some())
    }

    /// When a follow is over although nothing more comes, in nanoseconds since 1970; [`u64::MAX`] for never.
    pub fn deadline_ns(&self) -> u64 {
        self.until_ns().map_or(u64::MAX, |until| until.saturating_add(1))
    }

    /// What ends a wait of [`Elements::wait`] from another thread.
    pub fn waker(&self) -> Waker {
        let waker = self.cursor.waker();
        waker.set_deadline(self.deadline_ns());
        waker
    }

    /// Sleeps until there is more, or the time of the follow is over. False when the waker was used.
    ///
    /// # Errors
    /// When the woof was removed or reset.
    pub fn wait(&self, waker: &Waker) -> Result<bool> {
        match self.cursor.wait(waker) {
            Woken::More | Woken::Late => Ok(true),
            Woken::Stopped => Ok(false),
            ended => Err(self.ended(ended)),
        }
    }

    /// The error of a woof whose name leads elsewhere.
    pub fn lost(&self, became: Became) -> Error {
        self.woof.lost(became).of(&*self.name)
    }

    /// The error of a woof that came to its end.
    pub fn ended(&self, how: Woken) -> Error {
        let how = if how == Woken::Reset { "reset" } else { "removed" };
        Error::new(Code::Removed, &*self.name, format!("the woof was {how} meanwhile"))
    }
}
