//! Where elements come from that may come again: kept positions, and the stamps of their elements.
//!
//! An element of a stream with a kept position is put with a stamp. The writer id is that of the position, plus the high bits of the
//! element's seqno there. The writer sequence has the rest of the seqno, 28 bits made of the element's time, and how many elements of that seqno
//! came before it. A position that is copied with its directory has the same writer id in both places; what is put into
//! the two from then on has other times, and so other stamps.
//!
//! Failure contract: what cannot be told apart (data without a seqno, over 65,536 elements of one seqno) is put as it comes.

use crate::support::position::{Moved, NotMoved, Reached, is_not_moved, writer_of};
use libwoofstream::error::Result;
use libwoofstream::log::Stamp;
use libwoofstream::space::Put;
use libwoofstream::wire;
use std::collections::VecDeque;

/// Bits of a writer sequence that number the elements of one seqno.
const NUMBER_BITS: u32 = 16;
/// Bits of it that are made of the time.
const TIME_BITS: u32 = 28;
/// The others, for the low bits of the seqno. The high ones are in the writer id.
const SEQNO_BITS: u32 = 64 - TIME_BITS - NUMBER_BITS;

/// A stream is about so many positions at most; what belongs to further ones is put as it comes.
const SOURCES_MAX: usize = 1024;

/// The kept positions of a stream.
#[derive(Debug, Default)]
pub(super) struct Sources {
    sources: Vec<Source>,
    /// How many elements are to be in before a source is how far.
    waiting: VecDeque<(u64, usize, Reached)>,
}

#[derive(Debug)]
struct Source {
    /// Its first message.
    begin: wire::Position,
    moved: std::result::Result<Moved, NotMoved>,
    /// The stamp that came last.
    last: Stamp,
    /// The seqno that came last, and which of its elements.
    seqno: u64,
    number: u64,
}

impl Source {
    fn is_named(&self, position: &wire::Position) -> bool {
        self.begin.path == position.path && self.begin.token == position.token
    }

    /// The stamp of the next element, and over which writer sequence those of its writer are.
    fn next(&mut self, seqno: u64, time_ns: u64) -> Option<(Stamp, u64)> {
        self.number = if self.seqno == seqno { self.number + 1 } else { 0 };
        self.seqno = seqno;
        let base = writer_of(&self.begin);
        let (lap, seq) = sequence(seqno, time_ns, self.number)?;
        let begin = self.begin.seqno;
        let after = if begin >> SEQNO_BITS == lap { last_of(begin) } else { 0 };
        Some((Stamp { writer: base.wrapping_add(lap), seq }, after))
    }
}

impl Sources {
    /// Whether no element needs a look.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether positions wait for elements to be in.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes note of how far a source is when `count` elements are in.
    pub(super) fn note(&mut self, position: &wire::Position, count: u64) {
        let index = match self.sources.iter().position(|source| source.is_named(position)) {
            Some(index) => index,
            None if self.sources.len() >= SOURCES_MAX => return,
            None => {
                self.sources.push(Source {
                    begin: position.clone(),
                    moved: Moved::find(position),
                    last: Stamp { writer: 0, seq: 0 },
                    seqno: 0,
                    number: 0,
                });
                self.sources.len() - 1
            }
        };
        // Of a stream that came through a program the first may be the only one.
        self.waiting.push_back((count, index, position.into()));
    }

    /// The stamp of an element of number `seqno` of `woof`; `None` for one that is put as it comes.
    pub(super) fn stamp(&mut self, woof: &str, seqno: u64, time_ns: u64, put: &mut dyn Put) -> Option<Stamp> {
        let source = self.sources.iter_mut().find(|source| source.begin.woof == woof)?;
        let (stamp, after) = source.next(seqno, time_ns)?;
        // Also where a stream begins again.
        if stamp.writer != source.last.writer || stamp.seq <= source.last.seq {
            put.resume(stamp.writer, after);
        }
        source.last = stamp;
        Some(stamp)
    }

    /// So many elements are in: keeps the positions that waited for them. Gives those that cannot be moved from here.
    pub(super) fn arrived(&mut self, count: u64) -> Result<Vec<wire::Position>> {
        let mut reached: Vec<(usize, Reached)> = Vec::new();
        while let Some((_, index, to)) = self.waiting.front().copied().filter(|(at, ..)| *at <= count) {
            self.waiting.pop_front();
            match reached.iter_mut().find(|(found, _)| *found == index) {
                Some((_, last)) => *last = to,
                None => reached.push((index, to)),
            }
        }
        let mut left = Vec::new();
        for (index, to) in reached {
            match self.sources.get(index).map(|source| (&source.moved, &source.begin)) {
                Some((Ok(moved), _)) => moved.to(to)?,
                Some((Err(NotMoved::Because(_)), begin)) => {
                    let Reached { seqno, last } = to;
                    left.push(wire::Position { seqno, last, ..begin.clone() });
                }
                _ => {}
            }
        }
        Ok(left)
    }

    /// What is to be said of the positions that cannot be moved from here.
    pub(super) fn not_moved(&self) -> Vec<String> {
        self.sources
            .iter()
            .filter_map(|source| is_not_moved(&source.begin, source.moved.as_ref().err()?))
            .collect()
    }
}

/// What an element adds to the writer id, and its writer sequence; `None` where there is none.
fn sequence(seqno: u64, time_ns: u64, number: u64) -> Option<(u64, u64)> {
    let low = seqno & ((1 << SEQNO_BITS) - 1);
    let time = mixed(time_ns) >> (64 - TIME_BITS);
    let seq = low << (64 - SEQNO_BITS) | time << NUMBER_BITS | number;
    let fits = number >> NUMBER_BITS == 0 && seq != 0 && seq != u64::MAX;
    fits.then_some((seqno >> SEQNO_BITS, seq))
}

/// The largest writer sequence of the elements of a seqno.
fn last_of(seqno: u64) -> u64 {
    let low = seqno & ((1 << SEQNO_BITS) - 1);
    low << (64 - SEQNO_BITS) | ((1 << (64 - SEQNO_BITS)) - 1)
}

/// Spreads times over all bits (`splitmix64`). It is in files, so it stays as it is.
fn mixed(time_ns: u64) -> u64 {
    let mut z = time_ns.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_sequence_holds_the_seqno_the_time_and_which_of_its_elements() {
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
        let time = 0xe22_0a83;
        assert_eq!(sequence(1, 0, 0), Some((0, 1 << 44 | time << 16)));
        assert_eq!(sequence(3, 0, 5), Some((0, 3 << 44 | time << 16 | 5)));
        assert_eq!(sequence((7 << 20) + 3, 0, 65_535), Some((7, 3 << 44 | time << 16 | 65_535)));
        assert_eq!(sequence(u64::MAX, 0, 1), Some(((1 << 44) - 1, 0xf_ffff << 44 | time << 16 | 1)));
        assert_ne!(sequence(3, 1_796_000_000_000_000_000, 5), sequence(3, 1_796_000_000_000_000_001, 5));
        assert_eq!(sequence(1, 0, 65_536), None);
        assert_eq!(last_of(3), 3 << 44 | 0xfff_ffff_ffff);
        assert!(sequence(3, 9, 65_535).is_some_and(|(_, seq)| seq <= last_of(3)));
        assert!(sequence(4, 0, 0).is_some_and(|(_, seq)| seq > last_of(3)));
    }
}
