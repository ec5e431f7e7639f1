//! Appending: the one writer of a woof at a time.
//!
//! Under the append lock, for up to [`CHUNK_ELEMENTS`] elements at once: forget what will be overwritten (store
//! `first_seqno` before touching it), write the records, note them in the index, publish them by storing `next_seqno`.
//! A process killed at any of these stores leaves a woof that reads as before, or with the chunk in it; what else it
//! left half done is put right by the next one ([`super::repair`]).
//!
//! Failure contract: an error says which elements are in; a chunk is in whole or not at all.

use super::clock::Clock;
use super::format::{CHUNK_ELEMENTS, POS_MAX, Payload, Record, UNSYNCED_UNKNOWN, record_len, shared};
use super::hold::{Asked, Holder};
use super::lock::{Slot, Taken};
use super::region::Region;
use super::repair;
use super::stamp::Entry;
use super::words::Words;
use std::sync::atomic::Ordering;
use std::time::Duration;
use woof_core::element::{ChangedTimes, Given, Mark, Run, Stamp};
use woof_core::error::{Code, Error, Result};
use woof_core::sys;

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// It is in, from this seqno on.
    In(u64),
    /// There is no room for all of it without forgetting elements that are held.
    Held,
    /// Whoever was asked under the lock did not want it.
    Refused,
}

impl Chunk {
    /// The seqno of the first; 0 where none is in.
    fn seqno(self) -> u64 {
        if let Chunk::In(seqno) = self { seqno } else { 0 }
    }
}

/// For appends that nobody has to be asked about.
#[inline]
fn always(_: &Region) -> bool {
    true
}

/// A handle for appending to one woof. Many may be open at once, in any number of processes.
///
/// ```
/// use woof_log::{self as log, Options};
/// let dir = woof_kit::tempdir().unwrap();
/// let path = dir.path().join("temp");
/// log::create(&path, &Options::default()).unwrap();
/// let mut appender = log::open(&path).unwrap().appender().unwrap();
/// assert_eq!(appender.append(b"21.5").unwrap(), 1);
/// assert_eq!(appender.append(b"21.7").unwrap(), 2);
/// ```
pub struct Appender {
    pub(super) region: std::sync::Arc<Region>,
    pub(super) slot: Slot,
    pub(super) scratch: Vec<u8>,
    sync: bool,
    failed: bool,
    mark: Mark,
    /// How long an append waits for handlers that hold elements back.
    wait: Duration,
    /// Who is asked whether there are such handlers.
    asked: Asked,
    /// Of elements that came with a time.
    changed: ChangedTimes,
    /// How long one waits for other writers.
    pub(super) patience: Option<Duration>,
    /// What was appended and is not known to be durable, as there was no more patience.
    published: Vec<Run>,
    /// The same of [`Appender::extend_once`].
    pub(super) told: Vec<super::once::Once>,
}

impl Appender {
    pub(super) fn new(region: std::sync::Arc<Region>) -> Result<Appender> {
        let slot = Slot::take(&region.map, &region.file)?;
        let sync = region.geometry.options.sync;
        Ok(Appender {
            region,
            slot,
            scratch: Vec::new(),
            sync,
            failed: false,
            mark: Mark::NONE,
            wait: Duration::ZERO,
            asked: Asked::default(),
            changed: ChangedTimes::default(),
            patience: None,
            published: Vec::new(),
            told: Vec::new(),
        })
    }

    /// Makes every later append durable before it returns (as with woofs created with `sync`), or no longer.
    pub fn set_sync(&mut self, sync: bool) {
        self.sync = sync || self.region.geometry.options.sync;
    }

    /// Has later appends wait for other writers no longer than this, who may be stopped in the middle of an append. An append that has no more
    /// patience ends with [`Code::Busy`]; then [`Appender::extend`] is to be called again with the elements that were not reported, or
    /// [`Appender::append`] with its element: what is in already is not appended once more. With none at all it does not wait for the disk
    /// either, which a woof that takes more room does now and then.
    ///
    /// ```
    /// use woof_log::{self as log, Options};
    /// let dir = woof_kit::tempdir().unwrap();
    /// let path = dir.path().join("temp");
    /// log::create(&path, &Options::default()).unwrap();
    /// let mut appender = log::open(&path).unwrap().appender().unwrap();
    /// appender.set_patience(Some(std::time::Duration::from_secs(1)));
    /// assert_eq!(appender.append(b"nobody else is there").unwrap(), 1);
    /// ```
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Whether another appender is at it just now, or did not end well, so that an append may take long. What is true here can change at once.
    ///
    /// ```
    /// use woof_log::{self as log, Options};
    /// let dir = woof_kit::tempdir().unwrap();
    /// let path = dir.path().join("temp");
    /// log::create(&path, &Options::default()).unwrap();
    /// assert!(!log::open(&path).unwrap().appender().unwrap().is_busy());
    /// ```
    pub fn is_busy(&self) -> bool {
        let map = &self.region.map;
        map.load32(shared::APPEND_LOCK, Ordering::Relaxed) != 0
            || map.load(shared::NEXT_POS, Ordering::Relaxed) > POS_MAX
    }

