//! An open woof: what it is, what is in it, and handles for reading and appending.

use super::append::Appender;
use super::clock::Break;
use super::cursor::Cursor;
use super::format::NO_RECORD;
use super::recover::{self, Found};
use super::region::Region;
use super::repair;
use std::sync::{Arc, Weak};
use woof_core::error::{Code, Error, Result};
use woof_core::options::Options;
use woof_core::sys;

/// What a reader looks at: the shared words of the mapping, or, for a woof of an earlier boot that cannot be written to or that a full disk
/// keeps from being recovered, what a recovery would make of it.
#[derive(Clone)]
pub(super) struct View {
    pub(super) region: Arc<Region>,
    frozen: Option<Arc<Frozen>>,
}

/// A woof of an earlier boot, as it was found.
struct Frozen {
    found: Found,
    /// The boot this is.
    boot_id: [u8; 16],
}

/// What is known of the time of an element.
pub(super) enum Time {
    At(u64),
    /// It is not kept any more, or not there yet.
    Gone,
    Damaged,
}

impl View {
    /// What was found, unless somebody with the right to write has recovered the woof meanwhile.
    #[inline]
    fn frozen(&self) -> Option<&Found> {
        let frozen = self.frozen.as_ref()?;
        (recover::boot_id(&self.region) != frozen.boot_id).then_some(&frozen.found)
    }

    /// Whether the shared words say nothing yet.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen().is_some()
    }

    #[inline]
    pub(super) fn first(&self) -> u64 {
        // No more than there are entries can be kept, whatever a damaged header says.
        let kept_from = || self.region.next_seqno().saturating_sub(self.region.geometry.slots);
        self.frozen().map_or_else(|| self.region.first_seqno().max(kept_from()), |found| found.first)
    }

    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.frozen().map_or_else(|| self.region.next_seqno(), |found| found.next)
    }

    #[inline]
    pub(super) fn index(&self, seqno: u64) -> u64 {
        match self.frozen() {
            None => self.region.index(seqno),
            Some(found) => seqno
                .checked_sub(found.first)
                .and_then(|number| found.positions.get(usize::try_from(number).ok()?).copied())
                .unwrap_or(NO_RECORD),
        }
    }

    /// The time of the newest element, or what the next one has at least.
    pub(super) fn newest_time(&self) -> u64 {
        use super::format::shared;
        use std::sync::atomic::Ordering::Relaxed;
        self.frozen()
            .map_or_else(|| self.region.map.load(shared::LAST_TIME, Relaxed), |found| found.last_time)
    }

    /// Where times begin anew, oldest first.
    pub(super) fn breaks(&self) -> Vec<Break> {
        self.frozen().map_or_else(|| self.region.breaks(), |found| found.breaks.clone())
    }

    /// When an element was appended.
    pub(super) fn time_of(&self, seqno: u64) -> Time {
        if seqno < self.first() || seqno >= self.next() {
            return Time::Gone;
        }
        let record = self.region.head_at(self.index(seqno));
        self.region.map.loads_before_loads();
        match record {
            _ if seqno < self.first() => Time::Gone,
            Some(record) if record.seqno == seqno => Time::At(record.time_ns),
            _ => Time::Damaged,
        }
    }
}

/// An open woof.
#[derive(Clone)]
pub struct Woof {
    view: View,
}

/// A woof that is open as long as somebody else has it open.
#[derive(Clone)]
pub struct WeakWoof {
    region: Weak<Region>,
}

impl WeakWoof {
    /// The woof, if it still is open.
    pub fn upgrade(&self) -> Option<Woof> {
        Some(Woof { view: View { region: self.region.upgrade()?, frozen: None } })
    }
}

/// What a woof is and what is in it, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it was made with.
    pub options: Options,
    /// When it was made, in nanoseconds since 1970.
    pub created_ns: u64,
    /// The largest element, in bytes.
    pub element_max: u64,
    /// The oldest seqno that is kept; `next_seqno` when nothing is.
    pub first_seqno: u64,
    /// The seqno the next element gets.
    pub next_seqno: u64,
    /// The time of the oldest element that is kept.
    pub first_time_ns: Option<u64>,
    /// The time of the newest element.
    pub last_time_ns: Option<u64>,
    /// Bytes of the ring that are in use, of `ring_len`.
    pub used: u64,
    /// Bytes of the ring.
    pub ring_len: u64,
    /// Bytes of the file. Most of them may be holes.
    pub file_len: u64,
    /// Bytes that it takes on the disk.
    pub taken: u64,
    /// Bytes that it will take there once all of it was written to.
    pub taken_max: u64,
    /// The seqno that follows the last element known to be durable.
    pub synced_seqno: u64,
    /// From which seqno on elements are held, as their handlers are not done.
    pub held: Option<u64>,
    /// The time of the newest element, where it is over a minute ahead of the clock.
    pub ahead_ns: Option<u64>,
    /// How often a power loss was recovered from.
    pub recoveries: u64,
    /// How many elements the last recovery had to cut off.
    pub last_cut: u64,
}

impl Woof {
    /// A woof that is of this boot.
    pub(super) fn live(region: Region) -> Woof {
        Woof { view: View { region: Arc::new(region), frozen: None } }
    }

