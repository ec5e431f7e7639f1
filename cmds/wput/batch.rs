//! Elements that came together, and the woof that they are appended to.
//!
//! Failure contract: what does not fit is told by name and left out. A position moves when all before it is in, or was told.

use super::sources::Sources;
use crate::support::prelude::*;
use crate::support::time;
use libwoofstream::chan::BeforeWait;
use libwoofstream::content::{self, ContentType};
use libwoofstream::error;
use libwoofstream::log::{Given, Options, Stamp};
use libwoofstream::space::{Create, Put, Space as _, Spaces, Told, Trigger};
use libwoofstream::wire::{self, Elem};

pub(super) fn over_limit(len: usize, max: u64) -> String {
    format!("element is {len} bytes, the limit of this woof is {max}")
}

/// Tells what became of elements, which were lines or something else.
pub(super) fn report(out: &mut Output, name: &str, lines: bool, what: &Told) -> error::Result<()> {
    match what {
        Told::In(_) | Told::Again(_) if out.form() == Form::Nothing => Ok(()),
        Told::In(run) => (run.first..run.first + run.count).try_for_each(|seqno| out.seqno(seqno, name)),
        Told::Again(seqno) => out.seqno(*seqno, name),
        Told::Refused(number, err) => {
            let place = if lines { format!("line {number}: ") } else { String::new() };
            out.error(&Error::new(err.code(), name, format!("{place}{}", err.text())))
        }
    }
}

/// Which elements are those of this put, as far as it is known that they are in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    first: u64,
    last: u64,
    count: u64,
}

impl Own {
    /// Takes what became of elements.
    pub(super) fn take(&mut self, what: &Told) {
        let Told::In(run) = what else { return };
        if run.count > 0 {
            self.first = if self.count == 0 { run.first } else { self.first.min(run.first) };
            self.last = self.last.max(run.first + run.count - 1);
            self.count += run.count;
        }
    }

    /// What is to be said of those that are gone, where the woof keeps its elements from `kept` on.
    fn gone(&self, kept: u64) -> Option<String> {
        let gone =
            kept.min(self.last + 1).checked_sub(self.first).filter(|gone| *gone > 0 && self.count > 0)?;
        // Others may have put elements in between.
        let which = if self.last - self.first + 1 == self.count {
            format!("{gone} of these {} elements", self.count)
        } else {
            format!("elements of this put before {kept}")
        };
        Some(format!(
            "{which} gone already: the woof keeps no more (wcreate --history and --capacity set how much)"
        ))
    }
}

/// Of how many elements this tells.
fn count(what: &Told) -> u64 {
    match what {
        Told::In(run) => run.count,
        Told::Again(_) | Told::Refused(..) => 1,
    }
}

/// The woof, opened or made when it is known what for.
pub(super) struct Target<'a> {
    pub(super) name: &'a str,
    pub(super) spaces: &'a Spaces,
    /// Make it if need be, of this type if one was asked for.
    pub(super) create: Option<Option<ContentType>>,
    pub(super) sync: bool,
    /// Whether elements keep the times that they come with; if nothing is said, those of a kept position do.
    pub(super) keep_times: Option<bool>,
    pub(super) trigger: Trigger,
    pub(super) put: Option<Box<dyn Put>>,
    pub(super) own: Own,
    /// It was said that its clock is ahead.
    pub(super) clock_told: bool,
    /// What is to be said of positions that are not moved from here.
    pub(super) not_moved: Vec<String>,
}

impl Target<'_> {
    /// What is to be said of this put when it is over.
    pub(super) fn notes(&self) -> Vec<String> {
        let Some(put) = &self.put else { return self.not_moved.clone() };
        let gone = put.first_kept().and_then(|kept| self.own.gone(kept));
        let changed = put.changed_times();
        let of = |count: u64| if count == 1 { "1 element".to_owned() } else { format!("{count} elements") };
        let behind = (changed.behind > 0).then(|| {
            let what = "came with times before that of the newest one, and got its time";
            format!("{} {what}, as times do not go back", of(changed.behind))
        });
        let ahead = (changed.ahead > 0).then(|| {
            let what = "came with times over a minute ahead of the clock, and got the time of the put";
            format!("{} {what}", of(changed.ahead))
        });
        let notes = [gone, behind, ahead].into_iter().flatten().map(|note| format!("{}: {note}", self.name));
        notes.chain(self.not_moved.iter().cloned()).collect()
    }

    /// What is to be said of a woof whose times are ahead of the clock, once.
    pub(super) fn clock_note(&mut self) -> Option<String> {
        let ahead = self.put.as_ref().filter(|_| !self.clock_told)?.clock_ahead()?;
        self.clock_told = true;
        let what = "is ahead of the clock: what is put gets that time until the clock is there";
        let cure = format!("wattr {} clock reset ends that", self.name);
        Some(format!("{}: its newest element, of {}, {what} ({cure})", self.name, time::local(ahead)))
    }

    /// True for an open woof of bytes.
    pub(super) fn takes_bytes(&self) -> bool {
        self.put.as_ref().is_some_and(|put| put.content() == Some(ContentType::Bytes))
    }

    /// The open woof. One that has to be made gets the content type of the input unless another was asked for.
    pub(super) fn open(&mut self, content: Option<ContentType>) -> Result<&mut Box<dyn Put>, Failure> {
        if self.put.is_none() {
            let create = self.create.map(|asked| {
                let content = asked.or(content).unwrap_or_default();
                Create { options: Options { content, ..Options::default() }, ..Create::default() }
            });
            let mut put = self.spaces.put(self.name, create.as_ref())?;
            put.set_sync(self.sync);
            put.set_trigger(&self.trigger)?;
            self.put = Some(put);
        }
        match &mut self.put {
            Some(put) => Ok(put),
            None => Err(Failure::invalid(self.name, "is not open")),
        }
    }
}

