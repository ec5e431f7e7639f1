//! The shared words that an append goes by, and the sum that ties them.
//!
//! A bit of memory or of a disk that changes in one of them would have the next append take the place of elements that are there. So
//! their sum stands beside them: whoever has the append lock looks at it before anything is written. If it is wrong, and one seqno alone
//! accounts for that, the records have to prove the right one; positions and time follow from the records anyway.
//!
//! Words of other locks stand twice, and the one that promises less counts.

use super::append::{busy, pos_of};
use super::format::{SEQNO_MAX, shared};
use super::lock::Slot;
use super::region::Region;
use super::repair;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;
use woof_core::error::Result;

/// What stands in the words that the sum ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) next: u64,
    pub(super) first: u64,
    pub(super) next_pos: u64,
    pub(super) first_pos: u64,
    pub(super) time: u64,
}

impl Words {
    #[inline]
    fn sum(&self) -> u64 {
        let Words { next, first, next_pos, first_pos, time } = *self;
        next.wrapping_add(first).wrapping_add(next_pos).wrapping_add(first_pos).wrapping_add(time)
    }
}

impl Region {
    #[inline]
    pub(super) fn words(&self) -> Words {
        let word = |offset| self.map.load(offset, Relaxed);
        Words {
            next: self.next_seqno(),
            first: self.first_seqno(),
            next_pos: word(shared::NEXT_POS),
            first_pos: word(shared::FIRST_POS),
            time: word(shared::LAST_TIME),
        }
    }

    /// True when the sum is that of the words.
    #[inline]
    pub(super) fn is_sum_of(&self, words: &Words) -> bool {
        self.map.load(shared::WORDS_SUM, Relaxed) == words.sum()
    }

    /// Stores the sum of the words as they are. The append lock is ours.
    pub(super) fn seal_words(&self) {
        self.seal(&self.words());
    }

    /// Stores the sum of words that were just stored. The append lock is ours.
    #[inline]
    pub(super) fn seal(&self, words: &Words) {
        self.map.store(shared::WORDS_SUM, words.sum(), Release);
    }

    /// Puts a seqno right that is wrong by itself, if the sum says which, and the records prove it. The append lock is ours.
    #[cold]
    pub(super) fn mend_seqnos(&self) {
        let words = self.words();
        let off = self.map.load(shared::WORDS_SUM, Relaxed).wrapping_sub(words.sum());
        let next = Words { next: words.next.wrapping_add(off), ..words };
        let first = Words { first: words.first.wrapping_add(off), ..words };
        if off != 0 && self.is_proven(&next) {
            self.map.store(shared::NEXT_SEQNO, next.next, Release);
        } else if off != 0 && self.is_proven(&first) {
            self.map.store(shared::FIRST_SEQNO, first.first, Release);
        }
    }

    /// Whether the newest record ends where the next one is to go, and the oldest is where it should be.
    fn is_proven(&self, words: &Words) -> bool {
        let Words { next, first, next_pos, first_pos, .. } = *words;
        if first == 0 || next > SEQNO_MAX || next < first || next - first > self.geometry.slots {
            return false;
        }
        if next == first {
            return next_pos == first_pos;
        }
        let ends = |record: super::format::Record| record.pos + record.size();
        let end = self.kept_record(next - 1).ok().map(ends);
        end == Some(next_pos) && pos_of(self, first, next, next_pos) == first_pos
    }

    /// Looks whether the words go together, where nobody else is at them, and puts them right if need be. Errors are for who appends.
    pub(super) fn look_at_words(&self) {
        // A writer may be between two stores; then it has the lock, and looks itself.
        if self.is_sum_of(&self.words()) || self.map.load32(shared::APPEND_LOCK, Acquire) != 0 {
            return;
        }
        let _ = self.mend_words();
    }

    #[cold]
    fn mend_words(&self) -> Result<()> {
        let slot = Slot::take(&self.map, &self.file)?;
        let taken =
            slot.lock_within(&self.map, shared::APPEND_LOCK, Some(Duration::ZERO)).ok_or_else(busy)?;
        let done = repair::before_writing(self, taken);
        if done.is_err() && taken == super::lock::Taken::FromDead {
            repair::mark(self);
        }
        Slot::unlock(&self.map, shared::APPEND_LOCK);
        done.map(drop)
    }

    /// The seqno that follows the last element known to be durable.
    #[inline]
    pub(super) fn synced_seqno(&self) -> u64 {
        self.map.load(shared::SYNCED_SEQNO, Acquire).min(self.map.load(shared::SYNCED_SEQNO_2, Acquire))
    }

    /// The position before which all records are durable.
    #[inline]
    pub(super) fn synced_pos(&self) -> u64 {
        self.map.load(shared::SYNCED_POS, Acquire).min(self.map.load(shared::SYNCED_POS_2, Acquire))
    }

    /// Notes up to where everything is durable. The sync lock is ours.
    pub(super) fn set_synced(&self, pos: u64, seqno: u64) {
        for place in [shared::SYNCED_POS, shared::SYNCED_POS_2] {
            self.map.store(place, pos, Release);
        }
        for place in [shared::SYNCED_SEQNO, shared::SYNCED_SEQNO_2] {
            self.map.store(place, seqno, Release);
        }
    }
}
