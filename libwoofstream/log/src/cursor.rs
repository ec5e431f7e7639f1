//! Reading: a cursor over the elements of a woof, in order.
//!
//! A reader takes no lock. It copies records out of the ring, and then looks at `first_seqno`: what is still kept by then was
//! not touched while it was copied, since writers store `first_seqno` before they overwrite anything. The checksum of each
//! record is looked at before it is given out.
//!
//! Failure contract: nothing torn or damaged is returned as data. What was overwritten before it could be read is told as
//! [`Item::Gone`], what is damaged as [`Item::Damaged`], each with its seqnos, and reading goes on behind it.

use super::format::{NO_RECORD, RECORD_HEADER_LEN, Record, shared};
use super::region::Region;
use super::woof::View;
use std::time::Duration;
use woof_core::element::Mark;
use woof_core::element::Stamp;

/// How many bytes of records are copied at once.
const BLOCK: usize = 64 << 10;
/// How much memory a cursor keeps. One large element makes it take more until that has been read.
const KEPT: usize = BLOCK + BLOCK / 4;
/// How much of that it takes at first.
const LEAST: usize = 4 << 10;
/// How long a follower looks at the woof before it sleeps, in turns of some nanoseconds, where a writer can run meanwhile.
const SPINS: u32 = 2_000;
/// How often a reader without the right to write looks again, as nobody can wake it, and one of a woof that waits for its recovery.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a cursor comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An element.
    Elem {
        /// Its seqno.
        seqno: u64,
        /// When it was appended, in nanoseconds since 1970.
        time_ns: u64,
        /// The stamp it was appended with, if any.
        stamp: Option<Stamp>,
        /// Which handler was named with it, and how deep.
        mark: Mark,
        /// Its bytes.
        data: &'a [u8],
    },
    /// Elements that were overwritten before they were read.
    Gone {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// An element whose record is damaged.
    Damaged {
        /// Its seqno.
        seqno: u64,
    },
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// There may be more to read.
    More,
    /// The woof was removed; what is kept in it can still be read.
    Removed,
    /// The woof was reset: its name stands for a new one.
    Reset,
    /// The waker was used.
    Stopped,
    /// The deadline of the waker has passed.
    Late,
}

/// Reads the elements of a woof in order of their seqnos.
///
/// ```
/// use woof_log::{self as log, Item, Options};
/// let dir = woof_kit::tempdir().unwrap();
/// let path = dir.path().join("temp");
/// log::create(&path, &Options::default()).unwrap();
/// let woof = log::open(&path).unwrap();
/// woof.appender().unwrap().append(b"21.5").unwrap();
/// let mut cursor = woof.cursor(1);
/// assert!(matches!(cursor.next(), Some(Item::Elem { seqno: 1, data: b"21.5", .. })));
/// assert_eq!(cursor.next(), None);
/// ```
pub struct Cursor {
    view: View,
    /// The next seqno to give out.
    seqno: u64,
    /// Whole records as they stood in the ring, each filled up to a multiple of 8 bytes.
    block: Vec<u8>,
    /// Where the next record in `block` starts, and where the last ends.
    at: usize,
    end: usize,
    /// Gone elements that are told before anything else.
    gone: Option<(u64, u64)>,
    /// A damaged element at the place where the block ended.
    damaged: bool,
    /// After how many bytes to look whether they are still kept: fewer after being overtaken, so that a reader just ahead of
    /// fast writers gets something.
    reach: usize,
}

impl Cursor {
    pub(super) fn new(view: View, seqno: u64) -> Cursor {
        Cursor {
            view,
            seqno: seqno.max(1),
            block: Vec::new(),
            at: 0,
            end: 0,
            gone: None,
            damaged: false,
            reach: BLOCK,
        }
    }

    /// The seqno that is read next.
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// The same, for who wants one element: what is behind it is not copied with it.
    #[must_use]
    pub fn of_one(mut self) -> Cursor {
        self.reach = 1;
        self
    }