/// A woof that raw lines are put into as they are, while more of them are waited for.
pub(super) struct Settling<'b, 'a> {
    pub(super) target: &'b mut Target<'a>,
    pub(super) out: &'b mut Output,
}

impl Settling<'_, '_> {
    /// Waits until it is known of all lines what became of them.
    pub(super) fn settle(&mut self) -> error::Result<()> {
        let Some(put) = &mut self.target.put else { return Ok(()) };
        let (mut told, name, out) = (Ok(()), self.target.name, &mut *self.out);
        let own = &mut self.target.own;
        put.settle(&mut |what| {
            own.take(&what);
            if told.is_ok() {
                told = report(out, name, true, &what);
            }
        })?;
        told
    }
}

impl BeforeWait for Settling<'_, '_> {
    fn before_wait(&mut self) -> error::Result<()> {
        self.settle()?;
        self.out.flush()
    }
}

/// What an element came with.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    stamp: Option<Stamp>,
    /// 0 for none that is kept.
    time_ns: u64,
}

/// Elements that came together, and where it is told that they are in.
pub(super) struct Batch<'b, 'a> {
    pub(super) target: &'b mut Target<'a>,
    pub(super) out: &'b mut Output,
    data: Vec<u8>,
    ends: Vec<usize>,
    /// The stamps of the elements; none, or one for each.
    stamps: Vec<Stamp>,
    /// The times that they came with, 0 for none; none, or one for each.
    times: Vec<u64>,
    /// Elements keep the times that they come with.
    keeps_times: bool,
    sources: Sources,
    /// What the data is, where it is made into elements elsewhere.
    source: ContentType,
    /// The elements are the lines of raw input.
    pub(super) lines: bool,
    /// How many elements were given to the woof, and of how many it is known what became of them.
    given: u64,
    arrived: u64,
}

impl<'b, 'a> Batch<'b, 'a> {
    /// So many bytes are appended at once.
    const FULL: usize = 256 << 10;

    pub(super) fn new(target: &'b mut Target<'a>, out: &'b mut Output) -> Batch<'b, 'a> {
        let keeps_times = target.keep_times == Some(true);
        Batch {
            target,
            out,
            data: Vec::new(),
            ends: Vec::new(),
            stamps: Vec::new(),
            times: Vec::new(),
            keeps_times,
            sources: Sources::default(),
            source: ContentType::Text,
            lines: false,
            given: 0,
            arrived: 0,
        }
    }

    /// Takes one element, given as `source`. What does not fit is told and left out.
    pub(super) fn add(&mut self, data: &[u8], source: ContentType) -> Result<(), Failure> {
        self.take(data, source, 0, Came::default())
    }

    /// As [`Batch::add`], for the line of this number.
    pub(super) fn add_numbered(
        &mut self,
        data: &[u8],
        source: ContentType,
        line: u64,
    ) -> Result<(), Failure> {
        self.take(data, source, line, Came::default())
    }

    /// As [`Batch::add`], for an element of `woof` that may be in already.
    pub(super) fn add_from(
        &mut self,
        woof: &str,
        elem: &Elem<'_>,
        source: ContentType,
    ) -> Result<(), Failure> {
        let time_ns = if self.keeps_times { elem.time_ns } else { 0 };
        if self.sources.is_empty() {
            return self.take(elem.data, source, 0, Came { stamp: None, time_ns });
        }
        let put = self.target.open(Some(source))?;
        let stamp = self.sources.stamp(woof, elem.seqno, elem.time_ns, &mut **put);
        self.take(elem.data, source, 0, Came { stamp, time_ns })
    }

