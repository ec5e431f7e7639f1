//! A put on its way: elements come, are appended with their stamps, and are answered for.
//!
//! Failure contract: what is answered with `in` is in the woof, and durable where that was asked for. An element that does not fit is
//! answered with `refused` and the rest goes on. Elements of this writer that are there already, from a connection that was
//! lost or from somebody else who has the same to put, are answered for and not appended again.

use super::answer::{Answer, about, missing};
use super::exchange::{Context, Flow, Progress};
use super::held::Held;
use super::place::Place;
use super::site::{Site, directory_of};
use super::spare;
use super::writers::{Turn, Turned};
use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, Instant};
use woof_core::access::Right;
use woof_core::content::{self, ContentType};
use woof_core::error::{Code, Error, Result};
use woof_core::limits::PUT_WINDOW;
use woof_core::sys::{Became, Named};
use woof_core::wire::{Decoder, ELEM_PREFIX, Event, Fault, HEADER_SIZE, Kind, encode};
use woof_local::handler::{self, bindings};
use woof_log::{self as log, Appender, Given, Known, Mark, Once, Run, Stamp, Woof};
use woof_net::net::{self, answer};
use woof_space::Create;

/// So many elements are appended at once before it is looked whether there is room for more answers.
const BATCH: usize = 4096;

/// So many answers other than for what is appended are given before that is looked at.
const ANSWERS: usize = 256;

/// Where it harms nobody a put waits so long for another writer of its woof. Then others have the thread, and it comes back.
const PATIENCE: Duration = Duration::from_secs(1);

/// An append that took longer than this had to wait for the disk, and the next may have to: so long they are done where that harms nobody.
const SLOW: Duration = Duration::from_millis(5);
const SLOW_FOR: Duration = Duration::from_secs(5);

thread_local! {
    // One for each thread and none for each put, as long as nothing waits.
    static OPS: Cell<Vec<Op>> = const { Cell::new(Vec::new()) };
}

/// A put in progress.
pub(super) struct Putting {
    name: String,
    pub(super) held: Held,
    appender: Appender,
    named: Named,
    /// What the elements of the woof are.
    content: ContentType,
    /// What comes.
    source: ContentType,
    element_max: usize,
    writer: u64,
    /// Elements come with times of their own.
    times: bool,
    turn: Turn,
    only: Only,
    decoder: Decoder,
    /// What came and was not used yet.
    input: Vec<u8>,
    /// The writer sequence of the last element that came.
    last_seq: u64,
    /// The client's stream is complete.
    got_all: bool,
    batch: Batch,
    /// Until when appends may take long, as one did.
    slow_until: Option<Instant>,
}

/// How each element is appended once.
enum Only {
    /// Nothing of this put is there, and nobody else appends any of it as long as the turn is ours.
    InTurn,
    /// Some of it can be there, or be appended by others: it is looked for.
    IfNotThere(Known),
}

/// What is to be done about the beginning of the input. It is made without waiting for anything, and what could not be done yet stays.
#[derive(Default)]
struct Batch {
    ops: Vec<Op>,
    /// So many of them are done.
    done: usize,
    /// So many bytes of the input they are of.
    used: usize,
    converted: Vec<u8>,
    /// Bytes of elements that are neither in the input nor converted.
    own: usize,
    /// How the put ends after them.
    end: Option<Result<()>>,
}

enum Op {
    /// The element with this writer sequence is to be appended, with this time if it comes with one.
    Append(u64, u64, Data),
    /// One was in, and nobody knows any more as what.
    Passed(u64),
    /// One does not fit.
    Refuse(u64, Box<Error>),
}

/// Where the data of an element is.
enum Data {
    Input(Range<usize>),
    Converted(Range<usize>),
    /// Behind what stands before the data in a message.
    Own(Vec<u8>),
}