    /// Whether every append is made durable before it returns.
    pub fn is_sync(&self) -> bool {
        self.sync
    }

    /// Gives every later element this mark.
    pub fn set_mark(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Has later appends wait, up to so long each, where the oldest elements are held for handlers that are not done, instead
    /// of being refused at once.
    pub fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Has `holder` be asked, where the oldest elements are held for handlers that are not done, whether there still are such
    /// handlers. It may let go of them.
    pub fn set_holder(&mut self, holder: impl Fn() -> Holder + Send + 'static) {
        self.asked = Asked::of(holder);
    }

    /// How many of the elements that were appended with a time so far did not keep it.
    pub fn changed_times(&self) -> ChangedTimes {
        self.changed
    }

    /// As [`super::Woof::lost`].
    pub fn lost(&self, became: sys::Became) -> Error {
        repair::lost(&self.region, became)
    }

    /// The largest element this woof takes, in bytes.
    pub fn element_max(&self) -> u64 {
        self.region.geometry.element_max
    }

    /// Appends one element and gives its seqno.
    ///
    /// # Errors
    /// An element over the limit ([`Code::TooLarge`]), a woof that was removed or reset ([`Code::Removed`]), one that is full of
    /// elements held for handlers ([`Code::Full`]), a disk that is full or fails ([`Code::Full`], [`Code::Io`]).
    #[inline]
    pub fn append(&mut self, data: &[u8]) -> Result<u64> {
        self.check(data)?;
        if let Some(run) = self.published.first().copied() {
            self.make_published_durable()?;
            return Ok(run.first);
        }
        let chunk = [(data, Payload::of(None, data).marked(self.mark))];
        let bytes = record_len(data.len() as u64);
        let seqno = match self.write_chunk(&chunk, bytes, always)? {
            Chunk::In(seqno) => seqno,
            _ => self.write_held(&chunk[0], always)?.seqno(),
        };
        if self.sync {
            self.published.push(Run { first: seqno, count: 1 });
            self.make_published_durable()?;
        }
        Ok(seqno)
    }

    /// Appends elements in order. `report` is told of each run that is in (with sync: durable), in order; other
    /// writers' elements may stand between two runs.
    ///
    /// # Errors
    /// As [`Appender::append`]. What `report` was told of before is in; nothing after it is, except that with sync
    /// elements may be there that could not be made durable.
    pub fn extend<'a>(
        &mut self,
        items: impl IntoIterator<Item = &'a [u8]>,
        report: impl FnMut(Run),
    ) -> Result<()> {
        self.extend_with(items, report)
    }

    /// Appends elements in order, each with a stamp, as [`Appender::extend`] does. [`super::Woof::stamps_of`] finds them again.
    ///
    /// # Errors
    /// As [`Appender::extend`].
    pub fn extend_stamped<'a>(
        &mut self,
        items: impl IntoIterator<Item = (Stamp, &'a [u8])>,
        report: impl FnMut(Run),
    ) -> Result<()> {
        self.extend_with(items, report)
    }

