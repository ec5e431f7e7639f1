//! All names of a user: paths of this machine, addresses of servers, and what the name table makes of either.
//!
//! [`Spaces`] is itself a [`Space`], so whoever has it need not know where a name leads. Names go out as they came in: where another
//! name was used underneath, it is written back in the `path` of each `Dir` and in the object of each error.
//!
//! Of a union, what is read, put to or removed is the first that has the woof: one that has none is passed over, any other error
//! is told. `create` goes to the first target. `find` goes to all of them: of a name that several have the first is shown, and
//! a target that fails is a fault in the stream while the others go on.
//!
//! Failure contract: the table is read when the first name asks for it, and a server is dialled when the first name leads there;
//! what goes wrong then is the error of that name.

use super::{Create, Local, Put, Resolved, Selection, Sink, Space, Table, Target, Told, Trigger, asks_table};
use woof_core::access::{AccessList, Change};
use woof_core::content::ContentType;
use woof_core::error::{Code, Error, Result};
use crate::handler::{Call, Exit, Pipes};
use woof_core::limits::UNION_NAMES_MAX;
use woof_log::{ChangedTimes, Given, Stamp};
use woof_core::name::{Address, Host, shown};
use woof_predicate::Predicate;
use woof_core::wire::{Dir, Fault, Value};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Opens the space of a server. The names it is asked for afterwards are the paths of addresses ([`Address::path`]), and in these
/// terms it answers. An error of opening is about the address, or about the server itself ([`Address::server`]).
pub type Opener = Box<dyn Fn(&Address) -> Result<Box<dyn Space + Send + Sync>> + Send + Sync>;

/// Reads the name table.
pub type Loader = Box<dyn Fn() -> Result<Table> + Send + Sync>;

/// An opened server.
type Server = Arc<dyn Space + Send + Sync>;

/// The place of a server: held while it is dialled.
type Slot = Arc<Mutex<Option<Server>>>;

/// Every name: local, remote, or with a prefix of the name table.
///
/// ```
/// use woof_core::error::{Code, Error};
/// use libwoofstream::space::{Create, Space, Spaces, Table};
/// let dir = woof_kit::tempdir().unwrap();
/// let table = format!("farm \"{}\"", dir.path().display());
/// let spaces = Spaces::new(
///     Box::new(move || Table::parse(&table)),
///     Box::new(|address| Err(Error::new(Code::Unsupported, address.server(), "no servers here"))),
/// );
/// spaces.create("farm/temp", &Create::default()).unwrap();
/// assert_eq!(spaces.stat("farm/temp").unwrap().text("path"), Some("farm/temp"));
/// assert_eq!(spaces.stat("woof://edge7/x").unwrap_err().to_string(), "woof://edge7:7144: no servers here");
/// ```
pub struct Spaces {
    load: Loader,
    table: OnceLock<Table>,
    open: Opener,
    /// One for each server that a name led to, once it was dialled.
    servers: Mutex<HashMap<(Host, u16), Slot>>,
}

impl std::fmt::Debug for Spaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spaces").field("table", &self.table.get()).finish_non_exhaustive()
    }
}

/// What is asked underneath for a name, and under which name.
struct Place {
    /// The server, or nothing for this machine.
    server: Option<Server>,
    given: String,
    /// There are more places to look at.
    union: bool,
}

impl Place {
    fn space(&self) -> &dyn Space {
        match &self.server {
            Some(server) => &**server,
            None => &Local,
        }
    }
}

impl Spaces {
    /// With what reads the name table and what dials servers; neither is used before a name asks for it.
    pub fn new(load: Loader, open: Opener) -> Spaces {
        Spaces { load, table: OnceLock::new(), open, servers: Mutex::default() }
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// For what can be no name, and when there is a name table that cannot be read.
    pub fn resolve(&self, name: &str) -> Result<Resolved> {
        if asks_table(name)? { self.table()?.resolve(name) } else { Table::default().resolve(name) }
    }

    /// The path of a name that leads to one place on this machine, whatever is there.
    ///
    /// # Errors
    /// As [`Spaces::resolve`].
    pub fn local_path(&self, name: &str) -> Result<Option<String>> {
        let mut targets = self.resolve(name)?.targets;
        Ok(match (targets.pop(), targets.is_empty()) {
            (Some(Target::Local(path)), true) => Some(path),
            _ => None,
        })
    }

    fn table(&self) -> Result<&Table> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = (self.load)()?;
        Ok(self.table.get_or_init(|| table))
    }