impl Putting {
    /// Opens the woof and begins the answer.
    pub(super) fn open(
        context: &Context<'_>,
        flow: &mut Flow,
        request: &net::Put,
        out: &mut Answer,
    ) -> Result<Putting> {
        let name = &*request.name;
        let site = context.site;
        let place = site.woof(name)?;
        let source = ContentType::parse(&request.content)?;
        let trigger = request.handler.as_ref().map(|_| Right::Trigger);
        let rights: Vec<Right> = [Right::Put].into_iter().chain(trigger).collect();
        let held = site.hold(context.peer, place.namespace(), directory_of(name), &rights, name)?;
        let woof = match (place.open(), &request.create) {
            (Err(err), Some(content)) if err.code() == Code::NotFound && request.made.is_none() => {
                site.allow(context.peer, place.namespace(), Right::Create, name)?;
                let content = ContentType::parse(content)?;
                let options = log::Options { content, ..log::Options::default() };
                match place.create(&Create { options, ..Create::default() }) {
                    Err(err) if err.code() != Code::Exists => return Err(err.of(name)),
                    _ => place.open(),
                }
            }
            (woof, _) => woof,
        };
        let woof = woof.map_err(missing(name, request.made))?;
        let made = woof.status().created_ns;
        if request.made.is_some_and(|expected| expected != made) {
            return Err(Error::new(Code::Removed, name, "the woof was made anew meanwhile"));
        }
        let mut appender = woof.appender().map_err(|err| err.of(name))?;
        appender.set_sync(request.sync);
        handler::asked_by(&mut appender, &woof, &place.path(), name);
        let handler = match &request.handler {
            None => 0,
            Some(handler) => bindings::named_of(place.namespace(), place.inside(), &woof, handler)
                .map_err(|err| err.of(name))?,
        };
        let depth = depth(context, &place, request);
        appender.set_mark(Mark::new(handler, depth));
        // Taken before it is looked what is there, and given back by `close`: nothing fails from here on.
        let key = (woof.identity().map_err(|err| err.of(name))?, request.writer);
        let Some(turn) = site.writers.take(key, request.resume.is_none()) else {
            let text = "this put was begun before: what comes late of it is not appended again";
            return Err(Error::new(Code::Exists, name, text));
        };
        let only = match (request.resume, request.after) {
            (None, None) => Only::InTurn,
            // A random number for each put stands for one element for certain; one of a kept position can have been copied.
            (from, after) => Only::IfNotThere(woof.known(
                request.writer,
                after.unwrap_or(0),
                from.unwrap_or(1),
                after.is_none(),
            )),
        };
        let named = Named::new(&place.path(), key.0);
        let content = woof.options().content;
        let element_max =
            usize::try_from(appender.element_max()).unwrap_or(usize::MAX).min(site.limits().element);
        opened(out, &woof, made, element_max, content);
        if let Some(newest) = woof.clock_ahead() {
            clock_was_ahead(out, newest);
        }
        flow.widen(PUT_WINDOW);
        Ok(Putting {
            name: name.to_owned(),
            held,
            appender,
            named,
            content,
            source,
            element_max,
            writer: request.writer,
            times: request.times,
            turn,
            only,
            decoder: Decoder::new(site.limits().element.saturating_add(ELEM_PREFIX)),
            input: Vec::new(),
            last_seq: 0,
            got_all: false,
            batch: Batch::default(),
            slow_until: None,
        })
    }