    fn take(
        &mut self,
        data: &[u8],
        source: ContentType,
        line: u64,
        Came { stamp, time_ns }: Came,
    ) -> Result<(), Failure> {
        // A batch has stamps or none.
        if !self.ends.is_empty() && stamp.is_some() == self.stamps.is_empty() {
            self.append()?;
        }
        let put = self.target.open(Some(source))?;
        let (target, max) = (put.content(), put.element_max().unwrap_or(u64::MAX));
        if target.is_none() && self.source != source {
            self.append()?;
        }
        self.source = source;
        let start = self.data.len();
        let converted = content::convert(data, source, target.unwrap_or(source), &mut self.data);
        let len = self.data.len() - start;
        let fits = match converted {
            Ok(()) if len as u64 > max => Err(Error::new(Code::TooLarge, "", over_limit(len, max))),
            fits => fits,
        };
        match fits {
            Ok(()) => {
                self.ends.push(self.data.len());
                self.stamps.extend(stamp);
                if self.keeps_times {
                    self.times.push(time_ns);
                }
            }
            Err(err) => {
                self.data.truncate(start);
                let place = if line > 0 { format!("line {line}: ") } else { String::new() };
                let text = format!("{place}{}", err.text());
                self.out.error(&Error::new(err.code(), self.target.name, text))?;
            }
        }
        if self.data.len() >= Self::FULL || self.ends.len() >= Self::FULL / 8 {
            self.append()?;
        }
        Ok(())
    }

    /// Takes note of how far the elements before this place go, of a woof whose reader waits for that.
    pub(super) fn position(&mut self, position: &wire::Position) -> Result<(), Failure> {
        if self.target.keep_times.is_none() && !self.keeps_times {
            // A woof that is carried keeps its times. What came before has none.
            self.append()?;
            self.keeps_times = true;
        }
        self.sources.note(position, self.given + self.ends.len() as u64);
        Ok(())
    }

    /// Keeps the positions that wait for so many elements. What cannot be moved from here is handed on to who may.
    fn arrived(&mut self, count: u64) -> error::Result<()> {
        if let Some(put) = self.target.put.as_mut().filter(|_| self.sources.is_waiting()) {
            // For what is in the woof of that name, and not for what went into a file that lost it.
            put.confirm()?;
        }
        for position in self.sources.arrived(count)? {
            if self.out.passes_on() {
                let payload = position.encode()?;
                self.out.message(&Raw { kind: Kind::POSITION, ..Raw::bytes(&payload) })?;
            }
        }
        Ok(())
    }

    /// What is to be said of positions that are not moved and not handed on.
    pub(super) fn not_moved(&self) -> Vec<String> {
        if self.out.passes_on() { Vec::new() } else { self.sources.not_moved() }
    }

    /// Appends what was taken.
    pub(super) fn append(&mut self) -> error::Result<()> {
        let Some(put) = self.target.put.as_mut().filter(|_| !self.ends.is_empty()) else {
            return self.arrived(self.arrived);
        };
        // What is known to be elements was made into them already, with the number of its line where it does not fit.
        put.data_is(put.content().unwrap_or(self.source));
        let (data, mut start) = (&self.data, 0);
        let mut items = self.ends.iter().map(|end| {
            let item = &data[start..*end];
            start = *end;
            item
        });
        let (out, name) = (&mut *self.out, self.target.name);
        let (mut told, arrived, lines) = (Ok(()), &mut self.arrived, self.lines);
        let own = &mut self.target.own;
        let mut report = |what: Told| {
            own.take(&what);
            *arrived += count(&what);
            if told.is_ok() {
                told = report(out, name, lines, &what);
            }
        };
        let done = if !self.times.is_empty() {
            let stamps = self.stamps.iter().copied().map(Some).chain(std::iter::repeat(None));
            let given = |((data, time_ns), stamp)| Given { stamp, time_ns, data };
            put.put_given(&mut items.zip(self.times.iter().copied()).zip(stamps).map(given), &mut report)
        } else if self.stamps.is_empty() {
            put.put(&mut items, &mut report)
        } else {
            put.put_stamped(&mut self.stamps.iter().copied().zip(items), &mut report)
        };
        self.given += self.ends.len() as u64;
        self.out.moved(self.ends.len() as u64, self.data.len() as u64);
        self.data.clear();
        self.ends.clear();
        self.stamps.clear();
        self.times.clear();
        let kept = self.arrived(self.arrived);
        done?;
        told?;
        kept
    }

    /// Appends what was taken and waits until it is in.
    pub(super) fn settle(&mut self) -> error::Result<()> {
        self.append()?;
        let Some(put) = &mut self.target.put else { return self.arrived(u64::MAX) };
        let (out, name) = (&mut *self.out, self.target.name);
        let (mut told, arrived, lines) = (Ok(()), &mut self.arrived, self.lines);
        let own = &mut self.target.own;
        let done = put.settle(&mut |what| {
            own.take(&what);
            *arrived += count(&what);
            if told.is_ok() {
                told = report(out, name, lines, &what);
            }
        });
        let kept = if done.is_ok() { self.arrived(u64::MAX) } else { Ok(()) };
        done?;
        told?;
        kept
    }
}

impl BeforeWait for Batch<'_, '_> {
    fn before_wait(&mut self) -> error::Result<()> {
        self.settle()?;
        self.out.flush()
    }

    fn pending(&self) -> bool {
        !self.ends.is_empty() || self.sources.is_waiting() || self.out.pending()
    }
}
