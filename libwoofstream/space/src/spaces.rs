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

use super::renamed::{NamedPut, Names, Renamed};
use super::{Call, Create, Exit, Pipes, Put, Resolved, Selection, Sink, Space, Table, Target, asks_table};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use woof_core::access::{AccessList, Change};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Address, Host};
use woof_core::wire::{Dir, Fault};
use woof_predicate::Predicate;

/// Opens the space of a server. The names it is asked for afterwards are the paths of addresses ([`Address::path`]), and in these
/// terms it answers. An error of opening is about the address, or about the server itself ([`Address::server`]).
pub type Opener = Box<dyn Fn(&Address) -> Result<Box<dyn Space + Send + Sync>> + Send + Sync>;

/// Reads the name table.
pub type Loader = Box<dyn Fn() -> Result<Table> + Send + Sync>;

/// An engine that is open.
type Engine = Arc<dyn Space + Send + Sync>;

/// The place of a server: held while it is dialled.
type Slot = Arc<Mutex<Option<Engine>>>;

/// Every name: local, remote, or with a prefix of the name table.
///
/// ```
/// use woof_core::error::{Code, Error};
/// use woof_space::{Create, Space, Spaces, Table};
/// let dir = woof_kit::tempdir().unwrap();
/// let table = format!("farm \"{}\"", dir.path().display());
/// let spaces = Spaces::new(
///     woof_local::Local::default(),
///     Box::new(move || Table::parse(&table)),
///     Box::new(|address| Err(Error::new(Code::Unsupported, address.server(), "no servers here"))),
/// );
/// spaces.create("farm/temp", &Create::default()).unwrap();
/// assert_eq!(spaces.stat("farm/temp").unwrap().text("path"), Some("farm/temp"));
/// assert_eq!(spaces.stat("woof://edge7/x").unwrap_err().to_string(), "woof://edge7:7144: no servers here");
/// ```
pub struct Spaces {
    local: Engine,
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
    space: Engine,
    given: String,
    /// There are more places to look at.
    union: bool,
}

impl Place {
    fn space(&self) -> &dyn Space {
        &*self.space
    }
}

impl Spaces {
    /// With the engine of this machine, what reads the name table and what dials servers; neither is used before a name asks for it.
    pub fn new(local: impl Space + Send + Sync + 'static, load: Loader, open: Opener) -> Spaces {
        Spaces { local: Arc::new(local), load, table: OnceLock::new(), open, servers: Mutex::default() }
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
            Target::Local(path) => {
                return Ok(Place { space: Arc::clone(&self.local), given: path.clone(), union });
            }
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
                Arc::clone(slot.insert(Engine::from(opened)))
            }
        };
        Ok(Place { space: server, given: address.path.clone(), union })
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
            Ok(Box::new(NamedPut::new(put, &place.given, name)) as Box<dyn Put>)
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
            let mut renamed = Renamed::besides(names, sink, seen.take());
            let done = place.space().find(&place.given, predicate, get, &mut renamed);
            let over = renamed.has_failed();
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
