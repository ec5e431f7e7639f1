//! Where elements come from that may come again: kept positions, the stamps of their elements, and what is in already.
//!
//! An element of a stream with a kept position is put with a stamp: the writer id of the position, and as writer sequence its seqno
//! there times 65,536, plus how many elements of that seqno came before it. What the woof has of these is not put again.
//!
//! Failure contract: what cannot be told apart (data without a seqno, over 65,536 elements of one seqno) is put as it comes.

use crate::support::position::Moved;
use libwoofstream::error::Result;
use libwoofstream::log::Stamp;
use libwoofstream::space::Put;
use libwoofstream::wire;
use std::collections::VecDeque;

/// Bits of a writer sequence that number the elements of one seqno.
const NUMBER_BITS: u32 = 16;

/// A stream is about so many positions at most; what belongs to further ones is put as it comes.
const SOURCES_MAX: usize = 1024;

/// What to do with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Put it as it is.
    Plain,
    /// Put it with this stamp.
    Stamped(Stamp),
    /// It is in.
    Again,
}

/// The kept positions of a stream.
#[derive(Debug, Default)]
pub(super) struct Sources {
    sources: Vec<Source>,
    /// Messages that are about no position of ours, by path and token.
    strange: Vec<(String, [u8; 16])>,
    /// How many elements are to be in before a source is how far.
    waiting: VecDeque<(u64, usize, u64)>,
}

#[derive(Debug)]
struct Source {
    moved: Moved,
    /// The name of its woof in the stream.
    woof: String,
    /// The largest writer sequence that does not come again.
    after: u64,
    /// Those behind it that are in, in order, once it was asked.
    known: Option<Vec<u64>>,
    /// The seqno that came last, and which of its elements.
    seqno: u64,
    number: u64,
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

    /// Takes note of how far a source is when `count` elements are in. The first time it waits until nobody else puts what the
    /// source sends into the woof that `target` calls by name.
    pub(super) fn note(
        &mut self,
        position: &wire::Position,
        count: u64,
        target: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        if let Some(index) = self.sources.iter().position(|source| source.moved.is_named(position)) {
            self.waiting.push_back((count, index, position.seqno));
            return Ok(());
        }
        let stranger = (position.path.clone(), position.token);
        if self.sources.len() + self.strange.len() >= SOURCES_MAX || self.strange.contains(&stranger) {
            return Ok(());
        }
        let Some(moved) = Moved::find(position) else {
            self.strange.push(stranger);
            return Ok(());
        };
        moved.lock(&target()?)?;
        self.sources.push(Source {
            moved,
            woof: position.woof.clone(),
            after: sequence(position.seqno, (1 << NUMBER_BITS) - 1).unwrap_or(u64::MAX),
            known: None,
            seqno: 0,
            number: 0,
        });
        // Of a stream that came through a program this may be the only one.
        self.waiting.push_back((count, self.sources.len() - 1, position.seqno));
        Ok(())
    }

    /// What to do with an element of number `seqno` of `woof`.
    pub(super) fn look(&mut self, woof: &str, seqno: u64, put: &mut dyn Put) -> Result<Verdict> {
        let Some(source) = self.sources.iter_mut().find(|source| source.woof == woof) else {
            return Ok(Verdict::Plain);
        };
        source.number = if source.seqno == seqno { source.number + 1 } else { 0 };
        source.seqno = seqno;
        let Some(seq) = sequence(seqno, source.number) else { return Ok(Verdict::Plain) };
        let writer = source.moved.writer();
        let known = match &mut source.known {
            Some(known) => known,
            None => source.known.insert(put.stamped_after(writer, source.after)?),
        };
        Ok(match known.binary_search(&seq) {
            Ok(_) => Verdict::Again,
            Err(_) => Verdict::Stamped(Stamp { writer, seq }),
        })
    }

    /// So many elements are in: keeps the positions that waited for them.
    pub(super) fn arrived(&mut self, count: u64) -> Result<()> {
        let mut reached: Vec<(usize, u64)> = Vec::new();
        while let Some((_, index, seqno)) = self.waiting.front().copied().filter(|(at, ..)| *at <= count) {
            self.waiting.pop_front();
            match reached.iter_mut().find(|(found, _)| *found == index) {
                Some((_, last)) => *last = seqno,
                None => reached.push((index, seqno)),
            }
        }
        for (index, seqno) in reached {
            if let Some(source) = self.sources.get(index) {
                source.moved.to(seqno)?;
            }
        }
        Ok(())
    }
}

/// The writer sequence of an element; `None` where there is none.
fn sequence(seqno: u64, number: u64) -> Option<u64> {
    let fits = number >> NUMBER_BITS == 0 && seqno >> (64 - NUMBER_BITS) == 0;
    (fits && (seqno > 0 || number > 0)).then_some(seqno << NUMBER_BITS | number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_sequence_holds_the_seqno_and_which_of_its_elements() {
        assert_eq!(sequence(1, 0), Some(65_536));
        assert_eq!(sequence(3, 5), Some(196_613));
        assert_eq!(sequence((1 << 48) - 1, 65_535), Some(u64::MAX));
        assert_eq!(sequence(0, 65_535), Some(65_535), "behind nothing at all");
        for (seqno, number) in [(0, 0), (1 << 48, 0), (1, 65_536)] {
            assert_eq!(sequence(seqno, number), None, "{seqno} {number}");
        }
    }
}
