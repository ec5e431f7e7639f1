//! The woofs of this machine: files in directories, without a server.

use crate::elements::{Elements, Step};
use crate::find::Walk;
use crate::handler::bindings::{self, place_in};
use crate::handler::container::{Engine, NoEngine};
use crate::handler::{self, HANDLERS_DIR};
use crate::stat;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use woof_core::access::{AccessList, Change};
use woof_core::content::{ContentType, convert};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{self, STATE_DIR};
use woof_core::sys::{Became, Named, Names, Watched};
use woof_core::wire::Dir;
use woof_log::{self as log, Appender, ChangedTimes, Given, Known, Mark, Once, Stamp, Waker, Woof};
use woof_predicate::Predicate;
use woof_space::{Call, Create, Exit, Pipes, Put, Selection, Sink, Space, Told, Trigger};

/// Woofs in the directories of this machine.
#[derive(Clone)]
pub struct Local {
    engine: Arc<dyn Engine>,
}

impl Default for Local {
    fn default() -> Local {
        Local::new(Arc::new(NoEngine))
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl Local {
    /// With what makes the containers of handlers that are to run in one.
    pub fn new(engine: Arc<dyn Engine>) -> Local {
        Local { engine }
    }

    fn open(name: &str) -> Result<Woof> {
        let path = name::local_woof(name)?;
        log::open(&path).map_err(|err| err.of(name))
    }
}

impl Space for Local {
    fn create(&self, name: &str, create: &Create) -> Result<()> {
        let path = name::local_woof_of_user(name)?;
        let named = |err: Error| err.of(name);
        log::check(&create.options).map_err(named)?;
        let missing = match path.parent() {
            Some(dir) if create.parents && !dir.as_os_str().is_empty() && !dir.is_dir() => Some(dir),
            _ => None,
        };
        let above = missing.map(existing_above);
        if let Some(dir) = missing {
            make_namespace(dir).map_err(named)?;
        }
        let made = if create.reset {
            log::reset(&path, &create.options)
        } else {
            log::create(&path, &create.options)
        };
        if let (Err(_), Some(dir), Some(above)) = (&made, missing, above) {
            unmake_namespace(dir, above);
        }
        made.map_err(named)
    }

    fn create_namespace(&self, name: &str) -> Result<()> {
        make_namespace(name::local(name)?).map_err(|err| err.of(name))
    }

    fn put(&self, name: &str, create: Option<&Create>) -> Result<Box<dyn Put>> {
        name::local_woof_of_user(name)?;
        let woof = match (Local::open(name), create) {
            (Err(err), Some(create)) if err.code() == Code::NotFound => {
                match self.create(name, create) {
                    // Made by somebody else meanwhile is as good.
                    Err(err) if err.code() != Code::Exists => return Err(err),
                    _ => Local::open(name)?,
                }
            }
            (woof, _) => woof?,
        };
        let content = woof.options().content;
        let mut appender = woof.appender().map_err(|err| err.of(name))?;
        handler::asked_by(&mut appender, &woof, Path::new(name), name);
        let named = Named::new(Path::new(name), woof.identity().map_err(|err| err.of(name))?);
        let (name, known) = (name.to_owned(), HashMap::new());
        Ok(Box::new(LocalPut {
            name,
            content,
            source: ContentType::Text,
            given: 0,
            woof,
            appender,
            known,
            named,
            last: 0,
            confirmed: 0,
        }))
    }

    fn read(&self, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()> {
        let path = name::local_woof(name)?;
        let mut elements = Elements::open(&path, name, selection)?;
        sink.dir(elements.context())?;
        let waker = elements.waker();
        // Nobody writes into a woof that its name was taken from, so nothing there would wake a follower.
        let mut names: Option<Option<(Names, Watched)>> = None;
        if let Some(follow) = &selection.follow {
            let waker = waker.clone();
            follow.stop.on_stop(move || waker.stop());
        }
        loop {
            let step = elements.step(sink, LOOKED_AT)?;
            if elements.looked_at() > elements.sent() {
                elements.told();
                sink.seen(elements.looked_at())?;
            }
            match step {
                Step::More => {}
                Step::Done => return Ok(()),
                Step::Idle => {
                    sink.before_wait()?;
                    let watched = names.get_or_insert_with(|| watch_name(&path, &elements, &waker));
                    let became = || watched.as_ref().and_then(|(_, watched)| watched.became());
                    if became().is_none() && elements.wait(&waker)? {
                        continue;
                    }
                    return became().map_or(Ok(()), |became| Err(elements.lost(became)));
                }
            }
        }
    }

    fn stat(&self, name: &str) -> Result<Dir> {
        Ok(stat::stat_of(&Local::open(name)?, name))
    }

    fn find(&self, path: &str, predicate: Option<&Predicate>, get: bool, sink: &mut dyn Sink) -> Result<()> {
        let mut walk = Walk::open(name::local(path)?, path, predicate, get)?;
        while walk.step(sink, u64::MAX, &mut |_| true)? != Step::Done {}
        Ok(())
    }

    fn run(&self, namespace: &str, call: &Call, pipes: Pipes<'_>) -> Result<Exit> {
        handler::run_here(name::local(namespace)?, call, pipes, Arc::clone(&self.engine))
            .map_err(|err| err.of(namespace))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = name::local_woof_of_user(name)?;
        log::remove(&path).map_err(|err| err.of(name))
    }

    fn reset_clock(&self, name: &str) -> Result<bool> {
        name::local_woof_of_user(name)?;
        Local::open(name)?.reset_clock().map_err(|err| err.of(name))
    }

    fn access(&self, namespace: &str) -> Result<AccessList> {
        AccessList::load(name::local(namespace)?).map_err(|err| err.of(namespace))
    }

    fn set_access(&self, namespace: &str, change: &Change) -> Result<AccessList> {
        AccessList::update(name::local(namespace)?, change).map_err(|err| err.of(namespace))
    }
}

/// Has a wait for more elements end when the name of their woof leads elsewhere.
fn watch_name(path: &Path, elements: &Elements, waker: &Waker) -> Option<(Names, Watched)> {
    let file = elements.woof().identity().ok()?;
    let names = Names::new().ok()?;
    let waker = waker.clone();
    let watched = names.watch(path, file, move || waker.stop());
    Some((names, watched))
}

/// Makes a directory and all above it, with the state directory and that for handlers in it.
fn make_namespace(dir: &Path) -> Result<()> {
    let make = |name| {
        let made = dir.join(name);
        std::fs::create_dir_all(&made).map_err(|err| {
            let above = match existing_above(&made) {
                here if here.as_os_str().is_empty() => Path::new("."),
                above => above,
            };
            Error::io("", &format!("create: no directory can be made in {}", above.display()), err)
        })
    };
    make(STATE_DIR)?;
    make(HANDLERS_DIR)
}

/// The nearest directory above `dir` that is there.
fn existing_above(dir: &Path) -> &Path {
    dir.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new(""))
}

/// Takes back a namespace that was made for a woof that then could not be, and what was made above it up to `above`. A
/// directory that somebody has put something into meanwhile is not empty, and stays.
fn unmake_namespace(dir: &Path, above: &Path) {
    let mut made = [HANDLERS_DIR, STATE_DIR]
        .into_iter()
        .map(|name| dir.join(name))
        .chain(dir.ancestors().take_while(|dir| *dir != above).map(Path::to_owned));
    let _ = made.try_for_each(std::fs::remove_dir);
}

/// Reports elements that are in, and notes the last of them.
#[inline]
fn told_in(last: &mut u64, run: log::Run, report: &mut dyn FnMut(Told)) {
    *last = run.first + run.count - 1;
    report(Told::In(run));
}

/// So many elements are looked at before it is said how far a reader is. So many of the newest are looked at first for those of a writer.
const LOOKED_AT: u64 = 64 << 10;

/// So many elements, or bytes of them, are made at once of what is put.
const CONVERTED: usize = 1024;
const CONVERTED_BYTES: usize = 64 << 10;

/// An open woof to put into.
struct LocalPut {
    name: String,
    content: ContentType,
    /// What is put.
    source: ContentType,
    /// How many were put, for those that are refused.
    given: u64,
    woof: Woof,
    appender: Appender,
    /// Of writers whose elements can come again: what is in.
    known: HashMap<u64, Known>,
    named: Named,
    /// The last element that was put, and the last at the last look at the name.
    last: u64,
    confirmed: u64,
}

impl LocalPut {
    /// Has it be an error when the woof has lost its name. One that was removed or reset says so itself.
    fn still_named(&self, became: Option<Became>) -> Result<()> {
        let Some(became) = became.filter(|_| self.woof.ended().is_none()) else { return Ok(()) };
        let lost = self.woof.lost(became);
        let text = match self.last {
            0 => lost.text().to_owned(),
            last => {
                format!("{}: what was put up to element {last} is in the file that had its name", lost.text())
            }
        };
        Err(Error::new(lost.code(), &*self.name, text))
    }

    /// Whether what is put are elements as it is.
    fn is_as_it_is(&self) -> bool {
        self.source == self.content || matches!(self.content, ContentType::Text | ContentType::Bytes)
    }

    /// Makes elements of what is put, and appends them, some at a time.
    fn put_converted(
        &mut self,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let mut items = items.peekable();
        while items.peek().is_some() {
            let (mut data, mut ends) = (Vec::new(), Vec::new());
            while data.len() < CONVERTED_BYTES
                && ends.len() < CONVERTED
                && let Some(given) = items.next()
            {
                let start = data.len();
                self.given += 1;
                match convert(given.data, self.source, self.content, &mut data) {
                    Ok(()) => ends.push((given.stamp, given.time_ns, start, data.len())),
                    Err(err) => {
                        data.truncate(start);
                        report(Told::Refused(self.given, err.of(&*self.name)));
                    }
                }
            }
            let mut elements = ends.iter().map(|(stamp, time_ns, start, end)| Given {
                stamp: *stamp,
                time_ns: *time_ns,
                data: data.get(*start..*end).unwrap_or_default(),
            });
            self.put_elements(&mut elements, report)?;
        }
        Ok(())
    }

    /// Appends elements, those of each writer in one go.
    fn put_elements(
        &mut self,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let writer_of = |given: &Given<'_>| given.stamp.map(|stamp| stamp.writer);
        let mut items = items.peekable();
        while let Some(writer) = items.peek().map(writer_of) {
            let of_it = |given: &Given<'_>| writer_of(given) == writer;
            self.put_of(writer, &mut std::iter::from_fn(|| items.next_if(of_it)), report)?;
        }
        Ok(())
    }

    /// Appends elements of one writer, or of none.
    fn put_of(
        &mut self,
        writer: Option<u64>,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let became = self.named.look_again();
        self.still_named(became)?;
        let last = &mut self.last;
        let done = match writer.and_then(|writer| self.known.get_mut(&writer)) {
            Some(known) => self.appender.extend_once(items, known, |what| match what {
                Once::In(run) => told_in(last, run, report),
                Once::Again(seqno) | Once::Differs(seqno) => report(Told::Again(seqno)),
            }),
            None => self.appender.extend_given(items, |run| told_in(last, run, report)),
        };
        done.map_err(|err| err.of(&*self.name))
    }
}

impl Put for LocalPut {
    fn content(&self) -> Option<ContentType> {
        Some(self.content)
    }

    fn element_max(&self) -> Option<u64> {
        Some(self.appender.element_max())
    }

    fn first_kept(&self) -> Option<u64> {
        Some(self.woof.first_seqno())
    }

    fn data_is(&mut self, content: ContentType) {
        self.source = content;
    }

    fn set_sync(&mut self, sync: bool) {
        self.appender.set_sync(sync);
    }

    fn set_trigger(&mut self, trigger: &Trigger) -> Result<()> {
        let number = match &trigger.handler {
            None => 0,
            Some(handler) => {
                let (namespace, woof) = place_in(Path::new(&self.name)).map_err(|err| err.of(&*self.name))?;
                bindings::named(&namespace, &woof, handler)?
            }
        };
        self.appender.set_mark(Mark::new(number, trigger.depth));
        self.appender.set_wait(trigger.wait);
        Ok(())
    }

    fn put(&mut self, items: &mut dyn Iterator<Item = &[u8]>, report: &mut dyn FnMut(Told)) -> Result<()> {
        if !self.is_as_it_is() {
            let given = |data| Given { stamp: None, time_ns: 0, data };
            return self.put_converted(&mut items.map(given), report);
        }
        let became = self.named.look_again();
        self.still_named(became)?;
        let last = &mut self.last;
        self.appender.extend(items, |run| told_in(last, run, report)).map_err(|err| err.of(&*self.name))
    }

    fn resume(&mut self, writer: u64, after: u64) {
        let (first, next) = (self.woof.first_seqno(), self.woof.next_seqno());
        let mut count = LOOKED_AT;
        let known = loop {
            // From the newest back. What a writer has put before `after` says that all behind it was looked at.
            let from = next.saturating_sub(count).max(first);
            let known = self.woof.known(writer, after, from, false);
            if from <= first || known.is_older_seen() {
                break known;
            }
            count = count.saturating_mul(16);
        };
        self.known.insert(writer, known);
    }

    fn put_stamped(
        &mut self,
        items: &mut dyn Iterator<Item = (Stamp, &[u8])>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let given = |(stamp, data)| Given { stamp: Some(stamp), time_ns: 0, data };
        self.put_given(&mut items.map(given), report)
    }

    fn changed_times(&self) -> ChangedTimes {
        self.appender.changed_times()
    }

    fn clock_ahead(&self) -> Option<u64> {
        self.woof.clock_ahead()
    }

    fn confirm(&mut self) -> Result<()> {
        let became = self.named.look();
        self.still_named(became)?;
        self.confirmed = self.last;
        Ok(())
    }

    fn settle(&mut self, _report: &mut dyn FnMut(Told)) -> Result<()> {
        if self.last == self.confirmed { Ok(()) } else { self.confirm() }
    }

    fn put_given(
        &mut self,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        if self.is_as_it_is() { self.put_elements(items, report) } else { self.put_converted(items, report) }
    }
}
