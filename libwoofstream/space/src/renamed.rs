//! An engine under other names: what it is called underneath is told as it was typed.

use super::{MessageRef, Put, Sink, Told, Trigger};
use std::collections::HashSet;
use woof_core::content::ContentType;
use woof_core::element::{ChangedTimes, Given, Stamp};
use woof_core::error::{Code, Error, Result};
use woof_core::limits::UNION_NAMES_MAX;
use woof_core::name::shown;
use woof_core::wire::{Dir, Fault, Value};

/// A name as it was typed, and as it is called underneath.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// What it is called underneath.
    pub given: &'a str,
    /// What the user typed.
    pub typed: &'a str,
}

impl Names<'_> {
    /// A name of what is at or below the given one, as the user would type it; `None` for one that stays.
    pub fn back(&self, name: &[u8]) -> Option<Vec<u8>> {
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

    /// An error about the object as it was typed.
    pub fn error(&self, err: Error) -> Error {
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

    /// A `Dir` whose path is as it was typed; `None` for one that stays.
    pub fn dir(&self, dir: &Dir) -> Option<Dir> {
        let path = self.back(dir.name("path")?)?;
        Some(dir.clone().set("path", Value::of_name(path)))
    }
}

/// Passes messages on under the names that were typed.
pub struct Renamed<'a> {
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
    /// Passes all on.
    pub fn new(names: Names<'a>, sink: &'a mut dyn Sink) -> Renamed<'a> {
        Renamed::besides(names, sink, None)
    }

    /// Passes on what other targets have not shown.
    pub(crate) fn besides(
        names: Names<'a>,
        sink: &'a mut dyn Sink,
        seen: Option<HashSet<Vec<u8>>>,
    ) -> Renamed<'a> {
        Renamed { names, sink, seen, again: false, shown: Vec::new(), failed: false }
    }

    /// Whether the sink takes no more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// What was shown until now.
    pub(crate) fn finish(self) -> Option<HashSet<Vec<u8>>> {
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
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        let done = match message {
            MessageRef::Dir(dir) => return self.renamed_dir(dir),
            MessageRef::Fault(fault) => match self.names.back_in_words(&fault.object) {
                Some(object) => self.sink.fault(&Fault { object, ..fault.clone() }),
                None => self.sink.fault(fault),
            },
            MessageRef::Elem { .. } | MessageRef::Bytes(_) | MessageRef::FileEnd { .. } if self.again => {
                Ok(())
            }
            message => self.sink.message(message),
        };
        self.pass(done)
    }

    fn seen(&mut self, seqno: u64) -> Result<()> {
        let done = self.sink.seen(seqno);
        self.pass(done)
    }

    fn is_full(&self) -> bool {
        self.sink.is_full()
    }

    fn before_wait(&mut self) -> Result<()> {
        let done = self.sink.before_wait();
        self.pass(done)
    }
}

impl Renamed<'_> {
    fn renamed_dir(&mut self, dir: &Dir) -> Result<()> {
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
}

/// An open woof that tells its errors under the name that was typed.
pub struct NamedPut {
    put: Box<dyn Put>,
    given: String,
    typed: String,
}

impl NamedPut {
    /// Of a woof that is called `given` underneath and was typed as `typed`.
    pub fn new(put: Box<dyn Put>, given: &str, typed: &str) -> NamedPut {
        NamedPut { put, given: given.to_owned(), typed: typed.to_owned() }
    }
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