    /// Dials the server of a target unless that was done before.
    fn place(&self, name: &str, target: &Target, union: bool) -> Result<Place> {
        let address = match target {
            Target::Local(path) => return Ok(Place { server: None, given: path.clone(), union }),
            Target::Remote(address) => address,
        };
        let key = (address.host.clone(), address.port);
        let slot =
            Arc::clone(self.servers.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        // Held while dialling, so that all sources of one server share a connection; others are not kept waiting.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let server = match &*slot {
            Some(server) => Arc::clone(server),
            None => {
                let about_it = |err: &Error| err.object() == address.to_string();
                let opened = (self.open)(address);
                let opened = opened.map_err(|err| if about_it(&err) { err.of(name) } else { err })?;
                Arc::clone(slot.insert(Server::from(opened)))
            }
        };
        Ok(Place { server: Some(server), given: address.path.clone(), union })
    }

    /// Asks the targets of a name one after another, until one has the woof.
    fn first<T>(&self, name: &str, mut verb: impl FnMut(&Place) -> Result<T>) -> Result<T> {
        let targets = self.resolve(name)?.targets;
        let union = targets.len() > 1;
        let mut missing = None;
        for target in &targets {
            let place = self.place(name, target, union)?;
            match verb(&place) {
                Err(err) if union && err.code() == Code::NotFound => {
                    missing.get_or_insert(Names { given: &place.given, typed: name }.error(err));
                }
                done => return done.map_err(|err| Names { given: &place.given, typed: name }.error(err)),
            }
        }
        Err(missing.unwrap_or_else(|| Error::new(Code::NotFound, name, "no such woof")))
    }

    /// Asks the first target of a name.
    fn foremost<T>(&self, name: &str, verb: impl FnOnce(&dyn Space, &str) -> Result<T>) -> Result<T> {
        match self.resolve(name)?.targets.first() {
            Some(target) => {
                let place = self.place(name, target, false)?;
                let names = Names { given: &place.given, typed: name };
                verb(place.space(), &place.given).map_err(|err| names.error(err))
            }
            None => Err(Error::new(Code::NotFound, name, "no such woof")),
        }
    }
}

impl Space for Spaces {
    fn create(&self, name: &str, create: &Create) -> Result<()> {
        self.foremost(name, |space, given| space.create(given, create))
    }

    fn create_namespace(&self, name: &str) -> Result<()> {
        self.foremost(name, |space, given| space.create_namespace(given))
    }

    fn put(&self, name: &str, create: Option<&Create>) -> Result<Box<dyn Put>> {
        let mut put = self.first(name, |place| {
            // Of a union, none is made before all were looked at.
            let create = create.filter(|_| !place.union);
            let put = place.space().put(&place.given, create)?;
            if place.given == name {
                return Ok(put);
            }
            let (given, typed) = (place.given.clone(), name.to_owned());
            Ok(Box::new(NamedPut { put, given, typed }) as Box<dyn Put>)
        });
        if let (Err(err), Some(create)) = (&put, create)
            && err.code() == Code::NotFound
        {
            put = match self.create(name, create) {
                // Made by somebody else meanwhile is as good.
                Err(err) if err.code() != Code::Exists => Err(err),
                _ => self.put(name, None),
            };
        }
        put
    }

