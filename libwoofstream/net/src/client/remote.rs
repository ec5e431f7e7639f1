//! A server's namespaces as a [`Space`].

use super::answer::{Answer, Step};
use super::link::{Came, Failure, Link, Wait};
use super::putting::Putting;
use super::{Dial, reading, running};
use crate::net::{self, Request};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use woof_core::access::{AccessList, Change};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Address, Host, STATE_DIR};
use woof_core::options::Options;
use woof_core::sys;
use woof_core::wire::{Dir, Fault, Message, Value};
use woof_predicate::Predicate;
use woof_space::{Call, Exit, Pipes};
use woof_space::{Create, Put, Selection, Sink, Space, Stop};

/// The first pause before trying again, and the longest; it doubles in between.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The least time for a try, however little is left.
const TRY_MIN: Duration = Duration::from_millis(100);

/// How long a put goes on trying to reach a server that it had reached, unless it is told otherwise.
const WAIT: Limit = Limit::Time(Duration::from_secs(3600));

pub(crate) use crate::net::SOCKET;
/// A connection that was heard of this recently is used for the next request. One that is idle for longer may have been
/// forgotten on the way, which would be found out late.
const IDLE: Duration = Duration::from_secs(10);

/// How long something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// For so long.
    Time(Duration),
    /// So many times.
    Times(u64),
}

/// How patient a client is, and whom it tells what it waits for.
#[derive(Clone)]
pub struct Patience {
    /// How long connecting may take, and how long a read that is no follow goes on trying.
    pub timeout: Duration,
    /// How long a put tries to reach the server: `None` is not at all at first, and for an hour once it had been reached.
    pub wait: Option<Limit>,
    /// Is told, in one line, why it waits.
    pub notify: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The namespaces of a server.
#[derive(Clone)]
pub struct Remote {
    dial: Arc<dyn Dial>,
    /// The server; its path says nothing.
    address: Address,
    patience: Patience,
    /// A connection whose last answer is complete, for the next request.
    idle: Arc<Mutex<Option<(Address, Link)>>>,
}

/// What a name stands for.
pub(super) struct Target {
    /// The name as it was given.
    pub(super) name: String,
    /// Where the server is.
    address: Address,
    /// The name within the server.
    pub(super) path: String,
    /// What stands before the server's names to make names as they are given: nothing, or the directory that is served.
    base: String,
}

impl Target {
    /// What the server said, about what was given.
    pub(super) fn told(&self, fault: &Fault) -> Error {
        let err = fault.to_error();
        let object = err.object();
        if object.is_empty() || object == self.path {
            return err.of(&*self.name);
        }
        match object.strip_prefix(&*self.path) {
            Some(below) if self.path.is_empty() || below.starts_with('/') => {
                let name = self.shown(object);
                err.of(name)
            }
            _ => err,
        }
    }

    /// What a name of the server is called here.
    fn shown(&self, name: &str) -> String {
        match (self.base.as_str(), name) {
            ("", name) => name.to_owned(),
            (base, "") => base.to_owned(),
            (base, name) => format!("{base}/{name}"),
        }
    }

    /// As [`Target::shown`], of a name that need not be UTF-8.
    fn called(&self, name: &[u8]) -> Vec<u8> {
        match (self.base.as_bytes(), name) {
            (b"", name) => name.to_vec(),
            (base, b"") => base.to_vec(),
            (base, name) => [base, b"/", name].concat(),
        }
    }
}

/// Trying again, later each time, and for how long.
pub(super) struct Trying {
    remote: Remote,
    /// Since when it has been trying.
    since: Option<Duration>,
    /// How often.
    times: u64,
    limit: Option<Limit>,
    pause: Duration,
    told: String,
    until_ns: Option<u64>,
}

impl Trying {
    /// Notes that something worked.
    pub(super) fn is_rewarded(&mut self) {
        self.since = None;
        self.times = 0;
        self.pause = PAUSE;
        self.told.clear();
    }

    /// Has it end at this time at the latest, in nanoseconds since 1970.
    pub(super) fn until(mut self, until_ns: Option<u64>) -> Trying {
        self.until_ns = until_ns;
        self
    }

    /// Counts its time from here on.
    pub(super) fn since(mut self, since: Duration) -> Trying {
        self.since = Some(since);
        self
    }