    /// Takes bytes of the client's stream.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        if self.input.capacity() == 0 {
            self.input = spare::take();
        }
        self.input.extend_from_slice(bytes);
    }

    /// Notes that the client's stream is complete.
    pub(super) fn end(&mut self) {
        self.got_all = true;
    }

    /// How many bytes are here that were not used yet.
    pub(super) fn unfinished(&self) -> usize {
        self.input.len() + self.decoder.assembled_len() + self.batch.own
    }

    /// Whether what came waits, as another writer has the woof.
    pub(super) fn is_stuck(&self) -> bool {
        !self.batch.is_done()
    }

    /// Whether the next step may wait: for the disk, or for another writer, who may be stopped while it is at it.
    pub(super) fn may_block(&self) -> bool {
        // What could not be done here the first time is done apart.
        self.is_stuck()
            || !self.input.is_empty()
                && (self.appender.is_sync()
                    || self.appender.is_busy()
                    || self.named.is_due()
                    || self.slow_until.is_some_and(|until| Instant::now() < until))
    }

    /// Appends what came, and answers for it.
    pub(super) fn step(&mut self, context: &Context<'_>, flow: &mut Flow, out: &mut Answer) -> Progress {
        let began = Instant::now();
        let progress = self.go_on(context, flow, out);
        let ended = Instant::now();
        if ended - began > SLOW {
            self.slow_until = Some(ended + SLOW_FOR);
        }
        progress.unwrap_or_else(|err| {
            out.end(Err(about(&self.name)(err)));
            Progress::Over
        })
    }

    fn go_on(&mut self, context: &Context<'_>, flow: &mut Flow, out: &mut Answer) -> Result<Progress> {
        loop {
            if !self.apply(context, out)? {
                return Ok(Progress::More);
            }
            let batch = std::mem::take(&mut self.batch);
            flow.used(batch.used);
            if batch.used < self.input.len() {
                self.input.drain(..batch.used);
            } else {
                spare::give(std::mem::take(&mut self.input));
            }
            let mut ops = batch.ops;
            ops.clear();
            OPS.set(ops);
            if let Some(end) = batch.end {
                end?;
                out.end(Ok(()));
                return Ok(Progress::Over);
            }
            if !out.has_room() {
                return Ok(Progress::More);
            }
            self.parse(context.site);
            if self.batch.used == 0 && self.batch.is_done() && self.batch.end.is_none() {
                OPS.set(std::mem::take(&mut self.batch.ops));
                return Ok(Progress::Asleep);
            }
        }
    }

    /// Notes that it is over.
    pub(super) fn close(&self, site: &Site) {
        site.writers.give_up(&self.turn);
    }

    /// Takes the whole messages at the beginning of the input apart.
    fn parse(&mut self, site: &Site) {
        let mut batch = Batch { ops: OPS.take(), ..Batch::default() };
        let input = std::mem::take(&mut self.input);
        if let Err(err) = self.parse_into(&mut batch, &input, site) {
            // What came before is right, and is kept.
            batch.end = Some(Err(err));
        }
        self.input = input;
        self.batch = batch;
    }

    fn parse_into(&mut self, batch: &mut Batch, input: &[u8], site: &Site) -> Result<()> {
        let mut answers = 0;
        while batch.ops.len() < BATCH && answers < ANSWERS {
            let rest = input.get(batch.used..).unwrap_or_default();
            let (more, event) = self.decoder.event(rest).map_err(|err| {
                if err.code() != Code::TooLarge {
                    return err;
                }
                let max = site.limits().element;
                let text =
                    format!("an element is over {max} bytes, the limit of this server (--max-element)");
                Error::new(Code::TooLarge, "", text)
            })?;
            batch.used += more;
            let op = match event {
                Event::Need(_) if self.got_all => {
                    self.decoder.finish(rest.len() - more)?;
                    batch.end = Some(Ok(()));
                    return Ok(());
                }
                Event::Need(_) => return Ok(()),
                Event::Preamble => continue,
                Event::Whole(header) if header.kind == Kind::ELEM => {
                    debug_assert!(more >= HEADER_SIZE);
                    let place = batch.used - header.len as usize..batch.used;
                    let payload = input.get(place.clone()).unwrap_or_default();
                    self.element(site, payload, &mut batch.converted, || {
                        Data::Input(place.start + ELEM_PREFIX..place.end)
                    })?
                }
                Event::Assembled(header) if header.kind == Kind::ELEM => {
                    let whole = std::mem::take(self.decoder.assembled_mut());
                    let op = self.element(site, &whole, &mut batch.converted, || Data::Input(0..0))?;
                    match op {
                        Op::Append(seq, time_ns, Data::Input(_)) => {
                            batch.own += whole.len();
                            Op::Append(seq, time_ns, Data::Own(whole))
                        }
                        op => op,
                    }
                }
                Event::Whole(_) | Event::Assembled(_) => continue,
                Event::End(status) => {
                    // A client whose own input went wrong says so here: what it sent is in.
                    batch.end = Some(status.map_err(|fault| fault.to_error()));
                    return Ok(());
                }
            };
            answers += usize::from(!matches!(op, Op::Append(..)));
            batch.ops.push(op);
        }
        Ok(())
    }

    /// What is to be done about one element, whose data is found at `place` if it is taken as it is.
    fn element(
        &mut self,
        site: &Site,
        payload: &[u8],
        into: &mut Vec<u8>,
        place: impl FnOnce() -> Data,
    ) -> Result<Op> {
        let Some((prefix, data)) = payload.split_first_chunk::<ELEM_PREFIX>() else {
            return Err(Error::new(Code::Damaged, "", "an element that is too short"));
        };
        let seq = prefix.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if seq <= self.last_seq {
            let last = self.last_seq;
            return Err(Error::new(Code::Damaged, "", format!("writer sequence {seq} after {last}")));
        }
        self.last_seq = seq;
        let mut len = data.len();
        let converted = if self.source == self.content
            || (self.source == ContentType::Text && self.content == ContentType::Bytes)
        {
            self.content.check(data).map(|()| place())
        } else {
            let start = into.len();
            content::convert(data, self.source, self.content, into).map(|()| {
                len = into.len() - start;
                Data::Converted(start..into.len())
            })
        };
        Ok(match converted {
            Ok(_) if len > self.element_max => {
                let max = self.element_max;
                let text = if max == site.limits().element {
                    format!("element is {len} bytes, the limit of this server is {max} (--max-element)")
                } else {
                    format!("element is {len} bytes, the limit of this woof is {max}")
                };
                Op::Refuse(seq, Box::new(Error::new(Code::TooLarge, &*self.name, text)))
            }
            Ok(_) if self.was_overwritten(seq) => Op::Passed(seq),
            Ok(data) => {
                let time_ns = prefix.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                Op::Append(seq, time_ns, data)
            }
            Err(err) => Op::Refuse(seq, Box::new(err.of(&*self.name))),
        })
    }

    /// Whether an element was appended before and is not kept any more: later ones of this put are there, and they were appended in
    /// order. Of a kept position others may have put later ones.
    fn was_overwritten(&self, seq: u64) -> bool {
        matches!(&self.only, Only::IfNotThere(known) if known.is_strict() && known.is_passed(seq))
    }

    /// Has it be an error when the woof has lost its name.
    fn still_named(&self, became: Option<Became>) -> Result<()> {
        became.map_or(Ok(()), |became| Err(self.appender.lost(became).of(&*self.name)))
    }

    /// Does what is to be done, and answers for it; false when the rest has to wait for another writer. Answers come in the order of the elements, for a
    /// client takes each for one of all before it.
    fn apply(&mut self, context: &Context<'_>, out: &mut Answer) -> Result<bool> {
        self.appender.set_patience(Some(if context.apart { PATIENCE } else { Duration::ZERO }));
        while let Some(op) = self.batch.ops.get(self.batch.done) {
            match op {
                Op::Append(..) => {
                    if !self.append(context, out)? {
                        return Ok(false);
                    }
                    continue;
                }
                // Seqno 0 stands for one that nobody knows any more.
                Op::Passed(seq) => is_in(out, *seq, 0, 1),
                Op::Refuse(seq, err) => refused(out, *seq, err),
            }
            self.batch.done += 1;
        }
        Ok(true)
    }

    /// Appends the elements that are next, up to what is no element, and answers for them; false when it has to wait.
    fn append(&mut self, context: &Context<'_>, out: &mut Answer) -> Result<bool> {
        if context.apart {
            let became = self.named.look_again();
            self.still_named(became)?;
        }
        let Putting { batch, input, appender, only, turn, writer, .. } = self;
        let (input, converted, writer) = (&*input, &*batch.converted, *writer);
        let left = batch.ops.get(batch.done..).unwrap_or_default();
        let items = left.iter().map_while(|op| match op {
            Op::Append(seq, time_ns, data) => Some(Given {
                stamp: Some(Stamp { writer, seq: *seq }),
                time_ns: *time_ns,
                data: data.of(input, converted),
            }),
            _ => None,
        });
        let (before, answers) = (appender.changed_times(), out.buffer().len());
        let mut told = Answered { name: &self.name, left, out, elements: 0, resent: 0 };
        let times = self.times;
        let appended = match only {
            Only::InTurn if times => {
                turn.with(context.apart, || appender.extend_given(items, |run| told.run(run)))
            }
            Only::InTurn => turn.with(context.apart, || {
                let items = items.filter_map(|given| Some((given.stamp?, given.data)));
                appender.extend_stamped(items, |run| told.run(run))
            }),
            Only::IfNotThere(known) => Turned::Ours(appender.extend_once(items, known, |what| match what {
                Once::In(run) => told.run(run),
                Once::Again(seqno) => told.again(seqno),
                Once::Differs(seqno) => told.differs(seqno),
            })),
        };
        let (number, elements, resent) = (left.len() - told.left.len(), told.elements, told.resent);
        let after = appender.changed_times();
        if after != before {
            // In front of the answers for them, as a client reads no further than to the last of those.
            let told = times_changed(after.behind - before.behind, after.ahead - before.ahead);
            out.buffer().splice(answers..answers, told);
        }
        let done = left.get(..number).unwrap_or_default();
        let bytes: usize = done.iter().map(|op| op.len(input, converted)).sum();
        batch.done += number;
        let metrics = context.site.metrics();
        metrics.elements_in.add(elements);
        metrics.resent.add(resent);
        metrics.bytes_in.add(bytes as u64);
        match appended {
            Turned::Ours(Ok(())) => Ok(true),
            Turned::Ours(Err(err)) if err.code() == Code::Busy => Ok(false),
            Turned::Ours(Err(err)) => Err(err.of(&*self.name)),
            Turned::Taken => Ok(false),
            // Not for good: what came late of a connection before may have taken the turn.
            Turned::Lost => Err(Error::new(
                Code::Stopped,
                &*self.name,
                "another connection goes on with this put; this one appends nothing more",
            )),
        }
    }
}