    /// Appends elements in order, with times and stamps of their own, as [`Appender::extend`] does.
    ///
    /// ```
    /// use woof_log::{self as log, Given, Item, Options};
    /// let dir = woof_kit::tempdir().unwrap();
    /// let path = dir.path().join("temp");
    /// log::create(&path, &Options::default()).unwrap();
    /// let woof = log::open(&path).unwrap();
    /// let mut appender = woof.appender().unwrap();
    /// let given = |time_ns| Given { stamp: None, time_ns, data: &b"21.5"[..] };
    /// appender.extend_given([given(7), given(5)], |_| {}).unwrap();
    /// let mut cursor = woof.cursor(1);
    /// assert!(matches!(cursor.next(), Some(Item::Elem { time_ns: 7, .. })));
    /// assert!(matches!(cursor.next(), Some(Item::Elem { time_ns: 7, .. })), "times never go back");
    /// assert_eq!(appender.changed_times().behind, 1);
    /// ```
    ///
    /// # Errors
    /// As [`Appender::extend`].
    pub fn extend_given<'a>(
        &mut self,
        items: impl IntoIterator<Item = Given<'a>>,
        report: impl FnMut(Run),
    ) -> Result<()> {
        self.extend_with(items, report)
    }

    fn extend_with<E: Entry>(
        &mut self,
        items: impl IntoIterator<Item = E>,
        mut report: impl FnMut(Run),
    ) -> Result<()> {
        if !self.sync {
            return self.write_all(items, &mut report);
        }
        let mut runs = std::mem::take(&mut self.published);
        // What an earlier call left is at the beginning.
        let count: u64 = runs.iter().map(|run| run.count).sum();
        let items = items.into_iter().skip(usize::try_from(count).unwrap_or(usize::MAX));
        let written = self.write_all(items, &mut |run| runs.push(run));
        self.published = runs;
        self.make_published_durable()?.into_iter().for_each(report);
        written
    }

    fn write_all<E: Entry>(
        &mut self,
        items: impl IntoIterator<Item = E>,
        report: &mut dyn FnMut(Run),
    ) -> Result<()> {
        let mut chunk = [(E::EMPTY, Payload::default()); CHUNK_ELEMENTS];
        let (mut count, mut bytes) = (0, 0);
        for item in items {
            let checked = self.check(item.data());
            let len = record_len(item.len());
            if count > 0
                && (count == CHUNK_ELEMENTS || bytes + len > self.region.chunk_bytes || checked.is_err())
            {
                self.write_reported(&chunk[..count], bytes, report)?;
                (count, bytes) = (0, 0);
            }
            checked?;
            // Before the lock is taken, so that nobody waits for it.
            chunk[count] = (item, Payload::of(item.stamp(), item.data()).marked(self.mark));
            count += 1;
            bytes += len;
        }
        if count > 0 {
            self.write_reported(&chunk[..count], bytes, report)?;
        }
        Ok(())
    }

    /// Appends a chunk and reports it. Where elements are held for handlers, what has room goes in one by one.
    #[inline]
    fn write_reported<E: Entry>(
        &mut self,
        items: &[(E, Payload)],
        bytes: u64,
        report: &mut dyn FnMut(Run),
    ) -> Result<()> {
        if let Chunk::In(first) = self.write_chunk(items, bytes, always)? {
            report(Run { first, count: items.len() as u64 });
            return Ok(());
        }
        for item in items {
            let first = self.write_held(item, always)?.seqno();
            report(Run { first, count: 1 });
        }
        Ok(())
    }

    /// Appends one element to a woof that is full of elements held for handlers, or nearly so: waits as long as is set.
    #[cold]
    #[inline(never)]
    pub(super) fn write_held<E: Entry>(
        &mut self,
        item: &(E, Payload),
        mut may: impl FnMut(&Region) -> bool,
    ) -> Result<Chunk> {
        let deadline = std::time::Instant::now() + self.wait;
        loop {
            let hold = self.region.hold();
            match self.write_chunk(std::slice::from_ref(item), record_len(item.0.len()), &mut may)? {
                Chunk::Held => {}
                written => return Ok(written),
            }
            if self.patience == Some(Duration::ZERO) {
                // To look who holds it takes locks and a disk.
                return Err(busy());
            }
            let advice = match self.asked.look() {
                Some(Holder::LetGo) => continue,
                Some(Holder::Unknown(advice)) => format!("; {advice}"),
                Some(Holder::Bound) | None => String::new(),
            };
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                let text = format!(
                    "woof is full of elements whose handlers are not done: the oldest is {hold}{advice}"
                );
                return Err(Error::new(Code::Full, "", text));
            }
            self.region.wait_for_hold(hold, left);
        }
    }

    #[inline]
    pub(super) fn check(&self, data: &[u8]) -> Result<()> {
        let geometry = &self.region.geometry;
        if data.len() as u64 > geometry.element_max {
            return Err(too_large(data.len(), geometry.element_max, geometry.options.element_size.is_some()));
        }
        if geometry.options.content.is_number() && data.len() != 8 {
            return geometry.options.content.check(data);
        }
        Ok(())
    }

    /// What later elements are marked with.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Appends up to [`CHUNK_ELEMENTS`] elements, whose records take `bytes`: all or none. `may` has the last word, under the lock.
    #[inline]
    pub(super) fn write_chunk<E: Entry>(
        &mut self,
        items: &[(E, Payload)],
        bytes: u64,
        may: impl FnOnce(&Region) -> bool,
    ) -> Result<Chunk> {
        if self.failed || (self.sync && self.region.a_sync_failed()) {
            return Err(Error::new(
                Code::Io,
                "",
                "an earlier sync failed, so nothing more is appended: open it again",
            ));
        }
        let now = sys::now_ns();
        let Appender { region, slot, scratch, sync, changed, patience, .. } = self;
        let Some(taken) = slot.lock_within(&region.map, shared::APPEND_LOCK, *patience) else {
            return Err(busy());
        };
        let writer = Locked { region, slot, scratch, changed, sync: *sync, patience: *patience };
        let written = writer.write(taken, now, items, bytes, may);
        Slot::unlock(&region.map, shared::APPEND_LOCK);
        // One that fell asleep while we published.
        if region.followers_wait() {
            wake_late(region, slot, *patience);
        }
        written
    }

    /// Makes durable what is published and was not reported yet; gives what it was.
    fn make_published_durable(&mut self) -> Result<Vec<Run>> {
        let Some(last) = self.published.last() else { return Ok(Vec::new()) };
        let last_seqno = last.first + last.count - 1;
        match self.sync_up_to(last_seqno) {
            Err(err) if err.code() == Code::Busy => Err(err),
            done => {
                let runs = std::mem::take(&mut self.published);
                done.map(|()| runs)
            }
        }
    }

    /// Makes all elements up to this one durable, and says which are when that fails.
    pub(super) fn sync_up_to(&mut self, last_seqno: u64) -> Result<()> {
        self.make_durable(last_seqno + 1).map_err(|err| {
            if err.code() == Code::Busy {
                return err;
            }
            // A woof that was removed meanwhile says so itself.
            self.failed = err.code() != Code::Removed;
            let safe = self.region.synced_seqno().saturating_sub(1);
            Error::new(
                err.code(),
                "",
                format!("sync of element {last_seqno}: {}; elements up to {safe} are safe", err.text()),
            )
        })
    }
}