    /// How long it may still go on; `None` where that is not bounded by time.
    fn left(&mut self) -> Option<Duration> {
        let now = self.remote.dial.now();
        let since = *self.since.get_or_insert(now);
        let limit = match self.limit {
            Some(Limit::Time(limit)) => Some(limit.saturating_sub(now.saturating_sub(since))),
            _ => None,
        };
        let until = self.until_ns.map(|until| Duration::from_nanos(until.saturating_sub(sys::now_ns())));
        limit.into_iter().chain(until).min()
    }

    /// How long the next try may take: a server that takes connections and answers nothing is tried no longer than one that is not there.
    pub(super) fn timeout(&mut self) -> Duration {
        let timeout = self.remote.patience.timeout;
        self.left().map_or(timeout, |left| timeout.min(left.max(TRY_MIN)))
    }

    /// Waits before the next try; false when it was stopped. An error when it has been tried for long enough.
    pub(super) fn wait(&mut self, why: &Error, stop: &Stop) -> Result<bool> {
        let left = self.left();
        let dial = &self.remote.dial;
        let since = self.since.unwrap_or_else(|| dial.now());
        let tried_for = dial.now().saturating_sub(since);
        let enough = match self.limit {
            Some(Limit::Times(times)) => self.times >= times,
            _ => left == Some(Duration::ZERO),
        };
        if enough {
            let text = match self.times {
                0 => why.text().to_owned(),
                times => format!("{}; tried {} times in {} s", why.text(), times + 1, tried_for.as_secs()),
            };
            return Err(Error::new(why.code(), why.object(), text));
        }
        self.times += 1;
        let text = why.to_string();
        if text != self.told {
            (self.remote.patience.notify)(&format!("{text}; trying again"));
            self.told = text;
        }
        // Up to half more, so that many clients of a server that is back do not come at once.
        let pause = self.pause + self.pause.mul_f64((dial.random() % 512) as f64 / 1024.0);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(dial.pause(left.map_or(pause, |left| pause.min(left)), stop))
    }
}

impl Remote {
    /// The namespaces of the server that `address` names, as reached through `dial`. Names are the paths of addresses.
    pub fn new(dial: Arc<dyn Dial>, address: Address, patience: Patience) -> Remote {
        Remote { dial, address, patience, idle: Arc::default() }
    }

    /// What a name stands for.
    pub(super) fn target(&self, name: &str) -> Result<Target> {
        let address = &self.address;
        if address.host != Host::ThisMachine {
            let path = name.trim_end_matches('/').to_owned();
            return Ok(Target { name: name.to_owned(), address: address.clone(), path, base: String::new() });
        }
        // The directory that is served is the nearest one above with a socket.
        let path = Path::new(name);
        let root =
            path.ancestors().find(|dir| dir.join(STATE_DIR).join(SOCKET).exists()).ok_or_else(|| {
                Error::new(Code::Unreachable, name, "no server on this machine serves it (wserve DIR)")
            })?;
        let inside = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let shown = root.to_string_lossy().into_owned();
        Ok(Target {
            name: name.to_owned(),
            path: inside,
            base: shown.trim_end_matches('/').to_owned(),
            address: Address { path: shown, ..address.clone() },
        })
    }

    /// How long to try.
    pub(super) fn patience(&self, follow: bool) -> Trying {
        self.trying(if follow { None } else { Some(Limit::Time(self.patience.timeout)) })
    }

    /// How long a put tries at first, and once the server had been reached.
    pub(super) fn patience_of_put(&self, reached: bool) -> Trying {
        self.trying(Some(self.patience.wait.unwrap_or(if reached { WAIT } else { Limit::Times(0) })))
    }

    fn trying(&self, limit: Option<Limit>) -> Trying {
        Trying {
            remote: self.clone(),
            since: None,
            times: 0,
            limit,
            pause: PAUSE,
            told: String::new(),
            until_ns: None,
        }
    }

    /// How long connecting may take.
    pub(super) fn timeout(&self) -> Duration {
        self.patience.timeout
    }

    /// The time, for [`Trying::since`].
    pub(super) fn now(&self) -> Duration {
        self.dial.now()
    }

