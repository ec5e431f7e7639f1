//! A put on its way: elements come, are appended with their stamps, and are answered for.
//!
//! Failure contract: what is answered with `in` is in the woof, and durable where that was asked for. An element that does not fit is
//! answered with `refused` and the rest goes on. Elements of this writer that are there already, from a connection that was
//! lost or from somebody else who has the same to put, are answered for and not appended again.

use super::answer::{Answer, about, missing};
use super::connection::{Context, Progress};
use super::place::Place;
use super::site::Site;
use super::spare;
use super::writers::Turn;
use crate::access::Right;
use crate::content::{self, ContentType};
use crate::error::{Code, Error, Result};
use crate::handler::{self, bindings};
use crate::limits::PUT_WINDOW;
use crate::log::{self, Appender, Given, Known, Mark, Once, Run, Stamp, Woof};
use crate::net::{self, Session, answer};
use crate::space::Create;
use crate::sys::{Became, Named};
use crate::wire::{Decoder, ELEM_PREFIX, Event, Fault, HEADER_SIZE, Kind, encode};
use std::cell::Cell;
use std::ops::Range;

/// So many elements are appended at once before it is looked whether there is room for more answers.
const BATCH: usize = 4096;

/// How far the stream of a client was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// All whole messages that are here.
    All,
    /// Its end came.
    End,
    /// Answers wait to be sent first.
    Full,
}

thread_local! {
    // One for each thread and none for each put: nothing is in it between two steps.
    static ITEMS: Cell<Vec<Item>> = const { Cell::new(Vec::new()) };
}

/// A put in progress.
pub(super) struct Putting {
    name: String,
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
}

/// How each element is appended once.
enum Only {
    /// Nothing of this put is there, and nobody else appends any of it as long as the turn is ours.
    InTurn,
    /// Some of it can be there, or be appended by others: it is looked for.
    IfNotThere(Known),
}

/// Elements that were converted, or that lie in the input.
struct Batch<'a> {
    items: Vec<Item>,
    input: &'a [u8],
    converted: Vec<u8>,
}

/// An element: its writer sequence, its time and where its data is.
type Item = (u64, u64, Data);

/// Where the data of an element is.
enum Data {
    Input(Range<usize>),
    Converted(Range<usize>),
}