    /// How many bytes of memory it holds.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.block.capacity()
    }

    /// Gives memory back before a long wait.
    pub fn rest(&mut self) {
        if self.at == self.end && self.block.len() > LEAST {
            self.block = Vec::new();
            (self.at, self.end) = (0, 0);
        }
    }

    /// True when [`Cursor::next`] has an element at hand without looking at the woof.
    pub fn buffered(&self) -> bool {
        self.at < self.end
    }

    /// Whether [`Cursor::next`] finds the next `len` bytes of records in memory, and does not wait for a disk. Where the system does not tell, it does.
    pub fn is_near(&self, len: usize) -> bool {
        let (region, next) = (&self.view.region, self.view.next());
        if self.buffered() || self.seqno >= next {
            return true;
        }
        if !region.is_index_near(self.seqno) {
            return false;
        }
        let pos = self.view.index(self.seqno);
        !Region::is_pos(pos) || region.is_ring_near(pos, len)
    }

    /// The next element, or what became of it; `None` when all that was appended so far has been read.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "items borrow from the cursor, which an iterator's cannot"
    )]
    pub fn next(&mut self) -> Option<Item<'_>> {
        if self.at == self.end && !self.fill() {
            return self.interruption();
        }
        let mut header = [0; RECORD_HEADER_LEN as usize];
        header.copy_from_slice(&self.block[self.at..self.at + RECORD_HEADER_LEN as usize]);
        let record = Record::decode(&header);
        let start = self.at + RECORD_HEADER_LEN as usize;
        let payload = &self.block[start..start + record.len as usize];
        self.at = start + (record.len as usize).next_multiple_of(8);
        let seqno = self.seqno;
        self.seqno += 1;
        if !record.data_ok(self.view.region.seed(), payload) {
            return Some(Item::Damaged { seqno });
        }
        let (stamp, data) = if record.is_stamped() {
            let (stamp, data) = Stamp::split(payload);
            (Some(stamp), data)
        } else {
            (None, payload)
        };
        Some(Item::Elem { seqno, time_ns: record.time_ns, stamp, mark: record.mark(), data })
    }

    /// What is to be told when no element is at hand.
    #[cold]
    fn interruption(&mut self) -> Option<Item<'static>> {
        if let Some((from, to)) = self.gone.take() {
            return Some(Item::Gone { from, to });
        }
        if std::mem::take(&mut self.damaged) {
            self.seqno += 1;
            return Some(Item::Damaged { seqno: self.seqno - 1 });
        }
        None
    }

    /// Copies the next records. False when there is no element to give out: see `gone` and `damaged`.
    #[cold]
    fn fill(&mut self) -> bool {
        if self.block.len() > KEPT {
            self.block = Vec::new();
        }
        (self.at, self.end) = (0, 0);
        if self.gone.is_some() || self.damaged {
            return false;
        }
        let view = &self.view;
        let next = view.next();
        let first = view.first();
        if self.seqno < first {
            self.gone = Some((self.seqno, first - 1));
            self.seqno = first;
            return false;
        }
        if self.seqno >= next {
            return false;
        }
        let from = self.seqno;
        let mut seqno = from;
        let mut pos = view.index(seqno);
        let mut broken = false;
        while seqno < next {
            match copy_record(view, seqno, pos, &mut self.block, self.end) {
                Some(size) => {
                    pos += size as u64;
                    self.end += size;
                    seqno += 1;
                    if self.end >= self.reach {
                        break;
                    }
                }
                None => {
                    // Overwritten meanwhile, or damaged: the look at `first` below tells which. The index may know better
                    // where it is than its predecessor.
                    let known = view.index(seqno);
                    if known != pos && known != NO_RECORD && seqno != from {
                        pos = known;
                        if copy_record(view, seqno, pos, &mut self.block, self.end).is_some() {
                            continue;
                        }
                    }
                    broken = true;
                    break;
                }
            }
        }
        view.region.map.loads_before_loads();
        let first = view.first();
        if from < first {
            // Records before `first` may be torn. Those behind it are read again: this is rare.
            self.end = 0;
            self.gone = Some((from, first - 1));
            self.seqno = first;
            self.reach = 1;
            return false;
        }
        self.reach = (self.reach * 2).clamp(BLOCK / 64, BLOCK);
        if broken && seqno == from {
            self.damaged = true;
            return false;
        }
        true
    }

    /// Sleeps until there is more to read, and says why it woke. Returns at once when there is.
    ///
    /// No CPU is used while asleep. A woof opened without the right to write to it cannot ask to be woken: then this looks
    /// again 50 times a second.
    pub fn wait(&self, waker: &Waker) -> Woken {
        self.wait_after(waker, if more_than_one_core() { SPINS } else { 0 })
    }

    /// As [`Cursor::wait`], but asleep from the beginning: for who has other threads that want the core now.
    pub fn sleep(&self, waker: &Waker) -> Woken {
        self.wait_after(waker, 0)
    }

    fn wait_after(&self, waker: &Waker, mut spins: u32) -> Woken {
        let region = &self.view.region;
        let map = &region.map;
        loop {
            let event = map.load32(shared::EVENT, std::sync::atomic::Ordering::SeqCst);
            if self.view.next() > self.seqno || self.gone.is_some() || self.buffered() {
                return Woken::More;
            }
            if waker.stopped() {
                return Woken::Stopped;
            }
            let state = region.state();
            if state != shared::STATE_LIVE {
                // Nothing is appended after that; what was before it is read first.
                if self.view.next() > self.seqno {
                    return Woken::More;
                }
                return if state == shared::STATE_RESET { Woken::Reset } else { Woken::Removed };
            }
            let left = waker.left();
            if left == Some(Duration::ZERO) {
                return Woken::Late;
            }
            if spins > 0 {
                spins -= 1;
                std::hint::spin_loop();
                continue;
            }
            if !map.writable() || self.view.is_frozen() {
                let time = left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
                super::futex::wait(map.word(shared::EVENT), event, Some(time));
                continue;
            }
            map.store32(shared::WAITING, 1, std::sync::atomic::Ordering::SeqCst);
            // A writer publishes, gives the lock back, and looks for the mark; we set the mark and look what is published. Both in
            // the one order of all such operations, so one of the two notices: else we would sleep and nobody would wake us.
            if map.load(shared::NEXT_SEQNO, std::sync::atomic::Ordering::SeqCst) > self.seqno {
                continue;
            }
            // A writer that saw the mark has changed the event since it was loaded, or wakes us.
            super::futex::wait(map.word(shared::EVENT), event, left);
        }
    }

    /// A handle with which another thread ends a wait of this cursor.
    pub fn waker(&self) -> Waker {
        Waker {
            region: std::sync::Arc::clone(&self.view.region),
            stop: std::sync::Arc::default(),
            deadline: std::sync::Arc::new(std::sync::atomic::AtomicU64::new(u64::MAX)),
        }
    }
}