    fn read(&self, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()> {
        self.first(name, |place| {
            let read = if place.given == name {
                place.space().read(name, selection, sink)
            } else {
                let names = Names { given: &place.given, typed: name };
                place.space().read(&place.given, selection, &mut Renamed::new(names, sink))
            };
            match read {
                // An element that is not there is no woof that is not there, and no reason to look elsewhere.
                Err(err)
                    if place.union
                        && err.code() == Code::NotFound
                        && place.space().stat(&place.given).is_ok() =>
                {
                    Ok(Err(err).map_err(|err| Names { given: &place.given, typed: name }.error(err)))
                }
                Err(err) => Err(err),
                Ok(()) => Ok(Ok(())),
            }
        })?
    }

    fn stat(&self, name: &str) -> Result<Dir> {
        self.first(name, |place| {
            let dir = place.space().stat(&place.given)?;
            Ok(Names { given: &place.given, typed: name }.dir(&dir).unwrap_or(dir))
        })
    }

    fn find(&self, path: &str, predicate: Option<&Predicate>, get: bool, sink: &mut dyn Sink) -> Result<()> {
        let targets = self.resolve(path)?.targets;
        let mut seen = (targets.len() > 1).then(HashSet::new);
        let (mut found, mut failures) = (false, Vec::new());
        for target in &targets {
            let place = match self.place(path, target, seen.is_some()) {
                Ok(place) => place,
                Err(err) => {
                    failures.push(err);
                    continue;
                }
            };
            if place.given == path && seen.is_none() {
                return place.space().find(path, predicate, get, sink);
            }
            let names = Names { given: &place.given, typed: path };
            let mut renamed = Renamed::new(names, sink);
            renamed.seen = seen.take();
            let done = place.space().find(&place.given, predicate, get, &mut renamed);
            let over = renamed.failed;
            seen = renamed.finish();
            match done {
                Ok(()) => found = true,
                Err(err) if over => return Err(err),
                Err(err) => failures.push(names.error(err)),
            }
        }
        let told = |err: &Error| err.code() != Code::NotFound;
        if !found {
            // What kept us from looking says more than that nothing was found where we could look.
            let worst = failures.iter().position(told).unwrap_or(0);
            if worst < failures.len() {
                return Err(failures.swap_remove(worst));
            }
        }
        failures.iter().filter(|err| told(err)).try_for_each(|err| sink.fault(&Fault::from(err)))
    }

    fn reset_clock(&self, name: &str) -> Result<bool> {
        self.first(name, |place| place.space().reset_clock(&place.given))
    }

    fn access(&self, namespace: &str) -> Result<AccessList> {
        self.foremost(namespace, |space, given| space.access(given))
    }

    fn set_access(&self, namespace: &str, change: &Change) -> Result<AccessList> {
        self.foremost(namespace, |space, given| space.set_access(given, change))
    }

    fn run(&self, namespace: &str, call: &Call, pipes: Pipes<'_>) -> Result<Exit> {
        self.foremost(namespace, |space, given| space.run(given, call, pipes))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.first(name, |place| place.space().remove(&place.given))
    }
}

/// A name as it was typed, and as it is called underneath.
#[derive(Clone, Copy)]
struct Names<'a> {
    given: &'a str,
    typed: &'a str,
}

impl Names<'_> {
    /// A name of what is at or below the given one, as the user would type it; `None` for one that stays.
    fn back(&self, name: &[u8]) -> Option<Vec<u8>> {
        // What is about a server and none of its names is called as it is.
        if self.given == self.typed || name.starts_with(woof_core::name::REMOTE.as_bytes()) {
            return None;
        }
        if self.given.is_empty() && !name.is_empty() {
            return Some([self.typed.trim_end_matches('/').as_bytes(), b"/", name].concat());
        }
        let rest = name.strip_prefix(self.given.trim_end_matches('/').as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then(|| match rest {
            [] => self.typed.as_bytes().to_vec(),
            rest => [self.typed.trim_end_matches('/').as_bytes(), rest].concat(),
        })
    }

    /// As [`Names::back`], of a name in a message.
    fn back_in_words(&self, name: &str) -> Option<String> {
        self.back(name.as_bytes()).map(|name| shown(&name))
    }

    fn error(&self, err: Error) -> Error {
        match self.back_in_words(err.object()) {
            Some(object) => err.of(object),
            None => err,
        }
    }

    fn told(&self, told: Told) -> Told {
        match told {
            Told::Refused(number, err) => Told::Refused(number, self.error(err)),
            told => told,
        }
    }

    fn dir(&self, dir: &Dir) -> Option<Dir> {
        let path = self.back(dir.name("path")?)?;
        Some(dir.clone().set("path", Value::of_name(path)))
    }
}

/// Passes messages on under the names that were typed.
struct Renamed<'a> {
    names: Names<'a>,
    sink: &'a mut dyn Sink,
    /// The names that other targets have shown; `None` where there is one target.
    seen: Option<HashSet<Vec<u8>>>,
    /// What comes is of a name that another target has shown.
    again: bool,
    /// What this target shows, so that it is not taken for what another one has shown.
    shown: Vec<Vec<u8>>,
    /// The sink takes no more, so the error is none of the source.
    failed: bool,
}

impl<'a> Renamed<'a> {
    fn new(names: Names<'a>, sink: &'a mut dyn Sink) -> Renamed<'a> {
        Renamed { names, sink, seen: None, again: false, shown: Vec::new(), failed: false }
    }

    fn finish(self) -> Option<HashSet<Vec<u8>>> {
        let Renamed { seen, shown, .. } = self;
        seen.map(|mut seen| {
            seen.extend(shown);
            seen
        })
    }

    fn pass(&mut self, done: Result<()>) -> Result<()> {
        self.failed |= done.is_err();
        done
    }
}