    /// How long the first try of a put may take.
    pub(super) fn timeout_of_put(&self) -> Duration {
        match self.patience.wait {
            Some(Limit::Time(limit)) => self.patience.timeout.min(limit.max(TRY_MIN)),
            _ => self.patience.timeout,
        }
    }

    /// A random number that names a put.
    pub(super) fn random(&self) -> u64 {
        self.dial.random()
    }

    /// Connects.
    pub(super) fn connect(&self, target: &Target) -> std::result::Result<Link, Failure> {
        self.connect_within(target, self.patience.timeout)
    }

    /// As [`Remote::connect`], which may take so long.
    pub(super) fn connect_within(
        &self,
        target: &Target,
        timeout: Duration,
    ) -> std::result::Result<Link, Failure> {
        Link::connect(&self.dial, &target.address, &self.address.server(), timeout)
    }

    /// The connection that is idle, if there is one to the same server. That it works is found out by using it.
    pub(super) fn take_idle(&self, target: &Target) -> Option<Link> {
        let (address, link) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let is_recent = self.dial.now().saturating_sub(link.heard()) < IDLE;
        (is_recent && address == target.address).then_some(link)
    }

    /// The connection that is idle, if it is known to be open still: for what cannot be asked again.
    pub(super) fn take_open(&self, target: &Target) -> Option<Link> {
        let mut link = self.take_idle(target)?;
        link.is_open().then_some(link)
    }

    /// Keeps a connection whose answer is complete for the next request.
    pub(super) fn keep_idle(&self, target: &Target, link: Link) {
        let kept = Some((target.address.clone(), link));
        let before = std::mem::replace(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner), kept);
        // Closed without the lock.
        drop(before);
    }

