//! An open woof: what it is, what is in it, and handles for reading and appending.

use super::append::Appender;
use super::cursor::{Cursor, Item};
use super::format::{NO_RECORD, Options};
use super::recover::Found;
use super::region::Region;
use super::repair;
use crate::error::{Code, Error, Result};
use std::sync::Arc;

/// What a reader looks at: the shared words of the mapping, or, for a woof of an earlier boot that cannot be written to,
/// what a recovery would make of it.
#[derive(Clone)]
pub(super) struct View {
    pub(super) region: Arc<Region>,
    frozen: Option<Arc<Found>>,
}

impl View {
    #[inline]
    pub(super) fn first(&self) -> u64 {
        self.frozen.as_ref().map_or_else(|| self.region.first_seqno(), |found| found.first)
    }

    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.frozen.as_ref().map_or_else(|| self.region.next_seqno(), |found| found.next)
    }

    #[inline]
    pub(super) fn index(&self, seqno: u64) -> u64 {
        match &self.frozen {
            None => self.region.index(seqno),
            Some(found) => seqno
                .checked_sub(found.first)
                .and_then(|number| found.positions.get(usize::try_from(number).ok()?).copied())
                .unwrap_or(NO_RECORD),
        }
    }
}

/// An open woof.
#[derive(Clone)]
pub struct Woof {
    view: View,
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
    /// Bytes of the file.
    pub file_len: u64,
    /// The seqno that follows the last element known to be durable.
    pub synced_seqno: u64,
    /// How often a power loss was recovered from.
    pub recoveries: u64,
    /// How many elements the last recovery had to cut off.
    pub last_cut: u64,
}

impl Woof {
    pub(super) fn new(region: Region, frozen: Option<Found>) -> Woof {
        Woof { view: View { region: Arc::new(region), frozen: frozen.map(Arc::new) } }
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
        if self.view.region.state() != super::format::shared::STATE_LIVE {
            return Err(repair::gone(self.view.region.state()));
        }
        Appender::new(Arc::clone(&self.view.region))
    }

    /// A cursor that starts with `seqno`; what is not kept any more by then is told first.
    pub fn cursor(&self, seqno: u64) -> Cursor {
        Cursor::new(self.view.clone(), seqno)
    }

    /// The first kept seqno whose element was appended at `time_ns` or later; the next seqno when there is none. Times never
    /// go back within a woof, so this takes a few looks however many elements there are.
    ///
    /// # Errors
    /// [`Code::Damaged`] when an element on the way is.
    pub fn seqno_at(&self, time_ns: u64) -> Result<u64> {
        let (mut low, mut high) = (self.first_seqno(), self.next_seqno());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.time_of(middle)?.is_none_or(|time| time < time_ns) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// When an element was appended; `None` for one that is not kept any more.
    fn time_of(&self, seqno: u64) -> Result<Option<u64>> {
        let mut cursor = self.cursor(seqno);
        match cursor.next() {
            Some(Item::Elem { time_ns, .. }) => Ok(Some(time_ns)),
            Some(Item::Damaged { seqno }) => {
                Err(Error::new(Code::Damaged, "", format!("element {seqno} is damaged")))
            }
            Some(Item::Gone { .. }) | None => Ok(None),
        }
    }

    /// What it is and what is in it now.
    pub fn status(&self) -> Status {
        use super::format::shared;
        use std::sync::atomic::Ordering::Relaxed;
        let region = &self.view.region;
        let (first, next) = (self.first_seqno(), self.next_seqno());
        let time = |seqno| self.time_of(seqno).ok().flatten();
        let ends = (first < next).then_some((first, next - 1));
        let pos = |offset| region.map.load(offset, Relaxed);
        let used = match &self.view.frozen {
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
            first_time_ns: ends.and_then(|(first, _)| time(first)),
            last_time_ns: ends.and_then(|(_, last)| time(last)),
            used: used.min(region.geometry.ring_len),
            ring_len: region.geometry.ring_len,
            file_len: region.geometry.file_len(),
            synced_seqno: pos(shared::SYNCED_SEQNO),
            recoveries: pos(shared::RECOVERIES),
            last_cut: pos(shared::LAST_CUT),
        }
    }
}