impl Sink for Renamed<'_> {
    #[inline]
    fn elem(&mut self, seqno: u64, time_ns: u64, data: &[u8]) -> Result<()> {
        if self.again {
            return Ok(());
        }
        let done = self.sink.elem(seqno, time_ns, data);
        self.pass(done)
    }

    fn dir(&mut self, dir: &Dir) -> Result<()> {
        let renamed = self.names.dir(dir);
        let dir = renamed.as_ref().unwrap_or(dir);
        if let (Some(seen), Some(path)) = (&self.seen, dir.name("path")) {
            self.again = seen.contains(path);
            if self.again {
                return Ok(());
            }
            if seen.len() + self.shown.len() >= UNION_NAMES_MAX {
                self.failed = true;
                let text = format!("more than {UNION_NAMES_MAX} names in a union");
                return Err(Error::new(Code::TooLarge, self.names.typed, text));
            }
            self.shown.push(path.to_owned());
        }
        let done = self.sink.dir(dir);
        self.pass(done)
    }

    fn mark(&mut self, name: &str) -> Result<()> {
        let done = self.sink.mark(name);
        self.pass(done)
    }

    fn fault(&mut self, fault: &Fault) -> Result<()> {
        let done = match self.names.back_in_words(&fault.object) {
            Some(object) => self.sink.fault(&Fault { object, ..fault.clone() }),
            None => self.sink.fault(fault),
        };
        self.pass(done)
    }

    fn seen(&mut self, seqno: u64) -> Result<()> {
        let done = self.sink.seen(seqno);
        self.pass(done)
    }

    fn before_wait(&mut self) -> Result<()> {
        let done = self.sink.before_wait();
        self.pass(done)
    }
}

/// An open woof that tells its errors under the name that was typed.
struct NamedPut {
    put: Box<dyn Put>,
    given: String,
    typed: String,
}

impl Put for NamedPut {
    fn content(&self) -> Option<ContentType> {
        self.put.content()
    }

    fn element_max(&self) -> Option<u64> {
        self.put.element_max()
    }

    fn first_kept(&self) -> Option<u64> {
        self.put.first_kept()
    }

    fn data_is(&mut self, content: ContentType) {
        self.put.data_is(content);
    }

    fn set_sync(&mut self, sync: bool) {
        self.put.set_sync(sync);
    }

    fn set_trigger(&mut self, trigger: &Trigger) -> Result<()> {
        let names = Names { given: &self.given, typed: &self.typed };
        self.put.set_trigger(trigger).map_err(|err| names.error(err))
    }

    fn put(&mut self, items: &mut dyn Iterator<Item = &[u8]>, report: &mut dyn FnMut(Told)) -> Result<()> {
        let names = Names { given: &self.given, typed: &self.typed };
        let report = &mut |told| report(names.told(told));
        self.put.put(items, report).map_err(|err| names.error(err))
    }

    fn put_stamped(
        &mut self,
        items: &mut dyn Iterator<Item = (Stamp, &[u8])>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let names = Names { given: &self.given, typed: &self.typed };
        let report = &mut |told| report(names.told(told));
        self.put.put_stamped(items, report).map_err(|err| names.error(err))
    }

    fn put_given(
        &mut self,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let names = Names { given: &self.given, typed: &self.typed };
        let report = &mut |told| report(names.told(told));
        self.put.put_given(items, report).map_err(|err| names.error(err))
    }

    fn changed_times(&self) -> ChangedTimes {
        self.put.changed_times()
    }

    fn clock_ahead(&self) -> Option<u64> {
        self.put.clock_ahead()
    }

    fn resume(&mut self, writer: u64, after: u64) {
        self.put.resume(writer, after);
    }

    fn confirm(&mut self) -> Result<()> {
        let names = Names { given: &self.given, typed: &self.typed };
        self.put.confirm().map_err(|err| names.error(err))
    }

    fn settle(&mut self, report: &mut dyn FnMut(Told)) -> Result<()> {
        let names = Names { given: &self.given, typed: &self.typed };
        self.put.settle(&mut |told| report(names.told(told))).map_err(|err| names.error(err))
    }
}

#[cfg(test)]
#[path = "spaces_tests.rs"]
mod tests;
