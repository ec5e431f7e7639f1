//! The log of triggers of a namespace, as its dispatcher writes and reads it.
//!
//! Failure contract: what [`Journal::flush`] returned for is in the log. What a recovery needs is held, and not overwritten. Whether the file is still the one
//! of its name is the caller's to ask ([`Journal::is_gone`]).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use woof_core::error::{Code, Error, Result};
use woof_core::name::StateDir;
use woof_local::handler::files;
use woof_local::handler::own::{CAPACITY, HISTORY, open_log};
use woof_local::handler::record::Record;
use woof_log::{Appender, Item, Options, Woof};

/// After so many elements, or bytes, since the last one a checkpoint is due. Far from full, as the batch of a checkpoint comes on top.
const DUE_ELEMENTS: u64 = HISTORY / 4;
const DUE_BYTES: u64 = CAPACITY / 4;

/// An open log of triggers.
pub(super) struct Journal {
    name: String,
    path: PathBuf,
    /// Which file it is.
    file: (u64, u64),
    woof: Woof,
    appender: Appender,
    /// Records that are not in the log yet, and where each ends.
    batch: Vec<u8>,
    ends: Vec<usize>,
    /// What was appended since the last checkpoint.
    elements: u64,
    bytes: u64,
    /// Whether nothing can be written, as on a disk that is full.
    #[cfg(test)]
    refuses: bool,
}

/// Looks whether a log that is there has room for what is written between two checkpoints, and for one: with less, its dispatcher could write
/// nothing one day, and never again.
fn check_size(options: &Options) -> Result<()> {
    if options.history >= HISTORY && options.capacity >= CAPACITY && options.element_size.is_none() {
        return Ok(());
    }
    let limit = options.element_size.map_or_else(String::new, |size| format!(", each up to {size} bytes"));
    let text = format!(
        "too small for a log of triggers: it keeps {} elements in {} bytes{limit}, and {HISTORY} in {CAPACITY} are needed: \
         remove it, and it is made again",
        options.history, options.capacity
    );
    Err(Error::new(Code::Unsupported, "", text))
}

impl Journal {
    /// Opens the log; it is made if it is not there.
    pub(super) fn open(state: &StateDir) -> Result<Journal> {
        let woof = open_log(state)?;
        let name = state.shown(files::TRIGGERS);
        let named = |err: Error| err.of(&*name);
        check_size(woof.options()).map_err(named)?;
        if woof.held().is_none() {
            woof.hold(Some(woof.first_seqno())).map_err(named)?;
        }
        let appender = woof.appender().map_err(named)?;
        Ok(Journal {
            path: PathBuf::from(&name),
            file: woof.identity().map_err(named)?,
            woof,
            appender,
            name,
            batch: Vec::new(),
            ends: Vec::new(),
            elements: 0,
            bytes: 0,
            #[cfg(test)]
            refuses: false,
        })
    }

    /// Whether the log was removed, or another file has its name: what is appended is seen by nobody.
    pub(super) fn is_gone(&self) -> bool {
        match self.path.symlink_metadata() {
            Ok(meta) => (meta.dev(), meta.ino()) != self.file,
            Err(err) => err.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Opens the log anew, and makes it if it is not there. What was taken is kept; a checkpoint is due, before which it says nothing of the rest.
    pub(super) fn open_again(&mut self, namespace: &Path) -> Result<()> {
        let new = Journal::open(&StateDir::exactly(namespace)?)?;
        (self.woof, self.appender, self.file) = (new.woof, new.appender, new.file);
        (self.elements, self.bytes) = (DUE_ELEMENTS, 0);
        Ok(())
    }

    /// Reads the records that a recovery needs, in order.
    pub(super) fn read(&mut self, mut each: impl FnMut(Record)) {
        let mut cursor = self.woof.cursor(self.woof.held().unwrap_or(1));
        while let Some(item) = cursor.next() {
            if let Item::Elem { data, .. } = item {
                self.elements += 1;
                self.bytes += data.len() as u64;
                if let Some(record) = Record::parse(data) {
                    each(record);
                }
            }
        }
    }

    /// Takes a record, which is in the log after the next [`Journal::flush`].
    pub(super) fn add(&mut self, record: &Record) {
        // A record has nothing that JSON cannot say.
        if serde_json::to_writer(&mut self.batch, record).is_ok() {
            self.ends.push(self.batch.len());
        }
    }

    /// Appends what was taken. After an error it is still there to be appended.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        if self.refuses {
            return Err(Error::new(Code::Full, "", "no space left on device"));
        }
        let (batch, mut start, mut count) = (&self.batch, 0, 0);
        let items = self.ends.iter().map(|end| {
            let item = batch.get(start..*end).unwrap_or_default();
            start = *end;
            item
        });
        let appended = self.appender.extend(items, |run| count += run.count);
        let done = usize::try_from(count).unwrap_or(usize::MAX).min(self.ends.len());
        let used = done.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.ends.drain(..done);
        self.ends.iter_mut().for_each(|end| *end -= used);
        self.batch.drain(..used);
        self.elements += count;
        self.bytes += used as u64;
        appended.map_err(|err| err.of(&*self.name))
    }

    /// How many records were taken and are not in the log.
    pub(super) fn waiting(&self) -> usize {
        self.ends.len()
    }

    /// Forgets the newest `count` records, as far as they are not in the log.
    pub(super) fn take_back(&mut self, count: usize) {
        self.ends.truncate(self.ends.len().saturating_sub(count));
        self.batch.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Has everything that is to be written fail from now on, or no longer.
    #[cfg(test)]
    pub(super) fn refuse(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    /// Whether so much was appended, or waits to be, that a checkpoint is due.
    pub(super) fn is_due(&self) -> bool {
        self.elements + self.ends.len() as u64 >= DUE_ELEMENTS
            || self.bytes + self.batch.len() as u64 >= DUE_BYTES
    }

    /// Appends a checkpoint, the positions of all bindings. What is before it is not needed any more.
    pub(super) fn checkpoint(&mut self, positions: impl IntoIterator<Item = Record>) -> Result<()> {
        self.flush()?;
        let from = self.woof.next_seqno();
        for position in positions {
            self.add(&position);
        }
        self.flush()?;
        self.woof.raise_hold(from);
        (self.elements, self.bytes) = (0, 0);
        Ok(())
    }
}
