//! What is done in one exchange, step by step: by the connection that it came over, or apart from it where a step may block.

use super::answer::{Answer, about};
use super::finding::Finding;
use super::held::Held;
use super::place::TRIES;
use super::pool::{Kind, Lane};
use super::putting::{self, Putting};
use super::reading::{Reading, Recent};
use super::running::Running;
use super::site::Site;
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use woof_core::access::{AccessList, Change, Peer, Right};
use woof_core::content::ContentType;
use woof_core::error::{Code, Error, Result};
use woof_core::wire::{Fault, encode};
use woof_log as log;
use woof_net::net::{Request, Session};
use woof_space::{self as space, Sink as _};

/// What wakes an exchange of a connection, from any thread.
pub trait Wake: Send + Sync {
    /// There is something to do for this exchange: call [`super::Connection::wake`] with it, soon.
    fn wake(&self, exchange: u32);
}

/// What an exchange works with.
pub(super) struct Context<'a> {
    pub(super) site: &'a Site,
    pub(super) peer: &'a Peer,
    pub(super) wake: &'a Arc<dyn Wake>,
    /// Its number.
    pub(super) exchange: u32,
    /// Nobody else waits for this step: it may block.
    pub(super) apart: bool,
    /// Set once nobody wants the answer any more.
    pub(super) gone: &'a Arc<AtomicBool>,
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

/// What is to be said of the client's stream of an exchange: told to the session once it is at hand.
#[derive(Debug, Default)]
pub(super) struct Flow {
    used: usize,
    window: u32,
}

impl Flow {
    /// Notes that so many bytes were used up.
    pub(super) fn used(&mut self, len: usize) {
        self.used += len;
    }

    /// Widens what may come to `window` bytes in all.
    pub(super) fn widen(&mut self, window: u32) {
        self.window = window;
    }

    fn tell(&mut self, session: &mut Session, exchange: u32) {
        if self.window > 0 {
            session.widen(exchange, std::mem::take(&mut self.window));
        }
        if self.used > 0 {
            session.used(exchange, std::mem::take(&mut self.used));
        }
    }
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

impl Work {
    /// The rights that it needs as long as it is open.
    fn held(&mut self) -> Option<&mut Held> {
        match self {
            Work::Read(read) => Some(&mut read.held),
            Work::Find(find) => find.held.as_mut(),
            Work::Put(put) => Some(&mut put.held),
            Work::Run(run) => Some(&mut run.held),
            Work::Asked(_) | Work::Answered => None,
        }
    }

    /// Whether the next step of what was begun may block.
    fn may_block(&self) -> bool {
        match self {
            Work::Put(put) => put.may_block(),
            Work::Read(read) => read.may_block(),
            Work::Find(_) => true,
            Work::Asked(_) | Work::Run(_) | Work::Answered => false,
        }
    }
}

/// An exchange: its request, what is done about it, and the answer. It is a thing of its own, so that a step can be done by another thread.
pub(super) struct Task {
    pub(super) exchange: u32,
    site: Arc<Site>,
    peer: Arc<Peer>,
    wake: Arc<dyn Wake>,
    work: Work,
    answer: Answer,
    flow: Flow,
    /// Where what may block is done.
    lane: Lane,
    /// What of the client's stream came before the request was looked at.
    early: Vec<u8>,
    got_all: bool,
    /// What the connection read last, or what this opened.
    recent: Option<Arc<Recent>>,
    /// The client wants no more of it.
    pub(super) cancelled: bool,
    gone: Arc<AtomicBool>,
    more: bool,
    /// Why it ended, when a right was taken away.
    denied: Option<Fault>,
}

impl Task {
    /// An exchange that has just begun.
    pub(super) fn new(
        exchange: u32,
        site: &Arc<Site>,
        peer: &Arc<Peer>,
        wake: &Arc<dyn Wake>,
        request: Result<Request>,
    ) -> Box<Task> {
        site.metrics().exchanges.add(1);
        let mut answer = Answer::new(exchange, site.hidden());
        let (lane, work) = match request {
            Ok(request) => (lane(&request), Work::Asked(Box::new(request))),
            Err(err) => {
                if site.repeats.is_first("request refused", peer, err.text()) {
                    tracing::warn!(%peer, error = %err, "request refused");
                }
                answer.end(Err(err));
                (Lane { woof: String::new(), kind: Kind::Look }, Work::Answered)
            }
        };
        Box::new(Task {
            exchange,
            site: Arc::clone(site),
            peer: Arc::clone(peer),
            wake: Arc::clone(wake),
            work,
            answer,
            flow: Flow::default(),
            lane,
            early: Vec::new(),
            got_all: false,
            recent: None,
            cancelled: false,
            gone: Arc::default(),
            more: false,
            denied: None,
        })
    }

    /// Where its steps that may block are done.
    pub(super) fn lane(&self) -> Lane {
        self.lane.clone()
    }