/// True where a writer can run while this thread spins. Asked of the system once, as that reads files.
fn more_than_one_core() -> bool {
    static MORE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *MORE.get_or_init(|| std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1))
}

/// Ends the wait of a cursor from another thread.
#[derive(Clone)]
pub struct Waker {
    region: std::sync::Arc<super::region::Region>,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    /// When a wait ends although nothing came, in nanoseconds since 1970; [`u64::MAX`] for never.
    deadline: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Waker {
    /// Ends the wait, now and whenever it is entered again.
    pub fn stop(&self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        self.look();
    }

    /// Sets when waits that begin from now on end although nothing came, in nanoseconds since 1970; [`u64::MAX`] for never.
    pub fn set_deadline(&self, ns: u64) {
        self.deadline.store(ns, std::sync::atomic::Ordering::SeqCst);
    }

    /// Has waits end at this time at the latest, also the one that goes on.
    pub fn bring_forward(&self, ns: u64) {
        if self.deadline.fetch_min(ns, std::sync::atomic::Ordering::SeqCst) > ns {
            self.look();
        }
    }

    /// Has whoever sleeps look again why.
    fn look(&self) {
        if self.region.map.writable() {
            self.region.map.increment32(shared::EVENT);
            super::futex::wake_all(self.region.map.word(shared::EVENT));
        }
    }

    /// How long a wait may still take; `None` for as long as it likes.
    fn left(&self) -> Option<Duration> {
        match self.deadline.load(std::sync::atomic::Ordering::SeqCst) {
            u64::MAX => None,
            deadline => Some(Duration::from_nanos(deadline.saturating_sub(woof_core::sys::now_ns()))),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// Copies the record of `seqno` at `pos` behind the first `end` bytes of `block`. Gives its size, or `None` when what
/// stands there is no such record.
#[inline]
fn copy_record(view: &View, seqno: u64, pos: u64, block: &mut Vec<u8>, end: usize) -> Option<usize> {
    if !Region::is_pos(pos) {
        return None;
    }
    let region = &view.region;
    let mut header = [0; RECORD_HEADER_LEN as usize];
    region.ring_out(pos, &mut header);
    let record = Record::decode(&header);
    if record.seqno != seqno || record.pos != pos || !record.len_ok(region.geometry.element_max) {
        return None;
    }
    let size = usize::try_from(record.size()).ok()?;
    if block.len() < end + size {
        // At once only as much as a few elements need: a program that reads one is not to pay for pages it never uses.
        let room = block.len().saturating_mul(4).clamp(LEAST, KEPT);
        block.resize((end + size).max(room), 0);
    }
    let place = block.get_mut(end..end + size)?;
    let (head, data) = place.split_at_mut(RECORD_HEADER_LEN as usize);
    head.copy_from_slice(&header);
    region.ring_out(pos + RECORD_HEADER_LEN, data);
    Some(size)
}
