//! Times: elements are found by them, and an append under a wrong clock can be got over.
//!
//! Times never go back within a woof, so that they can be searched. One append under a clock that is years ahead would
//! therefore stamp all that follow it. [`Woof::reset_clock`] ends that: it notes a *break*, a seqno from which on times begin
//! anew. Between two breaks times never go back, and each such stretch is searched on its own.
//!
//! Failure contract: a reset is durable before it returns. A recovery finds breaks again by the times of the records.

use super::format::shared;
use super::lock::{Slot, Taken};
use super::region::Region;
use super::repair;
use super::woof::{Time, View, Woof};
use std::sync::atomic::Ordering;
use woof_core::element::ChangedTimes;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{CLOCK_AHEAD_NS, CLOCK_BREAKS_MAX};
use woof_core::sys;

/// Where times begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// The first element of the new times; the next one that is put, when there is none yet.
    pub(super) seqno: u64,
    /// When they begin. What is later and before the break is wrong.
    pub(super) time_ns: u64,
}

/// The times of one chunk of elements that are appended.
pub(super) struct Clock {
    /// What the system's clock says.
    pub(super) now: u64,
    /// The time of the element before.
    pub(super) newest: u64,
    /// What was changed.
    pub(super) changed: ChangedTimes,
}

impl Clock {
    /// The time of an element that is put now.
    #[inline]
    pub(super) fn of_new(&mut self) -> u64 {
        self.newest = self.newest.max(self.now);
        self.newest
    }

    /// The time of an element that comes with one; 0 stands for none.
    pub(super) fn of_kept(&mut self, time_ns: u64) -> u64 {
        if time_ns == 0 {
            return self.of_new();
        }
        if time_ns > self.now.saturating_add(CLOCK_AHEAD_NS) {
            self.changed.ahead += 1;
            return self.of_new();
        }
        if time_ns < self.newest {
            self.changed.behind += 1;
        }
        self.newest = self.newest.max(time_ns);
        self.newest
    }
}

/// Where a break stands among the shared words.
fn place(number: usize) -> usize {
    shared::BREAKS + number * 16
}

impl Region {
    /// The breaks, oldest first.
    pub(super) fn breaks(&self) -> Vec<Break> {
        let mut breaks: Vec<Break> = (0..CLOCK_BREAKS_MAX)
            .map(|number| Break {
                seqno: self.map.load(place(number), Ordering::Acquire),
                time_ns: self.map.load(place(number) + 8, Ordering::Acquire),
            })
            .filter(|found| found.seqno != 0)
            .collect();
        breaks.sort_by_key(|found| found.seqno);
        breaks
    }

    /// Stores a break, over whatever has its place: the time first, as the seqno makes it one.
    fn store_break(&self, number: usize, new: Break) {
        self.map.store(place(number), 0, Ordering::Release);
        self.map.store(place(number) + 8, new.time_ns, Ordering::Release);
        self.map.store(place(number), new.seqno, Ordering::Release);
    }

    /// Has these be the breaks, or the newest of them.
    pub(super) fn set_breaks(&self, breaks: &[Break]) {
        let kept = breaks.iter().rev().take(CLOCK_BREAKS_MAX);
        let none = Break { seqno: 0, time_ns: 0 };
        for (number, new) in kept.copied().chain(std::iter::repeat(none)).take(CLOCK_BREAKS_MAX).enumerate() {
            if new != none || self.map.load(place(number), Ordering::Relaxed) != 0 {
                self.store_break(number, new);
            }
        }
    }

    /// The break behind the newest element, of a woof whose next one is `next`.
    pub(super) fn break_at_end(&self, next: u64) -> Option<Break> {
        self.breaks().pop().filter(|last| last.seqno >= next).map(|last| Break { seqno: next, ..last })
    }

    /// The time that the next element has at least: that of the newest, unless times begin anew behind that.
    pub(super) fn least_time(&self, next: u64, newest: u64) -> u64 {
        self.break_at_end(next).map_or(newest, |last| last.time_ns)
    }