impl Batch {
    fn is_done(&self) -> bool {
        self.done >= self.ops.len()
    }
}

impl Op {
    /// The writer sequence that it is about.
    fn seq(&self) -> u64 {
        match self {
            Op::Append(seq, ..) | Op::Passed(seq) | Op::Refuse(seq, _) => *seq,
        }
    }

    /// How many bytes are appended.
    fn len(&self, input: &[u8], converted: &[u8]) -> usize {
        match self {
            Op::Append(_, _, data) => data.of(input, converted).len(),
            _ => 0,
        }
    }
}

impl Data {
    fn of<'a>(&'a self, input: &'a [u8], converted: &'a [u8]) -> &'a [u8] {
        match self {
            Data::Input(place) => input.get(place.clone()).unwrap_or_default(),
            Data::Converted(place) => converted.get(place.clone()).unwrap_or_default(),
            Data::Own(message) => message.get(ELEM_PREFIX..).unwrap_or_default(),
        }
    }
}

/// The answers for the elements of a batch, in their order.
struct Answered<'a> {
    name: &'a str,
    /// What was not answered for.
    left: &'a [Op],
    out: &'a mut Answer,
    elements: u64,
    resent: u64,
}

impl Answered<'_> {
    /// They were appended.
    fn run(&mut self, run: Run) {
        self.elements += run.count;
        let count = usize::try_from(run.count).unwrap_or(usize::MAX).min(self.left.len());
        let (these, rest) = self.left.split_at(count);
        self.left = rest;
        // Runs of neighbours in both numbers are answered together.
        let mut seqno = run.first;
        for group in these.chunk_by(|a, b| a.seq() + 1 == b.seq()) {
            let first = group.first().map_or(0, Op::seq);
            is_in(self.out, first, seqno, group.len() as u64);
            seqno += group.len() as u64;
        }
    }

    /// The next one was there.
    fn again(&mut self, seqno: u64) {
        self.resent += 1;
        if let Some(seq) = self.take() {
            is_in(self.out, seq, seqno, 1);
        }
    }

    /// The next one has the stamp of another element.
    fn differs(&mut self, seqno: u64) {
        if let Some(seq) = self.take() {
            let text =
                format!("was sent again with other data than that of element {seqno}, which it was before");
            refused(self.out, seq, &Error::new(Code::Mismatch, self.name, text));
        }
    }

    fn take(&mut self) -> Option<u64> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(first.seq())
    }
}

