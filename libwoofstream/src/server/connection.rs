//! One client's connection, without I/O: bytes in, bytes out, and exchanges that are worked on in turn.

use super::answer::{Answer, about};
use super::finding::Finding;
use super::place::TRIES;
use super::putting::{self, Putting};
use super::reading::Reading;
use super::running::Running;
use super::site::Site;
use super::spare;
use crate::access::{AccessList, Change, Peer, Right};
use crate::content::ContentType;
use crate::error::{Code, Error, Result};
use crate::log::{self, Woof};
use crate::net::{self, Received, Request, Role, Session};
use crate::space::{self, Sink as _};
use crate::wire::{Fault, encode};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// With this many bytes waiting to be sent, nothing more is made.
const OUTPUT_MAX: usize = 256 << 10;

/// What wakes an exchange of a connection, from any thread.
pub trait Wake: Send + Sync {
    /// There is something to do for this exchange: call [`Connection::wake`] with it, soon.
    fn wake(&self, exchange: u32);
}

/// What an exchange works with.
pub(super) struct Context<'a> {
    pub(super) site: &'a Site,
    pub(super) peer: &'a Peer,
    pub(super) wake: &'a Arc<dyn Wake>,
    /// What was read last.
    pub(super) recent: &'a Cell<Option<Recent>>,
}

/// The woof that a connection read last. It stays open, and for a moment it is not looked again where its name leads and whether it may be
/// read: a client that asks for one element after the other gets them as fast as the network is.
pub(super) struct Recent {
    pub(super) name: String,
    pub(super) woof: Woof,
    /// Until when it is as it was found.
    pub(super) until: Instant,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to do.
    More,
    /// It goes on when it is woken, or when something comes.
    Asleep,
    /// The answer has its end.
    Over,
}

/// What is done in an exchange.
enum Work {
    /// The request has not been looked at.
    Asked(Box<Request>),
    Read(Box<Reading>),
    Find(Box<Finding>),
    Put(Box<Putting>),
    Run(Box<Running>),
    /// The answer is complete.
    Answered,
}

struct Exchange {
    work: Work,
    answer: Answer,
    /// It stands in the queue.
    queued: bool,
    /// Data, and the end of it, that came before the request was looked at.
    early: Vec<u8>,
    got_all: bool,
    /// The client wants no more of it. What it runs is ended where that harms nobody.
    cancelled: bool,
}

/// What is to be done next with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Nothing until something comes.
    Idle,
    /// Send what there is to send; then there is more to do.
    Full,
    /// What comes next may take long: call [`Connection::pump`] where that harms nobody, with leave to do it.
    Heavy,
}

/// One client's connection.
pub struct Connection {
    site: Arc<Site>,
    peer: Peer,
    wake: Arc<dyn Wake>,
    session: Session,
    /// What came and is no whole frame yet.
    input: Vec<u8>,
    exchanges: HashMap<u32, Exchange>,
    /// Exchanges with something to do, each once.
    queue: VecDeque<u32>,
    /// What was read last.
    recent: Cell<Option<Recent>>,
    /// No more requests are taken.
    stopping: bool,
    /// Nothing more is done; what is left to send is sent.
    closed: bool,
}

impl Connection {
    /// A connection of `peer` that was just made.
    pub fn new(site: Arc<Site>, peer: Peer, wake: Arc<dyn Wake>) -> Connection {
        let session = Session::new(Role::Server, site.limits().exchanges);
        Connection {
            site,
            peer,
            wake,
            session,
            input: Vec::new(),
            exchanges: HashMap::new(),
            queue: VecDeque::new(),
            recent: Cell::new(None),
            stopping: false,
            closed: false,
        }
    }

