//! A read on its way: elements of one woof, and those to come.

use super::answer::{Answer, about, missing};
use super::connection::{Context, Progress, Recent};
use super::watch::Follower;
use crate::access::Right;
use crate::error::{Code, Error, Result};
use crate::log::Woof;
use crate::net;
use crate::predicate::Predicate;
use crate::space::{Bound, Elements, Follow, Selection, SeqRange, Sink as _, Step};
use crate::sys::Watched;
use crate::wire::{Fault, encode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many elements are looked at before others have their turn; fewer where a predicate is asked about each.
const TURN: u64 = 4096;
const FILTERED_TURN: u64 = 1024;

/// So long a connection reads a woof again without looking where its name leads, and whether it may.
const AS_FOUND: Duration = Duration::from_millis(100);

/// A read in progress.
pub(super) struct Reading {
    name: String,
    elements: Elements,
    /// A predicate is asked about each element.
    filtered: bool,
    /// Of a follow: what wakes it.
    follower: Option<Follower>,
    /// The wake-up that is armed, or was the last.
    armed: u64,
    /// The name of a woof that is followed, once it was waited for.
    named: Option<Watched>,
}

impl Reading {
    /// Opens what was asked for and begins the answer.
    pub(super) fn open(context: &Context<'_>, request: &net::Read, answer: &mut Answer) -> Result<Reading> {
        let name = &*request.name;
        let site = context.site;
        let woof = open(context, request)?;
        let (made, next) = (woof.status().created_ns, woof.next_seqno());
        let mut selection = selection(request)?;
        if let Some(expected) = request.made {
            if expected != made {
                return Err(Error::new(Code::Removed, name, "the woof was made anew meanwhile"));
            }
            selection.resumed = true;
            go_back(&mut selection, name, next, answer)?;
        }
        let elements = Elements::of(woof, name, &selection).map_err(about(name))?;
        let mut dir = elements.context().clone().set("created", made).set("from", elements.seqno());
        if let Some(last) = elements.last() {
            dir = dir.set("to", last);
        }
        answer.dir(&dir)?;
        let follower = match request.follow {
            true => Some(site.watches.follow(elements.woof()).map_err(|err| err.of(name))?),
            false => None,
        };
        if request.follow {
            site.metrics().follows.add(1);
        }
        let filtered = request.filter.is_some();
        Ok(Reading { name: name.to_owned(), elements, filtered, follower, armed: 0, named: None })
    }

    /// Whether it goes on with elements to come.
    pub(super) fn is_follow(&self) -> bool {
        self.follower.is_some()
    }

    /// Whether a step may take long: predicates are bounded, and may still take a tenth of a second for one element.
    pub(super) fn is_filtered(&self) -> bool {
        self.filtered
    }

    /// Makes more of the answer.
    pub(super) fn step(&mut self, context: &Context<'_>, exchange: u32, answer: &mut Answer) -> Progress {
        let step = match self.elements.step(answer, if self.filtered { FILTERED_TURN } else { TURN }) {
            Ok(step) => step,
            Err(err) => {
                answer.end(Err(err.of(&*self.name)));
                return Progress::Over;
            }
        };
        // So that after a lost connection nothing is looked at, or told of, twice, and kept positions move over it.
        let looked_at = self.elements.looked_at();
        if looked_at > self.elements.sent() {
            encode::seqno(answer.buffer(), looked_at, &self.name);
            self.elements.told();
        }
        match (step, &self.follower) {
            (Step::More, _) => Progress::More,
            (Step::Idle, Some(follower)) => {
                let woof = self.elements.woof();
                if let Some(how) = woof.ended()
                    && woof.next_seqno() <= self.elements.seqno()
                {
                    answer.end(Err(self.elements.ended(how)));
                    return Progress::Over;
                }
                if self.named.is_none() {
                    self.named = watch_name(context, &self.name, self.elements.woof(), exchange);
                }
                if let Some(became) = self.named.as_ref().and_then(Watched::became) {
                    answer.end(Err(self.elements.lost(became)));
                    return Progress::Over;
                }
                let woof = self.elements.woof();
                if self.armed != self.elements.seqno() {
                    self.armed = self.elements.seqno();
                    follower.arm(woof, (self.armed, self.elements.deadline_ns()), context.wake, exchange);
                }
                self.elements.rest();
                Progress::Asleep
            }
            (Step::Idle | Step::Done, _) => {
                answer.end(Ok(()));
                Progress::Over
            }
        }
    }

    /// Notes that it is over.
    pub(super) fn close(&self, context: &Context<'_>) {
        if self.is_follow() {
            context.site.metrics().follows.take(1);
        }
    }
}

/// Has a follow that waits be woken when the name of its woof leads elsewhere.
fn watch_name(context: &Context<'_>, name: &str, woof: &Woof, exchange: u32) -> Option<Watched> {
    let path = context.site.woof_to_read(name).ok()?.path();
    let (names, file) = (context.site.names()?, woof.identity().ok()?);
    let wake = Arc::clone(context.wake);
    Some(names.watch(&path, file, move || wake.wake(exchange)))
}

/// Opens the woof of a request, if it may be read.
fn open(context: &Context<'_>, request: &net::Read) -> Result<Woof> {
    let (name, now) = (&*request.name, Instant::now());
    if let Some(recent) = context.recent.take()
        && recent.name == name
        && now < recent.until
        && recent.woof.ended().is_none()
    {
        let woof = recent.woof.clone();
        context.recent.set(Some(recent));
        return Ok(woof);
    }
    let place = context.site.woof_to_read(name)?;
    context.site.allow(context.peer, place.namespace(), Right::Read, name)?;
    let woof = place.at(|spot| context.site.woofs.open(spot)).map_err(missing(name, request.made))?;
    let recent = Recent { name: name.to_owned(), woof: woof.clone(), until: now + AS_FOUND };
    // A follow reads once.
    context.recent.set((!request.follow).then_some(recent));
    Ok(woof)
}

/// After a power loss numbers can be given out again: a reader that has seen more than there is now is told, and goes on with
/// what is new.
fn go_back(selection: &mut Selection, name: &str, next: u64, answer: &mut Answer) -> Result<()> {
    let Some(SeqRange { from: Bound::Seqno(from), .. }) = &mut selection.range else { return Ok(()) };
    if *from > next {
        let text = format!(
            "elements {next} to {} were lost, by a power failure or as their file was replaced: other ones get their numbers",
            *from - 1
        );
        *from = next;
        answer.fault(&Fault::from(&Error::new(Code::Gone, name, text)))?;
    }
    Ok(())
}

/// The selection that a request asks for.
pub(super) fn selection(request: &net::Read) -> Result<Selection> {
    let bound = |number: Option<i64>| match number {
        None => Ok(Bound::Open),
        Some(0) => Err(Error::new(Code::Invalid, "", "sequence numbers start at 1")),
        Some(number) if number < 0 => Ok(Bound::FromEnd(number.unsigned_abs())),
        Some(number) => Ok(Bound::Seqno(number.unsigned_abs())),
    };
    let range = SeqRange { from: bound(request.from)?, to: bound(request.to)? };
    let asked = request.range || request.from.is_some() || request.to.is_some();
    Ok(Selection {
        range: asked.then_some(range),
        since_ns: request.since,
        until_ns: request.until,
        predicate: predicate(request.filter.as_deref(), request.now)?,
        last: request.last,
        limit: request.limit,
        follow: request.follow.then(Follow::default),
        resumed: false,
    })
}

/// The predicate of a request.
pub(super) fn predicate(text: Option<&str>, now: u64) -> Result<Option<Predicate>> {
    text.map(|text| Predicate::compile_at(text, now)).transpose()
}