    /// What is set once nobody wants the answer any more.
    pub(super) fn gone(&self) -> &Arc<AtomicBool> {
        &self.gone
    }

    /// Whether it uses bytes of the client's stream.
    pub(super) fn takes_data(&self) -> bool {
        matches!(self.work, Work::Asked(_) | Work::Put(_) | Work::Run(_))
    }

    /// Takes bytes of the client's stream.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        match &mut self.work {
            Work::Asked(_) => self.early.extend_from_slice(bytes),
            Work::Put(put) => put.data(bytes),
            Work::Run(run) => run.data(bytes),
            // Nobody wants it; without credit no more of it comes.
            _ => {}
        }
    }

    /// Notes that the client's stream is complete.
    pub(super) fn end(&mut self) {
        match &mut self.work {
            Work::Asked(_) => self.got_all = true,
            Work::Put(put) => put.end(),
            Work::Run(run) => run.end(),
            _ => {}
        }
    }

    /// How many bytes of the client's stream are here and not used.
    pub(super) fn unfinished(&self) -> usize {
        match &self.work {
            Work::Put(put) => put.unfinished(),
            Work::Run(run) => run.unfinished(),
            _ => self.early.len(),
        }
    }

    /// Whether what came waits for another writer of its woof.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(&self.work, Work::Put(put) if put.is_stuck())
    }

    /// Whether a program runs for it, so that to end it may take long.
    pub(super) fn runs_program(&self) -> bool {
        matches!(self.work, Work::Run(_))
    }

    /// Gives a read what the connection read last, if that is the same.
    pub(super) fn offer(&mut self, recent: Option<&Arc<Recent>>) {
        if let Work::Asked(request) = &self.work
            && let Request::Read(read) = &**request
        {
            self.recent = recent.filter(|recent| recent.is_of(read)).cloned();
        }
    }

    /// What the connection is to remember of it: `Some(None)` is nothing of what was before.
    pub(super) fn take_recent(&mut self) -> Option<Option<Arc<Recent>>> {
        match self.lane.kind {
            Kind::Change | Kind::Run if !matches!(self.work, Work::Put(_)) => Some(None),
            _ => self.recent.take().map(Some),
        }
    }

    /// Whether the next step may block.
    pub(super) fn may_block(&self) -> bool {
        match &self.work {
            Work::Asked(_) => self.recent.is_none(),
            // To kill a program is to wait for its end.
            Work::Run(run) => self.cancelled || run.held.is_stale(),
            work => work.may_block(),
        }
    }

    /// Does a step; `apart`, if it may block.
    pub(super) fn step(&mut self, apart: bool) {
        // What came of a put, or is to be changed, is done for one who has gone meanwhile too.
        if self.cancelled || (self.lane.kind != Kind::Change && self.gone.load(Ordering::Relaxed)) {
            self.close();
            self.more = false;
            return;
        }
        let held = self.work.held().map_or(Ok(()), |held| held.check(&self.peer));
        if let Err(err) = held {
            return self.end_denied(err);
        }
        let context = Context {
            site: &self.site,
            peer: &self.peer,
            wake: &self.wake,
            exchange: self.exchange,
            apart,
            gone: &self.gone,
        };
        let flow = &mut self.flow;
        if let Work::Asked(request) = &mut self.work {
            let request = std::mem::replace(&mut **request, Request::Stat(woof_net::net::Named::default()));
            match begin(&context, flow, &request, &mut self.answer, &mut self.recent) {
                Ok(work) => self.work = work,
                Err(err) => {
                    note_refused(&context, &request, &err);
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
            if !apart && self.work.may_block() {
                self.more = true;
                return;
            }
        }
        // What a program gets does not wait for what it writes.
        if !self.answer.has_room() && !matches!(self.work, Work::Run(_)) {
            // A follow that is woken stays awake; a put waits until its answers are taken.
            self.more = true;
            return;
        }
        let progress = match &mut self.work {
            Work::Read(read) => read.step(&context, &mut self.answer),
            Work::Find(find) => find.step(&context, &mut self.answer),
            Work::Put(put) => put.step(&context, flow, &mut self.answer),
            Work::Run(run) => run.step(&context, flow, &mut self.answer),
            Work::Asked(_) | Work::Answered => Progress::Over,
        };
        if progress == Progress::Over {
            self.close();
        }
        self.more = progress == Progress::More;
    }

    /// Ends it, as a right that it needs was taken away.
    fn end_denied(&mut self, err: Error) {
        let (peer, how) = (&self.peer, self.peer.how.as_str());
        tracing::warn!(%peer, how, name = err.object(), error = err.text(), "ended: a right was taken away");
        self.site.metrics().denied.add(1);
        self.denied = Some(Fault::from(&err));
        self.answer.end(Err(err));
        self.close();
        self.more = false;
    }

    /// Why it has ended although its client may not take the rest of the answer.
    pub(super) fn denied(&self) -> Option<&Fault> {
        self.denied.as_ref()
    }

    /// It sleeps now: it is woken when the rights that it needs may be others.
    pub(super) fn sleep(&mut self) {
        let (wake, exchange) = (&self.wake, self.exchange);
        if let Some(held) = self.work.held() {
            held.wake(wake, exchange);
        }
    }

    /// Hands the session what is to be sent; true when the answer is complete.
    pub(super) fn send(&mut self, session: &mut Session) -> bool {
        self.flow.tell(session, self.exchange);
        self.answer.send(session)
    }

    /// Whether there is more to do at once.
    pub(super) fn has_more(&self) -> bool {
        self.more && self.answer.has_room()
    }

    /// Gives memory back while nothing is going on.
    pub(super) fn rest(&mut self) {
        self.answer.rest();
    }

    /// Whether it is a follow, which the end of the server ends.
    pub(super) fn is_follow(&self) -> bool {
        matches!(&self.work, Work::Read(read) if read.is_follow())
    }

    /// Whether it has nothing more to do once the server stops: what came of it is done, or it would never end.
    pub(super) fn ends_with_server(&self) -> bool {
        match &self.work {
            Work::Put(_) => !self.more,
            _ => self.is_follow(),
        }
    }

    /// Kills the program that runs for it as the server stops, and says so.
    pub(super) fn cut_off(&mut self, why: Error) {
        if let Work::Run(run) = &mut self.work {
            run.cut_off(why, &mut self.answer);
            self.close();
        }
    }

    /// Ends what is done, and gives back what it holds.
    fn close(&mut self) {
        match std::mem::replace(&mut self.work, Work::Answered) {
            Work::Read(read) => read.close(&self.site),
            Work::Put(put) => put.close(&self.site),
            Work::Run(run) => run.close(&self.site),
            _ => {}
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.close();
        self.site.metrics().exchanges.take(1);
    }
}

/// A step of an exchange that may block, on its way to who does it where that harms nobody.
pub struct Apart(pub(super) Box<Task>);

impl Apart {
    /// Does it. Then it goes back to [`super::Connection::done`].
    #[must_use]
    pub fn run(mut self) -> Apart {
        self.0.step(true);
        if self.0.gone.load(Ordering::Relaxed) {
            // Here, where it harms nobody: to kill a program is to wait for its end.
            self.0.close();
        }
        self
    }

    /// What it is for.
    pub(super) fn lane(&self) -> Lane {
        self.0.lane()
    }
}

/// Where what a request asks for is done if it may block.
fn lane(request: &Request) -> Lane {
    let kind = match request {
        Request::Read(read) if read.filter.is_some() => Kind::Compute,
        Request::Find(find) if find.filter.is_some() => Kind::Compute,
        Request::Read(_) | Request::Find(_) | Request::Stat(_) => Kind::Look,
        Request::Access(access) if access.change.is_none() => Kind::Look,
        Request::Run(_) => Kind::Run,
        _ => Kind::Change,
    };
    // What is done about a namespace is counted to it.
    let name = request.name();
    let woof = match request {
        Request::Access(_) | Request::Run(_) | Request::Find(_) | Request::Namespace(_) => format!("{name}/"),
        _ => name.to_owned(),
    };
    Lane { woof, kind }
}

/// Logs who was refused what: a right, a name that leads out, a limit, what is not understood. That a woof is not there is an answer
/// like others.
fn note_refused(context: &Context<'_>, request: &Request, err: &Error) {
    let (peer, how, verb, name) = (context.peer, context.peer.how.as_str(), request.verb(), request.name());
    match err.code() {
        Code::Denied | Code::Invalid | Code::TooLarge | Code::Unsupported => {
            if !context.site.repeats.is_first("request refused", peer, &err.to_string()) {
                return;
            }
            tracing::warn!(%peer, how, verb, name, error = err.text(), "request refused");
        }
        Code::Damaged | Code::Full | Code::Io | Code::Failed => {
            if !context.site.repeats.is_first("request failed", peer, &err.to_string()) {
                return;
            }
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
    flow: &mut Flow,
    request: &Request,
    answer: &mut Answer,
    recent: &mut Option<Arc<Recent>>,
) -> Result<Work> {
    let site = context.site;
    let name = request.name();
    tracing::debug!(peer = %context.peer, verb = request.verb(), name, "request");
    match request {
        Request::Read(read) => {
            return Ok(Work::Read(Box::new(Reading::open(context, read, answer, recent)?)));
        }
        Request::Find(find) => return Ok(Work::Find(Box::new(Finding::open(context, find)?))),
        Request::Put(put) => return Ok(Work::Put(Box::new(Putting::open(context, flow, put, answer)?))),
        Request::Run(run) => return Ok(Work::Run(Box::new(Running::open(context, flow, run)?))),
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
            answer.dir(&woof_local::stat_of(&woof, name))?;
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