    /// What is to be sent: take bytes off its beginning as they are.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.session.output()
    }

    /// Whether the client's greeting came.
    pub fn is_greeted(&self) -> bool {
        self.session.is_greeted()
    }

    /// Whether the connection is to be closed once all of its output was sent.
    pub fn is_over(&self) -> bool {
        self.closed || (self.stopping && self.exchanges.is_empty())
    }

    /// Notes that so many bytes of output were sent.
    pub fn wrote(&self, len: usize) {
        self.site.metrics().bytes_out.add(len as u64);
    }

    /// Takes bytes that came.
    ///
    /// # Errors
    /// What the client did wrong. It is told; the connection is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        // What was kept grows in place, so that many small pieces of a large frame are not copied again each time.
        let mut kept = std::mem::take(&mut self.input);
        let joined = !kept.is_empty();
        if joined {
            kept.extend_from_slice(bytes);
        }
        let input = if joined { &kept } else { bytes };
        let mut used = 0;
        let done = loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.session.receive(rest) {
                Ok((_, Received::Need(_))) => break Ok(()),
                Ok((len, received)) => {
                    used += len;
                    if let Err(err) = came(
                        received,
                        &mut self.exchanges,
                        &mut self.queue,
                        &Context {
                            site: &self.site,
                            peer: &self.peer,
                            wake: &self.wake,
                            recent: &self.recent,
                        },
                        self.stopping,
                        &mut self.session,
                    ) {
                        break Err(err);
                    }
                }
                Err(err) => break Err(err),
            }
        };
        if done.is_ok() {
            match bytes.get(used..) {
                Some(rest) if !joined && !rest.is_empty() => {
                    self.input = spare::take();
                    self.input.extend_from_slice(rest);
                }
                _ if joined && used < kept.len() => {
                    kept.drain(..used);
                    self.input = kept;
                }
                _ => spare::give(kept),
            }
        }
        done.and_then(|()| self.check_unfinished()).inspect_err(|err| self.close(err))
    }

    /// Refuses to hold more than the limit of messages that did not come whole.
    fn check_unfinished(&self) -> Result<()> {
        let max = self.site.limits().unfinished;
        let held: usize = self
            .exchanges
            .values()
            .map(|exchange| match &exchange.work {
                Work::Put(put) => put.unfinished(),
                Work::Run(run) => run.unfinished(),
                _ => exchange.early.len(),
            })
            .sum();
        if held > max {
            let text = format!(
                "{held} bytes of unfinished messages, the limit of a connection is {max} (--max-unfinished)"
            );
            return Err(Error::new(Code::TooLarge, "", text));
        }
        Ok(())
    }

    /// Notes that an exchange was woken.
    pub fn wake(&mut self, exchange: u32) {
        enqueue(&mut self.exchanges, &mut self.queue, exchange);
    }

    /// Works on the exchanges in turn until nothing is left to do, or enough waits to be sent. Work that may take long is done
    /// only with `leave`.
    pub fn pump(&mut self, mut leave: bool) -> Pumped {
        if self.closed {
            return Pumped::Idle;
        }
        while let Some(number) = self.queue.front().copied() {
            if self.session.output().len() >= OUTPUT_MAX {
                return Pumped::Full;
            }
            let Some(exchange) = self.exchanges.get_mut(&number) else {
                self.queue.pop_front();
                continue;
            };
            if !leave && exchange.is_heavy() {
                return Pumped::Heavy;
            }
            leave = false;
            self.queue.pop_front();
            exchange.queued = false;
            let context =
                Context { site: &self.site, peer: &self.peer, wake: &self.wake, recent: &self.recent };
            let more = exchange.step(&context, &mut self.session, number);
            let sent = exchange.answer.send(&mut self.session);
            if sent || !self.session.is_open(number) {
                exchange.close(&context);
                self.exchanges.remove(&number);
                self.site.metrics().exchanges.take(1);
            } else if more && exchange.answer.has_room() {
                enqueue(&mut self.exchanges, &mut self.queue, number);
            } else {
                exchange.answer.rest();
            }
        }
        Pumped::Idle
    }

    /// Begins to stop: no more requests are taken, follows are told and end, what came of puts is appended and answered for, and
    /// reads of what is there go on to their ends.
    pub fn stop(&mut self) {
        if self.stopping || self.closed {
            return;
        }
        self.stopping = true;
        let fault = Fault::from(&stopped());
        self.session.goaway(&fault);
        // Work that is waiting may be a put's.
        while self.pump(true) == Pumped::Heavy {}
        let context = Context { site: &self.site, peer: &self.peer, wake: &self.wake, recent: &self.recent };
        let session = &mut self.session;
        let metrics = self.site.metrics();
        self.exchanges.retain(|number, exchange| {
            let goes_on = match &exchange.work {
                Work::Read(read) => !read.is_follow(),
                Work::Put(_) | Work::Asked(_) => false,
                // A program that runs has until the end of the time.
                Work::Find(_) | Work::Run(_) | Work::Answered => true,
            };
            if !goes_on {
                exchange.answer.send(session);
                exchange.close(&context);
                session.cancel(*number, &fault);
                metrics.exchanges.take(1);
            }
            goes_on
        });
    }

    /// Whether programs run for it, so that ending it may take long.
    pub fn runs_programs(&self) -> bool {
        self.exchanges.values().any(|exchange| matches!(exchange.work, Work::Run(_)))
    }

    /// Kills the programs that run for it when it stops and its time is over, and says so; true when there was one.
    pub fn cut_off(&mut self) -> bool {
        let context = Context { site: &self.site, peer: &self.peer, wake: &self.wake, recent: &self.recent };
        let (session, metrics) = (&mut self.session, self.site.metrics());
        let seconds = self.site.limits().stop.as_secs_f64();
        let before = self.exchanges.len();
        self.exchanges.retain(|number, exchange| {
            let Work::Run(run) = &mut exchange.work else { return true };
            let text = format!(
                "the server stops, and the handler was not done {seconds} s later: killed (--stop-timeout)"
            );
            run.cut_off(Error::new(Code::Stopped, "", &*text), &mut exchange.answer);
            run.close(&context);
            if !exchange.answer.send(session) {
                // There is no credit for what it wrote last; this needs none.
                session.cancel(*number, &Fault::from(&Error::new(Code::Stopped, "", text)));
            }
            metrics.exchanges.take(1);
            false
        });
        self.exchanges.len() < before
    }

    /// Ends the connection for what went wrong.
    pub fn close(&mut self, err: &Error) {
        if !self.closed {
            self.session.goaway(&Fault::from(err));
            self.finish();
        }
    }

    /// Ends everything that is open; the client has gone.
    pub fn finish(&mut self) {
        self.closed = true;
        let context = Context { site: &self.site, peer: &self.peer, wake: &self.wake, recent: &self.recent };
        self.site.metrics().exchanges.take(self.exchanges.len() as u64);
        for exchange in std::mem::take(&mut self.exchanges).into_values() {
            exchange.close(&context);
        }
        self.queue.clear();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What a client is told when the server stops.
pub(super) fn stopped() -> Error {
    Error::new(Code::Stopped, "", "the server stops")
}

fn enqueue(exchanges: &mut HashMap<u32, Exchange>, queue: &mut VecDeque<u32>, number: u32) {
    if let Some(exchange) = exchanges.get_mut(&number)
        && !exchange.queued
    {
        exchange.queued = true;
        queue.push_back(number);
    }
}

/// What is to be done about something that came.
fn came(
    received: Received<'_>,
    exchanges: &mut HashMap<u32, Exchange>,
    queue: &mut VecDeque<u32>,
    context: &Context<'_>,
    stopping: bool,
    session: &mut Session,
) -> Result<()> {
    match received {
        Received::Open { exchange, request } => {
            let metrics = context.site.metrics();
            metrics.requests.add(1);
            if stopping {
                session.cancel(exchange, &Fault::from(&stopped()));
                return Ok(());
            }
            metrics.exchanges.add(1);
            let mut answer = Answer::new(exchange, context.site.hidden());
            let work = match Request::decode(request) {
                Ok(request) => Work::Asked(Box::new(request)),
                Err(err) => {
                    tracing::warn!(peer = %context.peer, error = %err, "request refused");
                    answer.end(Err(err));
                    Work::Answered
                }
            };
            let new =
                Exchange { work, answer, queued: false, early: Vec::new(), got_all: false, cancelled: false };
            exchanges.insert(exchange, new);
            enqueue(exchanges, queue, exchange);
        }
        Received::Data { exchange, bytes } => {
            if let Some(open) = exchanges.get_mut(&exchange) {
                match &mut open.work {
                    Work::Asked(_) => open.early.extend_from_slice(bytes),
                    Work::Put(put) => put.data(bytes),
                    Work::Run(run) => run.data(bytes),
                    // Nobody wants it; without credit no more of it comes.
                    _ => return Ok(()),
                }
                enqueue(exchanges, queue, exchange);
            }
        }
        Received::End(exchange) => {
            if let Some(open) = exchanges.get_mut(&exchange) {
                open.got_all = true;
                match &mut open.work {
                    Work::Put(put) => put.end(),
                    Work::Run(run) => run.end(),
                    _ => return Ok(()),
                }
                enqueue(exchanges, queue, exchange);
            }
        }
        Received::Cancel(exchange, _) => {
            if let Some(open) = exchanges.get_mut(&exchange)
                && let Work::Run(_) = open.work
            {
                open.cancelled = true;
                enqueue(exchanges, queue, exchange);
            } else if let Some(open) = exchanges.remove(&exchange) {
                open.close(context);
                context.site.metrics().exchanges.take(1);
            }
        }
        Received::Credit(exchange) => enqueue(exchanges, queue, exchange),
        Received::Need(_) | Received::Nothing | Received::Pong | Received::Goaway(_) => {}
    }
    Ok(())
}

impl Exchange {
    /// Whether the next step may take long.
    fn is_heavy(&self) -> bool {
        match &self.work {
            Work::Asked(request) => match &**request {
                // A process is started.
                Request::Run(_) => true,
                Request::Create(_) | Request::Remove(_) | Request::Namespace(_) | Request::Clock(_) => true,
                // Bindings are read, and changed under a lock that others may have.
                Request::Put(put) => put.resume.is_some() || put.create.is_some() || put.handler.is_some(),
                Request::Access(access) => access.change.is_some(),
                Request::Read(read) => read.filter.is_some(),
                _ => false,
            },
            Work::Put(put) => put.waits(),
            Work::Read(read) => read.is_filtered(),
            // Directories are read.
            Work::Find(_) => true,
            // To kill a program is to wait for its end.
            Work::Run(_) => self.cancelled,
            Work::Answered => false,
        }
    }

    /// Goes on; true when there is more to do at once.
    fn step(&mut self, context: &Context<'_>, session: &mut Session, number: u32) -> bool {
        if let Work::Asked(request) = &mut self.work {
            let request = std::mem::replace(&mut **request, Request::Stat(net::Named::default()));
            match begin(context, session, number, &request, &mut self.answer) {
                Ok(work) => self.work = work,
                Err(err) => {
                    note_refused(context, &request, &err);
                    self.answer.end(Err(err));
                    self.work = Work::Answered;
                }
            }
            let early = std::mem::take(&mut self.early);
            match &mut self.work {
                Work::Put(put) => put.data(&early),
                Work::Run(run) => run.data(&early),
                _ => {}
            }
            match &mut self.work {
                Work::Put(put) if self.got_all => put.end(),
                Work::Run(run) if self.got_all => run.end(),
                _ => {}
            }
        }
        if self.cancelled {
            self.close(context);
            self.work = Work::Answered;
            return false;
        }
        // What a program gets does not wait for what it writes.
        if !self.answer.has_room() && !matches!(self.work, Work::Run(_)) {
            // A follow that is woken stays awake; a put waits until its answers are taken.
            return true;
        }
        let progress = match &mut self.work {
            Work::Read(read) => read.step(context, number, &mut self.answer),
            Work::Find(find) => find.step(context, &mut self.answer),
            Work::Put(put) => put.step(context, session, number, &mut self.answer),
            Work::Run(run) => run.step(context, session, number, &mut self.answer),
            Work::Asked(_) | Work::Answered => Progress::Over,
        };
        if progress == Progress::Over {
            self.close(context);
            self.work = Work::Answered;
        }
        progress == Progress::More
    }

    /// Gives back what it holds.
    fn close(&self, context: &Context<'_>) {
        match &self.work {
            Work::Read(read) => read.close(context),
            Work::Put(put) => put.close(context),
            Work::Run(run) => run.close(context),
            _ => {}
        }
    }
}

/// Logs who was refused what: a right, a name that leads out, a limit, what is not understood. That a woof is not there is an answer
/// like others.
fn note_refused(context: &Context<'_>, request: &Request, err: &Error) {
    let (peer, how, verb, name) = (context.peer, context.peer.how.as_str(), request.verb(), request.name());
    match err.code() {
        Code::Denied | Code::Invalid | Code::TooLarge | Code::Unsupported => {
            tracing::warn!(%peer, how, verb, name, error = err.text(), "request refused");
        }
        Code::Damaged | Code::Full | Code::Io | Code::Failed => {
            tracing::error!(%peer, how, verb, name, error = err.text(), "request failed");
        }
        _ => tracing::debug!(%peer, how, verb, name, error = err.text(), "request failed"),
    }
}

/// Does what makes directories again while others make some on the same way, in which it was not asked about rights.
fn again(name: &str, make: impl Fn() -> Result<()>) -> Result<()> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match make() {
            Err(err) if err.is_errno(Errno::AGAIN) && tries > 0 => {}
            made => return made.map_err(about(name)),
        }
    }
}

