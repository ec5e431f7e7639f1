//! A read on its way: elements of one woof, and those to come.

use super::answer::{Answer, about, missing};
use super::exchange::{Context, Progress};
use super::held::Held;
use super::site::{Site, directory_of};
use super::watch::Follower;
use std::sync::Arc;
use std::time::{Duration, Instant};
use woof_core::access::Right;
use woof_core::error::{Code, Error, Result};
use woof_core::sys::Watched;
use woof_core::wire::{Fault, encode};
use woof_local::{Elements, Step};
use woof_log::Woof;
use woof_net::net;
use woof_predicate::{Meter, Predicate};
use woof_space::{Bound, Follow, Selection, SeqRange, Sink as _};

/// So many elements are looked at before others have their turn; fewer where a predicate is asked about each.
const TURN: u64 = 4096;
const FILTERED_TURN: u64 = 1024;

/// So long a connection reads a woof again without looking where its name leads, and whether it may.
const AS_FOUND: Duration = Duration::from_millis(100);

/// So many bytes of records may be looked at in one step, and are to be in memory where it may not wait for a disk.
const STEP: usize = 192 << 10;

/// The woof that a connection read last. It stays open, and for a moment it is not looked again where its name leads and whether it may be
/// read: a client that asks for one element after the other gets them as fast as the network is.
pub(super) struct Recent {
    name: String,
    woof: Woof,
    held: Held,
    /// Until when it is as it was found.
    until: Instant,
}

impl Recent {
    /// Whether the woof that is asked for is this one, still as it was found, and can be begun to be read without waiting for anything.
    pub(super) fn is_of(&self, request: &net::Read) -> bool {
        self.name == request.name
            && Instant::now() < self.until
            && self.woof.ended().is_none()
            && !request.follow
            && request.filter.is_none()
            && request.since.is_none()
            && request.until.is_none()
    }
}

/// A read in progress.
pub(super) struct Reading {
    name: String,
    elements: Elements,
    pub(super) held: Held,
    /// A predicate is asked about each element.
    filtered: bool,
    /// Of a follow: what wakes it.
    follower: Option<Follower>,
    /// The wake-up that is armed, or was the last.
    armed: u64,
    /// The name of a woof that is followed, once it was waited for.
    named: Option<Watched>,
    is_name_watched: bool,
}

impl Reading {
    /// Opens what was asked for and begins the answer.
    pub(super) fn open(
        context: &Context<'_>,
        request: &net::Read,
        answer: &mut Answer,
        recent: &mut Option<Arc<Recent>>,
    ) -> Result<Reading> {
        let name = &*request.name;
        let site = context.site;
        let (woof, held) = open(context, request, recent)?;
        let (made, next) = (woof.status().created_ns, woof.next_seqno());
        let mut selection = selection(request, context)?;
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
        Ok(Reading {
            name: name.to_owned(),
            elements,
            held,
            filtered,
            follower,
            armed: 0,
            named: None,
            is_name_watched: false,
        })
    }

    /// Whether it goes on with elements to come.
    pub(super) fn is_follow(&self) -> bool {
        self.follower.is_some()
    }

    /// Whether the next step may take long: predicates are bounded, and may still take a tenth of a second for one element; and a disk may be
    /// slow.
    pub(super) fn may_block(&self) -> bool {
        // To have a name watched, directories are looked at.
        let is_new = self.follower.is_some() && !self.is_name_watched;
        self.filtered || is_new || !self.elements.is_near(STEP)
    }

    /// Makes more of the answer.
    pub(super) fn step(&mut self, context: &Context<'_>, answer: &mut Answer) -> Progress {
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
                if !self.is_name_watched {
                    self.is_name_watched = true;
                    self.named = watch_name(context, &self.name, self.elements.woof());
                }
                if let Some(became) = self.named.as_ref().and_then(Watched::became) {
                    answer.end(Err(self.elements.lost(became)));
                    return Progress::Over;
                }
                let woof = self.elements.woof();
                if self.armed != self.elements.seqno() {
                    self.armed = self.elements.seqno();
                    let at = (self.armed, self.elements.deadline_ns());
                    follower.arm(woof, at, context.wake, context.exchange);
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
    pub(super) fn close(&self, site: &Site) {
        if self.is_follow() {
            site.metrics().follows.take(1);
        }
    }
}

/// Has a follow that waits be woken when the name of its woof leads elsewhere.
fn watch_name(context: &Context<'_>, name: &str, woof: &Woof) -> Option<Watched> {
    let path = context.site.woof_to_read(name).ok()?.path();
    let (names, file) = (context.site.names()?, woof.identity().ok()?);
    let (wake, exchange) = (Arc::clone(context.wake), context.exchange);
    Some(names.watch(&path, file, move || wake.wake(exchange)))
}

/// Opens the woof of a request, if it may be read.
fn open(
    context: &Context<'_>,
    request: &net::Read,
    recent: &mut Option<Arc<Recent>>,
) -> Result<(Woof, Held)> {
    if let Some(recent) = recent {
        let mut held = recent.held.again();
        held.check(context.peer)?;
        return Ok((recent.woof.clone(), held));
    }
    let (name, now) = (&*request.name, Instant::now());
    let place = context.site.woof_to_read(name)?;
    let held =
        context.site.hold(context.peer, place.namespace(), directory_of(name), &[Right::Read], name)?;
    let woof = place.at(|spot| context.site.woofs.open(spot)).map_err(missing(name, request.made))?;
    let found =
        Recent { name: name.to_owned(), woof: woof.clone(), held: held.again(), until: now + AS_FOUND };
    // A follow reads once.
    *recent = (!request.follow).then(|| Arc::new(found));
    Ok((woof, held))
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
pub(super) fn selection(request: &net::Read, context: &Context<'_>) -> Result<Selection> {
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
        predicate: predicate(request.filter.as_deref(), request.now, context)?,
        last: request.last,
        limit: request.limit,
        follow: request.follow.then(Follow::default),
        resumed: false,
    })
}

/// The predicate of a request.
pub(super) fn predicate(text: Option<&str>, now: u64, context: &Context<'_>) -> Result<Option<Predicate>> {
    let meter = || Meter::new(context.site.limits().steps, Arc::clone(context.gone));
    let compile = |text| Predicate::compile_at(text, now).map(|predicate| predicate.within(meter()));
    text.map(compile).transpose()
}