    /// A woof of an earlier boot that cannot be recovered here.
    pub(super) fn frozen(region: Region, boot_id: [u8; 16]) -> Woof {
        let found = recover::scan(&region);
        Woof { view: View { region: Arc::new(region), frozen: Some(Arc::new(Frozen { found, boot_id })) } }
    }

    /// The same woof, without keeping it open. None of one that is read as it was found after a power loss.
    pub fn downgrade(&self) -> Option<WeakWoof> {
        let region = Arc::downgrade(&self.view.region);
        self.view.frozen.is_none().then_some(WeakWoof { region })
    }

    /// What its readers look at.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn region(&self) -> &Arc<Region> {
        &self.view.region
    }

    /// What it was made with.
    pub fn options(&self) -> &Options {
        &self.view.region.geometry.options
    }

    /// The oldest seqno that is kept; equal to [`Woof::next_seqno`] when nothing is.
    pub fn first_seqno(&self) -> u64 {
        self.view.first()
    }

    /// The seqno the next element gets.
    pub fn next_seqno(&self) -> u64 {
        self.view.next()
    }

    /// Which file it is: the numbers of the device and of the file on it.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn identity(&self) -> Result<(u64, u64)> {
        let stat = self.stat()?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// What the system says of the file.
    ///
    /// # Errors
    /// When it does not.
    pub fn stat(&self) -> Result<rustix::fs::Stat> {
        rustix::fs::fstat(&self.view.region.file).map_err(|err| Error::io("", "look at it", err))
    }

    /// In one word what became of it, where its name leads elsewhere or nowhere by now.
    pub fn how_lost(&self, became: sys::Became) -> &'static str {
        repair::how_lost(&self.view.region, became)
    }

    /// What became of it, where its name leads elsewhere or nowhere by now: the same words as when it was removed or reset.
    pub fn lost(&self, became: sys::Became) -> Error {
        repair::lost(&self.view.region, became)
    }

    /// Whether it was removed or reset while it was open here.
    pub fn ended(&self) -> Option<super::Woken> {
        use super::format::shared;
        match self.view.region.state() {
            shared::STATE_LIVE => None,
            shared::STATE_RESET => Some(super::Woken::Reset),
            _ => Some(super::Woken::Removed),
        }
    }

    /// A handle for appending.
    ///
    /// # Errors
    /// Without the right to write, on a file system for reading, and when too many append already.
    pub fn appender(&self) -> Result<Appender> {
        if !self.view.region.map.writable() {
            return Err(Error::new(
                Code::Denied,
                "",
                "append: it can only be read, by its mode or its file system",
            ));
        }
        if let Some(frozen) = self.view.frozen.as_ref().filter(|_| self.view.frozen().is_some()) {
            // There was no room on the disk to recover it.
            super::files::recover_once(&self.view.region, frozen.boot_id)?;
        }
        if self.view.region.state() != super::format::shared::STATE_LIVE {
            return Err(repair::gone(self.view.region.state()));
        }
        Appender::new(Arc::clone(&self.view.region))
    }

    /// A cursor that starts with `seqno`; what is not kept any more by then is told first.
    pub fn cursor(&self, seqno: u64) -> Cursor {
        Cursor::new(self.view.clone(), seqno)
    }

    /// When an element was appended, in nanoseconds since 1970; `None` where it is not kept, not there yet, or damaged.
    pub fn time_of(&self, seqno: u64) -> Option<u64> {
        match self.view.time_of(seqno) {
            Time::At(time) => Some(time),
            Time::Gone | Time::Damaged => None,
        }
    }

    /// What it is and what is in it now.
    pub fn status(&self) -> Status {
        use super::format::shared;
        use std::sync::atomic::Ordering::Relaxed;
        let region = &self.view.region;
        let (first, next) = (self.first_seqno(), self.next_seqno());
        let ends = (first < next).then(|| (first, next - 1));
        let pos = |offset| region.map.load(offset, Relaxed);
        let used = match self.view.frozen() {
            Some(found) => found.next_pos.saturating_sub(
                found.positions.iter().copied().find(|pos| *pos != NO_RECORD).unwrap_or(found.next_pos),
            ),
            // Read without the lock, so the two may be of different moments.
            None => pos(shared::NEXT_POS).saturating_sub(pos(shared::FIRST_POS)),
        };
        Status {
            options: region.geometry.options.clone(),
            created_ns: region.geometry.created_ns,
            element_max: region.geometry.element_max,
            first_seqno: first,
            next_seqno: next,
            first_time_ns: ends.and_then(|(first, _)| self.time_of(first)),
            last_time_ns: ends.and_then(|(_, last)| self.time_of(last)),
            used: used.min(region.geometry.ring_len),
            ring_len: region.geometry.ring_len,
            file_len: region.geometry.file_len(),
            taken: region.taken(),
            taken_max: region.geometry.index_end() + region.geometry.ring_len,
            synced_seqno: region.synced_seqno(),
            held: self.held(),
            ahead_ns: self.clock_ahead(),
            recoveries: pos(shared::RECOVERIES),
            last_cut: pos(shared::LAST_CUT),
        }
    }
}