/// What an appender needs while it holds the append lock.
struct Locked<'a> {
    region: &'a Region,
    slot: &'a Slot,
    scratch: &'a mut Vec<u8>,
    changed: &'a mut ChangedTimes,
    sync: bool,
    patience: Option<Duration>,
}

impl Locked<'_> {
    #[inline]
    fn write<E: Entry>(
        self,
        taken: Taken,
        now: u64,
        items: &[(E, Payload)],
        bytes: u64,
        may: impl FnOnce(&Region) -> bool,
    ) -> Result<Chunk> {
        let region = self.region;
        let map = &region.map;
        let mut words = repair::before_writing(region, taken)?;
        if !may(region) {
            return Ok(Chunk::Refused);
        }
        let (first_new, mut pos) = (words.next, words.next_pos);
        // The first element is older than its woof where it comes from another one.
        let newest = if first_new == 1 { 0 } else { words.time };
        let mut clock = Clock { now, newest, changed: ChangedTimes::default() };
        let next = first_new + items.len() as u64;
        let end = pos + bytes;
        let hold = region.hold();
        if hold != 0 && !has_room(region, hold, first_new, pos, next, end) {
            return Ok(Chunk::Held);
        }
        if self.patience == Some(Duration::ZERO) && !region.has_room_taken((first_new, next), (pos, end)) {
            // To take some is to wait for a disk.
            return Err(busy());
        }
        region
            .take_room((first_new, next), (pos, end), self.sync)
            .map_err(|err| not_appended(first_new, err))?;
        if map.load(shared::SYNC_FROM, Ordering::Relaxed) != shared::NOT_SYNCING
            && !super::sync::wait_for_sync(region, self.slot, end, self.patience)
        {
            return Err(busy());
        }
        self.make_room(&mut words, next, end);
        let synced = region.synced_pos();
        if self.sync {
            self.scratch.clear();
        }
        for (seqno, (item, payload)) in (first_new..).zip(items) {
            let unsynced = (pos.saturating_sub(synced) / 8).min(u64::from(UNSYNCED_UNKNOWN));
            #[expect(clippy::cast_possible_truncation, reason = "limited to 24 bits in the line above")]
            let record =
                Record::new(region.seed(), seqno, item.time(&mut clock), pos, unsynced as u32, *payload);
            if self.sync {
                record_into(self.scratch, &record.encode(), item);
            } else {
                region.put(&record, item.stamp(), item.data());
            }
            region.set_index(seqno, pos);
            pos += record.size();
        }
        if self.sync {
            region.ring_write(end - bytes, self.scratch, false).map_err(|err| {
                // Whole records may be there, which the next writer has to take away.
                repair::mark(region);
                not_appended(first_new, err)
            })?;
        }
        (words.next, words.next_pos, words.time) = (next, pos, clock.newest);
        map.store(shared::NEXT_POS, pos, Ordering::Relaxed);
        map.store(shared::LAST_TIME, clock.newest, Ordering::Relaxed);
        map.store(shared::NEXT_SEQNO, next, Ordering::Release);
        if next - words.first > region.geometry.options.history {
            words.first = next - region.geometry.options.history;
            words.first_pos = pos_of(region, words.first, next, pos);
            map.store(shared::FIRST_SEQNO, words.first, Ordering::Release);
            map.store(shared::FIRST_POS, words.first_pos, Ordering::Relaxed);
        }
        region.seal(&words);
        region.prefetch(pos);
        region.wake_followers();
        if clock.changed != ChangedTimes::default() {
            *self.changed += clock.changed;
        }
        Ok(Chunk::In(first_new))
    }

    /// Forgets the oldest elements until the records up to `end` and the seqnos up to `next` have room. The words are those that are
    /// published.
    #[inline]
    fn make_room(&self, words: &mut Words, next: u64, end: u64) {
        let region = self.region;
        let map = &region.map;
        let (slots, ring_len) = (region.geometry.slots, region.geometry.ring_len);
        let (published, pos) = (words.next, words.next_pos);
        if next - words.first > slots || end - words.first_pos > ring_len {
            while (next - words.first > slots || end - words.first_pos > ring_len) && words.first < published
            {
                // Elements without a record take no room and go with the one before them.
                words.first += 1;
                while words.first < published && !region.in_ring(region.index(words.first), pos) {
                    words.first += 1;
                }
                words.first_pos = if words.first < published { region.index(words.first) } else { pos };
            }
            map.store(shared::FIRST_SEQNO, words.first, Ordering::Release);
            map.store(shared::FIRST_POS, words.first_pos, Ordering::Relaxed);
        }
        // What is stored from here on may overwrite what was forgotten, by us or by the writer before us.
        map.stores_before_stores();
    }
}