impl Putting {
    /// Opens the woof and begins the answer.
    pub(super) fn open(
        context: &Context<'_>,
        session: &mut Session,
        exchange: u32,
        request: &net::Put,
        out: &mut Answer,
    ) -> Result<Putting> {
        let name = &*request.name;
        let site = context.site;
        let place = site.woof(name)?;
        let source = ContentType::parse(&request.content)?;
        site.allow(context.peer, place.namespace(), Right::Put, name)?;
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
            Some(handler) => {
                site.allow(context.peer, place.namespace(), Right::Trigger, name)?;
                bindings::named_of(place.namespace(), place.inside(), &woof, handler)
                    .map_err(|err| err.of(name))?
            }
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
        session.widen(exchange, PUT_WINDOW);
        Ok(Putting {
            name: name.to_owned(),
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

    /// How many bytes of messages are here that did not come whole yet.
    pub(super) fn unfinished(&self) -> usize {
        self.input.len() + self.decoder.assembled_len()
    }

    /// Whether the next append waits: for the disk, or for another writer, who may be stopped while it is at it.
    pub(super) fn waits(&self) -> bool {
        self.appender.is_sync() || self.appender.is_busy()
    }

    /// Appends what came, and answers for it.
    pub(super) fn step(
        &mut self,
        context: &Context<'_>,
        session: &mut Session,
        exchange: u32,
        out: &mut Answer,
    ) -> Progress {
        let input = std::mem::take(&mut self.input);
        let done = self.take(context.site, &input, out);
        let (used, taken) = match &done {
            Ok(done) => *done,
            Err(_) => (input.len(), Taken::All),
        };
        session.used(exchange, used);
        let status = match done {
            Ok(_) if taken == Taken::All && self.got_all => {
                self.decoder.finish(input.len() - used).map(|()| Some(())).map_err(about(&self.name))
            }
            Ok(_) => Ok((taken == Taken::End).then_some(())),
            Err(err) => Err(about(&self.name)(err)),
        };
        if used < input.len() {
            self.input = input;
            self.input.drain(..used);
        } else {
            spare::give(input);
        }
        match status {
            Ok(None) if taken == Taken::Full => Progress::More,
            Ok(None) => Progress::Asleep,
            Ok(Some(())) => {
                out.end(Ok(()));
                Progress::Over
            }
            Err(err) => {
                out.end(Err(err));
                Progress::Over
            }
        }
    }

    /// Notes that it is over.
    pub(super) fn close(&self, context: &Context<'_>) {
        context.site.writers.give_up(&self.turn);
    }

    /// Appends the whole messages at the beginning of `input`; how many bytes they are.
    fn take(&mut self, site: &Site, input: &[u8], out: &mut Answer) -> Result<(usize, Taken)> {
        let mut batch = Batch { items: ITEMS.take(), input, converted: Vec::new() };
        let taken = self.take_into(&mut batch, site, out);
        batch.items.clear();
        ITEMS.set(batch.items);
        taken
    }

    fn take_into(&mut self, batch: &mut Batch<'_>, site: &Site, out: &mut Answer) -> Result<(usize, Taken)> {
        let input = batch.input;
        let mut used = 0;
        let taken = loop {
            if !out.has_room() {
                break Taken::Full;
            }
            let (more, event) = match self.decoder.event(input.get(used..).unwrap_or_default()) {
                Ok(event) => event,
                Err(err) => {
                    // What came before is whole.
                    self.append(site, batch, out)?;
                    if err.code() == Code::TooLarge {
                        let max = site.limits().element;
                        let text = format!(
                            "an element is over {max} bytes, the limit of this server (--max-element)"
                        );
                        return Err(Error::new(Code::TooLarge, "", text));
                    }
                    return Err(err);
                }
            };
            used += more;
            match event {
                Event::Need(_) => break Taken::All,
                Event::Preamble => {}
                Event::Whole(header) => {
                    let end = used;
                    let start = end - header.len as usize;
                    debug_assert!(more >= HEADER_SIZE);
                    if header.kind == Kind::ELEM {
                        self.element(site, start..end, batch, out)?;
                    }
                }
                Event::Assembled(header) => {
                    self.append(site, batch, out)?;
                    if header.kind == Kind::ELEM {
                        let whole = std::mem::take(self.decoder.assembled_mut());
                        let mut alone = Batch { items: Vec::new(), input: &whole, converted: Vec::new() };
                        self.element(site, 0..whole.len(), &mut alone, out)?;
                        self.append(site, &mut alone, out)?;
                    }
                }
                Event::End(status) => {
                    self.append(site, batch, out)?;
                    // A client whose own input went wrong says so here: what it sent is in.
                    status.map_err(|fault| fault.to_error())?;
                    return Ok((used, Taken::End));
                }
            }
        };
        self.append(site, batch, out)?;
        Ok((used, taken))
    }

    /// Takes one element, whose payload is in `place` of the input.
    fn element(
        &mut self,
        site: &Site,
        place: Range<usize>,
        batch: &mut Batch<'_>,
        out: &mut Answer,
    ) -> Result<()> {
        let input = batch.input;
        let payload = input.get(place.clone()).unwrap_or_default();
        let Some((prefix, data)) = payload.split_first_chunk::<ELEM_PREFIX>() else {
            self.append(site, batch, out)?;
            return Err(Error::new(Code::Damaged, "", "an element that is too short"));
        };
        let seq = prefix.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if seq <= self.last_seq {
            let last = self.last_seq;
            // What came before it is right, and is kept.
            self.append(site, batch, out)?;
            return Err(Error::new(Code::Damaged, "", format!("writer sequence {seq} after {last}")));
        }
        self.last_seq = seq;
        let time_ns = prefix.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let mut len = data.len();
        let converted = if self.source == self.content
            || (self.source == ContentType::Text && self.content == ContentType::Bytes)
        {
            self.content.check(data).map(|()| Data::Input(place.start + ELEM_PREFIX..place.end))
        } else {
            let start = batch.converted.len();
            content::convert(data, self.source, self.content, &mut batch.converted).map(|()| {
                len = batch.converted.len() - start;
                Data::Converted(start..batch.converted.len())
            })
        };
        match converted {
            Ok(_) if len > self.element_max => {
                let max = self.element_max;
                let text = if max == site.limits().element {
                    format!("element is {len} bytes, the limit of this server is {max} (--max-element)")
                } else {
                    format!("element is {len} bytes, the limit of this woof is {max}")
                };
                self.append(site, batch, out)?;
                refused(out, seq, &Error::new(Code::TooLarge, &*self.name, text));
            }
            // Seqno 0 stands for one that nobody knows any more.
            Ok(_) if self.was_overwritten(seq) => {
                self.append(site, batch, out)?;
                is_in(out, seq, 0, 1);
            }
            Ok(data) => {
                batch.items.push((seq, time_ns, data));
                if batch.items.len() >= BATCH {
                    self.append(site, batch, out)?;
                }
            }
            Err(err) => {
                self.append(site, batch, out)?;
                refused(out, seq, &err.of(&*self.name));
            }
        }
        Ok(())
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

    /// Appends a batch and answers for it.
    fn append(&mut self, site: &Site, batch: &mut Batch<'_>, out: &mut Answer) -> Result<()> {
        if batch.items.is_empty() {
            return Ok(());
        }
        let became = self.named.look_again();
        self.still_named(became)?;
        let data = |data: &Data| match data {
            Data::Input(place) => batch.input.get(place.clone()).unwrap_or_default(),
            Data::Converted(place) => batch.converted.get(place.clone()).unwrap_or_default(),
        };
        let writer = self.writer;
        let items = batch.items.iter().map(|(seq, time_ns, place)| Given {
            stamp: Some(Stamp { writer, seq: *seq }),
            time_ns: *time_ns,
            data: data(place),
        });
        let (before, answers) = (self.appender.changed_times(), out.buffer().len());
        let mut told = Answered { name: &self.name, seqs: &batch.items, out, elements: 0, resent: 0 };
        let bytes: usize = items.clone().map(|given| given.data.len()).sum();
        let (times, appender) = (self.times, &mut self.appender);
        let appended = match &mut self.only {
            Only::InTurn if times => self.turn.with(|| appender.extend_given(items, |run| told.run(run))),
            Only::InTurn => self.turn.with(|| {
                let items = items.filter_map(|given| Some((given.stamp?, given.data)));
                appender.extend_stamped(items, |run| told.run(run))
            }),
            Only::IfNotThere(known) => Some(appender.extend_once(items, known, |what| match what {
                Once::In(run) => told.run(run),
                Once::Again(seqno) => told.again(seqno),
                Once::Differs(seqno) => told.differs(seqno),
            })),
        };
        let (elements, resent) = (told.elements, told.resent);
        let after = self.appender.changed_times();
        if after != before {
            // In front of the answers for them, as a client reads no further than to the last of those.
            let told = times_changed(after.behind - before.behind, after.ahead - before.ahead);
            out.buffer().splice(answers..answers, told);
        }
        site.metrics().elements_in.add(elements);
        site.metrics().resent.add(resent);
        site.metrics().bytes_in.add(bytes as u64);
        batch.items.clear();
        batch.converted.clear();
        match appended {
            Some(done) => done.map_err(|err| err.of(&*self.name)),
            // Not for good: what came late of a connection before may have taken the turn.
            None => Err(Error::new(
                Code::Stopped,
                &*self.name,
                "another connection goes on with this put; this one appends nothing more",
            )),
        }
    }
}

/// The answers for the elements of a batch, in their order.
struct Answered<'a> {
    name: &'a str,
    /// Those that were not answered for.
    seqs: &'a [Item],
    out: &'a mut Answer,
    elements: u64,
    resent: u64,
}

impl Answered<'_> {
    /// They were appended.
    fn run(&mut self, run: Run) {
        self.elements += run.count;
        let count = usize::try_from(run.count).unwrap_or(usize::MAX).min(self.seqs.len());
        let (these, rest) = self.seqs.split_at(count);
        self.seqs = rest;
        // Runs of neighbours in both numbers are answered together.
        let mut seqno = run.first;
        for group in these.chunk_by(|(a, ..), (b, ..)| a + 1 == *b) {
            let first = group.first().map_or(0, |(seq, ..)| *seq);
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
        let ((seq, ..), rest) = self.seqs.split_first()?;
        self.seqs = rest;
        Some(*seq)
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