    /// Notes that times begin anew, if the newest one is ahead of the clock. The append lock is ours.
    fn begin_times_anew(&self, now: u64) -> Result<bool> {
        let (first, next) = (self.first_seqno(), self.next_seqno());
        if next == 1 || self.map.load(shared::LAST_TIME, Ordering::Relaxed) <= now {
            return Ok(false);
        }
        let is_free = |number: &usize| {
            let seqno = self.map.load(place(*number), Ordering::Relaxed);
            // None, one before which nothing is kept, or this one again.
            seqno <= first || seqno == next
        };
        // This one again before any other, so that there are no two of it.
        let again = (0..CLOCK_BREAKS_MAX).find(|n| self.map.load(place(*n), Ordering::Relaxed) == next);
        let Some(number) = again.or_else(|| (0..CLOCK_BREAKS_MAX).find(is_free)) else {
            let text = format!(
                "its clock was reset {CLOCK_BREAKS_MAX} times within the elements that it keeps, the limit"
            );
            return Err(Error::new(Code::TooLarge, "", text));
        };
        self.store_break(number, Break { seqno: next, time_ns: now });
        // Killed before this, who has the lock next finds the break.
        self.map.store(shared::LAST_TIME, now, Ordering::Release);
        self.seal_words();
        Ok(true)
    }
}

impl Woof {
    /// The time of the newest element, where that is over a minute ahead of the clock: elements get it until the clock gets there.
    pub fn clock_ahead(&self) -> Option<u64> {
        let view = self.view();
        let newest = view.newest_time();
        (view.next() > 1 && newest > sys::now_ns().saturating_add(CLOCK_AHEAD_NS)).then_some(newest)
    }

    /// Has times begin anew with the clock as it is now, if the newest one is ahead of it. What was put under a wrong clock keeps
    /// its time, and is found as if it had that of the last element before it that is right. False when nothing is ahead.
    ///
    /// # Errors
    /// When the woof cannot be written to or was removed; when this was done too often.
    pub fn reset_clock(&self) -> Result<bool> {
        let region = &self.view().region;
        if !region.map.writable() {
            return Err(Error::new(Code::Denied, "", "no right to write, which resetting its clock needs"));
        }
        let slot = Slot::take(&region.map, &region.file)?;
        let taken = slot.lock(&region.map, shared::APPEND_LOCK);
        let done = repair::before_writing(region, taken).and_then(|_| region.begin_times_anew(sys::now_ns()));
        if done.is_err() && taken == Taken::FromDead {
            repair::mark(region);
        }
        Slot::unlock(&region.map, shared::APPEND_LOCK);
        if done? {
            super::sync::flush(region, &slot, None).map_err(|err| Error::io("", "reset its clock", err))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The first kept seqno whose element was appended at `time_ns` or later; the next seqno when there is none. Times never go
    /// back but where the clock was reset, so this takes a few looks however many elements there are. A damaged element counts as
    /// of the time of the one after it; what was put under a clock that was reset later, as of that of the last one before it that
    /// is right.
    ///
    /// # Errors
    /// None today; a woof elsewhere may have some.
    pub fn seqno_at(&self, time_ns: u64) -> Result<u64> {
        let view = self.view();
        let (first, next) = (view.first(), view.next());
        if time_ns == 0 {
            return Ok(first);
        }
        let (mut found, mut end, mut latest) = (next, next, u64::MAX);
        // From the newest stretch back, until one has an element that is before that time.
        for Break { seqno, time_ns: began } in view.breaks().into_iter().rev() {
            let start = seqno.clamp(first, end);
            if let Some(found) = view.look_in_stretch(start, end, latest, time_ns, &mut found) {
                return Ok(found);
            }
            (end, latest) = (start, began);
        }
        view.look_in_stretch(first, end, latest, time_ns, &mut found);
        Ok(found)
    }
}

impl View {
    /// Looks for the first element at `time_ns` or later in a stretch whose times never go back; those after `latest` are wrong. The
    /// answer is sure where there is one before that time; else what was found further on, or is here, is in `found`.
    fn look_in_stretch(
        &self,
        start: u64,
        end: u64,
        latest: u64,
        time_ns: u64,
        found: &mut u64,
    ) -> Option<u64> {
        let right = if latest == u64::MAX { end } else { self.partition(start, end, |time| time <= latest) };
        let at = self.partition(start, right, |time| time < time_ns);
        if at < right {
            *found = at;
        }
        (at > start).then_some(*found)
    }

    /// The first seqno of a range whose time does not come before what is looked for.
    fn partition(&self, from: u64, to: u64, comes_before: impl Fn(u64) -> bool) -> u64 {
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut known = middle;
            let before = loop {
                if known >= to {
                    break false;
                }
                match self.time_of(known) {
                    Time::At(time) => break comes_before(time),
                    Time::Gone => break known < self.first(),
                    Time::Damaged => known += 1,
                }
            };
            if before {
                low = known + 1;
            } else {
                high = middle;
            }
        }
        low.min(to)
    }
}