/// Answers that the woof is open.
fn opened(out: &mut Answer, woof: &Woof, made: u64, element_max: usize, content: ContentType) {
    let mut data = Vec::with_capacity(25);
    for word in [made, woof.next_seqno(), element_max as u64] {
        data.extend_from_slice(&word.to_le_bytes());
    }
    data.push(content as u8);
    app(out, answer::OPENED, &data);
}

/// How many handlers led to a put, as far as the client is to be believed. Elements of the greatest depth have no handler run, so only those count who may have handlers
/// run, or who are handlers that this server started.
fn depth(context: &Context<'_>, place: &Place<'_>, request: &net::Put) -> u8 {
    let (site, depth) = (context.site, request.depth);
    let is_told = || {
        let seal = request.seal.as_deref().unwrap_or_default();
        site.runners().is_some_and(|runners| runners.told_depth(depth, seal))
    };
    let is_believed = depth > 0 && (is_told() || site.may(context.peer, place.namespace(), Right::Trigger));
    if is_believed { depth } else { 0 }
}

/// Answers that the newest element is ahead of the clock.
pub(super) fn clock_was_ahead(out: &mut Answer, newest: u64) {
    app(out, answer::AHEAD, &newest.to_le_bytes());
}

/// The message that elements did not keep their times.
fn times_changed(behind: u64, ahead: u64) -> Vec<u8> {
    let (mut message, data) = (Vec::new(), [behind.to_le_bytes(), ahead.to_le_bytes()].concat());
    drop(encode::app(&mut message, answer::TIMES, &data));
    message
}

fn is_in(out: &mut Answer, seq: u64, seqno: u64, count: u64) {
    let mut data = [0; 24];
    for (place, word) in data.chunks_exact_mut(8).zip([seq, seqno, count]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    app(out, answer::IN, &data);
}

fn refused(out: &mut Answer, seq: u64, err: &Error) {
    let mut data = seq.to_le_bytes().to_vec();
    data.extend_from_slice(&Fault::from(err).to_bytes());
    app(out, answer::REFUSED, &data);
}

fn app(out: &mut Answer, name: &str, data: &[u8]) {
    // Names of these lengths always fit.
    drop(encode::app(out.buffer(), name, data));
}