    /// Makes a request whose answer is short, and hands its messages to `take`.
    fn ask(
        &self,
        target: &Target,
        request: Request,
        take: &mut dyn FnMut(Message<'_>) -> Result<()>,
    ) -> Result<()> {
        self.ask_once(target, request, take, &mut || Ok(())).map_err(Failure::into_error)
    }

    fn ask_once(
        &self,
        target: &Target,
        request: Request,
        take: &mut dyn FnMut(Message<'_>) -> Result<()>,
        before_wait: &mut dyn FnMut() -> Result<()>,
    ) -> std::result::Result<(), Failure> {
        // One that cannot be made twice gets a connection that is known to be new.
        let idle = if request.is_repeatable() { self.take_idle(target) } else { None };
        let answered = std::cell::Cell::new(false);
        let mut take = |message: Message<'_>| {
            answered.set(true);
            take(message)
        };
        match idle.map(|link| self.ask_over(link, target, &request, &mut take, before_wait)) {
            Some(Err(Failure::Lost(_))) if !answered.get() => {}
            Some(done) => return done,
            None => {}
        }
        self.ask_over(self.connect(target)?, target, &request, &mut take, before_wait)
    }

    fn ask_over(
        &self,
        mut link: Link,
        target: &Target,
        request: &Request,
        take: &mut dyn FnMut(Message<'_>) -> Result<()>,
        before_wait: &mut dyn FnMut() -> Result<()>,
    ) -> std::result::Result<(), Failure> {
        link.open(request)?;
        link.end();
        let mut answer = Answer::new();
        loop {
            match answer.next()? {
                Step::Message(raw) => {
                    // Kinds of later versions are passed over.
                    take(raw.decode()?)?;
                    continue;
                }
                Step::End(status) => {
                    self.keep_idle(target, link);
                    return status.map_err(|fault| Failure::from(target.told(&fault)));
                }
                Step::Need => {}
            }
            if link.next(&mut answer, Wait::Yes(None), before_wait)? == Came::End {
                return Err(Failure::Final(answer.cut().of(&*target.name)));
            }
        }
    }
}

/// Whether the request of a put says all of how its woof is to be made: that has the content type alone.
fn is_made_by_put(create: &Create) -> bool {
    create.options == Options { content: create.options.content, ..Options::default() } && !create.parents
}

impl Space for Remote {
    fn create(&self, name: &str, create: &Create) -> Result<()> {
        let target = self.target(name)?;
        let request = Request::Create(net::Create {
            name: target.path.clone(),
            history: create.options.history,
            capacity: create.options.capacity,
            element_size: create.options.element_size,
            content: create.options.content.as_str().to_owned(),
            sync: create.options.sync,
            reset: create.reset,
            parents: create.parents,
        });
        self.ask(&target, request, &mut |_| Ok(()))
    }

    fn create_namespace(&self, name: &str) -> Result<()> {
        let target = self.target(name)?;
        let request = Request::Namespace(net::Named { name: target.path.clone() });
        self.ask(&target, request, &mut |_| Ok(()))
    }

    fn put(&self, name: &str, create: Option<&Create>) -> Result<Box<dyn Put>> {
        let target = self.target(name)?;
        if let Some(create) = create.filter(|create| !is_made_by_put(create)) {
            match self.create(name, &Create { reset: false, ..create.clone() }) {
                // Whether it is there by now the put finds out, and who may put may not have the right to make it.
                Err(err) if !matches!(err.code(), Code::Exists | Code::Denied) => return Err(err),
                _ => {}
            }
        }
        let create = create.map(|create| create.options.content.as_str().to_owned());
        Ok(Box::new(Putting::open(self.clone(), target, create)?))
    }

    fn read(&self, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()> {
        reading::read(self, name, selection, sink)
    }

    fn stat(&self, name: &str) -> Result<Dir> {
        let target = self.target(name)?;
        let mut found = None;
        let request = Request::Stat(net::Named { name: target.path.clone() });
        self.ask(&target, request, &mut |message| {
            if let Message::Dir(dir) = message {
                found = Some(dir.set("path", name));
            }
            Ok(())
        })?;
        found.ok_or_else(|| Error::new(Code::Damaged, name, "the server's answer has no attributes"))
    }

    fn find(&self, path: &str, predicate: Option<&Predicate>, get: bool, sink: &mut dyn Sink) -> Result<()> {
        let target = self.target(path)?;
        let (filter, now) = reading::filter(predicate);
        let request = Request::Find(net::Find { name: target.path.clone(), filter, now, get });
        // Both are called in turns and never at once.
        let sink = std::cell::RefCell::new(sink);
        self.ask_once(
            &target,
            request,
            &mut |message| {
                let mut sink = sink.borrow_mut();
                match message {
                    Message::Dir(dir) => {
                        let path = target.called(dir.name("path").unwrap_or_default());
                        sink.dir(&dir.set("path", Value::of_name(path)))
                    }
                    Message::Elem(elem) => sink.elem(elem.seqno, elem.time_ns, elem.data),
                    Message::Err(fault) => sink.fault(&Fault::from(&target.told(&fault))),
                    _ => Ok(()),
                }
            },
            &mut || sink.borrow_mut().before_wait(),
        )
        .map_err(Failure::into_error)
    }

    fn reset_clock(&self, name: &str) -> Result<bool> {
        let target = self.target(name)?;
        let request = Request::Clock(net::Named { name: target.path.clone() });
        let mut was_ahead = false;
        self.ask(&target, request, &mut |message| {
            was_ahead |= matches!(message, Message::App { name: net::answer::AHEAD, .. });
            Ok(())
        })?;
        Ok(was_ahead)
    }

    fn access(&self, namespace: &str) -> Result<AccessList> {
        self.ask_access(namespace, None)
    }

    fn set_access(&self, namespace: &str, change: &Change) -> Result<AccessList> {
        self.ask_access(namespace, Some(change.to_string()))
    }

    fn run(&self, namespace: &str, call: &Call, pipes: Pipes<'_>) -> Result<Exit> {
        running::run(self, namespace, call, pipes)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let target = self.target(name)?;
        let request = Request::Remove(net::Named { name: target.path.clone() });
        self.ask(&target, request, &mut |_| Ok(()))
    }
}

impl Remote {
    /// The access list of a namespace, after a change if one is given.
    fn ask_access(&self, namespace: &str, change: Option<String>) -> Result<AccessList> {
        let target = self.target(namespace)?;
        let mut text = String::new();
        let request = Request::Access(net::Access { name: target.path.clone(), change });
        self.ask(&target, request, &mut |message| {
            if let Message::Bytes(bytes) = message {
                text.push_str(&String::from_utf8_lossy(bytes));
            }
            Ok(())
        })?;
        AccessList::parse(&text).map_err(|err| err.of(namespace))
    }
}
