//! Appending each element of a writer once: what is in already is not appended again, whoever put it there.
//!
//! Several processes can have the same elements to put: a pipeline that was killed half-way and the one after it, a client that lost
//! its connection, two servers of one directory. What is in is asked of the woof itself, and the last look is made under the append lock.
//! So it does not matter by which names and which ways they come to the woof.
//!
//! An element is in if one with its stamp *and* its data is: a stamp can be copied with the directory that its writer id comes from.
//!
//! Failure contract: that of [`Appender::extend`]. An element that was forgotten or is damaged counts as not in.

use super::append::{Appender, Chunk};
use super::format::{CHUNK_ELEMENTS, Payload, record_len};
use super::region::Region;
use super::stamp::{Entry as _, stamp_at};
use super::woof::Woof;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use woof_core::element::{Given, Run, Stamp};
use woof_core::error::{Code, Result};

/// So many elements of others are looked at while everybody waits for the append lock.
const LOOKED_AT_LOCKED: u64 = 1024;

/// What became of elements that were to be in once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// They were appended.
    In(Run),
    /// The next one was in already, as this seqno.
    Again(u64),
    /// The next one was not appended: the element of this seqno has its stamp, and other data.
    Differs(u64),
}

/// An element of the writer that is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    seqno: u64,
    data: u64,
}

/// The elements of one writer that are in a woof, as far as they can come again.
#[derive(Debug)]
pub struct Known {
    writer: u64,
    /// Writer sequences up to here do not come.
    after: u64,
    /// A stamp stands for one element, so the same stamp with other data is an error.
    strict: bool,
    /// The first seqno that was not looked at.
    next: u64,
    /// By writer sequence. Of one there can be several with different data.
    found: BTreeMap<u64, Vec<Found>>,
    /// The writer sequence of the last one.
    last: u64,
    /// One with a writer sequence up to `after` was seen.
    is_older_seen: bool,
    payload: Vec<u8>,
}

impl Known {
    /// Whether an element that the writer put before the first that can come again was among those that were looked at.
    pub fn is_older_seen(&self) -> bool {
        self.is_older_seen
    }

    /// Whether a stamp stands for one element for certain.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether later elements of the writer are in and this one is not.
    pub fn is_passed(&self, seq: u64) -> bool {
        seq < self.last && !self.found.contains_key(&seq)
    }

    /// Looks at elements up to `to`; gives how many of them are of the writer.
    fn look(&mut self, region: &Region, to: u64) -> usize {
        let mut count = 0;
        for seqno in self.next.max(region.first_seqno())..to {
            let Some(stamp) = stamp_at(region, seqno, region.index(seqno), self.writer, &mut self.payload)
            else {
                continue;
            };
            if stamp.seq <= self.after {
                self.is_older_seen = true;
                continue;
            }
            let data = digest(Stamp::split(&self.payload).1);
            self.found.entry(stamp.seq).or_default().push(Found { seqno, data });
            self.last = stamp.seq;
            count += 1;
        }
        self.next = self.next.max(to);
        count
    }

    /// Under the append lock: whether nothing of the writer came since the last look. What came is known afterwards, unless it is
    /// too much to be looked at while others wait.
    fn is_current(&mut self, region: &Region) -> bool {
        let next = region.next_seqno();
        next.saturating_sub(self.next) <= LOOKED_AT_LOCKED && self.look(region, next) == 0
    }

    /// What is in of an element: `None` when it is to be appended.
    fn find(&self, given: &Given<'_>) -> Option<Once> {
        let stamp = given.stamp.filter(|stamp| stamp.writer == self.writer)?;
        let found = self.found.get(&stamp.seq)?;
        let data = digest(given.data);
        match found.iter().find(|found| found.data == data) {
            Some(found) => Some(Once::Again(found.seqno)),
            None => found.first().filter(|_| self.strict).map(|found| Once::Differs(found.seqno)),
        }
    }

    /// Forgets what the woof has forgotten, when it has grown to more than there can be.
    fn tidy(&mut self, region: &Region) {
        let first = region.first_seqno();
        if self.found.len() as u64 > 2 * (self.next.saturating_sub(first) + LOOKED_AT_LOCKED) {
            self.found.retain(|_, found| {
                found.retain(|found| found.seqno >= first);
                !found.is_empty()
            });
        }
    }
}

/// Tells data apart.
fn digest(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(data);
    hasher.finish()
}

impl Woof {
    /// Looks which elements of `writer` with sequences over `after` are in, from `from_seqno` on, for [`Appender::extend_once`]. With
    /// `strict` a stamp stands for one element for certain.
    ///
    /// It looks through all elements from `from_seqno` on, at a few words of each, so it takes some 20 to 50 ns for every one.
    pub fn known(&self, writer: u64, after: u64, from_seqno: u64, strict: bool) -> Known {
        let region = &self.view().region;
        let mut known = Known {
            writer,
            after,
            strict,
            next: from_seqno.max(1),
            found: BTreeMap::new(),
            last: 0,
            is_older_seen: false,
            payload: Vec::new(),
        };
        known.look(region, region.next_seqno());
        known
    }
}