/// Looks at a request: does what is done at once, and opens what takes longer.
fn begin(
    context: &Context<'_>,
    session: &mut Session,
    number: u32,
    request: &Request,
    answer: &mut Answer,
) -> Result<Work> {
    let site = context.site;
    let name = request.name();
    if !matches!(request, Request::Read(_) | Request::Stat(_) | Request::Find(_) | Request::Put(_)) {
        // It may be another woof after that, or one that must not be read.
        context.recent.take();
    }
    tracing::debug!(peer = %context.peer, verb = request.verb(), name, "request");
    match request {
        Request::Read(read) => return Ok(Work::Read(Box::new(Reading::open(context, read, answer)?))),
        Request::Find(find) => return Ok(Work::Find(Box::new(Finding::open(context, find)?))),
        Request::Put(put) => {
            return Ok(Work::Put(Box::new(Putting::open(context, session, number, put, answer)?)));
        }
        Request::Run(run) => return Ok(Work::Run(Box::new(Running::open(context, session, number, run)?))),
        Request::Create(create) => {
            let options = log::Options {
                history: create.history,
                capacity: create.capacity,
                element_size: create.element_size,
                content: ContentType::parse(&create.content)?,
                sync: create.sync,
            };
            let create = space::Create { options, reset: create.reset, parents: create.parents };
            again(name, || {
                let place = site.woof(name)?;
                site.allow(context.peer, place.namespace(), Right::Create, name)?;
                if create.reset {
                    site.allow(context.peer, place.namespace(), Right::Remove, name)?;
                }
                place.create(&create)
            })?;
        }
        Request::Namespace(_) => {
            again(name, || {
                let place = site.place(name)?;
                site.allow(context.peer, place.namespace(), Right::Create, name)?;
                place.create_namespace()
            })?;
        }
        Request::Stat(_) => {
            let place = site.woof(name)?;
            site.allow(context.peer, place.namespace(), Right::Read, name)?;
            let woof = place.open().map_err(|err| err.of(name))?;
            answer.dir(&space::stat_of(&woof, name))?;
        }
        Request::Remove(_) => {
            let place = site.woof(name)?;
            site.allow(context.peer, place.namespace(), Right::Remove, name)?;
            place.remove().map_err(|err| err.of(name))?;
        }
        Request::Clock(_) => {
            let place = site.woof(name)?;
            site.allow(context.peer, place.namespace(), Right::Admin, name)?;
            if place.open().and_then(|woof| woof.reset_clock()).map_err(|err| err.of(name))? {
                putting::clock_was_ahead(answer, 0);
            }
        }
        Request::Access(access) => {
            let right = if access.change.is_some() { Right::Admin } else { Right::Read };
            let place = site.place(name)?;
            site.allow(context.peer, place.namespace(), right, name)?;
            let namespace = place.as_namespace().map_err(|err| err.of(name))?;
            let list = match &access.change {
                Some(change) => AccessList::update_in(&namespace, &Change::parse(change.split_whitespace())?),
                None => AccessList::load_from(&namespace),
            };
            let list = list.map_err(about(name))?;
            // A list that gives nobody anything must not look like one that is empty.
            if let Some(fault) = list.fault() {
                let text = format!("only the owner has rights: {fault}");
                return Err(Error::new(Code::Invalid, name, text));
            }
            // Elsewhere nobody knows whose the directory is.
            let owner = match (list.owner(), list.directory_owner()) {
                (None, (_, Some(login))) => format!("owner {login}\n"),
                _ => String::new(),
            };
            encode::bytes(answer.buffer(), format!("{owner}{list}").as_bytes());
        }
    }
    answer.end(Ok(()));
    Ok(Work::Answered)
}