/// Whether records up to `end` and seqnos up to `next` have room without forgetting anything from `hold` on.
fn has_room(region: &Region, hold: u64, published: u64, pos: u64, next: u64, end: u64) -> bool {
    next.saturating_sub(hold) <= region.geometry.options.history
        && (hold >= published
            || end - pos_of(region, hold.max(region.first_seqno()), published, pos)
                <= region.geometry.ring_len)
}

/// Puts a record behind what is to be written with one call.
#[inline(never)]
fn record_into<E: Entry>(to: &mut Vec<u8>, header: &[u8], item: &E) {
    to.extend_from_slice(header);
    if let Some(stamp) = item.stamp() {
        to.extend_from_slice(&stamp.encode());
    }
    to.extend_from_slice(item.data());
    to.resize(to.len().next_multiple_of(8), 0);
}

/// Wakes followers when the append lock was given back already. It is taken again for that, so that who takes the mark away is
/// found out if it is killed before it has woken them. Where another writer has it and there is no patience, that is left to luck.
#[cold]
fn wake_late(region: &Region, slot: &Slot, patience: Option<Duration>) {
    let Some(taken) = slot.lock_within(&region.map, shared::APPEND_LOCK, patience) else {
        return region.wake_sleepers();
    };
    if taken == Taken::FromDead {
        repair::mark(region);
    }
    region.wake_sleepers();
    Slot::unlock(&region.map, shared::APPEND_LOCK);
}

/// The error of a chunk that the disk does not take.
#[cold]
fn not_appended(first_new: u64, err: std::io::Error) -> Error {
    Error::io("", &format!("append after element {}", first_new - 1), err)
}

/// The error of who has no more patience with another writer.
pub(super) fn busy() -> Error {
    Error::new(Code::Busy, "", "another writer has the woof and does not go on")
}

/// Where the records from `seqno` on start; `pos`, where the next one goes, when there is none. Elements without a record take
/// no room.
#[inline]
pub(super) fn pos_of(region: &Region, mut seqno: u64, published: u64, pos: u64) -> u64 {
    while seqno < published {
        let at = region.index(seqno);
        if region.in_ring(at, pos) {
            return at;
        }
        seqno += 1;
    }
    pos
}

fn too_large(len: usize, limit: u64, fixed: bool) -> Error {
    let how = if fixed {
        "set with wcreate --element-size"
    } else {
        "a quarter of its capacity, set with wcreate --capacity"
    };
    Error::new(
        Code::TooLarge,
        "",
        format!("element is {len} bytes, the limit of this woof is {limit} ({how})"),
    )
}