impl Appender {
    /// Appends elements of the writer that `known` is about, in order, and leaves out those that are in.
    /// `report` is told of each, in order; with sync, what it is told to be in is durable.
    ///
    /// ```
    /// use woof_log::{self as log, Given, Once, Options, Run, Stamp};
    /// let dir = woof_kit::tempdir().unwrap();
    /// let path = dir.path().join("temp");
    /// log::create(&path, &Options::default()).unwrap();
    /// let woof = log::open(&path).unwrap();
    /// let mut appender = woof.appender().unwrap();
    /// let mut put = |items: &[(u64, &[u8])]| {
    ///     let mut told = Vec::new();
    ///     let mut known = woof.known(77, 0, 1, false);
    ///     let given = |(seq, data)| Given { stamp: Some(Stamp { writer: 77, seq }), time_ns: 0, data };
    ///     let items = items.iter().copied().map(given);
    ///     appender.extend_once(items, &mut known, |what| told.push(what)).unwrap();
    ///     told
    /// };
    /// assert_eq!(put(&[(1, b"21.5"), (2, b"21.7")]), [Once::In(Run { first: 1, count: 2 })]);
    /// assert_eq!(put(&[(2, b"21.7"), (3, b"21.7")]), [Once::Again(2), Once::In(Run { first: 3, count: 1 })]);
    /// ```
    ///
    /// # Errors
    /// As [`Appender::extend`].
    pub fn extend_once<'a>(
        &mut self,
        items: impl IntoIterator<Item = Given<'a>>,
        known: &mut Known,
        mut report: impl FnMut(Once),
    ) -> Result<()> {
        // What an earlier call left, which had no patience to make it durable, is at the beginning.
        let mut told = std::mem::take(&mut self.told);
        let count = |what: &Once| match what {
            Once::In(run) => run.count,
            Once::Again(_) | Once::Differs(_) => 1,
        };
        let count: u64 = told.iter().map(count).sum();
        // Fused, as it is asked again behind its end.
        let mut items = items.into_iter().fuse().skip(usize::try_from(count).unwrap_or(usize::MAX));
        let mut written = Ok(());
        let mut chunk: Vec<Given<'_>> = Vec::with_capacity(CHUNK_ELEMENTS);
        while written.is_ok() {
            chunk.clear();
            chunk.extend(items.by_ref().take(CHUNK_ELEMENTS));
            if chunk.is_empty() {
                break;
            }
            written = self.chunk_once(&chunk, known, &mut |what| told.push(what));
            if !self.is_sync() {
                told.drain(..).for_each(&mut report);
            }
        }
        let last = |what: &Once| match *what {
            Once::In(run) => run.first + run.count - 1,
            Once::Again(seqno) | Once::Differs(seqno) => seqno,
        };
        if let Some(last) = told.iter().map(last).max() {
            // Also what somebody else put there, and was killed before it was durable.
            let done = self.sync_up_to(last);
            if let Err(err) = done {
                if err.code() == Code::Busy {
                    self.told = told;
                }
                return Err(err);
            }
        }
        told.into_iter().for_each(report);
        written
    }

    /// Does this for up to a chunk of elements.
    fn chunk_once(
        &mut self,
        items: &[Given<'_>],
        known: &mut Known,
        report: &mut dyn FnMut(Once),
    ) -> Result<()> {
        let mut rest = items;
        while let Some(given) = rest.first() {
            let next = self.region.next_seqno();
            known.look(&self.region, next);
            if let Some(what) = known.find(given) {
                report(what);
                rest = &rest[1..];
                continue;
            }
            self.check(given.data)?;
            let mut chunk = [(Given::EMPTY, Payload::default()); CHUNK_ELEMENTS];
            let (mut count, mut bytes) = (0, 0);
            for given in rest {
                let len = record_len(given.len());
                let fits = count == 0 || bytes + len <= self.region.chunk_bytes;
                if !fits || known.find(given).is_some() || self.check(given.data).is_err() {
                    break;
                }
                // Before the lock is taken, so that nobody waits for it.
                chunk[count] = (*given, Payload::of(given.stamp, given.data).marked(self.mark()));
                count += 1;
                bytes += len;
            }
            let written = match self.write_chunk(&chunk[..count], bytes, |region| known.is_current(region))? {
                Chunk::Held => {
                    count = 1;
                    self.write_held(&chunk[0], |region| known.is_current(region))?
                }
                written => written,
            };
            if let Chunk::In(first) = written {
                let run = Run { first, count: count as u64 };
                known.next = first + run.count;
                known.tidy(&self.region);
                report(Once::In(run));
                rest = &rest[count..];
            }
        }
        Ok(())
    }
}
